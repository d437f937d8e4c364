//! Cancelling calls, by hand and by deadline.
//!
//! A call looks at one atomic; the clock is read by one thread of the process,
//! the watchdog, and by nobody on a call's way: a clock read costs more than a
//! call into the CLR.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::thread::{self, ThreadId};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Why a call is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// Somebody called [`CancelToken::cancel`], or dropped the future of the call.
    Cancelled,
    /// The deadline passed.
    DeadlineExceeded,
}

impl CancelReason {
    /// The error that a call cut short for this reason returns.
    pub fn error(self) -> Error {
        match self {
            CancelReason::Cancelled => Error::new(ErrorKind::Cancelled, "the call was cancelled"),
            CancelReason::DeadlineExceeded => Error::new(ErrorKind::DeadlineExceeded, "the deadline has passed"),
        }
    }
}

const LIVE: u8 = 0;
const CANCELLED: u8 = 1;
const DEADLINE: u8 = 2;

/// Tells any number of calls to stop, once. Clones are the same token.
///
/// A child is cancelled with its parent, and not the other way round.
#[derive(Clone)]
pub struct CancelToken(Arc<Token>);

struct Token {
    state: AtomicU8,
    listeners: Mutex<Listeners>,
    /// Woken when a listener has run.
    ran: Condvar,
    /// Keeps this child on its parents' lists, and the parents alive: a deadline holds its token weakly, so a parent
    /// that nobody else has would never fire.
    _parents: Vec<Subscription>,
}

#[derive(Default)]
struct Listeners {
    next: u64,
    list: Vec<(u64, Listener)>,
    /// Those that run now, and where: who takes one off waits for it, unless it is itself that one.
    running: Vec<(u64, ThreadId)>,
}

enum Listener {
    Run(Box<dyn Fn(CancelReason) + Send + Sync>),
    Tell(Arc<dyn OnCancel>, u64),
}

impl Listener {
    fn run(self, reason: CancelReason) {
        match self {
            Listener::Run(listener) => listener(reason),
            Listener::Tell(listener, id) => listener.cancelled(id, reason),
        }
    }
}

/// What hosts have told of cancelled calls, where it is there already: a listener that takes no memory of its own. See
/// [`CancelToken::tell`].
pub trait OnCancel: Send + Sync {
    /// What `id` stands for is to stop. To be as quick as any listener.
    fn cancelled(self: Arc<Self>, id: u64, reason: CancelReason);
}

impl CancelToken {
    /// A token that nothing has cancelled yet.
    pub fn new() -> Self {
        CancelToken(Arc::new(Token::new(Vec::new())))
    }

    /// A token that is cancelled when `at` has passed; at once, if it has.
    pub fn with_deadline(at: Instant) -> Self {
        let token = CancelToken::new();
        token.expire_at(at);
        token
    }

    /// A token that is cancelled when this one is, and can be cancelled alone.
    pub fn child(&self) -> Self {
        CancelToken::child_of(&[self])
    }

    /// A token that is cancelled when any of `parents` is, and can be cancelled alone.
    pub fn child_of(parents: &[&CancelToken]) -> Self {
        let child = CancelToken(Arc::new_cyclic(|child: &Weak<Token>| {
            let subscribe = |parent: &&CancelToken| {
                let child = child.clone();
                parent.subscribe(Listener::Run(Box::new(move |reason| {
                    if let Some(child) = child.upgrade() {
                        CancelToken(child).fire(reason);
                    }
                })))
            };
            Token::new(parents.iter().map(subscribe).collect())
        }));
        // A parent may have fired before the child could be told.
        if let Some(reason) = parents.iter().find_map(|parent| parent.reason()) {
            child.fire(reason);
        }
        child
    }

    /// Whether both are the same token.
    #[inline]
    pub fn is_same(&self, other: &CancelToken) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn expire_at(&self, at: Instant) {
        if at <= Instant::now() {
            self.fire(CancelReason::DeadlineExceeded);
        } else {
            Watchdog::get().add(at, Arc::downgrade(&self.0));
        }
    }

