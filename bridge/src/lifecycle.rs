//! Who is inside a module, so that it can be unloaded when nobody is.
//!
//! Entering and leaving are a few plain stores to memory of the own thread:
//! no shared counter, no locked instruction. The price is paid by whoever
//! closes, once, with a barrier on every thread of the process
//! ([`boundary::barrier_everywhere`]).

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::boundary;
use crate::error::{Error, ErrorKind, Result};

/// Calls on one thread may be nested this deep: a guest calls a service, which calls a guest, and so on.
pub const MAX_DEPTH: usize = 64;

/// Counts the calls inside one module and refuses new ones once it is closed.
///
/// Every host has one for each module: [`Lifecycle::enter`] around each call,
/// [`Lifecycle::close`] and [`Lifecycle::drain`] to unload.
#[derive(Default)]
pub struct Lifecycle {
    closed: AtomicBool,
    /// Calls that no thread is inside of at the moment: suspended coroutines, jobs in a queue.
    suspended: AtomicUsize,
    lock: Mutex<()>,
    left: Condvar,
}

/// What one thread is inside of, outermost first. Written by that thread alone. Never freed: the next thread gets it.
struct Slots {
    inside: [AtomicPtr<Lifecycle>; MAX_DEPTH],
    /// The addresses of what it uses meanwhile and others may replace; see [`Use`].
    uses: [AtomicPtr<()>; MAX_DEPTH],
}

/// All there are, and those that no thread has at the moment.
#[derive(Default)]
struct Threads {
    all: Vec<&'static Slots>,
    free: Vec<&'static Slots>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads { all: Vec::new(), free: Vec::new() });

thread_local! {
    /// Without a destructor, so that asking is one load.
    static HERE: Here = const {
        Here { light: Cell::new(None), slots: Cell::new(None), depth: Cell::new(0), uses: Cell::new(0) }
    };
    /// Gives the slots back at the thread's end.
    static OWNED: Owned = const { Owned };
}

struct Here {
    /// The slots, where a light barrier will do for them.
    light: Cell<Option<&'static Slots>>,
    slots: Cell<Option<&'static Slots>>,
    depth: Cell<usize>,
    uses: Cell<usize>,
}

struct Owned;

impl Here {
    /// The thread's slots; nothing during its last destructors, when nobody would take them back.
    #[cold]
    fn slots(&self) -> Option<&'static Slots> {
        if let Some(slots) = self.slots.get() {
            return Some(slots);
        }
        OWNED.try_with(|_| ()).ok()?;
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = threads.free.pop().unwrap_or_else(|| {
            let new = Slots {
                inside: [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX_DEPTH],
                uses: [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX_DEPTH],
            };
            let slots: &'static Slots = Box::leak(Box::new(new));
            threads.all.push(slots);
            slots
        });
        self.slots.set(Some(slots));
        self.light.set(Some(slots).filter(|_| boundary::is_light()));
        Some(slots)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let slots = HERE.with(|here| {
            here.light.set(None);
            here.slots.take()
        });
        if let Some(slots) = slots {
            THREADS.lock().unwrap_or_else(PoisonError::into_inner).free.push(slots);
        }
    }
}

impl Lifecycle {
    /// Open, with nobody inside.
    pub fn new() -> Self {
        Lifecycle::default()
    }

