//! One request and its response, between a front and an application.
//!
//! The application's end is an [`ExchangeId`]: a copyable name whose every use
//! is checked, so that a call that comes too late does nothing. The front's end
//! is a [`Front`]: the HTTP/1 connection, or the tower adapter. Neither end
//! blocks the other, and neither knows what the other is made of.

use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::app::ConnectionInfo;
use crate::head::RequestHead;
use crate::limits::DataRate;

mod body;
mod file;
mod front;
mod listener;
mod response;
mod slot;

pub use file::{FileError, FileRange};
pub(crate) use front::Discard;
pub use front::{Drained, Front, Sink};
pub use response::StoredHead;
pub use slot::Slot;

/// Names an exchange for the application. Once the exchange was released, every operation answers that it is gone.
/// The generation alone tells exchanges of a process apart, whatever their slots, until 2³² of them have been.
#[derive(Clone, Copy)]
pub struct ExchangeId {
    slot: &'static Slot,
    generation: u32,
}

/// What an application hears of its exchange. No lock is held during a call, which may come on any thread.
///
/// Events of an exchange may arrive when it has been released already: compare `generation`.
pub trait Events: Send + Sync {
    /// A [`read`](ExchangeId::read) that was pending has something now.
    fn body_ready(&self, context: u32, generation: u32);

    /// No more than half of the response buffer's bytes wait, after a [`send`](ExchangeId::send) that was pending.
    fn writable(&self, context: u32, generation: u32);

    /// The client is gone. The exchange must still be released.
    fn aborted(&self, context: u32, generation: u32);
}

/// The head of a response, as an application sends it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponseHead<'a> {
    /// The status; a 1xx other than 101 is informational and comes before the real head.
    pub status: u16,
    /// The length of the body, where the application states one.
    pub content_length: Option<u64>,
    /// Bytes were to follow when the head was decided: without any, and without a length, the body is still framed as
    /// one of unknown length.
    pub open: bool,
    /// The reason phrase; empty for the usual one.
    pub reason: &'a [u8],
    /// The header lines without Content-Length, packed as [`packed`](crate::packed) tells.
    pub headers: &'a [u8],
}

/// Bytes of a response body.
#[derive(Debug)]
pub enum Data<'a> {
    /// Nothing.
    None,
    /// Bytes that are copied before the call returns.
    Copied(&'a [u8]),
    /// Bytes that are kept, and not copied.
    Owned(Bytes),
}

/// What a [`send`](ExchangeId::send) does besides. The bits are those of the boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendFlags(u32);

impl SendFlags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The response is complete.
    pub const END: Self = Self(1);
    /// The application is done with the exchange.
    pub const RELEASE: Self = Self(2);
    /// With a 101: the connection becomes a duplex of raw bytes.
    pub const UPGRADE: Self = Self(8);
    /// The connection is cut.
    pub const ABORT: Self = Self(16);
    /// The response ends here, incomplete: what was sent of it goes out, then the connection ends.
    pub const FAIL: Self = Self(32);

    /// The flags of these bits; others are ignored.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & (1 | 2 | 8 | 16 | 32))
    }

    /// Whether all of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for SendFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What became of bytes that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// Taken.
    Accepted,
    /// Taken, but many wait already: [`Events::writable`] tells when to go on.
    Pending,
    /// Dropped: the exchange was released, cut, or the client is gone.
    Gone,
}

/// What a [`read`](ExchangeId::read) found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// The next bytes.
    Data(Bytes),
    /// Nothing yet: [`Events::body_ready`] tells when to read again.
    Pending,
    /// The body is complete.
    End,
    /// No more will come.
    Failed(BodyError),
    /// The exchange was released.
    Gone,
}

/// Why a request body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than the limit.
    TooLarge,
    /// It breaks the rules of its framing.
    Malformed,
    /// Its trailers are more, or longer, than the limits of headers.
    TrailersTooLarge,
    /// It came more slowly than the limit.
    TimedOut,
    /// The client is gone.
    Aborted,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::TooLarge => "the request body is larger than the limit",
            BodyError::Malformed => "the request body is malformed",
            BodyError::TrailersTooLarge => "the trailers of the request body are larger than the limit",
            BodyError::TimedOut => "the request body came too slowly",
            BodyError::Aborted => "the client closed the connection",
        })
    }
}

impl std::error::Error for BodyError {}

impl ExchangeId {
    /// The exchange of a slot and a generation that [`parts`](Self::parts) gave. Any other pair names nothing.
    pub const fn from_parts(slot: &'static Slot, generation: u32) -> Self {
        ExchangeId { slot, generation }
    }

    /// What the id is made of. Slots are never freed, so their address may be kept for ever.
    pub const fn parts(self) -> (&'static Slot, u32) {
        (self.slot, self.generation)
    }

    /// Has `events` called with `context` from now on. `false` when the client is gone already, or the exchange is.
    pub fn listen(self, events: &'static dyn Events, context: u32) -> bool {
        self.slot
            .with(self.generation, |state| {
                state.listener.events = Some((events, context));
                !state.is_cut()
            })
            .unwrap_or(false)
    }

