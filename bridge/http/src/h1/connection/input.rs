//! What comes in: buffers, bodies, and the client's end.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::observe::count_received;
use super::{Connection, pool};
use crate::exchange::{BodyError, Drained};
use crate::h1::BadRequest;
use crate::h1::chunked::{Chunked, ChunkedDecoder};
use crate::head::{Flags, RequestHead};
use crate::limits::Limits;
use crate::transport::Transport;

/// Bytes read ahead of a request that cannot begin yet, to see the client's end behind them.
const AHEAD: usize = pool::SIZE;
/// The room for a body's next bytes.
const BODY_ROOM: usize = 32 * 1024;
/// Pieces of a body up to this size are copied, so that they do not hold on to the whole buffer.
const SMALL: usize = 2 * 1024;

/// What is left of the request body.
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing: it was read to the end, or there is none.
    None,
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    /// The connection was upgraded.
    Raw,
    /// Something without meaning.
    Broken,
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Body {
    pub(super) fn of(head: &RequestHead, limits: &Limits) -> Self {
        let flags = head.flags();
        if flags.contains(Flags::CHUNKED) {
            Body::Chunked(Box::new(ChunkedDecoder::new(limits).after_headers(head.header_count())))
        } else {
            match head.content_length() {
                Some(length @ 1..) => Body::Length(length),
                _ => Body::None,
            }
        }
    }

    /// The next piece in `input`, and how many bytes it took there.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> (Piece, u64) {
        match self {
            Body::None | Body::Broken => (Piece::More, 0),
            Body::Length(_) | Body::Raw if input.is_empty() => (Piece::More, 0),
            Body::Raw => {
                let len = input.len();
                (Piece::Data(cut(input, len)), 0)
            }
            Body::Length(left) => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= len as u64;
                let is_last = *left == 0;
                let bytes = cut(input, len);
                if is_last {
                    *self = Body::None;
                }
                (Piece::Data(bytes), len as u64)
            }
            Body::Chunked(decoder) => {
                let before = decoder.wire_bytes();
                let decoded = decoder.decode(input);
                let wire = decoder.wire_bytes() - before;
                let piece = match decoded {
                    Ok(Chunked::Data(bytes)) => Piece::Data(bytes),
                    Ok(Chunked::NeedMore) => Piece::More,
                    Ok(Chunked::End { trailers }) => {
                        *self = Body::None;
                        Piece::End(trailers)
                    }
                    Err(error) => {
                        *self = Body::Broken;
                        Piece::Wrong(error)
                    }
                };
                (piece, wire)
            }
        }
    }
}

/// A piece of a body.
pub(super) enum Piece {
    Data(Bytes),
    More,
    End(Bytes),
    Wrong(BadRequest),
}

/// What a look at the input brought.
pub(super) enum Input {
    /// The application has something new.
    Some,
    /// Nothing, and nothing to do until somebody wakes us.
    Nothing,
    /// The client is gone.
    Lost,
}

/// How far the buffered bytes went.
#[derive(PartialEq, Eq)]
pub(super) enum Fed {
    /// The body is complete, or will never be.
    Over,
    /// The buffer is empty.
    Empty,
    /// Enough waits for the application.
    Enough,
}

