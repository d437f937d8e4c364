//! The request body: a queue of bytes from the front to the application.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{BodyError, Read};
use crate::head::{Flags, RequestHead};
use crate::limits::Limits;

/// Bytes that may wait for an application that does not read, where the limit is not lower.
const HIGH: usize = 64 * 1024;
/// What a piece counts for at least, as it takes memory besides its bytes: clients may send many small ones.
const PIECE: usize = 128;

#[derive(Default)]
pub(super) struct RequestBody {
    queue: VecDeque<Bytes>,
    queued: usize,
    /// How much of that stops the front, which goes on below half of it.
    high: usize,
    end: End,
    length: Option<u64>,
    /// Bytes received, with their framing, as Kestrel counts them.
    received: u64,
    max: Option<u64>,
    /// The application has read, so that the limit stands.
    started: bool,
    /// A read found nothing.
    pub(super) wanted: bool,
    /// The client waits for `100 Continue`.
    expects: bool,
    /// The front stopped because too much waits.
    paused: bool,
    trailers: Bytes,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    #[default]
    Complete,
    Failed(BodyError),
}

impl RequestBody {
    pub(super) fn open(&mut self, head: &RequestHead, limits: &Limits) {
        self.high = limits.max_request_buffer_size.min(HIGH);
        let flags = head.flags();
        if flags.contains(Flags::HAS_BODY) {
            self.end = End::Open;
            self.length = head.content_length();
            self.max = limits.max_request_body_size;
            self.expects = flags.contains(Flags::EXPECT_CONTINUE);
        }
    }

    /// The body becomes the stream of raw bytes that follows a 101.
    pub(super) fn upgrade(&mut self) {
        let high = self.high;
        self.clear();
        self.high = high;
        self.end = End::Open;
        self.started = true;
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        if self.queue.capacity() > 64 {
            self.queue = VecDeque::new();
        }
        let queue = std::mem::take(&mut self.queue);
        *self = RequestBody { queue, ..RequestBody::default() };
    }

    pub(super) fn set_max(&mut self, limit: Option<u64>) -> bool {
        if !self.started {
            self.max = limit;
        }
        !self.started
    }

    pub(super) fn trailers(&self) -> Option<Bytes> {
        (self.end == End::Complete && self.queue.is_empty()).then(|| self.trailers.clone())
    }

    /// The application's read. `true`: the front must look, because it was asked, or has room again.
    pub(super) fn read(&mut self) -> (Read, bool) {
        if !self.started {
            self.started = true;
            self.check_size();
        }
        if let Some(bytes) = self.queue.pop_front() {
            self.queued -= weight(&bytes);
            let go_on = self.paused && self.queued <= self.high / 2;
            self.paused &= !go_on;
            return (Read::Data(bytes), go_on);
        }
        match self.end {
            End::Complete => (Read::End, false),
            End::Failed(error) => (Read::Failed(error), false),
            End::Open => {
                let first = !self.wanted;
                self.wanted = true;
                self.paused = false;
                (Read::Pending, first)
            }
        }
    }

    /// Whether the front is to read, and whether it must say `100 Continue` first.
    pub(super) fn demand(&mut self) -> (bool, bool) {
        if self.end != End::Open {
            return (false, false);
        }
        let reads = self.wanted || self.queued < self.high;
        self.paused = !reads;
        let expects = self.expects && self.wanted;
        self.expects &= !expects;
        (reads, expects)
    }

    /// `true`: the application waits for this.
    pub(super) fn push(&mut self, bytes: Bytes, wire: u64) -> bool {
        if self.end != End::Open {
            return false;
        }
        self.expects = false;
        self.received += wire;
        if self.started {
            self.check_size();
        }
        if self.end == End::Open && !bytes.is_empty() {
            self.queued += weight(&bytes);
            self.queue.push_back(bytes);
        } else if self.end == End::Open {
            return false;
        }
        std::mem::take(&mut self.wanted)
    }

    pub(super) fn complete(&mut self, trailers: Bytes) -> bool {
        if self.end == End::Open {
            self.end = End::Complete;
            self.trailers = trailers;
        }
        std::mem::take(&mut self.wanted)
    }

    pub(super) fn fail(&mut self, error: BodyError) -> bool {
        if self.end == End::Open || error == BodyError::Aborted {
            self.end = End::Failed(error);
        }
        // Nothing that came before an error of the framing is to be acted on.
        if matches!(error, BodyError::Aborted | BodyError::Malformed | BodyError::TrailersTooLarge) {
            self.queue.clear();
            self.queued = 0;
        }
        std::mem::take(&mut self.wanted)
    }

    /// Nothing of it is still to come.
    pub(super) fn is_whole(&self) -> bool {
        self.end != End::Open
    }

    /// The client still waits for `100 Continue`.
    pub(super) fn is_expected(&self) -> bool {
        self.expects
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.end == End::Failed(BodyError::TooLarge)
    }

    /// How many more bytes may come before the limit; none of a body that failed.
    pub(super) fn drain_limit(&self) -> u64 {
        let max = self.max.unwrap_or(u64::MAX);
        let fits = self.end == End::Open && self.length.is_none_or(|length| length <= max);
        if fits { max.saturating_sub(self.received) } else { 0 }
    }

    fn check_size(&mut self) {
        let size = self.length.unwrap_or(0).max(self.received);
        if self.max.is_some_and(|max| size > max) {
            self.end = End::Failed(BodyError::TooLarge);
            self.queue.clear();
            self.queued = 0;
        }
    }
}

fn weight(piece: &Bytes) -> usize {
    piece.len().max(PIECE)
}
