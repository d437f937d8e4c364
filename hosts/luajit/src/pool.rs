//! Who may use which VM of a module: lock-free while there is a free one, first come first served where not.
//!
//! To hand a VM over at the end of each call would cost a wake-up a call, more
//! than a hundred calls. So whoever holds one goes on, call after call, for a
//! slice of time: the first in the queue, the heir, looks on, and then asks for
//! the next VM that is left. The others sleep.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use polyhost_bridge::observe::{self, Waits};
use polyhost_bridge::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use polyhost_bridge::sync::{Condvar, Instant, Mutex, MutexGuard, spin_loop, thread, thread_local};
use polyhost_bridge::{CallContext, CancelReason, Error, Result};

use crate::error;
use crate::threads::{self, me};

/// The places of a module's VMs, by index. It knows nothing of the VMs themselves.
pub(crate) struct Pool {
    /// Never used again, unlike an address.
    id: u64,
    places: Box<[Place]>,
    queue: Mutex<VecDeque<Arc<Waiter>>>,
    /// How long a call waits.
    patience: Duration,
    waits: Waits,
}

/// One VM's place. On a cache line of its own: threads with different VMs must not slow one another down.
#[repr(align(128))]
struct Place {
    /// The id of the thread that holds it, with [`WAITED`] where a release has to look at the queue; 0 when free.
    owner: AtomicU64,
    /// The export that was called, for the error of whoever waits in vain.
    call: AtomicUsize,
}

/// Thread ids are even.
const WAITED: u64 = 1;
/// No thread's id.
const RETIRED: u64 = !WAITED;

struct Waiter {
    thread: u64,
    call: usize,
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// First in the queue.
    heir: bool,
    granted: Option<usize>,
    cancelled: Option<CancelReason>,
}

/// How long holders may go on entering while somebody waits: some hundred short calls, and what it costs to wake a
/// thread.
const SLICE: Duration = Duration::from_micros(50);

/// Of the heir between two looks.
const SPINS: usize = if cfg!(loom) { 0 } else { 16 };

/// A held place; see [`Pool::borrow`]. Stays on its thread.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    index: usize,
    /// 0 where this thread held the place already.
    owner: u64,
    _thread: PhantomData<*const ()>,
}

thread_local! {
    /// The pool and the place this thread used last.
    static LAST: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
}

impl Pool {
    /// `places` free places.
    pub(crate) fn new(places: usize, patience: Duration, waits: Waits) -> Pool {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let places = (0..places).map(|_| Place { owner: AtomicU64::new(0), call: AtomicUsize::new(0) }).collect();
        Pool { id: NEXT.fetch_add(1, Ordering::Relaxed), places, queue: Mutex::default(), patience, waits }
    }

