//! Who is inside a module, so that it can be unloaded when nobody is.
//!
//! Entering and leaving are a few plain stores to memory of the own thread:
//! no shared counter, no locked instruction. The price is paid by whoever
//! closes, once, with a barrier on every thread of the process
//! ([`boundary::barrier_everywhere`]).

mod threads;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::boundary;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::output::Output;
use crate::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex};

use threads::{HERE, Here, Slots, threads};
pub(crate) use threads::{Use, users};

/// Calls on one thread may be nested this deep: a guest calls a service, which calls a guest, and so on.
pub const MAX_DEPTH: usize = if cfg!(loom) { 2 } else { 64 };

/// Counts the calls inside one module and refuses new ones once it is closed, or at a limit.
///
/// Every host has one for each module: [`Lifecycle::enter`] around each call,
/// [`Lifecycle::close`] and [`Lifecycle::drain`] to unload.
pub struct Lifecycle {
    /// Never used again, and never 0.
    id: u64,
    /// Why entering and leaving go the long way: [`CLOSED`], [`COUNTED`]. 0 as long as they need not.
    detour: AtomicU8,
    /// How deep a call may be nested on its thread.
    depth: usize,
    /// The most bytes of a reply.
    reply: usize,
    /// How many calls may be inside at a time, where they are [`COUNTED`], and how many are.
    calls: usize,
    counted: AtomicUsize,
    /// Calls that no thread is inside of at the moment: suspended coroutines, jobs in a queue.
    suspended: AtomicUsize,
    lock: Mutex<()>,
    left: Condvar,
}

/// No call gets in any more; who leaves tells those who wait for that.
const CLOSED: u8 = 1;
/// The number of calls inside is limited.
const COUNTED: u8 = 2;

/// The names of modules by id, for an error that names a chain of calls.
static NAMES: std::sync::Mutex<BTreeMap<u64, Arc<str>>> = std::sync::Mutex::new(BTreeMap::new());

impl Lifecycle {
    /// Open, with nobody inside, without a name and without limits but [`MAX_DEPTH`].
    pub fn new() -> Self {
        Lifecycle::limited(&Limits::new())
    }

    /// That of a module: the limits on depth, calls and replies are kept here, for every runtime.
    pub fn of(module: &str, limits: &Limits) -> Self {
        let lifecycle = Lifecycle::limited(limits);
        NAMES.lock().unwrap_or_else(PoisonError::into_inner).insert(lifecycle.id, module.into());
        lifecycle
    }

