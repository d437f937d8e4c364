//! Takes request targets apart.

use super::{BadRequest, table};
use crate::head::{Method, TargetForm};

/// Where the parts of a target are: ranges in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The form.
    pub form: TargetForm,
    /// Where the authority starts and ends; empty except for the absolute and authority forms.
    pub authority: (usize, usize),
    /// Where the path starts and ends; empty for `*`, an authority, and an absolute form that has none.
    pub path: (usize, usize),
    /// Whether the path must go through [`decode_path`].
    pub encoded: bool,
}

/// A `%00` in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NullInPath;

/// Splits a target. The query is what follows the path.
///
/// # Errors
/// 400 for a target of no form, 405 for a form the method may not have.
pub fn split(method: Method, target: &[u8]) -> Result<Target, BadRequest> {
    match target {
        [b'/', ..] if method != Method::Connect => Ok(with_path(TargetForm::Origin, (0, 0), target, 0)),
        b"*" if method == Method::Options => Ok(without_path(TargetForm::Asterisk, (0, 0))),
        b"*" => Err(BadRequest::not_allowed("OPTIONS")),
        _ => match scheme_len(target) {
            Some(start) if method != Method::Connect => split_absolute(target, start),
            _ if target.is_empty() || !table::all(target, table::AUTHORITY) => Err(invalid(target)),
            _ if method != Method::Connect => Err(BadRequest::not_allowed("CONNECT")),
            _ if !is_host_valid(target) => Err(invalid(target)),
            _ => Ok(without_path(TargetForm::Authority, (0, target.len()))),
        },
    }
}

/// The refusal of a target.
pub(crate) fn invalid(target: &[u8]) -> BadRequest {
    BadRequest::detail(400, "Invalid request target", target)
}

fn split_absolute(target: &[u8], start: usize) -> Result<Target, BadRequest> {
    let end = start + target[start..].iter().take_while(|b| !matches!(b, b'/' | b'?' | b'#')).count();
    let authority = &target[start..end];
    // User information is refused with the rest of what is not a host: RFC 9110, 4.2.4. A fragment is not part of a
    // target; the origin form keeps `#` in the path, as Kestrel does.
    if authority.is_empty() || !is_host_valid(authority) || target[end..].contains(&b'#') {
        return Err(invalid(target));
    }
    Ok(with_path(TargetForm::Absolute, (start, end), target, end))
}

fn with_path(form: TargetForm, authority: (usize, usize), target: &[u8], start: usize) -> Target {
    let end = memchr::memchr(b'?', &target[start..]).map_or(target.len(), |at| start + at);
    Target { form, authority, path: (start, end), encoded: needs_decoding(&target[start..end]) }
}

fn without_path(form: TargetForm, authority: (usize, usize)) -> Target {
    Target { form, authority, path: (authority.1, authority.1), encoded: false }
}

fn needs_decoding(path: &[u8]) -> bool {
    let Some(at) = memchr::memchr2(b'%', b'.', path) else { return false };
    path[at..].contains(&b'%') || memchr::memmem::find(path, b"/.").is_some()
}

/// The length of `http://` or `https://`. Kestrel takes them in lower case only.
fn scheme_len(target: &[u8]) -> Option<usize> {
    [b"http://".as_slice(), b"https://"].iter().find(|s| target.starts_with(s)).map(|s| s.len())
}

/// Whether `host` may stand in a Host header: nothing, a name, an IPv4 address or a bracketed IPv6 address, each
/// with or without a port.
pub fn is_host_valid(host: &[u8]) -> bool {
    let rest = match host {
        [] => return true,
        [b'[', inner @ ..] => {
            let len = table::run(inner, table::IPV6);
            // `::` is the shortest address.
            if len < 2 || inner.get(len) != Some(&b']') {
                return false;
            }
            &inner[len + 1..]
        }
        _ => match table::run(host, table::HOST) {
            0 => return false,
            len => &host[len..],
        },
    };
    match rest {
        [] => true,
        [b':', port @ ..] => !port.is_empty() && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether a Host header names the authority of the target. The default port may be left out on either side.
pub(crate) fn is_same_host(form: TargetForm, target: &[u8], authority: &[u8], host: &[u8]) -> bool {
    if form == TargetForm::Authority {
        return authority == host;
    }
    let port = if target.starts_with(b"https") { b":443".as_slice() } else { b":80" };
    let strip = |host| <[u8]>::strip_suffix(host, port).unwrap_or(host);
    strip(authority).eq_ignore_ascii_case(strip(host))
}

/// Decodes a path as Kestrel does, into `out`, and says how long it is. `out` must be as long as the path.
///
/// Percent escapes become bytes where these are valid UTF-8, and stay as they are elsewhere; `%2F` stays. Then dot
/// segments are removed (RFC 3986, 5.2.4). The path starts with a slash or is empty.
///
/// # Errors
/// [`NullInPath`] for `%00`.
pub fn decode_path(path: &[u8], out: &mut [u8]) -> Result<usize, NullInPath> {
    let decoded = percent_decode(path, out)?;
    Ok(remove_dot_segments(&mut out[..decoded]))
}

fn percent_decode(path: &[u8], out: &mut [u8]) -> Result<usize, NullInPath> {
    let (mut from, mut to) = (0, 0);
    while from < path.len() {
        let (bytes, taken, len) = decoded_character(&path[from..])?;
        out[to..to + len].copy_from_slice(&bytes[..len]);
        from += taken;
        to += len;
    }
    Ok(to)
}

/// The next character of a path: its bytes, how many bytes of the path it takes, how many it is.
fn decoded_character(path: &[u8]) -> Result<([u8; 4], usize, usize), NullInPath> {
    let as_it_is = ([path[0], 0, 0, 0], 1, 1);
    let Some(first) = escape(path) else { return Ok(as_it_is) };
    let len = match first {
        0 => return Err(NullInPath),
        1..=0x7f => return Ok(([first, 0, 0, 0], 3, 1)),
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Ok(as_it_is),
    };
    let mut bytes = [first, 0, 0, 0];
    for (index, byte) in bytes.iter_mut().enumerate().take(len).skip(1) {
        match path.get(index * 3..).and_then(escape) {
            Some(next) => *byte = next,
            None => return Ok(as_it_is),
        }
    }
    // An escape that is left as it is leaves its followers as they are too: none of them starts a character.
    Ok(if std::str::from_utf8(&bytes[..len]).is_ok() { (bytes, len * 3, len) } else { as_it_is })
}

/// The byte of an escape at the start of `text`, unless it is `%2F`.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |d: &u8| (*d as char).to_digit(16);
    let byte = (digit(high)? * 16 + digit(low)?) as u8;
    (byte != b'/').then_some(byte)
}

/// Removes dot segments in place; returns the new length.
fn remove_dot_segments(path: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while from < path.len() {
        // `from` is at a slash; the segment is what follows up to the next one.
        let start = from + 1;
        let end = start + path[start..].iter().take_while(|b| **b != b'/').count();
        match &path[start..end] {
            b".." => {
                to = path[..to].iter().rposition(|b| *b == b'/').unwrap_or(0);
                from = end;
            }
            b"." => from = end,
            _ => {
                path.copy_within(from..end, to);
                to += end - from;
                from = end;
                continue;
            }
        }
        if from == path.len() {
            // A dot segment at the end leaves its slash.
            path[to] = b'/';
            to += 1;
        }
    }
    to
}

#[cfg(test)]
mod tests;
