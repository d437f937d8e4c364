//! What is to be written, and its framing.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::task::JoinHandle;

use super::pool;
use crate::exchange::{FileRange, Sink, StoredHead};
use crate::h1::BadRequest;
use crate::h1::encode::{self, Body, CHUNK_END, Framing, Request, Response, Server};
use crate::head::Version;
use crate::transport::Transport;

/// Kept bytes up to this size are copied behind the head all the same: that costs less than one more slice to write.
const SMALL: usize = 1024;
/// The most slices of one vectored write.
const SLICES: usize = 32;
/// A file is read in pieces of this size where it cannot be sent directly.
const PIECE: u64 = 64 * 1024;

/// Bytes and files to be written, in order.
#[derive(Debug, Default)]
pub(super) struct Output {
    segments: VecDeque<Segment>,
    /// What comes after the segments.
    tail: BytesMut,
    pending: u64,
    written: u64,
    /// Bytes wait in the transport.
    dirty: bool,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    file_lost: bool,
    pub(super) message: Message,
}

#[derive(Debug)]
enum Segment {
    Bytes(Bytes),
    File(FileRange),
}

/// The response under way.
#[derive(Debug)]
pub(super) struct Message {
    body: Body,
    pub(super) started: bool,
    pub(super) keep_alive: bool,
    pub(super) status: u16,
    /// Bytes of the body so far, without framing.
    pub(super) sent: u64,
    /// The application failed within it.
    pub(super) failed: bool,
    /// Why the response cannot be completed.
    pub(super) broken: Option<String>,
}

impl Default for Message {
    fn default() -> Self {
        Message { body: Body::None, started: false, keep_alive: true, failed: false, status: 0, sent: 0, broken: None }
    }
}

impl Message {
    /// Whether the end of the connection is the end of the body.
    pub(super) fn is_until_close(&self) -> bool {
        self.body == Body::UntilClose
    }
}

impl Output {
    pub(super) fn pending(&self) -> u64 {
        self.pending
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.pending == 0 && !self.dirty
    }

    /// Whether part of a file is to be written, which takes the runtime's help.
    pub(super) fn has_file(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::File(_)))
    }

    /// A file can't be read to the end that was promised.
    pub(super) fn is_file_lost(&self) -> bool {
        self.file_lost
    }

    /// Bytes written since the connection began.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Lets `put` write to the end.
    pub(super) fn put<R>(&mut self, put: impl FnOnce(&mut BytesMut) -> R) -> R {
        if self.tail.capacity() == 0 {
            self.tail = pool::take();
        }
        let before = self.tail.len();
        let result = put(&mut self.tail);
        self.pending += (self.tail.len() - before) as u64;
        result
    }

    fn append(&mut self, segment: Segment) {
        if !self.tail.is_empty() {
            self.segments.push_back(Segment::Bytes(self.tail.split().freeze()));
        }
        self.pending += match &segment {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::File(range) => range.len,
        };
        self.segments.push_back(segment);
    }

    /// Gives the memory back; nothing is pending.
    pub(super) fn rest(&mut self) {
        if self.tail.capacity() > 0 {
            pool::give(&mut self.tail);
        }
        if self.segments.capacity() > 0 {
            self.segments = VecDeque::new();
        }
    }

    pub(super) fn poll_flush(&mut self, io: &mut impl Transport, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.pending > 0 {
            self.dirty = true;
            let n = match self.segments.front() {
                Some(Segment::File(_)) => ready!(self.poll_file(io, cx))?,
                Some(Segment::Bytes(_)) => ready!(self.poll_segments(io, cx))?,
                None => ready!(Pin::new(&mut *io).poll_write(cx, &self.tail))?,
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(n);
        }
        if self.dirty {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_segments(&self, io: &mut impl Transport, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        let run = self.segments.iter().map_while(|segment| match segment {
            Segment::Bytes(bytes) => Some(&bytes[..]),
            Segment::File(_) => None,
        });
        for (place, bytes) in slices.iter_mut().zip(run) {
            *place = IoSlice::new(bytes);
            count += 1;
        }
        if count == self.segments.len() && count < SLICES {
            slices[count] = IoSlice::new(&self.tail);
            count += 1;
        }
        Pin::new(io).poll_write_vectored(cx, &slices[..count])
    }

    /// Sends a part of the file at the front, or replaces it by bytes read from it.
    fn poll_file(&mut self, io: &mut impl Transport, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(Segment::File(range)) = self.segments.front_mut() else { return Poll::Ready(Ok(0)) };
        if self.reading.is_none() {
            if let Some(sent) = io.poll_send_file(cx, &range.file, range.offset, range.len) {
                let sent = match ready!(sent) {
                    Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                    sent => sent,
                };
                self.file_lost |= sent.as_ref().is_err_and(|error| !is_of_the_client(error));
                return Poll::Ready(sent);
            }
            let (file, offset, len) = (range.file.clone(), range.offset, range.len.min(PIECE) as usize);
            self.reading = Some(tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; len];
                file.read_exact_at(&mut piece, offset)?;
                Ok(piece.into())
            }));
        }
        if let Some(reading) = &mut self.reading {
            let piece = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
            let piece = piece.unwrap_or_else(|error| Err(io::Error::other(error)));
            self.file_lost |= piece.is_err();
            let piece = piece?;
            skip(range, piece.len() as u64);
            if range.len == 0 {
                self.segments.pop_front();
            }
            self.segments.push_front(Segment::Bytes(piece));
        }
        self.poll_segments(io, cx)
    }

    fn advance(&mut self, n: usize) {
        let mut left = n as u64;
        self.pending -= left;
        self.written += left;
        while left > 0 {
            match self.segments.front_mut() {
                Some(Segment::Bytes(bytes)) => {
                    let step = left.min(bytes.len() as u64);
                    bytes.advance(step as usize);
                    left -= step;
                    if bytes.is_empty() {
                        self.segments.pop_front();
                    }
                }
                Some(Segment::File(range)) => {
                    let step = left.min(range.len);
                    skip(range, step);
                    left -= step;
                    if range.len == 0 {
                        self.segments.pop_front();
                    }
                }
                None => {
                    self.tail.advance(left as usize);
                    left = 0;
                }
            }
        }
        if self.pending == 0 {
            self.tail.clear();
        }
    }
}

