//! What is measured, logged and traced of a connection's requests.
//!
//! A response counts as complete when its last byte is written, which may be after the next requests were read.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use tracing::{Level, Span, field};

use super::Connection;
use crate::exchange::ExchangeId;
use crate::h1::BadRequest;
use crate::head::{Method, RequestHead, Version};
use crate::log::{Entry, Outcome, Texts, trace};
use crate::observe::{Observer, Place, asked};
use crate::transport::Transport;

/// What is kept for it.
#[derive(Default)]
pub(super) struct Observed {
    request: Option<Marks>,
    /// Responses that are complete and not yet written.
    unsent: VecDeque<Unsent>,
    /// How much of what was written has been counted.
    counted: u64,
}

/// The times of a request.
struct Marks {
    begun: Instant,
    time: SystemTime,
    handle: Duration,
    first: Option<Duration>,
    inline: bool,
    span: Span,
}

/// A request that waits for its response to be written.
struct Unsent {
    /// Bytes of the connection that are written by then.
    ends: u64,
    marks: Marks,
    number: u64,
    method: Method,
    version: Version,
    status: u16,
    bytes: u64,
    texts: Option<Texts>,
}

fn span_wanted() -> bool {
    tracing::span_enabled!(target: "polyhost::http", Level::INFO)
}

fn span(head: &RequestHead) -> Span {
    let (method, path) = asked(head);
    let trace_id = trace::id_of(head);
    tracing::span!(target: "polyhost::http", Level::INFO, "request", method, path, trace_id, status = field::Empty)
}

impl Observed {
    fn next_written(&mut self, written: u64) -> Option<Unsent> {
        let is_written = self.unsent.front().is_some_and(|unsent| unsent.ends <= written);
        if is_written { self.unsent.pop_front() } else { None }
    }

    /// Puts the thread into the request's span.
    pub(super) fn enter(&self) -> Option<tracing::span::Entered<'_>> {
        self.request.as_ref().map(|marks| marks.span.enter())
    }
}

impl<T: Transport> Connection<T> {
    /// A request is about to be handed over.
    #[inline]
    pub(super) fn observe_begin(&mut self, exchange: ExchangeId) {
        if self.shared.observer.is_some() || span_wanted() {
            self.note_begin(exchange);
        }
    }

    fn note_begin(&mut self, exchange: ExchangeId) {
        let span = if span_wanted() { exchange.request(span).unwrap_or_else(Span::none) } else { Span::none() };
        let (begun, time) = (Instant::now(), SystemTime::now());
        let marks = Marks { begun, time, handle: Duration::ZERO, first: None, inline: false, span };
        self.observed.get_or_insert_default().request = Some(marks);
        if let Some(observer) = &self.shared.observer {
            observer.metrics.mine().begun.fetch_add(1, Relaxed);
            self.beat.watch.begin(exchange, self.requests, begun);
        }
    }

    /// The application has it, or has answered.
    #[inline]
    pub(super) fn observe_handed(&mut self, inline: bool) {
        let Some(marks) = self.observed.as_mut().and_then(|it| it.request.as_mut()) else { return };
        marks.handle = marks.begun.elapsed();
        marks.inline = inline;
        let handle = marks.handle;
        let Some(observer) = &self.shared.observer else { return };
        let metrics = observer.metrics.mine();
        let counter = if inline { &metrics.inline } else { &metrics.pool };
        counter.fetch_add(1, Relaxed);
        if handle > observer.limit(Place::IoThread) {
            self.tell(Place::IoThread, handle);
        }
        self.beat.watch.is_at(Place::Application);
    }

    /// Tells of the request that the slot holds.
    #[cold]
    fn tell(&self, place: Place, time: Duration) {
        let (Some(observer), Some(front)) = (&self.shared.observer, &self.front) else { return };
        let (method, path) = front.see(asked);
        let is_news = self.beat.watch.is_news();
        if is_news {
            observer.metrics.slow[place as usize].fetch_add(1, Relaxed);
        }
        observer.tell(&method, &path, place, time, is_news);
    }

    /// The application may have sent something; `at_once`: by the time it was handed over.
    #[inline]
    pub(super) fn observe_drained(&mut self, at_once: bool) {
        let Some(marks) = self.observed.as_mut().and_then(|it| it.request.as_mut()) else { return };
        if marks.first.is_some() || !self.output.message.started {
            return;
        }
        let first = if at_once { marks.handle } else { marks.begun.elapsed() };
        marks.first = Some(first);
        let Some(observer) = &self.shared.observer else { return };
        if first.saturating_sub(marks.handle) > observer.limit(Place::Application) {
            self.tell(Place::Application, first);
        }
        self.beat.watch.is_at(Place::Response);
    }

