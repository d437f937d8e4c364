//! The head of a request: what was asked, and by which headers.
//!
//! A head owns its bytes in an arena. Slices of it may be handed across a language boundary: pieces of the arena never
//! move and are freed only with the [`RequestHead`] itself, so a late reader finds memory, though perhaps a later
//! request's.

use std::fmt;

use crate::h1::{
    BadRequest, parse,
    target::{self, NullInPath, Target, decode_path},
};

mod fill;
pub(crate) mod known;
pub(crate) mod rules;

pub use fill::Parts;
pub use known::{KNOWN, Known};

/// The method of a request. The numbers are those of the boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Method {
    /// A method without a number; see [`RequestHead::method_text`].
    #[default]
    Other = 0,
    Get = 1,
    Head = 2,
    Post = 3,
    Put = 4,
    Delete = 5,
    Patch = 6,
    Options = 7,
    Trace = 8,
    Connect = 9,
}

impl Method {
    /// The method of these bytes; they are case-sensitive.
    pub fn from_bytes(text: &[u8]) -> Self {
        match text {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// The version of a request. The numbers are those of the boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Version {
    Http10 = 10,
    #[default]
    Http11 = 11,
    Http2 = 20,
}

/// The form of a request target (RFC 9112, 3.2). The numbers are those of the boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin = 0,
    /// `http://host/path?query`
    Absolute = 1,
    /// `host:port`, of CONNECT alone
    Authority = 2,
    /// `*`, of OPTIONS alone
    Asterisk = 3,
}

/// What a head says of the request, as bits. The numbers are those of the boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// A body follows: a Content-Length above 0, or chunks.
    pub const HAS_BODY: Self = Self(1);
    /// `Connection: upgrade` with an Upgrade header, on HTTP/1.1.
    pub const UPGRADE: Self = Self(2);
    /// `Expect: 100-continue`, on HTTP/1.1.
    pub const EXPECT_CONTINUE: Self = Self(4);
    /// The client lets the connection be used again.
    pub const KEEP_ALIVE: Self = Self(32);
    /// The body comes in chunks.
    pub const CHUNKED: Self = Self(64);

    /// The bits, for the boundary.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets `other` too.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// One header line of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// Number of the name in [`KNOWN`] plus one; 0: not a known name.
    pub known: u8,
    /// The name as sent.
    pub name: &'a [u8],
    /// The value without the white space around it, without control characters other than tab. It is valid UTF-8 unless
    /// the limits allow any encoding.
    pub value: &'a [u8],
}

/// A run of bytes in the current piece of the arena.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        // Heads are bounded far below 4 GiB: see `Arena::MAX`.
        Self { start: start as u32, end: end as u32 }
    }

    pub(crate) fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderSpan {
    pub(crate) name: Span,
    pub(crate) value: Span,
    pub(crate) known: u8,
}

/// A request's head: method, target, version and headers.
///
/// One is used for request after request: [`clear`](Self::clear) keeps its memory.
#[derive(Default)]
pub struct RequestHead {
    arena: Arena,
    pub(crate) method_text: Span,
    pub(crate) target: Span,
    pub(crate) path: Span,
    pub(crate) query: Span,
    pub(crate) headers: Vec<HeaderSpan>,
    pub(crate) content_length: Option<u64>,
    pub(crate) flags: Flags,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) form: TargetForm,
    pub(crate) progress: parse::Progress,
}

impl RequestHead {
    /// An empty head, without memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the request, keeps the memory. Slices handed out by address stay readable.
    pub fn clear(&mut self) {
        self.headers.clear();
        (self.method_text, self.target, self.path, self.query) = Default::default();
        (self.content_length, self.flags) = (None, Flags::default());
        (self.method, self.version, self.form) = Default::default();
        self.progress = Default::default();
    }

    /// The method, if it has a number.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as sent.
    pub fn method_text(&self) -> &[u8] {
        self.bytes(self.method_text)
    }

