//! Reads request heads.
//!
//! Stricter than Kestrel where that leaves less to disagree about with a proxy in front: lines end in CRLF only, one
//! space stands between the parts of a request line, header names are tokens, values hold no control characters, and
//! a Transfer-Encoding is `chunked` alone, on HTTP/1.1, without a Content-Length.

use memchr::{memchr, memchr2};

use super::{BadRequest, table, target};
use crate::{
    head::{HeaderSpan, Method, RequestHead, Span, Version, known, rules},
    limits::Limits,
};

/// How far a head was read: offsets in the buffer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// The first line that was not taken yet.
    next: usize,
    /// The first header line; 0 while the request line is awaited.
    headers: usize,
    /// What `target::split` found.
    target: Option<target::Target>,
}

/// Reads a request head from the start of `buffer`.
///
/// `searched` is 0 for a new request. As long as the answer is `None`, append to the bytes and call again with the
/// same `searched` and `head`: reading goes on where it stopped, and a bad line is refused once it is there. The
/// answer is the head's length, with empty lines before it.
///
/// # Errors
/// [`BadRequest`], with the status Kestrel would answer with.
pub fn parse_head(
    buffer: &[u8],
    searched: &mut usize,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, BadRequest> {
    if *searched == 0 {
        head.clear();
    }
    if head.progress.headers == 0 && !take_request_line(buffer, searched, limits, head)? {
        return Ok(None);
    }
    while let Some(at) = memchr(b'\n', &buffer[*searched..]) {
        let end = *searched + at;
        *searched = end + 1;
        let start = std::mem::replace(&mut head.progress.next, end + 1);
        if end + 1 - head.progress.headers > limits.headers_size() {
            return Err(headers_too_large());
        }
        if end == start + 1 && buffer[start] == b'\r' {
            return finish(&buffer[..end + 1], limits, head).map(|()| Some(end + 1));
        }
        if head.headers.len() >= limits.max_request_header_count {
            return Err(BadRequest::new(431, "Request contains too many headers."));
        }
        let header = header_line(buffer, start, end)?;
        head.headers.push(header);
    }
    *searched = buffer.len();
    if buffer.len() - head.progress.headers > limits.headers_size() {
        return Err(headers_too_large());
    }
    Ok(None)
}

/// What to answer when the input ends and [`parse_head`] gave `None`: nothing between requests.
pub fn end_of_input(buffer: &[u8], head: &RequestHead) -> Option<BadRequest> {
    if head.progress.headers != 0 {
        return Some(BadRequest::new(400, "Malformed request: invalid headers."));
    }
    let line = &buffer[buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count()..];
    (!line.is_empty()).then(|| request_line(line))
}

/// Reads one header line, of a head or of trailers, that ends before the LF at `end`.
#[inline(always)]
pub(crate) fn header_line(buffer: &[u8], start: usize, end: usize) -> Result<HeaderSpan, BadRequest> {
    let line = &buffer[start..end];
    let [line @ .., b'\r'] = line else { return Err(header(line)) };
    let colon = table::run(line, table::TOKEN);
    if colon == 0 || line.get(colon) != Some(&b':') {
        return Err(header(line));
    }
    let (mut from, mut to) = (colon + 1, line.len());
    while from < to && is_blank(line[from]) {
        from += 1;
    }
    while from < to && is_blank(line[to - 1]) {
        to -= 1;
    }
    Ok(HeaderSpan {
        name: Span::new(start, start + colon),
        value: Span::new(start + from, start + to),
        known: known::number(&line[..colon]),
    })
}

/// Whether a value is UTF-8, or of any encoding, without control characters other than tab.
pub(crate) fn is_value(value: &[u8], any_encoding: bool) -> bool {
    let is_text = || any_encoding || value.is_ascii() || std::str::from_utf8(value).is_ok();
    !value.iter().any(|&b| is_control(b)) && is_text()
}

fn take_request_line(
    buffer: &[u8],
    searched: &mut usize,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<bool, BadRequest> {
    let max = limits.line_size();
    let mut start = head.progress.next;
    while buffer[start..].starts_with(b"\r\n") {
        start += 2;
        *searched = start;
    }
    head.progress.next = start;
    // A NUL is refused at once, for the first bytes of a TLS client hold no LF that would end the wait.
    match memchr2(b'\n', 0, &buffer[*searched..]) {
        Some(at) if *searched + at < max => {
            let end = *searched + at;
            if buffer[end] == 0 {
                return Err(request_line(&buffer[start..=end]));
            }
            split_request_line(buffer, start, end, head)?;
            *searched = end + 1;
            (head.progress.next, head.progress.headers) = (end + 1, end + 1);
            Ok(true)
        }
        None if buffer.len() < max => {
            *searched = buffer.len();
            Ok(false)
        }
        _ => Err(BadRequest::new(414, "Request line too long.")),
    }
}

fn split_request_line(buffer: &[u8], start: usize, end: usize, head: &mut RequestHead) -> Result<(), BadRequest> {
    let whole = &buffer[start..end];
    let [line @ .., b'\r'] = whole else { return Err(request_line(whole)) };
    let method_end = table::run(line, table::TOKEN);
    if method_end == 0 || line.get(method_end) != Some(&b' ') {
        return Err(request_line(line));
    }
    let from = method_end + 1;
    let to = from + table::run(&line[from..], table::TARGET);
    if to == from || line.get(to) != Some(&b' ') || line.len() != to + 9 {
        return Err(request_line(line));
    }
    head.version = match &line[to + 1..] {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        version => {
            let refused = BadRequest::detail(505, "Unrecognized HTTP version", version);
            return Err(BadRequest { is_http2: line == b"PRI * HTTP/2.0", ..refused });
        }
    };
    head.method = Method::from_bytes(&line[..method_end]);
    let target = target::split(head.method, &line[from..to])?;
    head.method_text = Span::new(start, start + method_end);
    head.set_target(start + from, start + to, &target);
    head.progress.target = Some(target);
    Ok(())
}

fn finish(bytes: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<(), BadRequest> {
    let target = head.progress.target.take().expect("the request line was read");
    check_values(bytes, limits.any_header_encoding, head)?;
    head.store(bytes, &target)?;
    rules::conclude(head, &target, false)
}

/// Every line ends in CRLF, so a control character elsewhere shows in their number.
fn check_values(bytes: &[u8], any_encoding: bool, head: &RequestHead) -> Result<(), BadRequest> {
    let from = head.progress.headers;
    let (mut controls, mut all) = (0usize, 0u8);
    for block in bytes[from..].chunks(128) {
        // A block's count fits a byte, which lets the compiler count many bytes at once.
        let mut count = 0u8;
        for &b in block {
            count += u8::from(is_control(b));
            all |= b;
        }
        controls += usize::from(count);
    }
    let expected = 2 * (head.headers.len() + 1);
    if controls == expected && all < 0x80 {
        return Ok(());
    }
    match head.headers.iter().find(|h| !is_value(h.value.of(bytes), any_encoding)) {
        Some(bad) => Err(header(&bytes[bad.name.start as usize..bad.value.end as usize])),
        None => Ok(()),
    }
}

#[inline(always)]
pub(crate) fn is_control(b: u8) -> bool {
    // No short circuits: so that many bytes are looked at at once.
    ((b < b' ') & (b != b'\t')) | (b == 0x7f)
}

fn is_blank(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

#[cold]
fn request_line(line: &[u8]) -> BadRequest {
    const TLS_HANDSHAKE: u8 = 0x16;
    if line.first() == Some(&TLS_HANDSHAKE) {
        return BadRequest::new(400, "Detected a TLS handshake to an endpoint that does not have TLS enabled.");
    }
    BadRequest::detail(400, "Invalid request line", line)
}

#[cold]
fn header(line: &[u8]) -> BadRequest {
    BadRequest::detail(400, "Invalid request header", line)
}

#[cold]
fn headers_too_large() -> BadRequest {
    BadRequest::new(431, "Request headers too long.")
}

#[cfg(test)]
mod tests;
