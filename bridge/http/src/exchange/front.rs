//! The front's end of an exchange.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use bytes::Bytes;

use super::listener::Event;
use super::response::StoredHead;
use super::slot::{Slot, State};
use super::{BodyError, ExchangeId, FileRange};
use crate::app::{ConnectionInfo, HttpApp};
use crate::head::RequestHead;
use crate::limits::{DataRate, Limits};

/// A slot in the hands of a front, for one exchange after the other.
///
/// Dropped, it tells the application that the client is gone, and the slot goes
/// back to the pool when the application has released it.
#[derive(Debug)]
pub struct Front {
    slot: &'static Slot,
    /// It is the connection's own task, and not something between that and an application.
    own: bool,
}

/// Takes what an application sends. Called under the exchange's lock: it must not use the exchange.
pub trait Sink {
    /// An informational head.
    fn informational(&mut self, head: &StoredHead);
    /// The head of the response. `close`: the connection ends with it, because the application asked for that, or
    /// because of the request body: the client will not send it, or it is larger than the limit.
    fn head(&mut self, head: &StoredHead, close: bool);
    /// Bytes of the body, to be copied.
    fn copied(&mut self, bytes: &[u8]);
    /// Bytes of the body, to be kept.
    fn owned(&mut self, bytes: Bytes);
    /// A part of a file.
    fn file(&mut self, range: FileRange);
    /// The end of the response, with its packed trailers.
    fn end(&mut self, trailers: &[u8]);
    /// The end of a response that is incomplete, because the application has failed.
    fn fail(&mut self);
}

/// Takes what nobody reads any more.
pub(crate) struct Discard;

impl Sink for Discard {
    fn informational(&mut self, _: &StoredHead) {}
    fn head(&mut self, _: &StoredHead, _: bool) {}
    fn copied(&mut self, _: &[u8]) {}
    fn owned(&mut self, _: Bytes) {}
    fn file(&mut self, _: FileRange) {}
    fn end(&mut self, _: &[u8]) {}
    fn fail(&mut self) {}
}

/// How an exchange stands, as [`Front::drain`] found it.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Drained {
    /// The sink was given something.
    pub some: bool,
    /// The application wants the connection cut.
    pub cut: bool,
    /// The response is complete, or has failed.
    pub ended: bool,
    /// The application is done.
    pub released: bool,
    /// The connection has become a duplex of raw bytes.
    pub upgraded: bool,
    /// Bytes of the request body are wanted, or there is room for them.
    pub reads: bool,
    /// A read waits for them.
    pub awaits: bool,
    /// `100 Continue` must be sent now.
    pub expects: bool,
}

impl Front {
    /// Takes a slot from the pool.
    pub fn new() -> Self {
        Front { slot: Slot::take(), own: false }
    }

    /// The same, for the task of a connection: who completes a response may [write](ConnectionInfo::finish) it then.
    pub(crate) fn of_connection() -> Self {
        let mut front = Self::new();
        front.own = true;
        front
    }

    /// Fills the head of the next request. No exchange may be under way.
    pub fn fill<R>(&mut self, fill: impl FnOnce(&mut RequestHead) -> R) -> R {
        let mut state = self.slot.lock();
        assert!(!state.held, "bridge bug: a head was filled during an exchange, please report");
        fill(&mut state.head)
    }

    /// Looks at the head that was filled last.
    pub(crate) fn see<R>(&self, see: impl FnOnce(&RequestHead) -> R) -> R {
        see(&self.slot.lock().head)
    }