    /// The target as sent: printable ASCII.
    pub fn target(&self) -> &[u8] {
        self.bytes(self.target)
    }

    /// The form of the target.
    pub fn form(&self) -> TargetForm {
        self.form
    }

    /// The path: UTF-8, decoded except `%2F`, without dot segments; empty for the authority and asterisk forms.
    pub fn path(&self) -> &[u8] {
        self.bytes(self.path)
    }

    /// The query as sent with its `?`, or nothing.
    pub fn query(&self) -> &[u8] {
        self.bytes(self.query)
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What the head says of body and connection.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// The Content-Length, if there is one.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// How many header lines there are.
    pub fn header_count(&self) -> usize {
        self.headers.len()
    }

    /// The header lines, in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = HeaderField<'_>> + Clone {
        let piece = self.arena.current();
        self.headers.iter().map(move |h| HeaderField {
            known: h.known,
            name: h.name.of(piece),
            value: h.value.of(piece),
        })
    }

    /// The value of the first header line with a known name.
    pub fn header(&self, known: Known) -> Option<&[u8]> {
        let number = known as u8;
        self.headers.iter().find(|h| h.known == number).map(|h| self.bytes(h.value))
    }

    /// Notes where the target and its parts are.
    pub(crate) fn set_target(&mut self, start: usize, end: usize, target: &Target) {
        self.form = target.form;
        self.target = Span::new(start, end);
        self.path = Span::new(start + target.path.0, start + target.path.1);
        self.query = match target.form {
            TargetForm::Origin | TargetForm::Absolute => Span::new(start + target.path.1, end),
            TargetForm::Authority | TargetForm::Asterisk => Span::default(),
        };
    }

    /// Takes over `bytes`, which the spans are about, and decodes the path if it must be.
    pub(crate) fn store(&mut self, bytes: &[u8], target: &Target) -> Result<(), BadRequest> {
        let is_empty = target.form == TargetForm::Absolute && target.path.0 == target.path.1;
        let path = if is_empty { b"/" } else { self.path.of(bytes) };
        let decoded = if target.encoded || is_empty { path.len() } else { 0 };
        let piece = self.arena.piece(bytes.len() + decoded);
        let (head, rest) = piece.split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        if decoded != 0 {
            let len = decode_path(path, rest).map_err(|NullInPath| target::invalid(self.target.of(bytes)))?;
            self.path = Span::new(bytes.len(), bytes.len() + len);
        }
        Ok(())
    }

    /// The current bytes of the arena.
    pub(crate) fn stored(&self) -> &[u8] {
        self.arena.current()
    }

    fn bytes(&self, span: Span) -> &[u8] {
        span.of(self.arena.current())
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets, so only names are shown.
        f.debug_struct("RequestHead")
            .field("method", &self.method_text().escape_ascii().to_string())
            .field("target", &self.target().escape_ascii().to_string())
            .field("version", &self.version)
            .field("headers", &self.headers().map(|h| h.name.escape_ascii().to_string()).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Pieces of memory that never move: a head that does not fit gets a larger piece, and the smaller ones stay.
///
/// Sizes double, so all pieces together take less than twice the largest.
#[derive(Default)]
struct Arena {
    pieces: Vec<Box<[u8]>>,
}

impl Arena {
    const SMALLEST: usize = 1024;
    const MAX: usize = 1 << 30;

    fn current(&self) -> &[u8] {
        self.pieces.last().map_or(&[], |piece| piece)
    }

    fn piece(&mut self, size: usize) -> &mut [u8] {
        assert!(size <= Self::MAX, "bridge bug: a request head of {size} bytes passed the limits, please report");
        if self.current().len() < size {
            let size = size.next_power_of_two().max(Self::SMALLEST);
            self.pieces.push(vec![0; size].into_boxed_slice());
        }
        self.pieces.last_mut().expect("there is a piece now")
    }
}

#[cfg(test)]
mod tests;