    /// Looks at the request's head. `None` when the exchange is gone.
    ///
    /// `look` runs under the exchange's lock: it must not use the exchange.
    pub fn request<R>(self, look: impl FnOnce(&RequestHead) -> R) -> Option<R> {
        self.slot.with(self.generation, |state| look(&state.head))
    }

    /// [`listen`](Self::listen) and [`request`](Self::request) in one.
    pub fn take_up<R>(
        self,
        events: &'static dyn Events,
        context: u32,
        look: impl FnOnce(&RequestHead) -> R,
    ) -> Option<R> {
        self.slot.with(self.generation, |state| {
            state.listener.events = Some((events, context));
            look(&state.head)
        })
    }

    /// The connection the request came on.
    pub fn connection(self) -> Option<Arc<ConnectionInfo>> {
        self.slot.with(self.generation, |state| state.connection.clone()).flatten()
    }

    /// Takes the next bytes of the request body.
    pub fn read(self) -> Read {
        self.slot.read(self.generation, None)
    }

    /// As [`read`](Self::read), waking the task of `cx` when there is more.
    pub fn poll_read(self, cx: &mut Context<'_>) -> Poll<Read> {
        match self.slot.read(self.generation, Some(cx.waker())) {
            Read::Pending => Poll::Pending,
            read => Poll::Ready(read),
        }
    }

    /// Whether the request has no body, or no more of it will come: a [`read`](Self::read) is never pending then.
    pub fn is_body_whole(self) -> bool {
        self.slot.with(self.generation, |state| state.body.is_whole()).unwrap_or(true)
    }

    /// The request's trailers, packed, once its body was read to the end.
    pub fn request_trailers(self) -> Option<Bytes> {
        self.slot.with(self.generation, |state| state.body.trailers()).flatten()
    }

    /// Sends the next part of the response. The first one carries the head.
    ///
    /// What completes the response and [releases](SendFlags::RELEASE) the exchange is written to the socket by this
    /// thread, as far as the socket takes it at once. The application is not called meanwhile.
    pub fn send(self, head: Option<ResponseHead<'_>>, data: Data<'_>, flags: SendFlags) -> Sent {
        self.slot.send(self.generation, flags, |response| response.accept(head, data.into(), flags))
    }

    /// Sends `range` of a file as the next part of the response.
    pub fn send_range(self, head: Option<ResponseHead<'_>>, range: FileRange, flags: SendFlags) -> Sent {
        self.slot.send(self.generation, flags, |response| response.accept(head, response::Part::File(range), flags))
    }

    /// Opens `path` on this thread and sends `count` of its bytes, or all, from `offset` on.
    ///
    /// # Errors
    /// [`FileError`] when there is no such file or range; nothing was sent then.
    pub fn send_file(
        self,
        head: Option<ResponseHead<'_>>,
        path: &std::path::Path,
        offset: u64,
        count: Option<u64>,
        flags: SendFlags,
    ) -> Result<Sent, FileError> {
        let range = FileRange::new(Arc::new(File::open(path)?), offset, count)?;
        Ok(self.send_range(head, range, flags))
    }

    /// Sets the response's trailers, packed. They are written at the end, where the framing has a place for them.
    pub fn send_trailers(self, packed: &[u8]) -> Sent {
        self.slot.send(self.generation, SendFlags::NONE, |response| response.set_trailers(packed))
    }

    /// Ready when a send would be [`Sent::Accepted`]: `true`, or would be [`Sent::Gone`]: `false`.
    pub fn poll_writable(self, cx: &mut Context<'_>) -> Poll<bool> {
        self.slot.poll_writable(self.generation, cx.waker())
    }

    /// Ready when the client is gone, or the exchange is.
    pub fn poll_aborted(self, cx: &mut Context<'_>) -> Poll<()> {
        self.slot.poll_aborted(self.generation, cx.waker())
    }

    /// Cuts the connection. The exchange must still be released.
    pub fn abort(self) {
        let _ = self.send(None, Data::None, SendFlags::ABORT);
    }

    /// Ends the application's part. A response that is not complete is cut.
    pub fn release(self) {
        let _ = self.send(None, Data::None, SendFlags::RELEASE);
    }

    /// Sets the limit of the request body; `None`: none. `false` when reading has begun, or the exchange is gone.
    pub fn set_max_body(self, limit: Option<u64>) -> bool {
        self.slot.with(self.generation, |state| state.body.set_max(limit)).unwrap_or(false)
    }

    /// Sets how slowly the request body may come; `None`: as slowly as it likes.
    pub fn set_min_body_rate(self, rate: Option<DataRate>) {
        self.slot.with(self.generation, |state| state.min_body_rate = rate);
    }

    /// Sets how slowly the response may be taken; `None`: as slowly as the client likes.
    pub fn set_min_response_rate(self, rate: Option<DataRate>) {
        self.slot.with(self.generation, |state| state.min_response_rate = rate);
    }

    /// Has the connection closed after this response. No effect once the response has started.
    pub fn request_close(self) {
        self.slot.with(self.generation, |state| state.close_requested = true);
    }
}

impl PartialEq for ExchangeId {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.slot, other.slot) && self.generation == other.generation
    }
}

impl Eq for ExchangeId {}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExchangeId({:p}, {})", self.slot, self.generation)
    }
}