    /// Begins the exchange whose head was filled; `see` looks at the head.
    pub fn begin<R>(
        &mut self,
        connection: &Arc<ConnectionInfo>,
        limits: &Limits,
        see: impl FnOnce(&RequestHead) -> R,
    ) -> (ExchangeId, R) {
        let mut state = self.slot.lock();
        assert!(!state.held, "bridge bug: an exchange began in another, please report");
        let state = &mut *state;
        state.clear();
        state.clean = false;
        state.generation = next_generation();
        state.held = true;
        state.own = self.own;
        state.body.open(&state.head, limits);
        state.response.open(limits.max_response_buffer_size);
        state.min_body_rate = limits.min_request_body_data_rate;
        state.min_response_rate = limits.min_response_data_rate;
        if !state.connection.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, connection)) {
            state.connection = Some(connection.clone());
        }
        let seen = see(&state.head);
        (ExchangeId::from_parts(self.slot, state.generation), seen)
    }

    /// Gives the sink what the application sent, and tells how the exchange stands.
    ///
    /// With a waker the front is woken once when that changes.
    pub fn drain(&mut self, sink: &mut impl Sink, waker: Option<&Waker>) -> Drained {
        let mut state = self.slot.lock();
        let cut = state.response.cut;
        let some = !cut && state.response.drain(sink);
        let (reads, expects) = state.body.demand();
        let has_head = state.response.has_head();
        if let Some(waker) = waker {
            match &state.front {
                Some(kept) if kept.will_wake(waker) => {}
                _ => state.front = Some(waker.clone()),
            }
        }
        Drained {
            some,
            cut,
            ended: state.response.ended,
            released: !state.held,
            upgraded: state.response.upgraded,
            reads,
            awaits: state.body.wanted,
            expects: expects && !has_head,
        }
    }

    /// Tells that `unsent` of the bytes taken are still to be written.
    pub fn settle(&mut self, unsent: u64) {
        let mut state = self.slot.lock();
        if state.response.settle(unsent) {
            notify(state, Event::Writable);
        }
    }

    /// Adds bytes of the request body, which were `wire` bytes with their framing. `true`: more may follow now.
    pub fn push_body(&mut self, bytes: Bytes, wire: u64) -> bool {
        let mut state = self.slot.lock();
        let told = state.body.push(bytes, wire);
        let reads = state.body.demand().0;
        if told {
            notify(state, Event::BodyReady);
        }
        reads
    }

    /// Ends the request body.
    pub fn end_body(&mut self, trailers: Bytes) {
        let mut state = self.slot.lock();
        if state.body.complete(trailers) {
            notify(state, Event::BodyReady);
        }
    }

    /// Ends the request body by an error.
    pub fn fail_body(&mut self, error: BodyError) {
        let mut state = self.slot.lock();
        if state.body.fail(error) {
            notify(state, Event::BodyReady);
        }
    }

    /// Tells the application that the client is gone.
    pub fn abort_by_peer(&mut self) {
        self.slot.abort_by_peer();
    }

    /// Whether the application is done with the exchange.
    pub fn is_released(&self) -> bool {
        !self.slot.lock().held
    }

    /// How many more bytes of the request body, with their framing, may be read and thrown away.
    pub fn drain_limit(&self) -> u64 {
        self.slot.lock().body.drain_limit()
    }

    /// The least rates of request body and response.
    pub fn min_rates(&self) -> (Option<DataRate>, Option<DataRate>) {
        let state = self.slot.lock();
        (state.min_body_rate, state.min_response_rate)
    }

    /// Ends the connection's part while the application still holds the exchange: `app` hears of the end of the
    /// connection when it has released.
    pub fn close_with(self, app: &Arc<dyn HttpApp>, kept: u32) {
        let mut state = self.slot.lock();
        if state.held && kept != 0 {
            state.closed = Some((app.clone(), kept));
        } else if kept != 0 {
            drop(state);
            app.connection_closed(kept);
        }
    }
}

impl Default for Front {
    fn default() -> Self {
        Self::new()
    }
}

/// How many numbers a thread takes at a time, so that threads do not meet at the counter for each request.
const BLOCK: u32 = 1024;

/// The number of an exchange, of all slots together and never 0. A connection has one slot for this request and another
/// for the next, and what an application keeps for a connection tells its requests apart by this alone.
fn next_generation() -> u32 {
    static BLOCKS: AtomicU32 = AtomicU32::new(0);
    thread_local! {
        static LAST: Cell<u32> = const { Cell::new(BLOCK - 1) };
    }
    LAST.with(|last| {
        // A block begins at a multiple of its size, whose number is left out: it may be 0.
        let mut next = last.get().wrapping_add(1);
        if next % BLOCK == 0 {
            next = BLOCKS.fetch_add(BLOCK, Ordering::Relaxed) + 1;
        }
        last.set(next);
        next
    })
}

impl Drop for Front {
    fn drop(&mut self) {
        let state = self.slot.lock();
        if !state.held {
            self.slot.give_back(state);
            return;
        }
        let complete = state.response.is_taken();
        drop(state);
        if !complete {
            self.slot.abort_by_peer();
        }
        let mut state = self.slot.lock();
        if state.held {
            (state.fronted, state.peer_gone, state.front) = (false, true, None);
        } else {
            self.slot.give_back(state);
        }
    }
}

fn notify(mut state: std::sync::MutexGuard<'_, State>, event: Event) {
    let generation = state.generation;
    let notice = state.listener.notice(event, generation);
    drop(state);
    notice.tell();
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::app::{Endpoint, Finisher};
    use crate::exchange::{Data, ResponseHead, SendFlags};

    struct Counts(AtomicUsize);

    impl Finisher for Counts {
        fn finish(&self) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            true
        }
    }

    /// How often the connection was asked to write, at the end of an exchange on it.
    fn asked(mut front: Front) -> usize {
        let connection = Arc::new(ConnectionInfo::new(1, Endpoint::Unnamed, Endpoint::Unnamed, false));
        let counts = Arc::new(Counts(AtomicUsize::new(0)));
        let finisher: Weak<Counts> = Arc::downgrade(&counts);
        connection.finish_by(finisher);
        let (exchange, ()) = front.begin(&connection, &Limits::default(), |_| ());
        // The front waits.
        front.drain(&mut Discard, Some(Waker::noop()));
        let head = ResponseHead { status: 204, ..ResponseHead::default() };
        let _ = exchange.send(Some(head), Data::None, SendFlags::END | SendFlags::RELEASE);
        counts.0.load(Ordering::Relaxed)
    }

    #[test]
    fn only_a_connections_own_task_has_others_write_for_it() {
        assert_eq!(1, asked(Front::of_connection()));
        // A tower service's exchange is on the connection of its client, whose task waits for another exchange.
        assert_eq!(0, asked(Front::new()));
    }
}
