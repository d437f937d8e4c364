//! Moves bytes between an exchange and the two bodies of `tower`.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::task::JoinHandle;

use super::BoxError;
use super::app::unpack;
use crate::exchange::{FileRange, Front, Sink, StoredHead};

/// A file is read in pieces of this size.
const PIECE: u64 = 64 * 1024;

pub(super) type AnyBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// The front of an exchange whose request and response are `http` messages.
pub(super) struct Pump {
    front: Option<Front>,
    request: Option<AnyBody>,
    response: Collected,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// What becomes of the front.
    on_end: Option<Box<dyn FnOnce(Front) + Send>>,
}

/// What the application has sent and nobody has taken.
#[derive(Default)]
struct Collected {
    head: Option<http::response::Builder>,
    /// Body bytes not given out yet, where that is known.
    size: Option<u64>,
    parts: VecDeque<Part>,
    bytes: u64,
    /// Body bytes still expected by the Content-Length.
    left: Option<u64>,
    bodiless: bool,
    trailers: Option<http::HeaderMap>,
    ended: bool,
    failed: bool,
    broken: Option<BoxError>,
}

enum Part {
    Bytes(Bytes),
    File(FileRange),
}

impl Pump {
    pub(super) fn new(
        front: Front,
        request: Option<AnyBody>,
        is_head: bool,
        on_end: impl FnOnce(Front) + Send + 'static,
    ) -> Self {
        let response = Collected { bodiless: is_head, ..Collected::default() };
        Pump { front: Some(front), request, response, reading: None, on_end: Some(Box::new(on_end)) }
    }

    /// Ready with the head of the response.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<http::response::Builder, BoxError>> {
        self.turn(cx)?;
        match self.response.head.take() {
            Some(head) => Poll::Ready(Ok(head)),
            None => Poll::Pending,
        }
    }

    /// Ready with the next frame of the response's body.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Err(error) = self.turn(cx) {
            self.finish();
            return Poll::Ready(Some(Err(error)));
        }
        let part = match self.response.parts.front() {
            Some(Part::Bytes(_)) => self.response.parts.pop_front(),
            Some(Part::File(_)) => match ready!(self.poll_file(cx)) {
                Ok(bytes) => Some(Part::Bytes(bytes)),
                Err(error) => {
                    self.finish();
                    return Poll::Ready(Some(Err(error.into())));
                }
            },
            None => None,
        };
        if let Some(Part::Bytes(bytes)) = part {
            self.response.bytes -= bytes.len() as u64;
            self.response.size = self.response.size.map(|size| size.saturating_sub(bytes.len() as u64));
            if let Some(front) = &mut self.front {
                front.settle(self.response.bytes);
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.response.failed {
            self.response.failed = false;
            self.finish();
            return Poll::Ready(Some(Err("the application failed within its response".into())));
        }
        if !self.response.ended && self.front.is_some() {
            return Poll::Pending;
        }
        self.finish();
        Poll::Ready(self.response.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    /// How many bytes are to come, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.response.size
    }

    pub(super) fn is_end(&self) -> bool {
        self.response.ended && self.response.parts.is_empty() && self.response.trailers.is_none()
    }

    fn poll_file(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let Some(Part::File(range)) = self.response.parts.front_mut() else { return Poll::Ready(Ok(Bytes::new())) };
        let reading = self.reading.get_or_insert_with(|| {
            let (file, offset, len) = (range.file.clone(), range.offset, range.len.min(PIECE) as usize);
            tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; len];
                file.read_exact_at(&mut piece, offset)?;
                Ok(piece.into())
            })
        });
        let piece: Bytes = ready!(Pin::new(reading).poll(cx)).unwrap_or_else(|error| Err(io::Error::other(error)))?;
        self.reading = None;
        range.offset += piece.len() as u64;
        range.len -= piece.len() as u64;
        if range.len == 0 {
            self.response.parts.pop_front();
        }
        Poll::Ready(Ok(piece))
    }

    /// Takes what the application sent, and brings it what it reads.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), BoxError> {
        loop {
            let Some(front) = &mut self.front else { return Ok(()) };
            let drained = front.drain(&mut self.response, Some(cx.waker()));
            if let Some(error) = self.response.broken.take() {
                return Err(error);
            }
            if drained.cut {
                return Err("the application cut the connection".into());
            }
            let Some(body) = &mut self.request else { return Ok(()) };
            if !drained.reads {
                return Ok(());
            }
            match body.as_mut().poll_frame(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(frame))) => feed(front, frame),
                Poll::Ready(Some(Err(error))) => {
                    front.abort_by_peer();
                    return Err(error);
                }
                Poll::Ready(None) => {
                    front.end_body(Bytes::new());
                    self.request = None;
                }
            }
            if self.request.as_ref().is_some_and(|body| body.is_end_stream()) {
                front.end_body(Bytes::new());
                self.request = None;
            }
        }
    }

    fn finish(&mut self) {
        self.request = None;
        if let (Some(front), Some(on_end)) = (self.front.take(), self.on_end.take()) {
            on_end(front);
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.finish();
    }
}

