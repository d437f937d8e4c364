//! One HTTP/1 connection: reads requests, hands them to the application, writes what it answers.
//!
//! A connection is one future and a state machine, with no task, timer or
//! buffer of its own while it idles. Time is the server's heartbeat, which
//! tells it when a deadline has passed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, SystemTime};

use bytes::BytesMut;

use crate::app::{ConnectionInfo, Turn, hand_over};
use crate::exchange::{Drained, Front};
use crate::h1::encode::{self, CONTINUE, HttpDate, Request, Server};
use crate::h1::{BadRequest, parse};
use crate::head::{Flags, Method, RequestHead, Version};
use crate::server::beat::{Beat, Fired};
use crate::server::shared::Shared;
use crate::transport::Transport;

mod direct;
mod end;
mod input;
mod observe;
mod output;
mod pool;

pub(crate) use direct::ConnectionTask;
use input::{Body, Input};
use observe::Observed;
use output::{Encoder, Output};

/// Responses of pipelined requests are gathered up to this size before they are written.
const GATHERED: u64 = 64 * 1024;

/// A connection, as a future that ends with it.
pub(crate) struct Connection<T: Transport> {
    /// Gone when the connection was cut while the application still held its exchange.
    io: Option<T>,
    shared: Arc<Shared>,
    info: Arc<ConnectionInfo>,
    beat: Arc<Beat>,
    waker: Option<Waker>,
    phase: Phase,
    /// The application's number for the connection.
    kept: u32,
    /// Gone while the connection idles.
    front: Option<Front>,
    input: BytesMut,
    /// How far the head in `input` was parsed.
    searched: usize,
    /// A request has begun to arrive, and has its own time limit.
    arriving: bool,
    body: Body,
    /// How many bytes of an unwanted body are read.
    left_to_drain: u64,
    /// The client has ended its side.
    ended: bool,
    request: Request,
    requests: u64,
    /// How much the last read brought.
    last_read: usize,
    /// The heartbeat measures how fast the request body comes.
    timing_read: bool,
    output: Output,
    /// How much must be written by the deadline of the current write.
    timed_to: Option<u64>,
    date: HttpDate,
    date_seconds: u64,
    /// Nothing, unless somebody watches.
    observed: Option<Box<Observed>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between requests, or within a head.
    Head,
    /// The application has a request.
    Exchange,
    /// The response is complete, the request body is not: the rest is thrown away.
    Drain,
    /// The last bytes are written; `linger`: the client may still be sending.
    Close {
        linger: bool,
    },
    /// Our side is closed: what comes is thrown away, so that the client is not reset before it has read.
    Linger {
        left: usize,
    },
    /// The connection is cut, but the application holds its exchange.
    Orphan,
    Done,
}

/// What a new connection needs to know of its request.
struct Facts {
    request: Request,
    body: Body,
}

impl Facts {
    fn of(head: &RequestHead, shared: &Shared) -> Self {
        let flags = head.flags();
        let keep_alive = flags.contains(Flags::KEEP_ALIVE);
        let request = Request { version: head.version(), method: head.method(), keep_alive };
        Facts { request, body: Body::of(head, &shared.limits) }
    }
}

impl<T: Transport> Connection<T> {
    pub(crate) fn new(io: T, shared: Arc<Shared>, info: Arc<ConnectionInfo>, beat: Arc<Beat>) -> Self {
        beat.set_deadline(shared.clock.after(shared.limits.keep_alive_timeout));
        Connection {
            io: Some(io),
            shared,
            info,
            beat,
            waker: None,
            phase: Phase::Head,
            kept: 0,
            front: None,
            input: BytesMut::new(),
            searched: 0,
            arriving: false,
            body: Body::None,
            left_to_drain: 0,
            ended: false,
            request: Request { version: Version::Http11, method: Method::Get, keep_alive: true },
            requests: 0,
            last_read: 0,
            timing_read: false,
            output: Output::default(),
            timed_to: None,
            date: HttpDate::at(SystemTime::UNIX_EPOCH),
            date_seconds: 0,
            observed: None,
        }
    }

