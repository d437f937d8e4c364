//! The response: heads, bytes, files and trailers from the application to the front.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Data, FileRange, ResponseHead, SendFlags, Sent, Sink};

/// Copied bytes are gathered in one buffer up to this size; longer runs get memory of their own.
const GATHERED: usize = 8 * 1024;

#[derive(Default)]
pub(super) struct Response {
    informational: VecDeque<StoredHead>,
    head: StoredHead,
    stage: Stage,
    chunks: VecDeque<Chunk>,
    gathered: Vec<u8>,
    /// How much of `gathered` is accounted for by chunks already handed on.
    gathered_start: usize,
    /// Bytes in `chunks`.
    queued: u64,
    /// Bytes the front has taken and not written yet.
    unsent: u64,
    high: u64,
    trailers: Vec<u8>,
    /// The connection ends with the response, as things stood when the head came.
    pub(super) close: bool,
    /// The head came while the client still waited for `100 Continue`.
    pub(super) unasked: bool,
    pub(super) upgraded: bool,
    pub(super) ended: bool,
    /// It has ended incomplete.
    failed: bool,
    /// The front has been given the end.
    end_taken: bool,
    pub(super) cut: bool,
    /// The application was told to wait.
    waits: bool,
}

/// A response head, kept for the front.
#[derive(Debug, Default)]
pub struct StoredHead {
    status: u16,
    content_length: Option<u64>,
    /// The bytes of the body, when the head came together with all of it.
    complete: Option<u64>,
    reason_len: usize,
    /// Reason, then packed headers.
    text: Vec<u8>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Headless,
    /// The head waits for the front.
    Head,
    /// The front has the head.
    Body,
}

enum Chunk {
    Gathered(usize),
    Owned(Bytes),
    File(FileRange),
}

pub(super) enum Part<'a> {
    Bytes(Data<'a>),
    File(FileRange),
}

impl<'a> From<Data<'a>> for Part<'a> {
    fn from(data: Data<'a>) -> Self {
        Part::Bytes(data)
    }
}

impl Part<'_> {
    fn len(&self) -> u64 {
        match self {
            Part::Bytes(Data::None) => 0,
            Part::Bytes(Data::Copied(bytes)) => bytes.len() as u64,
            Part::Bytes(Data::Owned(bytes)) => bytes.len() as u64,
            Part::File(range) => range.len,
        }
    }
}

/// What an application did that it may not.
pub(super) type Misuse = &'static str;

impl StoredHead {
    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The length the application stated.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The length of the body, when it came whole with the head.
    pub fn complete(&self) -> Option<u64> {
        self.complete
    }

    /// The reason phrase; empty for the usual one.
    pub fn reason(&self) -> &[u8] {
        &self.text[..self.reason_len]
    }

    /// The header lines, packed.
    pub fn headers(&self) -> &[u8] {
        &self.text[self.reason_len..]
    }

    fn store(&mut self, head: &ResponseHead<'_>, complete: Option<u64>) {
        self.status = head.status;
        self.content_length = head.content_length;
        self.complete = complete;
        self.reason_len = head.reason.len();
        self.text.clear();
        self.text.extend_from_slice(head.reason);
        self.text.extend_from_slice(head.headers);
    }
}

impl Response {
    pub(super) fn open(&mut self, high: usize) {
        self.high = high as u64;
    }

    pub(super) fn clear(&mut self) {
        self.informational.clear();
        self.chunks.clear();
        self.gathered.clear();
        self.trailers.clear();
        self.head.text.clear();
        shrink(&mut self.head.text, GATHERED);
        shrink(&mut self.gathered, GATHERED);
        shrink(&mut self.trailers, 1024);
        if self.chunks.capacity() > 64 {
            self.chunks = VecDeque::new();
        }
        self.stage = Stage::Headless;
        (self.gathered_start, self.queued, self.unsent) = (0, 0, 0);
        (self.upgraded, self.ended, self.failed, self.end_taken) = (false, false, false, false);
        (self.close, self.unasked, self.cut, self.waits) = (false, false, false, false);
    }

    pub(super) fn accept(
        &mut self,
        head: Option<ResponseHead<'_>>,
        part: Part<'_>,
        flags: SendFlags,
    ) -> Result<(), Misuse> {
        let fail = flags.contains(SendFlags::FAIL);
        let end = flags.contains(SendFlags::END) || fail;
        let len = part.len();
        if let Some(head) = head {
            let is_complete = end && !fail && self.trailers.is_empty() && (len > 0 || !head.open);
            if !self.accept_head(&head, is_complete.then_some(len), flags)? {
                return if len > 0 || end { Err("sent a body with an informational head") } else { Ok(()) };
            }
        } else if self.stage == Stage::Headless && (len > 0 || end) {
            return Err("sent a body without a head");
        }
        if self.ended && (len > 0 || end) {
            return Err("sent more after the end of its response");
        }
        if len > 0 {
            self.queued += len;
            self.push(part);
        }
        self.ended |= end;
        self.failed |= fail;
        Ok(())
    }

