//! Writes response heads and the framing of their bodies, as Kestrel's `CreateResponseHeaders` frames them.

use std::{borrow::Cow, fmt, time::SystemTime};

use bytes::{BufMut, BytesMut};

use super::{BadRequest, parse::is_control, table};
use crate::{
    head::{Method, Version},
    packed::PackedHeaders,
};

mod reason;

/// The answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// GOAWAY with the error HTTP_1_1_REQUIRED, last stream 0.
const HTTP_1_1_REQUIRED: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13];

/// What follows the bytes of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// What of a request the framing of its response depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The version of the request.
    pub version: Version,
    /// The method of the request.
    pub method: Method,
    /// Whether the connection may be used again, as far as client and server are concerned.
    pub keep_alive: bool,
}

/// What the application answers.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// The status, 101 or from 200 on.
    pub status: u16,
    /// The reason phrase; empty: the usual one.
    pub reason: &'a [u8],
    /// The header lines, [packed](crate::packed), without Content-Length.
    pub headers: &'a [u8],
    /// The Content-Length, if the application set one.
    pub content_length: Option<u64>,
    /// How many bytes the body has, if it is complete by now.
    pub complete: Option<usize>,
}

/// What the server adds to responses.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// The time for the Date header.
    pub date: &'a HttpDate,
    /// The Server header; `None`: no such line.
    pub name: Option<&'a str>,
}

/// How the end of a response body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is no body: bytes of one must be dropped.
    None,
    /// By its length.
    Length(u64),
    /// By chunks: [`chunk_start`], the bytes, [`CHUNK_END`], at last [`last_chunk`].
    Chunked,
    /// The application set Transfer-Encoding and frames the body itself.
    AsWritten,
    /// By the end of the connection; the bytes of another protocol after a 101.
    UntilClose,
}

/// How a response is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// How the end of the body is told.
    pub body: Body,
    /// Whether the connection may be used for a further request.
    pub keep_alive: bool,
}

/// Why a response head cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    reason: Cow<'static, str>,
}