    /// Reads heads until one is complete, wrong, or there will be none.
    fn poll_head(&mut self, cx: &mut Context<'_>, fired: Fired) -> Poll<Phase> {
        if fired.contains(Fired::DEADLINE) {
            if self.is_between_requests() {
                tracing::debug!(target: "polyhost::http", connection = self.info.id(), "idle for too long");
                return Poll::Ready(Phase::Close { linger: false });
            }
            let refused = BadRequest::new(408, "The request head took too long.");
            return Poll::Ready(self.refuse(&refused));
        }
        loop {
            if self.output.pending() >= GATHERED && ready!(self.poll_flush(cx)).is_err() {
                return Poll::Ready(Phase::Done);
            }
            if !self.input.is_empty() {
                let front = self.front.get_or_insert_with(Front::of_connection);
                let (input, searched, limits) = (&self.input, &mut self.searched, &self.shared.limits);
                match front.fill(|head| parse::parse_head(input, searched, limits, head)) {
                    Ok(Some(consumed)) => return Poll::Ready(self.begin(consumed)),
                    Ok(None) => {}
                    Err(refused) => return Poll::Ready(self.refuse(&refused)),
                }
            }
            if ready!(self.poll_flush(cx)).is_err() {
                return Poll::Ready(Phase::Done);
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(self.end_in_head()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Phase::Done),
                // A request that is here already is still answered.
                Poll::Pending if self.is_between_requests() && self.shared.is_stopping() => {
                    return Poll::Ready(Phase::Close { linger: false });
                }
                Poll::Pending => {
                    self.wait_for_head();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Nothing of a request is here, but perhaps empty lines, as some clients send after a body.
    fn is_between_requests(&self) -> bool {
        self.input.iter().all(|b| matches!(b, b'\r' | b'\n'))
    }

    fn wait_for_head(&mut self) {
        if self.input.is_empty() {
            self.front = None;
            self.output.rest();
        } else if !self.arriving && !self.is_between_requests() {
            self.arriving = true;
            self.beat.set_deadline(self.shared.clock.after(self.shared.limits.request_headers_timeout));
        }
    }

    fn end_in_head(&mut self) -> Phase {
        self.ended = true;
        let input = &self.input;
        let refused = self.front.as_mut().and_then(|front| front.fill(|head| parse::end_of_input(input, head)));
        match refused {
            Some(refused) => self.refuse(&refused),
            None => Phase::Close { linger: false },
        }
    }

    /// Answers for the application, and ends.
    fn refuse(&mut self, refused: &BadRequest) -> Phase {
        tracing::debug!(target: "polyhost::http", connection = self.info.id(), "request refused: {refused}");
        self.observe_refusal(refused);
        self.refresh_date();
        let server = Server { date: &self.date, name: self.shared.server_name() };
        self.output.put(|out| encode::refusal(out, refused, &server));
        Phase::Close { linger: !self.ended }
    }

    /// Hands the request whose head took `consumed` bytes to the application.
    fn begin(&mut self, consumed: usize) -> Phase {
        bytes::Buf::advance(&mut self.input, consumed);
        (self.searched, self.arriving) = (0, false);
        self.beat.clear_deadline();
        self.requests += 1;
        self.output.message = output::Message::default();
        let front = self.front.as_mut().expect("bridge bug: a head without a slot, please report");
        let shared = &*self.shared;
        let (id, facts) = front.begin(&self.info, &shared.limits, |head| Facts::of(head, shared));
        (self.request, self.body) = (facts.request, facts.body);
        if self.body != Body::None {
            // What is here already is there for the first read.
            self.feed();
        }
        self.observe_begin(id);
        let entered = self.observed.as_ref().and_then(|observed| observed.enter());
        let mut turn = Turn::new(self.kept, &self.info, &self.shared.inline);
        hand_over(&*self.shared.app, id, &mut turn);
        let inline = turn.is_inline();
        self.kept = turn.kept;
        drop(turn);
        drop(entered);
        self.observe_handed(inline);
        // The application may have answered before `handle` returned: then nobody needs to wake us.
        let drained = self.drain(None, true);
        self.after_drain(&drained).unwrap_or(Phase::Exchange)
    }

    /// Moves bytes between application and client until both wait.
    fn poll_exchange(&mut self, cx: &mut Context<'_>, fired: Fired) -> Poll<Phase> {
        if fired.contains(Fired::READ) {
            self.body_is_late();
        }
        loop {
            let drained = self.drain(Some(cx.waker()), false);
            if let Some(phase) = self.after_drain(&drained) {
                return Poll::Ready(phase);
            }
            let before = self.output.pending();
            let flushed = self.poll_flush(cx);
            if matches!(flushed, Poll::Ready(Err(_))) {
                return Poll::Ready(if self.output.is_file_lost() { self.cut() } else { self.lose() });
            }
            if before > 0 || drained.some {
                let unsent = self.output.pending();
                self.front().settle(unsent);
            }
            match self.poll_input(cx, &drained) {
                Input::Some => {}
                Input::Nothing => {
                    if self.output.is_flushed() {
                        // An upgraded connection may be silent for hours.
                        self.output.rest();
                    }
                    return Poll::Pending;
                }
                Input::Lost => return Poll::Ready(self.lose()),
            }
        }
    }

    /// Takes what the application has sent; `at_once`: by the time the request was handed over.
    fn drain(&mut self, waker: Option<&Waker>, at_once: bool) -> Drained {
        self.refresh_date();
        let mut encoder = Encoder {
            output: &mut self.output,
            request: self.request,
            server: Server { date: &self.date, name: self.shared.server_name() },
            stopping: self.shared.is_stopping(),
        };
        let front = self.front.as_mut().expect("bridge bug: an exchange without a slot, please report");
        let drained = front.drain(&mut encoder, waker);
        if drained.expects {
            self.output.put(|out| out.extend_from_slice(CONTINUE));
        }
        self.observe_drained(at_once);
        drained
    }

    fn front(&mut self) -> &mut Front {
        self.front.as_mut().expect("bridge bug: an exchange without a slot, please report")
    }

    /// The next phase, if the exchange is over.
    fn after_drain(&mut self, drained: &Drained) -> Option<Phase> {
        if drained.cut {
            return Some(self.cut());
        }
        if let Some(reason) = self.output.message.broken.take() {
            tracing::error!(target: "polyhost::http", connection = self.info.id(), "a response is cut: {reason}");
            if self.output.message.started {
                return Some(self.cut());
            }
            // The client is told, by what the encoder wrote in place of the head; the application, by the abort.
            self.observe_finish();
            self.front().abort_by_peer();
            return Some(Phase::Close { linger: true });
        }
        if drained.upgraded && self.body != Body::Raw && !self.ended {
            self.body = Body::Raw;
        }
        if self.output.message.failed && self.output.message.is_until_close() && !drained.upgraded {
            // An orderly end would make it look complete (RFC 9112, 8).
            return Some(self.cut());
        }
        (drained.ended && drained.released).then(|| self.finish(drained))
    }

    /// After a complete response.
    fn finish(&mut self, drained: &Drained) -> Phase {
        self.pause_reading();
        self.observe_finish();
        if self.output.message.failed {
            return Phase::Close { linger: !self.ended };
        }
        if self.body == Body::None && self.output.message.keep_alive && !drained.upgraded && !self.ended {
            self.beat.set_deadline(self.shared.clock.after(self.shared.limits.keep_alive_timeout));
            return Phase::Head;
        }
        let drains = self.body != Body::None && self.output.message.keep_alive && !drained.upgraded && self.may_drain();
        if !drains || self.ended {
            // A client that did not know of the end may have sent further requests.
            return Phase::Close { linger: !self.ended };
        }
        self.beat.set_deadline(self.shared.clock.after(end::DRAIN));
        Phase::Drain
    }

    /// Writes what is there, within the time that the client has for it.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.is_flushed() {
            return Poll::Ready(Ok(()));
        }
        let Some(io) = &mut self.io else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        match self.output.poll_flush(io, cx) {
            Poll::Ready(result) => {
                if let Err(error) = &result
                    && self.output.is_file_lost()
                {
                    tracing::error!(target: "polyhost::http", connection = self.info.id(), "a response is cut: its file can't be read to the end: {error}");
                    io.reset();
                }
                if self.timed_to.take().is_some() {
                    self.beat.clear_write_deadline();
                }
                self.observe_written();
                Poll::Ready(result)
            }
            Poll::Pending => {
                self.time_write();
                Poll::Pending
            }
        }
    }

    /// Limits the time of what waits, or of 64 KiB of it, so that a long response needs a steady client, and no exact
    /// timing.
    fn time_write(&mut self) {
        let written = self.output.written();
        if self.timed_to.is_some_and(|to| written < to) {
            return;
        }
        let rate = match &self.front {
            Some(front) if self.phase == Phase::Exchange => front.min_rates().1,
            _ => self.shared.limits.min_response_data_rate,
        };
        let bytes = self.output.pending().min(GATHERED);
        self.timed_to = Some(written + bytes);
        match rate {
            Some(rate) => {
                let seconds = bytes as f64 / rate.bytes_per_second;
                let needed = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
                self.beat.set_write_deadline(self.shared.clock.after(needed.max(rate.grace_period)));
            }
            None => self.beat.clear_write_deadline(),
        }
    }

    fn refresh_date(&mut self) {
        let seconds = self.shared.clock.unix_seconds();
        if self.date_seconds != seconds {
            self.date_seconds = seconds;
            self.date = HttpDate::at(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        }
    }
}

impl<T: Transport> Future for Connection<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if !this.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            this.waker = Some(cx.waker().clone());
            this.beat.register(cx.waker());
        }
        let mut fired = this.beat.take();
        if fired.contains(Fired::CUT) {
            this.abandon();
            return Poll::Ready(());
        }
        if fired.contains(Fired::WRITE) && this.timed_to.is_some() {
            tracing::debug!(target: "polyhost::http", connection = this.info.id(), "a response is taken too slowly");
            this.phase = this.cut();
        }
        loop {
            this.phase = match this.phase {
                Phase::Head => ready!(this.poll_head(cx, fired)),
                Phase::Exchange => ready!(this.poll_exchange(cx, fired)),
                Phase::Drain => ready!(this.poll_drain(cx, fired)),
                Phase::Close { linger } => ready!(this.poll_close(cx, fired, linger)),
                Phase::Linger { left } => ready!(this.poll_linger(cx, fired, left)),
                Phase::Orphan => ready!(this.poll_orphan(cx)),
                Phase::Done => return Poll::Ready(()),
            };
            fired = Fired::default();
        }
    }
}