/// Whether sending a file failed at the socket, and not at the file.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::BrokenPipe
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::NotConnected
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    )
}

fn skip(range: &mut FileRange, n: u64) {
    range.offset += n;
    range.len -= n;
}

/// Frames what the application sends.
pub(super) struct Encoder<'a> {
    pub(super) output: &'a mut Output,
    pub(super) request: Request,
    pub(super) server: Server<'a>,
    /// The server stops.
    pub(super) stopping: bool,
}

impl Encoder<'_> {
    /// How many of `len` bytes of the body are to be written.
    fn admit(&mut self, len: u64) -> u64 {
        let message = &mut self.output.message;
        if message.broken.is_some() {
            return 0;
        }
        match &mut message.body {
            Body::None => 0,
            Body::Chunked | Body::AsWritten | Body::UntilClose => len,
            Body::Length(left) if *left < len => {
                message.broken = Some("it sent more bytes than its Content-Length says".to_owned());
                0
            }
            Body::Length(left) => {
                *left -= len;
                len
            }
        }
    }

    fn chunk(&mut self, len: u64, put: impl FnOnce(&mut Output)) {
        let len = self.admit(len);
        if len == 0 {
            return;
        }
        self.output.message.sent += len;
        let chunked = matches!(self.output.message.body, Body::Chunked);
        if chunked {
            self.output.put(|out| encode::chunk_start(out, len as usize));
        }
        put(self.output);
        if chunked {
            self.output.put(|out| out.extend_from_slice(CHUNK_END));
        }
    }
}

impl Sink for Encoder<'_> {
    fn informational(&mut self, head: &StoredHead) {
        if self.request.version < Version::Http11 || self.output.message.broken.is_some() {
            return;
        }
        if let Err(error) = self.output.put(|out| encode::informational(out, head.status(), head.headers())) {
            tracing::error!(target: "polyhost::http", "an informational response is left out: {error}");
        }
    }

    fn head(&mut self, head: &StoredHead, close: bool) {
        let request = Request { keep_alive: self.request.keep_alive && !close && !self.stopping, ..self.request };
        let response = Response {
            status: head.status(),
            reason: head.reason(),
            headers: head.headers(),
            content_length: head.content_length(),
            complete: head.complete().map(|len| len as usize),
        };
        match self.output.put(|out| encode::response_head(out, request, &response, &self.server)) {
            Ok(framing) => {
                let Framing { body, keep_alive } = framing;
                self.output.message =
                    Message { body, started: true, keep_alive, status: head.status(), ..Message::default() };
            }
            Err(error) => {
                // Nothing of the response is written yet, so the client can still be told.
                let refused = BadRequest::new(500, "the response has a head that cannot be written");
                self.output.put(|out| encode::refusal(out, &refused, &self.server));
                self.output.message.broken = Some(error.to_string());
                self.output.message.status = refused.status;
            }
        }
    }

    fn copied(&mut self, bytes: &[u8]) {
        self.chunk(bytes.len() as u64, |output| output.put(|out| out.extend_from_slice(bytes)));
    }

    fn owned(&mut self, bytes: Bytes) {
        if bytes.len() <= SMALL {
            self.copied(&bytes);
        } else {
            self.chunk(bytes.len() as u64, |output| output.append(Segment::Bytes(bytes)));
        }
    }

    fn file(&mut self, range: FileRange) {
        self.chunk(range.len, |output| output.append(Segment::File(range)));
    }

    fn end(&mut self, trailers: &[u8]) {
        let message = &mut self.output.message;
        if message.broken.is_some() {
            return;
        }
        match message.body {
            Body::Length(left) if left > 0 => {
                message.broken = Some(format!("it ended {left} bytes before its Content-Length"));
            }
            Body::Chunked => {
                if let Err(error) = self.output.put(|out| encode::last_chunk(out, trailers)) {
                    self.output.message.broken = Some(error.to_string());
                }
            }
            _ => {}
        }
    }

    fn fail(&mut self) {
        self.output.message.failed = true;
        self.output.message.keep_alive = false;
    }
}
