//! The ways a connection ends.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use super::{Connection, Phase, pool};
use crate::exchange::Discard;
use crate::log::Outcome;
use crate::server::beat::Fired;
use crate::transport::Transport;

/// How long the rest of a request body may take that nobody reads.
pub(super) const DRAIN: Duration = Duration::from_secs(5);
/// How long the client has to end its side after we ended ours.
const LINGER: Duration = Duration::from_secs(2);
/// How much the client may send meanwhile.
const LINGER_BYTES: usize = 256 * 1024;

impl<T: Transport> Connection<T> {
    /// Whether the rest of the request body is worth reading.
    pub(super) fn may_drain(&mut self) -> bool {
        self.left_to_drain = self.front().drain_limit();
        self.left_to_drain > 0
    }

    /// Reads the rest of a request body that nobody wants.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, fired: Fired) -> Poll<Phase> {
        if fired.contains(Fired::DEADLINE) {
            return Poll::Ready(Phase::Close { linger: true });
        }
        if ready!(self.poll_flush(cx)).is_err() {
            return Poll::Ready(Phase::Done);
        }
        let goes_on = ready!(self.poll_discard(cx));
        if !goes_on {
            return Poll::Ready(Phase::Close { linger: !self.ended });
        }
        self.beat.set_deadline(self.shared.clock.after(self.shared.limits.keep_alive_timeout));
        Poll::Ready(Phase::Head)
    }

    /// Writes the rest and ends our side.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>, fired: Fired, linger: bool) -> Poll<Phase> {
        if fired.contains(Fired::DEADLINE) {
            return Poll::Ready(Phase::Orphan);
        }
        self.beat.clear_deadline();
        if ready!(self.poll_flush(cx)).is_err() {
            return Poll::Ready(Phase::Orphan);
        }
        let Some(io) = &mut self.io else { return Poll::Ready(Phase::Orphan) };
        self.beat.set_deadline(self.shared.clock.after(LINGER));
        if ready!(Pin::new(io).poll_shutdown(cx)).is_err() || !linger {
            return Poll::Ready(Phase::Orphan);
        }
        Poll::Ready(Phase::Linger { left: LINGER_BYTES })
    }

    /// Reads until the client ends its side: closing before would reset the connection, and the client might lose the
    /// last response.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>, fired: Fired, mut left: usize) -> Poll<Phase> {
        if fired.contains(Fired::DEADLINE) {
            return Poll::Ready(Phase::Orphan);
        }
        loop {
            pool::give(&mut self.input);
            match ready!(self.poll_fill(cx)) {
                Ok(n @ 1..) if n <= left => left -= n,
                _ => return Poll::Ready(Phase::Orphan),
            }
        }
    }

    /// The client is gone: tells the application.
    pub(super) fn lose(&mut self) -> Phase {
        self.observe_loss(Outcome::Lost);
        self.front().abort_by_peer();
        self.io = None;
        Phase::Orphan
    }

    /// Ends the connection so that the client cannot take the response for a complete one.
    pub(super) fn cut(&mut self) -> Phase {
        if let Some(mut io) = self.io.take() {
            // Responses before this one are complete: what the socket takes at once still goes out. A file might need the
            // runtime, and this be a thread of the application's.
            if !self.output.has_file() {
                let _ = self.output.poll_flush(&mut io, &mut Context::from_waker(Waker::noop()));
            }
            io.reset();
        }
        self.observe_loss(Outcome::Cut);
        if let Some(front) = &mut self.front {
            front.abort_by_peer();
        }
        Phase::Orphan
    }

    /// Waits until the application has released its exchange.
    pub(super) fn poll_orphan(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        self.io = None;
        pool::give(&mut self.input);
        let front = self.front.as_mut();
        let released = front.is_none_or(|front| front.drain(&mut Discard, Some(cx.waker())).released);
        if released { Poll::Ready(Phase::Done) } else { Poll::Pending }
    }

    /// The server cuts the connection, and does not wait for the application.
    pub(super) fn abandon(&mut self) {
        if let Some(mut io) = self.io.take() {
            io.reset();
        }
    }
}

impl<T: Transport> Drop for Connection<T> {
    fn drop(&mut self) {
        self.io = None;
        let is_lost = self.phase == Phase::Done && !self.output.is_file_lost();
        self.observe_loss(if is_lost { Outcome::Lost } else { Outcome::Cut });
        match self.front.take() {
            Some(front) => front.close_with(&self.shared.app, self.kept),
            None if self.kept != 0 => self.shared.app.connection_closed(self.kept),
            None => {}
        }
        self.shared.connections.remove(self.info.id());
    }
}
