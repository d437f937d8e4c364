//! HTTP/1.0 and 1.1 without input or output: bytes in, facts out, and the other way round.

use std::{borrow::Cow, fmt};

pub mod chunked;
pub(crate) mod connection;
pub mod encode;
pub mod parse;
#[cfg(test)]
pub(crate) mod random;
pub(crate) mod table;
pub mod target;

/// Why a request is refused, and with which status.
///
/// After one the connection cannot be read further: what follows has no certain meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest {
    /// The status to answer with.
    pub status: u16,
    /// What is wrong, for the log.
    pub reason: Cow<'static, str>,
    /// The value of the `Allow` header that belongs to a 405.
    pub allow: Option<&'static str>,
    /// Whether the client speaks HTTP/2 unasked, and is refused in that language.
    pub is_http2: bool,
}

impl BadRequest {
    /// Bytes of a request that are shown in a reason.
    const DETAIL: usize = 128;

    /// A refusal with a status and a text.
    pub fn new(status: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason: reason.into(), allow: None, is_http2: false }
    }

    /// A refusal that shows the bytes it is about, made printable and cut to 128.
    #[cold]
    pub(crate) fn detail(status: u16, what: &str, bytes: &[u8]) -> Self {
        let shown = bytes[..bytes.len().min(Self::DETAIL)].escape_ascii();
        let more = if bytes.len() > Self::DETAIL { "..." } else { "" };
        Self::new(status, format!("{what}: '{shown}{more}'"))
    }

    pub(crate) fn not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::new(405, "Method not allowed.") }
    }
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (status {})", self.reason, self.status)
    }
}

impl std::error::Error for BadRequest {}