    /// Enters, until the guard is dropped, on this thread.
    ///
    /// # Errors
    /// - [`ErrorKind::Closed`] once [`Lifecycle::close`] was called.
    /// - [`ErrorKind::Exhausted`] where calls on this thread are [`MAX_DEPTH`] deep.
    #[inline]
    pub fn enter(&self) -> Result<Entered<'_>> {
        let (depth, light) = HERE.with(|here| (here.depth.get(), here.light.get()));
        if depth >= MAX_DEPTH {
            return Err(too_deep());
        }
        let Some(slots) = light.or_else(|| HERE.with(Here::slots)) else { return Err(ending()) };
        let slot = &slots.inside[depth];
        slot.store(std::ptr::from_ref(self).cast_mut(), Ordering::Relaxed);
        HERE.with(|here| here.depth.set(depth + 1));
        let guard = Entered { lifecycle: self, slot, depth, _thread: PhantomData };
        // Pairs with the barrier in `drain`: either we see `closed`, or the closer sees us.
        boundary::light_barrier(light.is_some());
        if self.closed.load(Ordering::Relaxed) {
            drop(guard);
            return Err(closed());
        }
        Ok(guard)
    }

    /// Counts a call that goes on while no thread is inside, until the guard is dropped, on any thread.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] once [`Lifecycle::close`] was called.
    pub fn suspend(self: &Arc<Self>) -> Result<Suspended> {
        self.suspended.fetch_add(1, Ordering::SeqCst);
        let guard = Suspended { lifecycle: self.clone() };
        if self.closed.load(Ordering::SeqCst) { Err(closed()) } else { Ok(guard) }
    }

    /// Refuses every new call from now on. False where it was closed already.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::SeqCst)
    }

    /// Whether [`Lifecycle::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Waits until every call is out, for `grace` at most, and returns how many are still inside.
    ///
    /// Calls of this very thread do not count: they can't end while it waits. Close first.
    pub fn drain(&self, grace: Duration) -> usize {
        boundary::barrier_everywhere();
        let deadline = Instant::now().checked_add(grace);
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let inside = self.inside();
            if inside == 0 {
                return 0;
            }
            let wait = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            if wait.is_zero() {
                return inside;
            }
            lock = self
                .left
                .wait_timeout(lock, wait.min(Duration::from_secs(3600)))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// How many calls are inside, those of this thread left out.
    pub fn inside(&self) -> usize {
        let mine = HERE.with(|here| here.slots.get()).map_or(std::ptr::null(), std::ptr::from_ref);
        let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        let of_others = threads.all.iter().filter(|slots| !std::ptr::eq(**slots, mine));
        let on_threads: usize = of_others.map(|slots| self.count(slots)).sum();
        on_threads + self.suspended.load(Ordering::SeqCst)
    }

    /// How many calls of this very thread are inside: those that [`Lifecycle::drain`] leaves out. What they stand on
    /// must not be taken away yet.
    pub fn inside_here(&self) -> usize {
        HERE.with(|here| here.slots.get()).map_or(0, |slots| self.count(slots))
    }

    fn count(&self, slots: &Slots) -> usize {
        let here = |slot: &&AtomicPtr<Lifecycle>| std::ptr::eq(slot.load(Ordering::Acquire), self);
        slots.inside.iter().filter(here).count()
    }

    #[cold]
    fn tell_left(&self) {
        // Taking the lock makes sure that a drain either sees us gone or is woken.
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.left.notify_all();
    }
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// A call that is inside; see [`Lifecycle::enter`]. Stays on its thread.
#[derive(Debug)]
#[must_use = "the call is inside as long as this lives"]
pub struct Entered<'a> {
    lifecycle: &'a Lifecycle,
    slot: &'static AtomicPtr<Lifecycle>,
    depth: usize,
    /// Neither Send nor Sync: the slot belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.slot.store(std::ptr::null_mut(), Ordering::Release);
        let light = HERE.with(|here| {
            here.depth.set(self.depth);
            here.light.get().is_some()
        });
        boundary::light_barrier(light);
        if self.lifecycle.closed.load(Ordering::Relaxed) {
            self.lifecycle.tell_left();
        }
    }
}

/// A call that goes on while no thread is inside; see [`Lifecycle::suspend`].
#[derive(Debug)]
pub struct Suspended {
    lifecycle: Arc<Lifecycle>,
}

impl Drop for Suspended {
    fn drop(&mut self) {
        self.lifecycle.suspended.fetch_sub(1, Ordering::SeqCst);
        if self.lifecycle.closed.load(Ordering::SeqCst) {
            self.lifecycle.tell_left();
        }
    }
}

/// A place in which this thread announces the address of what it uses, as it does for modules it is inside of; see
/// [`boundary::Current`]. The innermost is dropped first.
pub(crate) struct Use {
    slot: &'static AtomicPtr<()>,
    depth: usize,
    light: bool,
    /// Neither Send nor Sync: the slot belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Use {
    /// Takes this thread's next place.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] where [`MAX_DEPTH`] are taken.
    #[inline]
    pub(crate) fn begin() -> Result<Use> {
        let (depth, light) = HERE.with(|here| (here.uses.get(), here.light.get()));
        if depth >= MAX_DEPTH {
            return Err(too_deep());
        }
        let Some(slots) = light.or_else(|| HERE.with(Here::slots)) else { return Err(ending()) };
        HERE.with(|here| here.uses.set(depth + 1));
        Ok(Use { slot: &slots.uses[depth], depth, light: light.is_some(), _thread: PhantomData })
    }

