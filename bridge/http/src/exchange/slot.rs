//! Slots: the memory of exchanges, allocated once, pooled, and never freed.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::body::RequestBody;
use super::listener::{Event, Listener};
use super::response::{Misuse, Response};
use super::{BodyError, Read, SendFlags, Sent};
use crate::app::{ConnectionInfo, HttpApp};
use crate::head::RequestHead;
use crate::limits::DataRate;

/// The memory of one exchange at a time.
pub struct Slot {
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) generation: u32,
    /// The application holds the exchange: it began and was not released.
    pub(super) held: bool,
    /// Nothing is left of an earlier exchange.
    pub(super) clean: bool,
    /// A front owns the slot.
    pub(super) fronted: bool,
    /// The front is gone, or its client is.
    pub(super) peer_gone: bool,
    pub(super) head: RequestHead,
    pub(super) body: RequestBody,
    pub(super) response: Response,
    pub(super) listener: Listener,
    /// The front's task, while it waits. Taken by whoever wakes it, so it is woken once.
    pub(super) front: Option<Waker>,
    pub(super) connection: Option<Arc<ConnectionInfo>>,
    /// The front is the connection's own task. That of another exchange on the connection may wait for this one: to write
    /// for it here, and wake the other then, would leave the connection's task without a call.
    pub(super) own: bool,
    pub(super) close_requested: bool,
    pub(super) min_body_rate: Option<DataRate>,
    pub(super) min_response_rate: Option<DataRate>,
    /// Told at the release, when the front did not wait for it.
    pub(super) closed: Option<(Arc<dyn HttpApp>, u32)>,
}

impl State {
    /// Nothing that is sent reaches the client any more.
    pub(super) fn is_cut(&self) -> bool {
        self.peer_gone || self.response.cut
    }

    fn is(&self, generation: u32) -> bool {
        self.held && self.generation == generation
    }

    fn release(&mut self) {
        if !self.response.ended {
            self.response.cut();
        }
        self.held = false;
        self.listener.clear();
    }

    /// Ready for another request. Memory is kept, within bounds.
    pub(super) fn clear(&mut self) {
        if std::mem::replace(&mut self.clean, true) {
            return;
        }
        self.body.clear();
        self.response.clear();
        self.listener.clear();
        (self.peer_gone, self.close_requested) = (false, false);
        (self.front, self.closed) = (None, None);
    }
}

impl Slot {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock can only come from the closure of `request`, which changes nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` if the application still holds this generation.
    pub(super) fn with<R>(&self, generation: u32, act: impl FnOnce(&mut State) -> R) -> Option<R> {
        let mut state = self.lock();
        state.is(generation).then(|| act(&mut state))
    }

    pub(super) fn read(&self, generation: u32, waker: Option<&Waker>) -> Read {
        let mut state = self.lock();
        if !state.is(generation) {
            return Read::Gone;
        }
        if state.is_cut() {
            return Read::Failed(BodyError::Aborted);
        }
        let (read, look) = state.body.read();
        if let (Read::Pending, Some(waker)) = (&read, waker) {
            keep(&mut state.listener.read, waker);
        }
        let front = if look { state.front.take() } else { None };
        drop(state);
        wake(front);
        read
    }

    pub(super) fn send(
        &'static self,
        generation: u32,
        flags: SendFlags,
        accept: impl FnOnce(&mut Response) -> Result<(), Misuse>,
    ) -> Sent {
        let mut state = self.lock();
        if !state.is(generation) {
            return Sent::Gone;
        }
        let mut sent = Sent::Gone;
        let mut aborted = None;
        if flags.contains(SendFlags::ABORT) {
            state.response.cut();
        } else if !state.is_cut() {
            let upgraded = state.response.upgraded;
            if !state.response.has_head() {
                state.response.close = state.close_requested || state.body.is_too_large();
                state.response.unasked = state.body.is_expected();
            }
            match accept(&mut state.response) {
                Ok(()) => sent = state.response.pressure(),
                Err(misuse) => {
                    tracing::error!(target: "polyhost::http", "an application {misuse}; its connection is cut");
                    state.response.cut();
                }
            }
            if state.response.upgraded && !upgraded {
                state.body.upgrade();
            }
        }
        if state.response.cut && !state.peer_gone {
            // Who waits for the body or for room waits in vain now.
            aborted = Some(state.listener.take_wakers());
        }
        if flags.contains(SendFlags::RELEASE) {
            state.release();
        }
        let front = state.front.take();
        let is_over = !state.held && state.response.ended && !state.is_cut();
        let connection = if is_over && state.own && front.is_some() { state.connection.clone() } else { None };
        if !state.held && !state.fronted {
            self.give_back(state);
        } else {
            drop(state);
        }
        aborted.into_iter().flatten().for_each(wake);
        if !connection.is_some_and(|connection| connection.finish()) {
            wake(front);
        }
        sent
    }

    pub(super) fn poll_writable(&self, generation: u32, waker: &Waker) -> Poll<bool> {
        let mut state = self.lock();
        if !state.is(generation) || state.is_cut() {
            return Poll::Ready(false);
        }
        if state.response.is_full() {
            keep(&mut state.listener.write, waker);
            return Poll::Pending;
        }
        Poll::Ready(true)
    }

    pub(super) fn poll_aborted(&self, generation: u32, waker: &Waker) -> Poll<()> {
        let mut state = self.lock();
        if !state.is(generation) || state.is_cut() {
            return Poll::Ready(());
        }
        keep(&mut state.listener.abort, waker);
        Poll::Pending
    }

    /// The client is gone.
    pub(super) fn abort_by_peer(&self) {
        let mut state = self.lock();
        if !state.held || state.peer_gone {
            return;
        }
        state.peer_gone = true;
        state.body.fail(BodyError::Aborted);
        state.response.cut();
        let generation = state.generation;
        let notice = state.listener.notice(Event::Aborted, generation);
        drop(state);
        notice.tell();
    }
}

/// Slots that wait on this thread, so that threads do not meet at the common pool for each request.
const KEPT: usize = 32;

/// The slots of one thread; they go to the common pool with its end, for threads of an application come and go.
struct Mine(RefCell<Vec<&'static Slot>>);

impl Drop for Mine {
    fn drop(&mut self) {
        pool().append(self.0.get_mut());
    }
}

thread_local! {
    static MINE: Mine = const { Mine(RefCell::new(Vec::new())) };
}
static POOL: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

fn pool() -> MutexGuard<'static, Vec<&'static Slot>> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    pub(super) fn take() -> &'static Slot {
        let mine = MINE.try_with(|mine| mine.0.borrow_mut().pop()).ok().flatten();
        let slot = mine.or_else(|| pool().pop());
        let slot = slot.unwrap_or_else(|| Box::leak(Box::new(Slot { state: Mutex::new(State::default()) })));
        slot.lock().fronted = true;
        slot
    }

    /// To the pool; nobody holds the slot. Whoever waits for this is told.
    pub(super) fn give_back(&'static self, mut state: MutexGuard<'_, State>) {
        let closed = state.closed.take();
        state.clear();
        state.connection = None;
        state.fronted = false;
        drop(state);
        let kept = MINE.try_with(|mine| {
            let mut mine = mine.0.borrow_mut();
            let room = mine.len() < KEPT;
            if room {
                mine.push(self);
            }
            room
        });
        if kept != Ok(true) {
            pool().push(self);
        }
        if let Some((app, kept)) = closed {
            app.connection_closed(kept);
        }
    }
}

fn keep(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(kept) if kept.will_wake(waker) => {}
        _ => *place = Some(waker.clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}