impl EncodeError {
    fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for EncodeError {}

/// A time as headers write it; made once a second, used for every response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpDate([u8; 29]);

impl HttpDate {
    /// The text of a time between 1970 and 9999.
    pub fn at(time: SystemTime) -> Self {
        let text = httpdate::fmt_http_date(time);
        Self(text.as_bytes().try_into().expect("an HTTP date has 29 bytes"))
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    pub fn as_bytes(&self) -> &[u8; 29] {
        &self.0
    }
}

/// Header lines the framing depends on.
#[derive(Default)]
struct Present {
    connection: bool,
    connection_keeps_alive: bool,
    transfer_encoding: bool,
    last_coding_is_chunked: bool,
    server: bool,
    date: bool,
}

/// Appends the head of a response and says how its body is framed.
///
/// # Errors
/// [`EncodeError`] for what must not be sent; `out` is then as before.
pub fn response_head(
    out: &mut BytesMut,
    request: Request,
    response: &Response<'_>,
    server: &Server<'_>,
) -> Result<Framing, EncodeError> {
    if response.status != 101 && !(200..1000).contains(&response.status) {
        return Err(EncodeError::new(format!("{} is not the status of a final response", response.status)));
    }
    let start = out.len();
    out.reserve(response.headers.len() + response.reason.len() + 256);
    let written = status_line(out, response.status, response.reason).and_then(|()| header_lines(out, response.headers));
    let framed =
        written.and_then(|present| frame(request, response, &present).map(|(framing, cl)| (present, framing, cl)));
    let (present, framing, content_length) = framed.inspect_err(|_| out.truncate(start))?;
    if let Some(length) = content_length {
        out.put_slice(b"Content-Length: ");
        decimal(out, length);
        out.put_slice(b"\r\n");
    }
    if framing.body == Body::Chunked {
        out.put_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if !present.connection {
        match (framing.keep_alive, request.version) {
            _ if response.status == 101 => out.put_slice(b"Connection: Upgrade\r\n"),
            (false, _) => out.put_slice(b"Connection: close\r\n"),
            (true, Version::Http10) => out.put_slice(b"Connection: keep-alive\r\n"),
            (true, _) => {}
        }
    }
    server_lines(out, server, !present.date, !present.server);
    out.put_slice(b"\r\n");
    Ok(framing)
}

/// Decides the framing, and which Content-Length to write.
fn frame(request: Request, response: &Response<'_>, present: &Present) -> Result<(Framing, Option<u64>), EncodeError> {
    let Response { status, content_length, complete, .. } = *response;
    let mut keep_alive = request.keep_alive
        && (!present.connection || present.connection_keeps_alive)
        && (!present.transfer_encoding || present.last_coding_is_chunked);
    let is_tunnel = request.method == Method::Connect && (200..300).contains(&status);
    let has_body = request.method != Method::Head && !matches!(status, 101 | 204 | 205 | 304);
    if (!has_body || is_tunnel) && present.transfer_encoding {
        return Err(EncodeError::new(format!(
            "a response with status {status} to this request has no Transfer-Encoding"
        )));
    }
    let content_length = match content_length {
        Some(1..) if matches!(status, 101 | 204 | 205) || is_tunnel => {
            return Err(EncodeError::new(format!(
                "a response with status {status} to this request has no Content-Length"
            )));
        }
        Some(0) if matches!(status, 101 | 204) || is_tunnel => None,
        // Two framings at once are how requests are smuggled; the chunks are the application's, so they stay.
        Some(_) if present.transfer_encoding => None,
        Some(length) => Some(length),
        None if present.transfer_encoding => None,
        None => {
            let is_empty = complete == Some(0) || !has_body;
            let may_say_so = !matches!(status, 101 | 204 | 304) && request.method != Method::Head && !is_tunnel;
            (is_empty && may_say_so).then_some(0)
        }
    };
    let body = match content_length {
        _ if status == 101 => Body::UntilClose,
        _ if !has_body => Body::None,
        Some(length) => Body::Length(length),
        None if present.transfer_encoding => Body::AsWritten,
        None if is_tunnel || request.version == Version::Http10 => Body::UntilClose,
        None => Body::Chunked,
    };
    keep_alive &= body != Body::UntilClose;
    Ok((Framing { body, keep_alive }, content_length))
}

/// Appends an informational response: 1xx but 101. Nothing is written to HTTP/1.0 clients by the caller.
///
/// # Errors
/// [`EncodeError`] for another status, or headers that must not be sent; `out` is then as before.
pub fn informational(out: &mut BytesMut, status: u16, headers: &[u8]) -> Result<(), EncodeError> {
    if status == 101 || !(100..200).contains(&status) {
        return Err(EncodeError::new(format!("{status} is not an informational status")));
    }
    let start = out.len();
    let present = status_line(out, status, b"").and_then(|()| header_lines(out, headers));
    let checked = present.and_then(|present| match present.transfer_encoding {
        true => Err(EncodeError::new("an informational response has no Transfer-Encoding")),
        false => Ok(()),
    });
    checked.inspect_err(|_| out.truncate(start))?;
    out.put_slice(b"\r\n");
    Ok(())
}

/// Appends what refuses a request; the connection is to be closed after it.
pub fn refusal(out: &mut BytesMut, refused: &BadRequest, server: &Server<'_>) {
    if refused.is_http2 {
        out.put_slice(HTTP_1_1_REQUIRED);
        return;
    }
    status_line(out, refused.status, b"").expect("the usual phrases are clean");
    out.put_slice(b"Content-Length: 0\r\nConnection: close\r\n");
    server_lines(out, server, true, true);
    if let Some(allow) = refused.allow {
        out.put_slice(b"Allow: ");
        out.put_slice(allow.as_bytes());
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
}

/// Appends the line before the bytes of a chunk. `len` is not 0: that would end the body.
pub fn chunk_start(out: &mut BytesMut, len: usize) {
    debug_assert!(len > 0);
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        out.put_u8(b"0123456789abcdef"[(len >> (digit * 4)) & 15]);
    }
    out.put_slice(b"\r\n");
}

/// Appends what ends a body in chunks, with [packed](crate::packed) trailers.
///
/// # Errors
/// [`EncodeError`] for trailers that must not be sent; `out` is then as before.
pub fn last_chunk(out: &mut BytesMut, trailers: &[u8]) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_slice(b"0\r\n");
    header_lines(out, trailers).inspect_err(|_| out.truncate(start))?;
    out.put_slice(b"\r\n");
    Ok(())
}

fn status_line(out: &mut BytesMut, status: u16, reason: &[u8]) -> Result<(), EncodeError> {
    if reason.is_empty() {
        if status == 200 {
            out.put_slice(b"HTTP/1.1 200 OK\r\n");
            return Ok(());
        }
    } else if reason.iter().any(|&b| is_control(b) || !b.is_ascii()) {
        return Err(EncodeError::new(format!("the reason phrase '{}' is not printable ASCII", reason.escape_ascii())));
    }
    out.put_slice(b"HTTP/1.1 ");
    decimal(out, status.into());
    out.put_u8(b' ');
    out.put_slice(if reason.is_empty() { reason::phrase(status).as_bytes() } else { reason });
    out.put_slice(b"\r\n");
    Ok(())
}

/// Appends header lines and notes those the framing depends on.
fn header_lines(out: &mut BytesMut, packed: &[u8]) -> Result<Present, EncodeError> {
    let mut present = Present::default();
    let mut lines = PackedHeaders::new(packed);
    while let Some((name, value)) = lines.try_next().map_err(|_| EncodeError::new("packed headers end in a line"))? {
        if name.is_empty() || !table::all(name, table::TOKEN) {
            return Err(EncodeError::new(format!("'{}' is not a header name", name.escape_ascii())));
        }
        if value.iter().any(|&b| is_control(b)) {
            let name = name.escape_ascii();
            return Err(EncodeError::new(format!("the value of header '{name}' holds a control character")));
        }
        present.note(name, value)?;
        out.put_slice(name);
        out.put_slice(b": ");
        out.put_slice(value);
        out.put_slice(b"\r\n");
    }
    Ok(present)
}

impl Present {
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), EncodeError> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"Date") => self.date = true,
            6 if is(b"Server") => self.server = true,
            10 if is(b"Connection") => {
                self.connection = true;
                let mut options = value.split(|b| *b == b',');
                self.connection_keeps_alive |= options.any(|o| o.trim_ascii().eq_ignore_ascii_case(b"keep-alive"));
            }
            14 if is(b"Content-Length") => {
                return Err(EncodeError::new("Content-Length is a field of its own, not a header line"));
            }
            17 if is(b"Transfer-Encoding") => {
                self.transfer_encoding = true;
                let last = value.rsplit(|b| *b == b',').next().unwrap_or_default();
                self.last_coding_is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            }
            _ => {}
        }
        Ok(())
    }
}

fn server_lines(out: &mut BytesMut, server: &Server<'_>, date: bool, name: bool) {
    if date {
        out.put_slice(b"Date: ");
        out.put_slice(server.date.as_bytes());
        out.put_slice(b"\r\n");
    }
    if let Some(server) = server.name.filter(|_| name) {
        out.put_slice(b"Server: ");
        out.put_slice(server.as_bytes());
        out.put_slice(b"\r\n");
    }
}

fn decimal(out: &mut BytesMut, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

#[cfg(test)]
mod tests;