    /// The response is complete, but for the writing.
    #[inline]
    pub(super) fn observe_finish(&mut self) {
        if self.observed.is_none() {
            return;
        }
        self.beat.watch.end();
        self.note_end();
        self.observe_written();
    }

    fn note_end(&mut self) {
        let (Some(observed), Some(front)) = (&mut self.observed, &self.front) else { return };
        let Some(marks) = observed.request.take() else { return };
        let message = &self.output.message;
        marks.span.record("status", message.status);
        let log = self.shared.observer.as_ref().and_then(|observer| observer.access_log());
        let texts = log.map(|_| front.see(Texts::of));
        observed.unsent.push_back(Unsent {
            ends: self.output.written() + self.output.pending(),
            marks,
            number: self.requests,
            method: self.request.method,
            version: self.request.version,
            status: message.status,
            bytes: message.sent,
            texts,
        });
    }

    /// The request ends before its response. It stays on watch: the application may still be at it.
    #[inline]
    pub(super) fn observe_loss(&mut self, outcome: Outcome) {
        if self.observed.is_none() {
            return;
        }
        self.note_written();
        self.note_end();
        let left = self.observed.as_mut().map(|it| std::mem::take(&mut it.unsent)).unwrap_or_default();
        let mut end = self.output.written() + self.output.pending();
        // The last one lost the most: what is not written of all of them is its loss first.
        for mut unsent in left.into_iter().rev() {
            let lost = (end - self.output.written()).min(unsent.bytes);
            end = end.saturating_sub(unsent.bytes).max(self.output.written());
            unsent.bytes -= lost;
            if unsent.status == 0 {
                // Nothing was answered: nginx' status for who did not wait, and what it amounts to for others.
                unsent.status = if outcome == Outcome::Lost { 499 } else { 500 };
            }
            self.conclude(unsent, outcome);
        }
    }

    /// Bytes were written: responses may be complete by now.
    #[inline]
    pub(super) fn observe_written(&mut self) {
        if self.observed.is_some() {
            self.note_written();
        }
    }

    fn note_written(&mut self) {
        let written = self.output.written();
        let Some(observed) = &mut self.observed else { return };
        let more = written - std::mem::replace(&mut observed.counted, written);
        if let (Some(observer), 1..) = (&self.shared.observer, more) {
            observer.metrics.mine().sent.fetch_add(more, Relaxed);
        }
        while let Some(unsent) = self.observed.as_mut().and_then(|it| it.next_written(written)) {
            let outcome = if unsent.status == 0 { Outcome::Cut } else { Outcome::Complete };
            self.conclude(unsent, outcome);
        }
    }

    fn conclude(&self, unsent: Unsent, outcome: Outcome) {
        let Some(observer) = &self.shared.observer else { return };
        let total = unsent.marks.begun.elapsed();
        let Marks { time, handle, first, inline, .. } = unsent.marks;
        let metrics = observer.metrics.mine();
        metrics.ended.fetch_add(1, Relaxed);
        match outcome {
            Outcome::Lost => _ = metrics.lost.fetch_add(1, Relaxed),
            Outcome::Cut => _ = metrics.cut.fetch_add(1, Relaxed),
            Outcome::Complete | Outcome::Refused => {}
        }
        metrics.answered(unsent.method, unsent.status);
        metrics.total.add(total);
        metrics.handle.add(handle);
        // What was answered before `handle` returned has waited for nothing.
        let begun = first.unwrap_or(total);
        metrics.wait.add(begun.saturating_sub(handle));
        metrics.send.add(total.saturating_sub(begun));
        if let (Some(log), Some(texts)) = (observer.access_log(), unsent.texts) {
            log.put(Entry {
                begun: time,
                remote: self.info.remote(),
                connection: self.info.id(),
                number: unsent.number,
                version: Some(unsent.version),
                status: unsent.status,
                bytes: unsent.bytes,
                total,
                handle,
                first,
                inline,
                outcome,
                texts,
            });
        }
    }

    /// A request was refused.
    pub(super) fn observe_refusal(&mut self, refused: &BadRequest) {
        let Some(observer) = &self.shared.observer else { return };
        self.observed.get_or_insert_default();
        observer.metrics.refused(refused.status);
        if let Some(log) = observer.access_log() {
            log.put(Entry {
                begun: SystemTime::now(),
                remote: self.info.remote(),
                connection: self.info.id(),
                number: 0,
                version: None,
                status: refused.status,
                bytes: 0,
                total: Duration::ZERO,
                handle: Duration::ZERO,
                first: None,
                inline: false,
                outcome: Outcome::Refused,
                texts: Texts::default(),
            });
        }
    }
}

/// Counts bytes that came in.
#[inline]
pub(super) fn count_received(observer: Option<&Observer>, bytes: usize) {
    if let Some(observer) = observer {
        observer.metrics.mine().received.fetch_add(bytes as u64, Relaxed);
    }
}