    fn limited(limits: &Limits) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        Lifecycle {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            detour: AtomicU8::new(if limits.calls.is_some() { COUNTED } else { 0 }),
            depth: limits.depth.unwrap_or(MAX_DEPTH),
            reply: limits.reply.unwrap_or(usize::MAX),
            calls: limits.calls.unwrap_or(usize::MAX),
            counted: AtomicUsize::new(0),
            suspended: AtomicUsize::new(0),
            lock: Mutex::default(),
            left: Condvar::new(),
        }
    }

    /// The most bytes of a reply of the module.
    pub fn reply_limit(&self) -> usize {
        self.reply
    }

    /// Enters, until the guard is dropped, on this thread.
    ///
    /// # Errors
    /// - [`ErrorKind::Closed`] once [`Lifecycle::close`] was called.
    /// - [`ErrorKind::Exhausted`] where calls on this thread are nested as deep as they may be, [`MAX_DEPTH`] or less:
    ///   the chain of modules is named; or where as many calls are inside as may be.
    #[inline]
    pub fn enter(&self) -> Result<Entered<'_>> {
        let (depth, light) = HERE.with(|here| (here.depth.get(), here.light.get()));
        if depth >= self.depth || depth >= MAX_DEPTH {
            return Err(self.too_deep(depth));
        }
        let Some(slots) = light.or_else(|| HERE.with(Here::slots)) else { return Err(ending()) };
        let slot = &slots.inside[depth];
        // Release, as whoever sees it in the place of an older id may unload what that was of.
        slot.store(self.id, Ordering::Release);
        HERE.with(|here| here.depth.set(depth + 1));
        let guard = Entered { lifecycle: self, slot, depth, _thread: PhantomData };
        // Pairs with the barrier in `drain`: either we see that it is closed, or the closer sees us.
        boundary::light_barrier(light.is_some());
        if self.detour.load(Ordering::Relaxed) != 0 {
            return self.enter_by_detour(guard);
        }
        Ok(guard)
    }

    #[cold]
    fn enter_by_detour<'a>(&'a self, guard: Entered<'a>) -> Result<Entered<'a>> {
        let before = if self.counts(guard.depth) { self.counted.fetch_add(1, Ordering::SeqCst) } else { 0 };
        let refused = if self.is_closed() {
            closed()
        } else if before >= self.calls {
            self.too_many()
        } else {
            return Ok(guard);
        };
        drop(guard);
        Err(refused)
    }

    /// Whether the call of this thread at `depth` counts: where it comes back to the module, it is one with the call
    /// further out.
    fn counts(&self, depth: usize) -> bool {
        let outer = |slots: &Slots| slots.inside[..depth].iter().any(|slot| slot.load(Ordering::Relaxed) == self.id);
        self.detour.load(Ordering::Relaxed) & COUNTED != 0 && !HERE.with(|here| here.slots.get().is_some_and(outer))
    }

    /// Counts a call that goes on while no thread is inside, until the guard is dropped, on any thread.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] once [`Lifecycle::close`] was called; [`ErrorKind::Exhausted`] where as many calls are
    /// inside as may be.
    pub fn suspend(self: &Arc<Self>) -> Result<Suspended> {
        self.suspended.fetch_add(1, Ordering::SeqCst);
        let before = self.counted.fetch_add(1, Ordering::SeqCst);
        let guard = Suspended { lifecycle: self.clone() };
        if self.is_closed() {
            Err(closed())
        } else if before >= self.calls {
            Err(self.too_many())
        } else {
            Ok(guard)
        }
    }

    /// Refuses every new call from now on. False where it was closed already.
    pub fn close(&self) -> bool {
        self.detour.fetch_or(CLOSED, Ordering::SeqCst) & CLOSED == 0
    }

    /// Whether [`Lifecycle::close`] was called.
    pub fn is_closed(&self) -> bool {
        // What is SeqCst about a load and a read-modify-write, loom knows of fences only.
        #[cfg(loom)]
        crate::sync::atomic::fence(Ordering::SeqCst);
        self.detour.load(Ordering::SeqCst) & CLOSED != 0
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
        let threads = threads();
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
        slots.inside.iter().filter(|slot| slot.load(Ordering::Acquire) == self.id).count()
    }

    #[cold]
    fn leave_by_detour(&self, depth: usize) {
        if self.counts(depth) {
            self.counted.fetch_sub(1, Ordering::SeqCst);
        }
        if self.is_closed() {
            self.tell_left();
        }
    }

    #[cold]
    fn tell_left(&self) {
        // Taking the lock makes sure that a drain either sees us gone or is woken.
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.left.notify_all();
    }

    #[cold]
    fn too_deep(&self, depth: usize) -> Error {
        let limit = if self.depth < MAX_DEPTH { ", or raise the limit on depth" } else { "" };
        let message = format!(
            "calls are nested {depth} deep on this thread, as deep as may be: {}; have one of them return before it is \
             called again{limit}",
            chain(depth, Some(self.id))
        );
        Error::new(ErrorKind::Exhausted, message)
    }

    #[cold]
    fn too_many(&self) -> Error {
        let message = format!(
            "{} calls are inside the module, as many as may be; call again when one has ended, or raise the limit on calls",
            self.calls
        );
        Error::new(ErrorKind::Exhausted, message)
    }
}

/// The names of the modules that this thread is `depth` deep inside of, and that of another beneath.
fn chain(depth: usize, beneath: Option<u64>) -> String {
    let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let inside = HERE.with(|here| here.slots.get());
    let ids = inside.iter().flat_map(|slots| &slots.inside[..depth]).map(|slot| slot.load(Ordering::Relaxed));
    let chain: Vec<&str> = ids.chain(beneath).map(|id| names.get(&id).map_or("?", |name| name)).collect();
    in_short(&chain)
}

