//! Who is inside a module, so that it can be unloaded when nobody is.
//!
//! Entering and leaving are a few plain stores to memory of the own thread:
//! no shared counter, no locked instruction. The price is paid by whoever
//! closes, once, with a barrier on every thread of the process
//! ([`boundary::barrier_everywhere`]).

#[cfg(all(test, loom))]
mod races;
#[cfg(test)]
mod tests;
mod threads;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::boundary;
use crate::call::CallContext;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::observe::{self, Callee};
use crate::output::Output;
use crate::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex};

use threads::{HERE, Here, Slots, threads};
pub(crate) use threads::{Use, users};

/// Calls on one thread may be nested this deep: a guest calls a service, which calls a guest, and so on.
pub const MAX_DEPTH: usize = if cfg!(loom) { 2 } else { 64 };

/// Counts the calls inside one module and refuses new ones once it is closed, or at a limit.
///
/// Every host has one for each module: [`Lifecycle::call`] around each call,
/// [`Lifecycle::close`] and [`Lifecycle::drain`] to unload.
pub struct Lifecycle {
    /// Never used again, and never 0.
    id: u64,
    named: Arc<Named>,
    /// Why entering and leaving go the long way: [`CLOSED`], [`COUNTED`]. 0 as long as they need not.
    detour: AtomicU8,
    /// How deep a call may be nested on its thread.
    depth: usize,
    /// The most bytes of a reply.
    reply: usize,
    /// How many calls may be inside at a time, where they are [`COUNTED`], and how many are.
    calls: usize,
    counted: AtomicUsize,
    lock: Mutex<()>,
    left: Condvar,
}

/// No call gets in any more; who leaves tells those who wait for that.
const CLOSED: u8 = 1;
/// The number of calls inside is limited.
const COUNTED: u8 = 2;

/// Whose calls they are, and those of them that are in no [`Slots`].
struct Named {
    runtime: &'static str,
    module: Arc<str>,
    /// Calls that no thread is inside of at the moment: suspended coroutines, jobs in a queue.
    suspended: AtomicUsize,
}

/// All modules that have names, by id.
static NAMES: std::sync::Mutex<BTreeMap<u64, Arc<Named>>> = std::sync::Mutex::new(BTreeMap::new());

impl Lifecycle {
    /// Open, with nobody inside, without a name and without limits but [`MAX_DEPTH`].
    pub fn new() -> Self {
        Lifecycle::limited("", Arc::default(), &Limits::new())
    }

    /// That of a module of a runtime, by [`RuntimeInfo::name`](crate::RuntimeInfo): the limits on depth, calls and
    /// replies are kept here, for every runtime.
    pub fn of(runtime: &'static str, module: &str, limits: &Limits) -> Self {
        let lifecycle = Lifecycle::limited(runtime, module.into(), limits);
        NAMES.lock().unwrap_or_else(PoisonError::into_inner).insert(lifecycle.id, lifecycle.named.clone());
        lifecycle
    }

    fn limited(runtime: &'static str, module: Arc<str>, limits: &Limits) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        Lifecycle {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            named: Arc::new(Named { runtime, module, suspended: AtomicUsize::new(0) }),
            detour: AtomicU8::new(if limits.calls.is_some() { COUNTED } else { 0 }),
            depth: limits.depth.unwrap_or(MAX_DEPTH),
            reply: limits.reply.unwrap_or(usize::MAX),
            calls: limits.calls.unwrap_or(usize::MAX),
            counted: AtomicUsize::new(0),
            lock: Mutex::default(),
            left: Condvar::new(),
        }
    }

    /// The most bytes of a reply of the module.
    pub fn reply_limit(&self) -> usize {
        self.reply
    }

    /// What calls of an export of the module are known by.
    pub fn callee(&self, export: &str) -> Callee {
        Callee::new(self.named.runtime, self.named.module.clone(), export)
    }

    /// Makes one call, which `run` takes into the guest: the whole way of [`Function::call`](crate::Function::call) that
    /// every host has in common. A failure says what was called.
    ///
    /// # Errors
    /// By [`CallContext::check`]; as [`Lifecycle::enter`]; what `run` fails with.
    #[inline]
    pub fn call(
        &self,
        callee: &Callee,
        cx: &CallContext,
        input: &[u8],
        output: &mut Output,
        run: impl FnOnce(&mut Output) -> Result<()>,
    ) -> Result<()> {
        observe::call(callee, cx, input, output, |output| {
            cx.check()?;
            self.enter()?.within(output, run)
        })
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
        self.named.suspended.fetch_add(1, Ordering::SeqCst);
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
        on_threads + self.named.suspended.load(Ordering::SeqCst)
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
    let chain: Vec<&str> = ids.chain(beneath).map(|id| names.get(&id).map_or("?", |named| &named.module)).collect();
    in_short(&chain)
}

/// How many calls are inside each module that has a name, with its runtime's and its own.
#[cfg(feature = "metrics")]
pub(crate) fn in_flight() -> Vec<(&'static str, Arc<str>, usize)> {
    let mut on_threads: BTreeMap<u64, usize> = BTreeMap::new();
    for slots in &threads().all {
        for slot in &slots.inside {
            *on_threads.entry(slot.load(Ordering::Acquire)).or_default() += 1;
        }
    }
    let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let count = |(id, named): (&u64, &Arc<Named>)| {
        let calls = on_threads.get(id).copied().unwrap_or_default() + named.suspended.load(Ordering::SeqCst);
        (named.runtime, named.module.clone(), calls)
    };
    names.iter().map(count).collect()
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
        self.lifecycle.named.suspended.fetch_sub(1, Ordering::SeqCst);
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