    /// Cancels. The first reason stays; later ones do nothing.
    pub fn cancel(&self) {
        self.fire(CancelReason::Cancelled);
    }

    /// Cancels because a deadline has passed that somebody else watches. The first reason stays.
    pub fn expire(&self) {
        self.fire(CancelReason::DeadlineExceeded);
    }

    /// Why calls with this token are to stop; `None` while they may go on. One load.
    #[inline]
    pub fn reason(&self) -> Option<CancelReason> {
        match self.0.state.load(Ordering::Acquire) {
            LIVE => None,
            CANCELLED => Some(CancelReason::Cancelled),
            _ => Some(CancelReason::DeadlineExceeded),
        }
    }

    /// Runs `listener` when the token is cancelled, on the thread that does so; here and now if it has been.
    ///
    /// Dropping the [`Subscription`] takes the listener off and, where it is
    /// running on another thread, waits for its end; after that it never runs
    /// again. [`Subscription::without_wait`] does without the wait. A listener
    /// has to be quick: the watchdog of all deadlines may be what runs it.
    pub fn on_cancel(&self, listener: impl Fn(CancelReason) + Send + Sync + 'static) -> Subscription {
        self.listen(Listener::Run(Box::new(listener)))
    }

    /// The same without an allocation per call: tells `listener` of `id`.
    pub fn tell(&self, listener: Arc<dyn OnCancel>, id: u64) -> Subscription {
        self.listen(Listener::Tell(listener, id))
    }

    fn listen(&self, listener: Listener) -> Subscription {
        let subscription = self.subscribe(listener);
        // Whoever fires runs what is on the list by then; if that came before us, we run ours.
        if let Some(reason) = self.reason() {
            self.0.run_one(Some(subscription.id), reason);
        }
        subscription
    }

    fn subscribe(&self, listener: Listener) -> Subscription {
        let mut listeners = self.0.lock();
        listeners.next += 1;
        let id = listeners.next;
        listeners.list.push((id, listener));
        Subscription { token: self.0.clone(), id, waits: true }
    }

    fn fire(&self, reason: CancelReason) {
        let state = match reason {
            CancelReason::Cancelled => CANCELLED,
            CancelReason::DeadlineExceeded => DEADLINE,
        };
        if self.0.state.compare_exchange(LIVE, state, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            while self.0.run_one(None, reason) {}
        }
    }
}