/// A chain of calls, outermost first; of a long one both ends.
fn in_short(chain: &[&str]) -> String {
    const ENDS: usize = 4;
    match chain.len() {
        ..=8 => chain.join(" → "),
        len => {
            let (first, last) = (&chain[..ENDS], &chain[len - ENDS..]);
            format!("{} → … {} more … → {}", first.join(" → "), len - 2 * ENDS, last.join(" → "))
        }
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Lifecycle::new()
    }
}

impl Drop for Lifecycle {
    fn drop(&mut self) {
        NAMES.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// A call that is inside; see [`Lifecycle::enter`]. Stays on its thread, where the innermost is dropped first.
#[derive(Debug)]
#[must_use = "the call is inside as long as this lives"]
pub struct Entered<'a> {
    lifecycle: &'a Lifecycle,
    slot: &'static AtomicU64,
    depth: usize,
    /// Neither Send nor Sync: the slot belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Entered<'_> {
    /// Runs the call with an output that takes no more than a reply of the module may have.
    #[inline]
    pub fn within<R>(&self, output: &mut Output, run: impl FnOnce(&mut Output) -> R) -> R {
        let outer = output.narrow(self.lifecycle.reply);
        let outcome = run(output);
        output.widen(outer);
        outcome
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.slot.store(0, Ordering::Release);
        let light = HERE.with(|here| {
            here.depth.set(self.depth);
            here.light.get().is_some()
        });
        boundary::light_barrier(light);
        if self.lifecycle.detour.load(Ordering::Relaxed) != 0 {
            self.lifecycle.leave_by_detour(self.depth);
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
        self.lifecycle.counted.fetch_sub(1, Ordering::SeqCst);
        self.lifecycle.suspended.fetch_sub(1, Ordering::SeqCst);
        if self.lifecycle.is_closed() {
            self.lifecycle.tell_left();
        }
    }
}

#[cold]
fn nested_too_deep() -> Error {
    let chain = chain(HERE.with(|here| here.depth.get()), None);
    let message = format!(
        "deployments are called {MAX_DEPTH} deep within each other on this thread, as deep as may be: {chain}; have one \
         of them return before it is called again"
    );
    Error::new(ErrorKind::Exhausted, message)
}

#[cold]
fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the module is unloaded or being unloaded; load it again")
}

#[cold]
fn ending() -> Error {
    Error::new(ErrorKind::Closed, "this thread is ending and can make no more calls")
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
    fn a_chain_that_is_too_deep_is_named() {
        let (shop, bank) = (Lifecycle::of("shop", &Limits::new().depth(3)), Lifecycle::of("bank", &Limits::new()));
        let _inside = (shop.enter().expect("1"), bank.enter().expect("2"), shop.enter().expect("3"));
        let _deeper = bank.enter().expect("has a limit of its own");
        let error = shop.enter().expect_err("too deep");
        assert_eq!(ErrorKind::Exhausted, error.kind());
        let text = error.to_string();
        assert!(text.contains("4 deep") && text.contains("shop → bank → shop → bank → shop;"), "{text}");
    }

    #[test]
    fn both_ends_of_a_long_chain_are_shown() {
        let chain: Vec<String> = (1..=12).map(|i| i.to_string()).collect();
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        assert_eq!("1 → 2 → 3 → 4 → … 4 more … → 9 → 10 → 11 → 12", in_short(&chain));
    }

    #[test]
    fn calls_are_limited_and_those_that_come_back_are_one() {
        let lifecycle = Arc::new(Lifecycle::of("m", &Limits::new().calls(2)));
        for _ in 0..3 {
            let outer = lifecycle.enter().expect("the first");
            let nested = lifecycle.enter().expect("the same");
            let suspended = lifecycle.suspend().expect("the second");
            assert_eq!(ErrorKind::Exhausted, lifecycle.suspend().expect_err("the third").kind());
            let other = lifecycle.clone();
            let refused = std::thread::spawn(move || other.enter().map(drop).expect_err("the third").kind());
            assert_eq!(ErrorKind::Exhausted, refused.join().expect("no panic"));
            drop(nested);
            drop(suspended);
            let other = lifecycle.clone();
            std::thread::spawn(move || drop(other.enter().expect("the second"))).join().expect("no panic");
            drop(outer);
        }
        lifecycle.close();
        assert_eq!(ErrorKind::Closed, lifecycle.enter().expect_err("closed").kind());
        assert_eq!((0, 0), (lifecycle.drain(Duration::MAX), lifecycle.counted.load(Ordering::SeqCst)));
    }

    #[test]
    fn a_reply_is_limited_as_long_as_the_call_lasts() {
        let lifecycle = Lifecycle::of("m", &Limits::new().reply(4));
        let mut output = Output::with_limit(100);
        output.write(b"kept").expect("room");
        let error = lifecycle.enter().expect("open").within(&mut output, |output| {
            output.write(b"1234").expect("exactly the limit");
            output.write(b"5").expect_err("beyond")
        });
        assert_eq!(ErrorKind::Exhausted, error.kind());
        output.write(b"5").expect("the caller's own limit again");
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

#[cfg(all(test, loom))]
mod races {
    use super::*;
    use crate::sync::{loom, thread};

    /// What calls leave behind, by which it shows who was inside when.
    #[derive(Default)]
    struct Module {
        lifecycle: Arc<Lifecycle>,
        calls: AtomicUsize,
        /// Of another module.
        next: Lifecycle,
    }

    impl Module {
        /// A call, where it is let in.
        fn call(&self) {
            if let Ok(_inside) = self.lifecycle.enter() {
                self.calls.fetch_add(1, Ordering::Relaxed);
            }
        }

        /// Unloads: from then on the calls are what they were.
        fn unload(&self) -> usize {
            self.lifecycle.close();
            assert_eq!(0, self.lifecycle.drain(Duration::MAX));
            // A load may see any value that is not known to be older than another.
            self.calls.load(Ordering::Relaxed)
        }
    }

    fn model(limits: Limits, call: fn(&Module), callers: usize) {
        loom::model(move || {
            let module = Arc::new(Module { lifecycle: Arc::new(Lifecycle::limited(&limits)), ..Module::default() });
            let caller = || {
                let module = module.clone();
                thread::spawn(move || call(&module))
            };
            let callers: Vec<_> = (0..callers).map(|_| caller()).collect();
            let calls = module.unload();
            callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
            assert_eq!(calls, module.calls.load(Ordering::Relaxed), "a call was inside after all were out");
            assert_eq!(0, module.lifecycle.counted.load(Ordering::Relaxed));
        });
    }

    #[test]
    fn nobody_is_inside_of_what_was_drained() {
        model(Limits::new(), Module::call, 1);
    }

    #[test]
    fn two_are_waited_for() {
        model(Limits::new(), Module::call, 2);
    }

    #[test]
    fn nobody_is_inside_of_what_was_drained_where_calls_are_counted() {
        model(Limits::new().calls(1), Module::call, 1);
    }

    #[test]
    fn a_call_within_a_call_is_waited_for() {
        let nested = |module: &Module| {
            let _outer = module.lifecycle.enter();
            module.call();
        };
        model(Limits::new(), nested, 1);
    }

    #[test]
    fn a_call_is_waited_for_that_was_followed_by_one_elsewhere() {
        let elsewhere = |module: &Module| {
            module.call();
            drop(module.next.enter());
        };
        model(Limits::new(), elsewhere, 1);
    }

    #[test]
    fn a_suspended_call_is_waited_for() {
        let suspended = |module: &Module| {
            if let Ok(_inside) = module.lifecycle.suspend() {
                module.calls.fetch_add(1, Ordering::Relaxed);
            }
        };
        model(Limits::new(), suspended, 2);
    }
}