fn feed(front: &mut Front, frame: Frame<Bytes>) {
    match frame.into_data() {
        Ok(bytes) => {
            let len = bytes.len() as u64;
            front.push_body(bytes, len);
        }
        Err(frame) => {
            let mut packed = bytes::BytesMut::new();
            for (name, value) in frame.trailers_ref().into_iter().flatten() {
                crate::packed::push(&mut packed, name.as_str().as_bytes(), value.as_bytes());
            }
            front.end_body(packed.freeze());
        }
    }
}

impl Collected {
    fn add(&mut self, len: u64, part: Part) {
        if self.bodiless || self.broken.is_some() {
            return;
        }
        if let Some(left) = &mut self.left {
            match left.checked_sub(len) {
                Some(rest) => *left = rest,
                None => {
                    self.broken = Some("the application sent more bytes than its Content-Length says".into());
                    return;
                }
            }
        }
        self.bytes += len;
        self.parts.push_back(part);
    }
}

impl Sink for Collected {
    // There is no way to pass it on.
    fn informational(&mut self, _: &StoredHead) {}

    fn head(&mut self, head: &StoredHead, _: bool) {
        let headers = match unpack(head.headers()) {
            Ok(headers) => headers,
            Err(error) => {
                self.broken = Some(error);
                return;
            }
        };
        let length = head.content_length().or(head.complete());
        self.bodiless |= matches!(head.status(), 101 | 204 | 304);
        self.left = if self.bodiless { None } else { length };
        let mut builder = http::Response::builder().status(head.status());
        if let Some(place) = builder.headers_mut() {
            *place = headers;
            if let Some(length) = head.content_length() {
                place.insert(http::header::CONTENT_LENGTH, length.into());
            }
        }
        self.size = if self.bodiless { Some(0) } else { length };
        self.head = Some(builder);
    }

    fn copied(&mut self, bytes: &[u8]) {
        self.add(bytes.len() as u64, Part::Bytes(Bytes::copy_from_slice(bytes)));
    }

    fn owned(&mut self, bytes: Bytes) {
        self.add(bytes.len() as u64, Part::Bytes(bytes));
    }

    fn file(&mut self, range: FileRange) {
        self.add(range.len, Part::File(range));
    }

    fn end(&mut self, trailers: &[u8]) {
        if self.left.is_some_and(|left| left > 0) {
            self.broken = Some("the application ended its response before its Content-Length".into());
            return;
        }
        self.ended = true;
        if !trailers.is_empty() {
            self.trailers = unpack(trailers).ok();
        }
    }

    fn fail(&mut self) {
        self.failed = true;
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").field("front", &self.front).finish_non_exhaustive()
    }
}