    /// Takes the place this thread holds already, else the one it used last, else any free one, else waits.
    ///
    /// `call` is what to name in the error of a thread that waits for this one in vain.
    #[inline]
    pub(crate) fn borrow(&self, call: usize, names: &dyn Names, cx: &CallContext) -> Result<Lease<'_>> {
        let me = me();
        let (pool, last) = LAST.with(Cell::get);
        // With one place only the place itself says whether it is ours.
        if pool == self.id || self.places.len() == 1 {
            let index = if pool == self.id { last } else { 0 };
            match self.take(index, me, call) {
                Taken::Free => return Ok(self.lease(index, me)),
                Taken::Mine => return Ok(self.lease(index, 0)),
                Taken::Busy => {}
            }
        }
        self.borrow_any(me, call, names, cx)
    }

    #[cold]
    fn borrow_any(&self, me: u64, call: usize, names: &dyn Names, cx: &CallContext) -> Result<Lease<'_>> {
        // A thread that comes back to this module has to find the very VM it holds.
        let mine = |place: &Place| place.owner.load(Ordering::Relaxed) & !WAITED == me;
        if let Some(index) = self.places.iter().position(mine) {
            return Ok(self.lease(index, 0));
        }
        let start = (me / 2) as usize % self.places.len();
        for index in (start..self.places.len()).chain(0..start) {
            if let Taken::Free = self.take(index, me, call) {
                return Ok(self.lease(index, me));
            }
        }
        let index = observe::waiting(|| self.waits.time(|| self.wait(me, call, names, cx)))?;
        Ok(self.lease(index, me))
    }

    /// Takes this very place where it is free, or this thread's already.
    pub(crate) fn borrow_this(&self, index: usize) -> Option<Lease<'_>> {
        let me = me();
        match self.take(index, me, usize::MAX) {
            Taken::Free => Some(self.lease(index, me)),
            Taken::Mine => Some(self.lease(index, 0)),
            Taken::Busy => None,
        }
    }

    /// Takes a free place for good. True also where it was taken so before; false where a thread holds it.
    pub(crate) fn retire(&self, index: usize) -> bool {
        match self.places[index].owner.compare_exchange(0, RETIRED, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => true,
            Err(owner) => owner == RETIRED,
        }
    }

    #[inline]
    fn take(&self, index: usize, me: u64, call: usize) -> Taken {
        let place = &self.places[index];
        match place.owner.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {
                place.call.store(call, Ordering::Relaxed);
                Taken::Free
            }
            Err(owner) if owner & !WAITED == me => Taken::Mine,
            Err(_) => Taken::Busy,
        }
    }

    #[inline]
    fn lease(&self, index: usize, owner: u64) -> Lease<'_> {
        LAST.with(|last| last.set((self.id, index)));
        Lease { pool: self, index, owner, _thread: PhantomData }
    }

    #[cold]
    fn wait(&self, me: u64, call: usize, names: &dyn Names, cx: &CallContext) -> Result<usize> {
        let waiter = Arc::new(Waiter { thread: me, call, state: Mutex::default(), changed: Condvar::new() });
        let mut queue = self.queue();
        queue.push_back(waiter.clone());
        waiter.state().heir = queue.len() == 1;
        drop(queue);
        // Outside of the queue's lock: a token that has fired runs the listener here and now.
        let _cancel = cx.token().map(|token| {
            let waiter = waiter.clone();
            token.on_cancel(move |reason| {
                waiter.state().cancelled = Some(reason);
                waiter.changed.notify_one();
            })
        });
        let end = Instant::now().checked_add(self.patience);
        waiter.sleep(end, |state| state.heir);
        if waiter.state().heir {
            if let Some(index) = self.look_on(&waiter) {
                return Ok(index);
            }
            waiter.sleep(end, |_| false);
        }
        self.leave_queue(&waiter, names)
    }

    /// The heir's part: takes a place that was left, else asks for the next one after a slice.
    fn look_on(&self, waiter: &Arc<Waiter>) -> Option<usize> {
        let began = Instant::now();
        let mut free = None;
        while began.elapsed() < SLICE {
            // A place that is free twice in a row was left; between the calls of a busy holder it is free for less.
            let before = free;
            free = self.places.iter().position(|place| place.owner.load(Ordering::Relaxed) == 0);
            if free.is_some() && free == before {
                break;
            }
            for _ in 0..SPINS {
                spin_loop();
            }
            thread::yield_now();
        }
        let mut queue = self.queue();
        if waiter.state().granted.is_none()
            && let Some(index) = self.mark_all(waiter.thread, waiter.call)
        {
            remove(&mut queue, waiter);
            return Some(index);
        }
        None
    }

    /// What became of a wait that has ended, for whatever reason.
    fn leave_queue(&self, waiter: &Arc<Waiter>, names: &dyn Names) -> Result<usize> {
        // A place is granted under this lock, so that from here on nothing changes.
        let mut queue = self.queue();
        let (granted, cancelled) = {
            let state = waiter.state();
            (state.granted, state.cancelled)
        };
        if let Some(index) = granted {
            return Ok(index);
        }
        remove(&mut queue, waiter);
        Err(self.in_vain(waiter, cancelled, names))
    }

    /// Makes every holder look at the queue when it leaves; or takes a place that has become free.
    fn mark_all(&self, me: u64, call: usize) -> Option<usize> {
        for (index, place) in self.places.iter().enumerate() {
            let mut owner = place.owner.load(Ordering::Relaxed);
            while owner & WAITED == 0 {
                let new = if owner == 0 { me } else { owner | WAITED };
                match place.owner.compare_exchange(owner, new, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(0) => {
                        place.call.store(call, Ordering::Relaxed);
                        return Some(index);
                    }
                    Ok(_) => break,
                    Err(now) => owner = now,
                }
            }
        }
        None
    }

    /// Gives a place to whoever has waited longest.
    #[cold]
    fn hand_over(&self, index: usize) {
        let place = &self.places[index];
        let mut queue = self.queue();
        let Some(next) = queue.pop_front() else {
            place.owner.store(0, Ordering::Release);
            return;
        };
        place.call.store(next.call, Ordering::Relaxed);
        // Nobody has asked the new holder to leave yet: the next heir does so in its time.
        place.owner.store(next.thread, Ordering::Release);
        next.state().granted = Some(index);
        next.changed.notify_one();
        promote(&queue);
    }

    #[cold]
    fn in_vain(&self, waiter: &Waiter, cancelled: Option<CancelReason>, names: &dyn Names) -> Error {
        let thread = |id: u64| threads::name(id).unwrap_or_else(|| "a thread that has ended".into());
        let holder = |place: &Place| {
            let call = names.name(place.call.load(Ordering::Relaxed));
            format!("{} in {call}", thread(place.owner.load(Ordering::Relaxed) & !WAITED))
        };
        let holders: Vec<_> = self.places.iter().map(holder).collect();
        error::waited_in_vain(
            &holders,
            &format!("{} in {}", thread(waiter.thread), names.name(waiter.call)),
            self.patience,
            cancelled,
        )
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Waiter>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a waiter off the queue.
fn remove(queue: &mut VecDeque<Arc<Waiter>>, waiter: &Arc<Waiter>) {
    queue.retain(|it| !Arc::ptr_eq(it, waiter));
    promote(queue);
}

/// Makes the first of the queue the heir.
fn promote(queue: &VecDeque<Arc<Waiter>>) {
    if let Some(first) = queue.front() {
        first.state().heir = true;
        first.changed.notify_one();
    }
}

enum Taken {
    Free,
    Mine,
    Busy,
}

/// What the calls are called.
pub(crate) trait Names {
    fn name(&self, call: usize) -> &str;
}

impl Waiter {
    /// Sleeps until it has a place, is cancelled, is out of time, or `ready`.
    fn sleep(&self, end: Option<Instant>, ready: impl Fn(&Waiting) -> bool) {
        let mut state = self.state();
        loop {
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if state.granted.is_some() || state.cancelled.is_some() || ready(&state) || left.is_zero() {
                return;
            }
            let left = left.min(Duration::from_secs(3600));
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// Which place it is.
    pub(crate) fn index(&self) -> usize {
        self.index
    }
}

impl Drop for Lease<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.owner == 0 {
            return;
        }
        let owner = &self.pool.places[self.index].owner;
        if owner.compare_exchange(self.owner, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            self.pool.hand_over(self.index);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("places", &self.places.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polyhost_bridge::ErrorKind;
    use std::sync::{Barrier, mpsc};

    struct Numbers;

    impl Names for Numbers {
        fn name(&self, call: usize) -> &str {
            ["zero", "one"][call]
        }
    }

    fn borrow<'a>(pool: &'a Pool, cx: &CallContext) -> Result<Lease<'a>> {
        pool.borrow(1, &Numbers, cx)
    }

    fn waits() -> Waits {
        Waits::new("test", "vm", None)
    }

    #[test]
    fn nobody_is_left_waiting_and_no_place_is_held_twice() {
        let pool = Pool::new(2, Duration::from_secs(3600), waits());
        let (start, inside) = (Barrier::new(8), [AtomicUsize::new(0), AtomicUsize::new(0)]);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..20_000 {
                        let lease = borrow(&pool, &CallContext::none()).expect("a place, in time");
                        assert_eq!(0, inside[lease.index()].fetch_add(1, Ordering::Relaxed));
                        inside[lease.index()].fetch_sub(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(pool.queue().is_empty());
    }

    #[test]
    fn holders_that_stay_inside_hand_over_to_everybody_in_turn() {
        let pool = Pool::new(1, Duration::from_secs(3600), waits());
        let first = borrow(&pool, &CallContext::none()).expect("free");
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| borrow(&pool, &CallContext::none()).map(|lease| lease.index())))
                .collect();
            while pool.queue().len() < waiters.len() {
                std::thread::yield_now();
            }
            drop(first);
            for waiter in waiters {
                assert_eq!(0, waiter.join().expect("no panic").expect("its turn comes"));
            }
        });
    }

    #[test]
    fn a_place_comes_back_to_the_thread_that_holds_it() {
        let pool = Pool::new(2, Duration::ZERO, waits());
        let outer = borrow(&pool, &CallContext::none()).expect("free");
        let inner = borrow(&pool, &CallContext::none()).expect("mine");
        assert_eq!(outer.index(), inner.index());
        drop(inner);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| borrow(&pool, &CallContext::none()).expect("the other one").index());
            assert_ne!(outer.index(), other.join().expect("no panic"));
        });
    }

    #[test]
    fn waiting_in_vain_names_holder_and_waiter_and_leaves_the_queue() {
        let pool = Pool::new(1, Duration::from_millis(1), waits());
        let held = borrow(&pool, &CallContext::none()).expect("free");
        std::thread::scope(|scope| {
            let waiter = std::thread::Builder::new().name("waiter".into());
            let waiter = waiter.spawn_scoped(scope, || pool.borrow(0, &Numbers, &CallContext::none()).map(|_| ()));
            let error = waiter.expect("a thread").join().expect("no panic").expect_err("in vain");
            assert_eq!(ErrorKind::Exhausted, error.kind());
            let text = error.to_string();
            assert!(text.contains("thread waiter in zero") && text.contains(" in one"), "{text}");
            let token = polyhost_bridge::CancelToken::new();
            token.cancel();
            let cx = CallContext::none().with_cancel(&token);
            let cancelled =
                scope.spawn(move || Pool::new(1, Duration::MAX, waits()).borrow(0, &Numbers, &cx).map(|_| ()));
            cancelled.join().expect("no panic").expect("a free place is not waited for");
        });
        assert!(pool.queue().is_empty());
        drop(held);
        borrow(&pool, &CallContext::none()).expect("free again");
    }

    #[test]
    fn a_thread_gets_the_place_it_holds_and_the_one_it_had() {
        let pool = Pool::new(3, Duration::ZERO, waits());
        let first = borrow(&pool, &CallContext::none()).expect("free");
        assert_eq!(first.index(), borrow(&pool, &CallContext::none()).expect("mine").index());
        let index = first.index();
        drop(first);
        assert_eq!(index, borrow(&pool, &CallContext::none()).expect("free").index());
        // Another pool in between.
        let other = Pool::new(3, Duration::ZERO, waits());
        let held = borrow(&pool, &CallContext::none()).expect("free");
        let _other = borrow(&other, &CallContext::none()).expect("free");
        assert_eq!(held.index(), borrow(&pool, &CallContext::none()).expect("mine").index());
    }

    #[test]
    fn who_comes_first_is_first() {
        let pool = Pool::new(1, Duration::MAX, waits());
        let (done, order) = mpsc::channel();
        let held = borrow(&pool, &CallContext::none()).expect("free");
        std::thread::scope(|scope| {
            for call in 1..=3 {
                let (pool, done) = (&pool, done.clone());
                scope.spawn(move || {
                    let _lease = borrow(pool, &CallContext::none()).expect("it is given back");
                    done.send(call).expect("the test waits");
                });
                while pool.queue().len() < call {
                    std::thread::yield_now();
                }
            }
            drop(held);
        });
        assert_eq!(vec![1, 2, 3], order.try_iter().collect::<Vec<_>>());
        // Nobody waits any more: the fast way is open again.
        assert_eq!(0, pool.places[0].owner.load(Ordering::Relaxed));
    }

    #[test]
    fn a_cancelled_wait_ends() {
        let pool = Pool::new(1, Duration::MAX, waits());
        let _held = borrow(&pool, &CallContext::none()).expect("free");
        let token = polyhost_bridge::CancelToken::new();
        let cx = CallContext::none().with_cancel(&token);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| borrow(&pool, &cx).map(drop).expect_err("cancelled"));
            while pool.queue().is_empty() {
                std::thread::yield_now();
            }
            token.cancel();
            let error = waiter.join().expect("no panic");
            assert_eq!(ErrorKind::Cancelled, error.kind());
            assert!(error.message().contains("the module's only VM is held by"), "{error}");
        });
    }

    #[test]
    fn a_retired_place_is_for_nobody() {
        let pool = Pool::new(1, Duration::from_millis(1), waits());
        let held = borrow(&pool, &CallContext::none()).expect("free");
        assert!(!pool.retire(0));
        drop(held);
        assert!(pool.retire(0));
        assert!(pool.retire(0));
        assert_eq!(ErrorKind::Exhausted, borrow(&pool, &CallContext::none()).map(drop).expect_err("retired").kind());
    }
}