    /// Announces an address in place of what was announced before. Who asks for [`users`] after a
    /// [`boundary::barrier_everywhere`] sees it, or else whatever this thread loads next was stored before that.
    #[inline]
    pub(crate) fn announce(&self, address: *mut ()) {
        self.slot.store(address, Ordering::Relaxed);
        boundary::light_barrier(self.light);
    }
}

impl Drop for Use {
    #[inline]
    fn drop(&mut self) {
        self.slot.store(std::ptr::null_mut(), Ordering::Release);
        HERE.with(|here| here.uses.set(self.depth));
        boundary::light_barrier(self.light);
    }
}

/// How often an address is announced: by other threads, and by this one.
pub(crate) fn users(address: *const ()) -> (usize, usize) {
    let mine = HERE.with(|here| here.slots.get()).map_or(std::ptr::null(), std::ptr::from_ref);
    let count = |slots: &Slots| {
        let same = |slot: &&AtomicPtr<()>| std::ptr::eq(slot.load(Ordering::Acquire), address);
        slots.uses.iter().filter(same).count()
    };
    let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    threads.all.iter().fold((0, 0), |(others, own), slots| match std::ptr::eq(*slots, mine) {
        true => (others, own + count(slots)),
        false => (others + count(slots), own),
    })
}

#[cold]
fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the module is unloaded or being unloaded; load it again")
}

#[cold]
fn ending() -> Error {
    Error::new(ErrorKind::Closed, "this thread is ending and can make no more calls")
}

#[cold]
fn too_deep() -> Error {
    let message = format!("calls are nested {MAX_DEPTH} deep on this thread; a guest and a service call each other");
    Error::new(ErrorKind::Exhausted, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn refuses_after_close_and_waits_for_who_is_inside() {
        let lifecycle = Arc::new(Lifecycle::new());
        let (entered, is_in) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let other = lifecycle.clone();
        let thread = std::thread::spawn(move || {
            let _guard = other.enter().expect("open");
            let _nested = other.enter().expect("open");
            entered.send(()).expect("the test waits");
            gone.recv().expect("the test says go");
        });
        is_in.recv().expect("the thread is in");
        assert!(lifecycle.close());
        assert!(!lifecycle.close());
        assert_eq!(2, lifecycle.drain(Duration::ZERO));
        assert_eq!(ErrorKind::Closed, lifecycle.enter().expect_err("closed").kind());
        go.send(()).expect("the thread waits");
        assert_eq!(0, lifecycle.drain(Duration::MAX));
        thread.join().expect("no panic");
    }

    #[test]
    fn the_own_calls_do_not_hold_up_a_drain() {
        let lifecycle = Lifecycle::new();
        let guard = lifecycle.enter().expect("open");
        lifecycle.close();
        assert_eq!((0, 1), (lifecycle.drain(Duration::MAX), lifecycle.inside_here()));
        drop(guard);
        assert_eq!(0, lifecycle.inside_here());
    }

    #[test]
    fn depth_is_limited_and_given_back() {
        let lifecycle = Lifecycle::new();
        for _ in 0..2 {
            let guards: Vec<_> = (0..MAX_DEPTH).map(|_| lifecycle.enter().expect("not too deep")).collect();
            assert_eq!(ErrorKind::Exhausted, lifecycle.enter().expect_err("too deep").kind());
            // Innermost first, as calls end.
            guards.into_iter().rev().for_each(drop);
        }
    }

    #[test]
    fn suspended_calls_count() {
        let lifecycle = Arc::new(Lifecycle::new());
        let guard = lifecycle.suspend().expect("open");
        lifecycle.close();
        assert_eq!(1, lifecycle.drain(Duration::ZERO));
        assert!(lifecycle.suspend().is_err());
        drop(guard);
        assert_eq!(0, lifecycle.drain(Duration::MAX));
    }
}