impl<T: Transport> Connection<T> {
    /// Reads some bytes behind those in `input`. An idle connection has no buffer while it waits.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(io) = &mut self.io else { return Poll::Ready(Ok(0)) };
        let large = match &self.body {
            Body::Length(left) => *left > pool::SIZE as u64,
            Body::Chunked(_) | Body::Raw => self.last_read >= pool::SIZE / 4,
            Body::None | Body::Broken => false,
        };
        if large {
            self.input.reserve(BODY_ROOM);
        } else if self.input.capacity() == 0 {
            self.input = pool::take();
        } else {
            self.input.reserve(pool::SIZE / 4);
        }
        let read = pin!(io.read_buf(&mut self.input)).poll(cx);
        if let Poll::Ready(Ok(n)) = read {
            self.last_read = n;
            count_received(self.shared.observer.as_deref(), n);
        }
        if self.input.is_empty() && !matches!(read, Poll::Ready(Ok(1..))) {
            pool::give(&mut self.input);
        }
        read
    }

    /// Gives the application what is buffered of the body.
    pub(super) fn feed(&mut self) -> Fed {
        let front = self.front.as_mut().expect("bridge bug: a body without a slot, please report");
        loop {
            if matches!(self.body, Body::None | Body::Broken) {
                return Fed::Over;
            }
            let (piece, wire) = self.body.next(&mut self.input);
            match piece {
                Piece::Data(bytes) => {
                    let more = front.push_body(bytes, wire);
                    if self.body == Body::None {
                        front.end_body(Bytes::new());
                    } else if !more {
                        return Fed::Enough;
                    }
                }
                Piece::More => {
                    if wire > 0 {
                        front.push_body(Bytes::new(), wire);
                    }
                    return Fed::Empty;
                }
                Piece::End(trailers) => front.end_body(trailers),
                Piece::Wrong(reason) => {
                    tracing::debug!(target: "polyhost::http", connection = self.info.id(), "bad request body: {reason}");
                    front.fail_body(match reason.status {
                        431 => BodyError::TrailersTooLarge,
                        _ => BodyError::Malformed,
                    });
                }
            }
        }
    }

    /// Brings the application what it reads, or watches for the client's end.
    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>, drained: &Drained) -> Input {
        if self.ended || self.body == Body::Broken {
            return Input::Nothing;
        }
        if self.body == Body::None {
            return self.poll_ahead(cx, drained);
        }
        if !drained.reads {
            self.pause_reading();
            return Input::Nothing;
        }
        let buffered = self.input.len();
        if self.feed() != Fed::Empty || self.input.len() < buffered {
            return Input::Some;
        }
        match self.poll_fill(cx) {
            Poll::Ready(Ok(0)) => self.end_in_body(drained),
            Poll::Ready(Ok(n)) => {
                self.beat.count_read(n);
                self.feed();
                Input::Some
            }
            Poll::Ready(Err(_)) => Input::Lost,
            Poll::Pending => {
                self.time_read(drained);
                Input::Nothing
            }
        }
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>, drained: &Drained) -> Input {
        while self.input.len() < AHEAD {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) if drained.ended => {
                    self.ended = true;
                    return Input::Nothing;
                }
                Poll::Ready(Ok(0) | Err(_)) => return Input::Lost,
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
        }
        Input::Nothing
    }

    fn end_in_body(&mut self, drained: &Drained) -> Input {
        self.ended = true;
        if self.body == Body::Raw {
            // The client may still listen: the application decides when the connection ends.
            self.body = Body::None;
            self.front().end_body(Bytes::new());
            return Input::Some;
        }
        if drained.ended { Input::Nothing } else { Input::Lost }
    }

    fn time_read(&mut self, drained: &Drained) {
        if !drained.awaits || self.body == Body::Raw {
            self.pause_reading();
            return;
        }
        let rate = self.front.as_ref().and_then(|front| front.min_rates().0);
        if let Some(rate) = rate {
            self.timing_read = true;
            self.beat.start_reading(self.requests, rate);
        }
    }

    pub(super) fn pause_reading(&mut self) {
        if std::mem::take(&mut self.timing_read) {
            self.beat.pause_reading();
        }
    }

    pub(super) fn body_is_late(&mut self) {
        let is_coming = matches!(self.body, Body::Length(_) | Body::Chunked(_));
        if is_coming && self.beat.is_late(self.requests) {
            tracing::debug!(target: "polyhost::http", connection = self.info.id(), "the request body comes too slowly");
            self.body = Body::Broken;
            self.front().fail_body(BodyError::TimedOut);
        }
    }

    /// Throws away the rest of a body. Ready with whether the connection can go on.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            let (piece, wire) = self.body.next(&mut self.input);
            let Some(left) = self.left_to_drain.checked_sub(wire) else { return Poll::Ready(false) };
            self.left_to_drain = left;
            match piece {
                Piece::Data(_) if self.body == Body::None => return Poll::Ready(true),
                Piece::Data(_) => {}
                Piece::End(_) => return Poll::Ready(true),
                Piece::Wrong(_) => return Poll::Ready(false),
                Piece::More => {
                    if !matches!(ready!(self.poll_fill(cx)), Ok(1..)) {
                        self.ended = true;
                        return Poll::Ready(false);
                    }
                }
            }
        }
    }
}

/// Takes `len` bytes off the front of `input`.
fn cut(input: &mut BytesMut, len: usize) -> Bytes {
    if len <= SMALL {
        let bytes = Bytes::copy_from_slice(&input[..len]);
        input.advance(len);
        return bytes;
    }
    input.split_to(len).freeze()
}
