//! Heads that do not come from the HTTP/1 parser.

use super::{HeaderSpan, Method, RequestHead, Span, Version, known, rules};
use crate::{
    h1::{BadRequest, parse, table, target},
    limits::Limits,
};

/// A request head in parts, from another HTTP implementation.
#[derive(Debug, Clone)]
pub struct Parts<'a, I> {
    /// The method.
    pub method: &'a [u8],
    /// The target, in one of the forms of HTTP/1.
    pub target: &'a [u8],
    /// The version.
    pub version: Version,
    /// What becomes the Host header, in place of one among the headers: `:authority` of HTTP/2.
    pub host: Option<&'a [u8]>,
    /// The header lines, names and values.
    pub headers: I,
    /// Whether a body may follow though no header says so.
    pub has_body: bool,
}

impl RequestHead {
    /// Takes over a head that was read elsewhere, under the same rules as [`parse_head`](crate::h1::parse::parse_head).
    ///
    /// # Errors
    /// [`BadRequest`], as for a head on HTTP/1.
    pub fn fill<'a, I>(&mut self, parts: Parts<'a, I>, limits: &Limits) -> Result<(), BadRequest>
    where
        I: Iterator<Item = (&'a [u8], &'a [u8])>,
    {
        self.clear();
        let mut bytes = Vec::new();
        if parts.method.is_empty() || !table::all(parts.method, table::TOKEN) {
            return Err(BadRequest::detail(400, "Invalid method", parts.method));
        }
        if !table::all(parts.target, table::TARGET) {
            return Err(target::invalid(parts.target));
        }
        if parts.method.len() + parts.target.len() > limits.line_size() {
            return Err(BadRequest::new(414, "Request line too long."));
        }
        (self.method, self.version) = (Method::from_bytes(parts.method), parts.version);
        let target = target::split(self.method, parts.target)?;
        self.method_text = append(&mut bytes, parts.method);
        let at = append(&mut bytes, parts.target);
        self.set_target(at.start as usize, at.end as usize, &target);
        let start = bytes.len();
        if let Some(host) = parts.host {
            self.add(&mut bytes, limits, b"Host", host)?;
        }
        for (name, value) in parts.headers {
            if parts.host.is_some() && name.eq_ignore_ascii_case(b"host") {
                continue;
            }
            if self.headers.len() >= limits.max_request_header_count {
                return Err(BadRequest::new(431, "Request contains too many headers."));
            }
            self.add(&mut bytes, limits, name, value)?;
            if bytes.len() - start > limits.headers_size() {
                return Err(BadRequest::new(431, "Request headers too long."));
            }
        }
        self.store(&bytes, &target)?;
        rules::conclude(self, &target, parts.has_body)
    }

    fn add(&mut self, bytes: &mut Vec<u8>, limits: &Limits, name: &[u8], value: &[u8]) -> Result<(), BadRequest> {
        if name.is_empty() || !table::all(name, table::TOKEN) || !parse::is_value(value, limits.any_header_encoding) {
            return Err(BadRequest::detail(400, "Invalid request header", name));
        }
        let known = known::number(name);
        self.headers.push(HeaderSpan { name: append(bytes, name), value: append(bytes, value), known });
        Ok(())
    }
}

fn append(bytes: &mut Vec<u8>, more: &[u8]) -> Span {
    let start = bytes.len();
    bytes.extend_from_slice(more);
    Span::new(start, bytes.len())
}
