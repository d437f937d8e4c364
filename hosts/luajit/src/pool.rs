//! Who may use which VM of a module: lock-free while there is a free one, first come first served where not.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use polyhost_bridge::{CallContext, CancelReason, Error, Result};

use crate::error;

/// The places of a module's VMs, by index. It knows nothing of the VMs themselves.
pub(crate) struct Pool {
    /// Never used again, unlike an address.
    id: u64,
    places: Box<[Place]>,
    queue: Mutex<VecDeque<Arc<Waiter>>>,
    /// How long a call waits.
    patience: Duration,
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
const RETIRED: u64 = u64::MAX & !WAITED;

struct Waiter {
    thread: u64,
    call: usize,
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    granted: Option<usize>,
    cancelled: Option<CancelReason>,
}

/// A held place; see [`Pool::borrow`]. Stays on its thread.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    index: usize,
    /// 0 where this thread held the place already.
    owner: u64,
    _thread: PhantomData<*const ()>,
}

thread_local! {
    static ME: Cell<u64> = const { Cell::new(0) };
    /// The pool and the place this thread used last.
    static LAST: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
}

impl Pool {
    /// `places` free places.
    pub(crate) fn new(places: usize, patience: Duration) -> Pool {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let places = (0..places).map(|_| Place { owner: AtomicU64::new(0), call: AtomicUsize::new(0) }).collect();
        Pool { id: NEXT.fetch_add(1, Ordering::Relaxed), places, queue: Mutex::default(), patience }
    }

    /// Takes the place this thread holds already, else the one it used last, else any free one, else waits.
    ///
    /// `call` is what to name in the error of a thread that waits for this one in vain.
    #[inline]
    pub(crate) fn borrow(&self, call: usize, names: &dyn Names, cx: &CallContext) -> Result<Lease<'_>> {
        let me = me();
        let (pool, last) = LAST.get();
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
        let index = self.wait(me, call, names, cx)?;
        Ok(self.lease(index, me))
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
        LAST.set((self.id, index));
        Lease { pool: self, index, owner, _thread: PhantomData }
    }

    fn wait(&self, me: u64, call: usize, names: &dyn Names, cx: &CallContext) -> Result<usize> {
        let waiter = Arc::new(Waiter { thread: me, call, state: Mutex::default(), changed: Condvar::new() });
        let mut queue = self.queue();
        if let Some(index) = self.mark_all(me, call) {
            return Ok(index);
        }
        queue.push_back(waiter.clone());
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
        let mut state = waiter.state();
        loop {
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if state.granted.is_some() || state.cancelled.is_some() || left.is_zero() {
                break;
            }
            let left = left.min(Duration::from_secs(3600));
            state = waiter.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        self.leave_queue(&waiter, names)
    }

    /// What became of a wait that has ended, for whatever reason.
    fn leave_queue(&self, waiter: &Arc<Waiter>, names: &dyn Names) -> Result<usize> {
        // A place is granted under this lock, so that from here on nothing changes.
        let mut queue = self.queue();
        let state = waiter.state();
        if let Some(index) = state.granted {
            return Ok(index);
        }
        queue.retain(|it| !Arc::ptr_eq(it, waiter));
        Err(self.in_vain(waiter, state.cancelled, names))
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
        let waited = if queue.is_empty() { 0 } else { WAITED };
        place.call.store(next.call, Ordering::Relaxed);
        place.owner.store(next.thread | waited, Ordering::Release);
        next.state().granted = Some(index);
        next.changed.notify_one();
    }

    #[cold]
    fn in_vain(&self, waiter: &Waiter, cancelled: Option<CancelReason>, names: &dyn Names) -> Error {
        let threads = threads();
        let thread = |id: u64| threads.get(&id).cloned().unwrap_or_else(|| "a thread that has ended".into());
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

/// The id of this thread: even, not 0, never used again.
#[inline]
fn me() -> u64 {
    match ME.get() {
        0 => introduce(),
        me => me,
    }
}

static THREADS: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());

fn threads() -> MutexGuard<'static, BTreeMap<u64, String>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cold]
fn introduce() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    struct Leave(u64);
    impl Drop for Leave {
        fn drop(&mut self) {
            threads().remove(&self.0);
        }
    }
    thread_local! {
        static LEAVE: Cell<Option<Leave>> = const { Cell::new(None) };
    }
    let me = 2 * NEXT.fetch_add(1, Ordering::Relaxed);
    ME.set(me);
    let thread = std::thread::current();
    let name = thread.name().map_or_else(|| format!("{:?}", thread.id()), |name| format!("thread {name}"));
    threads().insert(me, name);
    // During a thread's last destructors its name stays behind; calls are refused by then anyway.
    let _ = LEAVE.try_with(|leave| leave.set(Some(Leave(me))));
    me
}