    /// `false`: the head is an informational one.
    fn accept_head(
        &mut self,
        head: &ResponseHead<'_>,
        complete: Option<u64>,
        flags: SendFlags,
    ) -> Result<bool, Misuse> {
        if self.stage != Stage::Headless {
            return Err("sent a second head");
        }
        if !(100..=999).contains(&head.status) {
            return Err("sent a status that is none");
        }
        if head.status < 200 && head.status != 101 {
            let mut stored = StoredHead::default();
            stored.store(head, None);
            self.informational.push_back(stored);
            return Ok(false);
        }
        if flags.contains(SendFlags::UPGRADE) != (head.status == 101) {
            return Err("sent a 101 that is no upgrade, or an upgrade that is no 101");
        }
        self.upgraded = flags.contains(SendFlags::UPGRADE);
        self.head.store(head, complete);
        self.stage = Stage::Head;
        Ok(true)
    }

    fn push(&mut self, part: Part<'_>) {
        match part {
            Part::Bytes(Data::Copied(bytes)) if self.gathered.len() + bytes.len() <= GATHERED => {
                self.gathered.extend_from_slice(bytes);
                // Each is a chunk of its own, as the application has flushed it: clients are known to rely on that.
                self.chunks.push_back(Chunk::Gathered(bytes.len()));
            }
            Part::Bytes(Data::Copied(bytes)) => self.chunks.push_back(Chunk::Owned(Bytes::copy_from_slice(bytes))),
            Part::Bytes(Data::Owned(bytes)) => self.chunks.push_back(Chunk::Owned(bytes)),
            Part::File(range) => self.chunks.push_back(Chunk::File(range)),
            Part::Bytes(Data::None) => {}
        }
    }

    pub(super) fn set_trailers(&mut self, packed: &[u8]) -> Result<(), Misuse> {
        if self.ended {
            return Err("sent trailers after the end of its response");
        }
        self.trailers.clear();
        self.trailers.extend_from_slice(packed);
        Ok(())
    }

    /// Drops what waits: the connection is to be cut.
    pub(super) fn cut(&mut self) {
        self.cut = true;
        self.chunks.clear();
        self.gathered.clear();
        self.gathered_start = 0;
        self.queued = 0;
    }

    /// Whether a head is there, taken by the front or not.
    pub(super) fn has_head(&self) -> bool {
        self.stage != Stage::Headless
    }

    /// Whether the front has been given all of it.
    pub(super) fn is_taken(&self) -> bool {
        self.end_taken
    }

    pub(super) fn pressure(&mut self) -> Sent {
        if self.queued + self.unsent > self.high && !self.ended {
            self.waits = true;
            return Sent::Pending;
        }
        Sent::Accepted
    }

    /// Whether a sender would have to wait.
    pub(super) fn is_full(&mut self) -> bool {
        // A sender that was told to wait goes on below half.
        let limit = if self.waits { self.high / 2 } else { self.high };
        self.waits = self.queued + self.unsent > limit;
        self.waits
    }

    /// Gives the sink all that waits. `true`: there was something.
    pub(super) fn drain(&mut self, sink: &mut impl Sink) -> bool {
        let mut some = false;
        while let Some(head) = self.informational.pop_front() {
            sink.informational(&head);
            some = true;
        }
        if self.stage == Stage::Head {
            // Refused, the client keeps its body to itself; otherwise it sends it, late as it is (RFC 9110, 10.1.1).
            let refused = self.unasked && self.head.status >= 300;
            sink.head(&self.head, self.close || refused);
            self.stage = Stage::Body;
            some = true;
        }
        while let Some(chunk) = self.chunks.pop_front() {
            match chunk {
                Chunk::Gathered(len) => {
                    sink.copied(&self.gathered[self.gathered_start..self.gathered_start + len]);
                    self.gathered_start += len;
                }
                Chunk::Owned(bytes) => sink.owned(bytes),
                Chunk::File(range) => sink.file(range),
            }
            some = true;
        }
        self.gathered.clear();
        self.gathered_start = 0;
        self.unsent += std::mem::take(&mut self.queued);
        if self.ended && !self.end_taken {
            self.end_taken = true;
            if self.failed {
                sink.fail();
            } else {
                sink.end(&self.trailers);
            }
            some = true;
        }
        some
    }

    /// The front has `unsent` bytes left. `true`: the application may go on.
    pub(super) fn settle(&mut self, unsent: u64) -> bool {
        self.unsent = unsent;
        let go_on = self.waits && self.queued + unsent <= self.high / 2;
        self.waits &= !go_on;
        go_on
    }
}

fn shrink(buffer: &mut Vec<u8>, most: usize) {
    if buffer.capacity() > most {
        *buffer = Vec::new();
    }
}
