//! What the headers of a request say together, and whether they may.

use super::{Flags, Known, Method, RequestHead, TargetForm, Version};
use crate::h1::{BadRequest, target, target::Target};

/// What the header lines of interest hold.
#[derive(Default)]
struct Facts<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    codings: Codings,
    upgrade: bool,
    expect_continue: bool,
    options: Options,
}

/// The transfer codings of a request.
#[derive(Default)]
struct Codings {
    chunked: u32,
    others: u32,
    malformed: bool,
    ends_in_chunked: bool,
}

/// The options of the Connection header.
#[derive(Default)]
struct Options {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

/// Checks the headers of a head that is otherwise read, and sets its flags and Content-Length.
///
/// `has_body`: a body may follow though no header says so, as on HTTP/2.
pub(crate) fn conclude(head: &mut RequestHead, target: &Target, has_body: bool) -> Result<(), BadRequest> {
    let facts = gather(head)?;
    check_host(head, target, facts.host)?;
    let mut flags = Flags::default();
    let (version, method) = (head.version, head.method);
    let options = &facts.options;
    if (version >= Version::Http11 || options.keep_alive) && !options.close {
        flags.insert(Flags::KEEP_ALIVE);
    }
    let chunked = facts.codings.check(version)?;
    match (chunked, facts.length) {
        (true, Some(_)) => {
            return Err(BadRequest::new(400, "Transfer-Encoding and Content-Length are not allowed together."));
        }
        (true, None) => {
            flags.insert(Flags::CHUNKED);
            flags.insert(Flags::HAS_BODY);
        }
        (false, Some(length)) if length > 0 => flags.insert(Flags::HAS_BODY),
        (false, None) if version == Version::Http10 && matches!(method, Method::Post | Method::Put) => {
            return Err(BadRequest::new(400, "POST and PUT on HTTP/1.0 need a Content-Length header."));
        }
        (false, _) => {}
    }
    // With a body the offer to upgrade is passed over, as RFC 9110, 7.8 allows: clients try HTTP/2 with a POST this way.
    if options.upgrade && facts.upgrade && version == Version::Http11 && !flags.contains(Flags::HAS_BODY) {
        flags.insert(Flags::UPGRADE);
    }
    if has_body && facts.length != Some(0) {
        flags.insert(Flags::HAS_BODY);
    }
    if facts.expect_continue && version >= Version::Http11 {
        flags.insert(Flags::EXPECT_CONTINUE);
    }
    (head.content_length, head.flags) = (facts.length, flags);
    Ok(())
}

fn gather(head: &RequestHead) -> Result<Facts<'_>, BadRequest> {
    const HOST: u8 = Known::Host as u8;
    const CONNECTION: u8 = Known::Connection as u8;
    const CONTENT_LENGTH: u8 = Known::ContentLength as u8;
    const UPGRADE: u8 = Known::Upgrade as u8;
    const TRANSFER_ENCODING: u8 = Known::TransferEncoding as u8;
    const EXPECT: u8 = Known::Expect as u8;

    let mut facts = Facts::default();
    let bytes = head.stored();
    for header in &head.headers {
        let value = header.value.of(bytes);
        match header.known {
            HOST if facts.host.is_some() => return Err(BadRequest::new(400, "Multiple Host headers.")),
            HOST => facts.host = Some(value),
            CONNECTION => facts.options.add(value),
            CONTENT_LENGTH if facts.length.is_some() => {
                return Err(BadRequest::new(400, "Multiple Content-Length headers."));
            }
            CONTENT_LENGTH => facts.length = Some(content_length(value)?),
            UPGRADE => facts.upgrade = true,
            TRANSFER_ENCODING => facts.codings.add(value),
            EXPECT => facts.expect_continue = value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
    }
    Ok(facts)
}

impl Codings {
    fn add(&mut self, value: &[u8]) {
        for coding in value.split(|b| *b == b',') {
            let coding = coding.trim_ascii();
            self.ends_in_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.malformed |= coding.is_empty();
            *if self.ends_in_chunked { &mut self.chunked } else { &mut self.others } += 1;
        }
    }

    /// Whether the body comes in chunks.
    fn check(&self, version: Version) -> Result<bool, BadRequest> {
        if self.chunked + self.others == 0 {
            return Ok(false);
        }
        if version != Version::Http11 {
            return Err(BadRequest::new(400, "Transfer-Encoding is not allowed in this version of HTTP."));
        }
        if !self.ends_in_chunked || self.chunked > 1 || self.malformed {
            return Err(BadRequest::new(
                400,
                "The message body length cannot be determined from its transfer codings.",
            ));
        }
        if self.others > 0 {
            return Err(BadRequest::new(501, "Transfer codings other than chunked are not supported."));
        }
        Ok(true)
    }
}

impl Options {
    fn add(&mut self, value: &[u8]) {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
            return;
        }
        for option in value.split(|b| *b == b',') {
            match option.trim_ascii() {
                o if o.eq_ignore_ascii_case(b"close") => self.close = true,
                o if o.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                o if o.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                _ => {}
            }
        }
    }
}

/// Digits alone, up to the largest `i64`, which is what the boundary carries.
fn content_length(value: &[u8]) -> Result<u64, BadRequest> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse::<i64>().ok());
    number.map(i64::unsigned_abs).ok_or_else(|| BadRequest::detail(400, "Invalid content length", value))
}

fn check_host(head: &RequestHead, target: &Target, host: Option<&[u8]>) -> Result<(), BadRequest> {
    let Some(host) = host else {
        return match head.version {
            Version::Http11 => Err(BadRequest::new(400, "Request is missing Host header.")),
            _ => Ok(()),
        };
    };
    let (start, end) = target.authority;
    let named = match target.form {
        TargetForm::Origin | TargetForm::Asterisk => true,
        form => target::is_same_host(form, head.target(), &head.target()[start..end], host),
    };
    if named && target::is_host_valid(host) {
        return Ok(());
    }
    Err(BadRequest::detail(400, "Invalid Host header", host))
}