impl Token {
    fn new(parents: Vec<Subscription>) -> Self {
        Token { state: AtomicU8::new(LIVE), listeners: Mutex::default(), ran: Condvar::new(), _parents: parents }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one listener off the list, the given one or any, and runs it. False where there is none.
    fn run_one(&self, id: Option<u64>, reason: CancelReason) -> bool {
        let me = thread::current().id();
        let mut listeners = self.lock();
        let Some(at) = listeners.list.iter().position(|(it, _)| id.is_none_or(|id| id == *it)) else {
            return false;
        };
        let (id, listener) = listeners.list.swap_remove(at);
        listeners.running.push((id, me));
        drop(listeners);
        // A listener that panics, or what it holds when it is dropped, must not leave its taker-off waiting.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || listener.run(reason)));
        self.lock().running.retain(|it| *it != (id, me));
        self.ran.notify_all();
        if outcome.is_err() {
            tracing::error!(target: "polyhost", "a cancel listener panicked");
        }
        true
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        CancelToken::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelToken").field(&self.reason()).finish()
    }
}

/// A listener's place on a token's list; see [`CancelToken::on_cancel`].
#[must_use = "dropping it takes the listener off"]
pub struct Subscription {
    /// Keeps the token alive.
    token: Arc<Token>,
    id: u64,
    /// Whether the end of a listener that runs is waited for.
    waits: bool,
}

impl Subscription {
    /// The same, but that dropping it does not wait for a listener that is running, which may so go on a little longer:
    /// for one that does no harm then. The thread that runs it may have to wait for a processor.
    pub fn without_wait(mut self) -> Self {
        self.waits = false;
        self
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let token = &self.token;
        let me = thread::current().id();
        let mut listeners = token.lock();
        let at = listeners.list.iter().position(|(it, _)| *it == self.id);
        let removed = at.map(|at| listeners.list.swap_remove(at));
        while self.waits && listeners.running.iter().any(|(id, thread)| *id == self.id && *thread != me) {
            listeners = token.ran.wait(listeners).unwrap_or_else(PoisonError::into_inner);
        }
        drop(listeners);
        // Outside of the lock: what the listener holds may drop subscriptions of its own.
        drop(removed);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// The one thread that reads the clock.
struct Watchdog {
    queue: Mutex<BinaryHeap<Reverse<Entry>>>,
    wake: Condvar,
}

struct Entry {
    at: Instant,
    token: Weak<Token>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Watchdog {
    fn get() -> &'static Watchdog {
        static WATCHDOG: OnceLock<&'static Watchdog> = OnceLock::new();
        WATCHDOG.get_or_init(|| {
            let watchdog: &'static Watchdog =
                Box::leak(Box::new(Watchdog { queue: Mutex::default(), wake: Condvar::new() }));
            std::thread::Builder::new()
                .name("polyhost-watchdog".into())
                .spawn(move || watchdog.run())
                .expect("the process can start a thread");
            watchdog
        })
    }

    fn add(&self, at: Instant, token: Weak<Token>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = queue.peek().is_none_or(|Reverse(first)| at < first.at);
        // Tokens that are gone are swept when the heap has doubled, so that many short calls under long
        // deadlines do not pile up.
        if queue.len() == queue.capacity() {
            queue.retain(|Reverse(entry)| entry.token.strong_count() > 0);
            let room = queue.len().max(64);
            queue.reserve(room);
        }
        queue.push(Reverse(Entry { at, token }));
        if earliest {
            self.wake.notify_one();
        }
    }

    fn run(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            let mut due = Vec::new();
            while queue.peek().is_some_and(|Reverse(first)| first.at <= now) {
                due.extend(queue.pop().and_then(|Reverse(entry)| entry.token.upgrade()));
            }
            if !due.is_empty() {
                // Listeners run without the queue's lock: they may make contexts of their own.
                drop(queue);
                for token in due {
                    CancelToken(token).fire(CancelReason::DeadlineExceeded);
                }
                queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue = match queue.peek().map(|Reverse(first)| first.at.saturating_duration_since(now)) {
                Some(wait) => self.wake.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(all(test, loom))]
mod races {
    use super::*;
    use crate::sync::atomic::AtomicUsize;
    use crate::sync::loom;

    /// Counts in how often a listener has run.
    fn listen(token: &CancelToken, count: &Arc<AtomicUsize>) -> Subscription {
        let count = count.clone();
        token.on_cancel(move |_| _ = count.fetch_add(1, Ordering::Relaxed))
    }

    fn cancel_elsewhere(token: &CancelToken) -> thread::JoinHandle<()> {
        let token = token.clone();
        thread::spawn(move || token.cancel())
    }

    #[test]
    fn a_listener_runs_once_however_late_it_comes() {
        loom::model(|| {
            let (token, count) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
            let others = [cancel_elsewhere(&token), cancel_elsewhere(&token)];
            let _subscription = listen(&token, &count);
            others.into_iter().for_each(|other| other.join().expect("no panic"));
            assert_eq!(1, count.load(Ordering::Relaxed));
        });
    }

    #[test]
    fn a_listener_that_was_taken_off_never_runs() {
        loom::model(|| {
            let (token, count) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
            let subscription = listen(&token, &count);
            let other = cancel_elsewhere(&token);
            drop(subscription);
            let before = count.load(Ordering::Relaxed);
            other.join().expect("no panic");
            assert_eq!(before, count.load(Ordering::Relaxed));
        });
    }

    #[test]
    fn a_child_is_cancelled_with_its_parent_whenever_it_was_made() {
        loom::model(|| {
            let parent = CancelToken::new();
            let other = cancel_elsewhere(&parent);
            let child = parent.child();
            other.join().expect("no panic");
            assert_eq!(Some(CancelReason::Cancelled), child.reason());
        });
    }
}