#[cfg(all(test, loom))]
mod races {
    use super::*;
    use polyhost_bridge::CancelToken;
    use polyhost_bridge::sync::loom;

    struct Nameless;

    impl Names for Nameless {
        fn name(&self, _: usize) -> &str {
            "a call"
        }
    }

    fn model(run: fn(Arc<Pool>, Arc<AtomicUsize>)) {
        loom::model(move || run(Arc::new(Pool::new(1, Duration::MAX)), Arc::default()));
    }

    /// Borrows the place, and counts in what only one may touch at a time.
    fn borrow(pool: &Pool, count: &AtomicUsize) {
        let _lease = pool.borrow(0, &Nameless, &CallContext::none()).expect("its turn comes");
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn elsewhere(pool: &Arc<Pool>, count: &Arc<AtomicUsize>) -> thread::JoinHandle<()> {
        let (pool, count) = (pool.clone(), count.clone());
        thread::spawn(move || borrow(&pool, &count))
    }

    #[test]
    fn a_place_has_one_holder_and_nobody_is_left_waiting() {
        model(|pool, count| {
            let others = [elsewhere(&pool, &count), elsewhere(&pool, &count)];
            borrow(&pool, &count);
            others.into_iter().for_each(|other| other.join().expect("no panic"));
            assert_eq!(3, count.load(Ordering::Relaxed));
            assert_eq!((0, true), (pool.places[0].owner.load(Ordering::Relaxed), pool.queue().is_empty()));
        });
    }

    #[test]
    fn a_cancelled_wait_ends_and_loses_no_place() {
        model(|pool, count| {
            let token = CancelToken::new();
            let cx = CallContext::none().with_cancel(&token);
            let other = elsewhere(&pool, &count);
            let canceller = thread::spawn(move || token.cancel());
            // It comes to either.
            drop(pool.borrow(0, &Nameless, &cx));
            other.join().expect("no panic");
            canceller.join().expect("no panic");
            assert_eq!((0, true), (pool.places[0].owner.load(Ordering::Relaxed), pool.queue().is_empty()));
        });
    }
}
