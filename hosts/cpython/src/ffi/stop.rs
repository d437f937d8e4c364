//! Stopping guest code that runs too long: an exception raised in its thread from outside.
//!
//! CPython raises it between two bytecodes, so a loop in Python ends and one in
//! C does not. What decides about it happens under the GIL; that is the lock
//! which makes sure that an exception meant for one call is never raised in the
//! next.
//!
//! A task of an event loop is cancelled by the loop, where it waits. Only where
//! one step of it does not end is it stopped like this.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use polyhost_bridge::cancel::{OnCancel, Subscription};
use polyhost_bridge::{CallContext, CancelReason, CancelToken};
use pyo3::ffi;

use super::attach::Attached;
use super::interpreter::Interpreter;
use super::object::Object;

/// How long a step of a task may still run after its call was cancelled.
const PATIENCE: Duration = Duration::from_millis(50);

/// What can stop one call, or one after the other on the same thread.
pub(super) struct Stop {
    interpreter: &'static Interpreter,
    token: CancelToken,
    shared: Arc<Shared>,
    /// Taken off the token when the call is over, with the GIL let go.
    subscription: Option<Subscription>,
}

thread_local! { static LAST: Cell<Option<Stop>> = const { Cell::new(None) } }

struct Shared {
    interpreter: &'static Interpreter,
    what: What,
    /// The stopper was told of it, and may have a request.
    asked: AtomicBool,
    /// CPython's name of the thread that the call runs on. Under the GIL, as all that follows: loads and stores do where
    /// other threads would need an instruction that locks, of which each costs a call some 5 ns.
    thread: AtomicU64,
    phase: AtomicU8,
    /// How often the call has begun to run: once, but for the steps of a task.
    begun: AtomicU64,
    /// An exception was sent to the thread and may still be on its way.
    sent: AtomicBool,
    /// It was to be stopped while it was outside.
    missed: AtomicBool,
}

/// What is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A call that has its thread to itself.
    Call,
    /// A task, whose steps the thread runs among those of others.
    Task,
}

/// Not in Python: before and after a call, between the steps of a task.
const AWAY: u8 = 0;
/// Innermost on its thread.
const RUNNING: u8 = 1;
/// In a host service: other calls may run on the thread by now.
const OUTSIDE: u8 = 2;

impl Stop {
    /// Watches `token` for a call that is about to begin. The thread is not attached.
    pub(super) fn watch(interpreter: &'static Interpreter, token: &CancelToken, what: What) -> Stop {
        let shared = Arc::new(Shared {
            interpreter,
            what,
            asked: AtomicBool::new(false),
            thread: AtomicU64::new(0),
            phase: AtomicU8::new(AWAY),
            begun: AtomicU64::new(0),
            sent: AtomicBool::new(false),
            missed: AtomicBool::new(false),
        });
        let subscription = token.tell(shared.clone(), 0);
        Stop { interpreter, token: token.clone(), shared, subscription: Some(subscription) }
    }

    /// The same for a call, by what stopped none of the last one on this thread if that had the same token: most have,
    /// where a request makes several.
    #[inline]
    pub(super) fn of_call(interpreter: &'static Interpreter, token: &CancelToken) -> Stop {
        match LAST.try_with(Cell::take).ok().flatten() {
            Some(stop) if stop.token.is_same(token) => stop,
            _ => Stop::watch(interpreter, token, What::Call),
        }
    }

    /// Keeps it for the next call of this thread. The call is over, and the thread is not attached.
    #[inline]
    pub(super) fn keep(self) {
        if self.token.reason().is_none() {
            let _ = LAST.try_with(|last| drop(last.replace(Some(self))));
        }
    }

    /// The call runs on this thread from now on. The caller is attached, and looks at its token after this: who asked
    /// before has done nothing.
    pub(super) fn begin(&self) {
        let Shared { thread, phase, begun, .. } = &*self.shared;
        // SAFETY: has no conditions.
        thread.store(unsafe { libc::pthread_self() }, Ordering::Relaxed);
        begun.store(begun.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        phase.store(RUNNING, Ordering::Relaxed);
    }

    /// The call, or this step of it, is over. What is on its way to it is taken back.
    pub(super) fn end(&self) {
        self.shared.phase.store(AWAY, Ordering::Relaxed);
        self.take_back();
    }

    /// The call leaves Python for a while. Returns what to come back with.
    pub(super) fn step_out(&self) -> u8 {
        let phase = self.shared.phase.load(Ordering::Relaxed);
        self.shared.phase.store(OUTSIDE, Ordering::Relaxed);
        phase
    }

    /// The call is back. What came for it meanwhile is raised at the next bytecode.
    pub(super) fn step_in(&self, phase: u8, interpreter: &Interpreter, cx: &CallContext) {
        self.shared.phase.store(phase, Ordering::Relaxed);
        let missed = self.shared.missed.load(Ordering::Relaxed);
        self.shared.missed.store(false, Ordering::Relaxed);
        if let (true, RUNNING, Some(reason)) = (missed, phase, cx.cancelled()) {
            self.shared.send(interpreter, reason);
        }
    }

    /// Nothing of what is on its way is to be raised any more: the call raises of itself, or is over.
    pub(super) fn take_back(&self) {
        self.shared.missed.store(false, Ordering::Relaxed);
        if self.shared.sent.load(Ordering::Relaxed) {
            self.shared.sent.store(false, Ordering::Relaxed);
            self.shared.set(std::ptr::null_mut());
        }
    }

    /// The class of exception that stops it.
    pub(super) fn class<'a>(&self, interpreter: &'a Interpreter, reason: CancelReason) -> &'a Object {
        self.shared.class(interpreter, reason)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        // After this nobody asks any more.
        drop(self.subscription.take());
        if self.shared.asked.load(Ordering::Relaxed) {
            self.interpreter.stopper.forget(&self.shared);
        }
    }
}

impl OnCancel for Shared {
    /// May run on the thread that watches all deadlines, so it must not wait for the GIL.
    fn cancelled(self: Arc<Self>, _: u64, reason: CancelReason) {
        let interpreter = self.interpreter;
        interpreter.stopper.ask(interpreter, self, reason);
    }
}

impl Shared {
    fn class<'a>(&self, interpreter: &'a Interpreter, reason: CancelReason) -> &'a Object {
        match self.what {
            What::Call => interpreter.helpers().stopped(reason),
            // What asyncio stops tasks with.
            What::Task => interpreter.helpers().cancelled_error(),
        }
    }

    /// The caller is attached.
    fn send(&self, interpreter: &Interpreter, reason: CancelReason) {
        self.sent.store(true, Ordering::Relaxed);
        self.set(self.class(interpreter, reason).as_ptr());
    }

    /// Sets or clears the thread's asynchronous exception. The caller is attached.
    fn set(&self, exception: *mut ffi::PyObject) {
        let thread = self.thread.load(Ordering::Relaxed);
        // SAFETY: attached; the exception is a class that the interpreter keeps, or null. CPython counts the type of
        // its parameter as unsigned, which pyo3 does not.
        unsafe { ffi::PyThreadState_SetAsyncExc(thread as std::ffi::c_long, exception) };
    }
}

/// Has a thread stop calls, which is started when a call is first to be stopped.
///
/// Nothing is queued: of each call there is one request at most, which goes with the call. However many are cancelled
/// while the thread waits for the GIL, there are no more requests than calls.
#[derive(Default)]
pub(super) struct Stopper {
    requests: Mutex<Requests>,
    /// Told of new requests.
    asked: Condvar,
}

#[derive(Default)]
struct Requests {
    started: bool,
    /// By the address of the target, which is that of no other while the request is here.
    by_target: HashMap<usize, Request>,
}

struct Request {
    target: Arc<Shared>,
    reason: CancelReason,
    /// Of a step of a task that was given time.
    patience: Option<Patience>,
}

struct Patience {
    until: Instant,
    /// Which step it was.
    begun: u64,
}

impl Stopper {
    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, interpreter: &'static Interpreter, target: Arc<Shared>, reason: CancelReason) {
        let mut requests = self.lock();
        if !requests.started {
            let thread = std::thread::Builder::new().name("polyhost-python-stop".into());
            requests.started = thread.spawn(move || serve(interpreter)).is_ok();
        }
        // Without a thread the call goes on until it ends by itself.
        if requests.started {
            target.asked.store(true, Ordering::Relaxed);
            requests.add(Request { target, reason, patience: None });
            self.asked.notify_one();
        }
    }

    /// Takes back what was asked for a call that is over.
    fn forget(&self, target: &Arc<Shared>) {
        let request = self.lock().by_target.remove(&Arc::as_ptr(target).addr());
        drop(request);
    }

    /// Waits for requests that are to be carried out now, and takes them.
    fn wait(&self) -> Vec<Request> {
        let mut requests = self.lock();
        loop {
            let now = Instant::now();
            let is_due = |request: &Request| request.patience.as_ref().is_none_or(|patience| patience.until <= now);
            let due: Vec<_> =
                requests.by_target.extract_if(|_, request| is_due(request)).map(|(_, request)| request).collect();
            if !due.is_empty() {
                return due;
            }
            let ends = requests.by_target.values().filter_map(|request| request.patience.as_ref()).map(|it| it.until);
            requests = match ends.min() {
                None => self.asked.wait(requests).unwrap_or_else(PoisonError::into_inner),
                Some(end) => {
                    let woken = self.asked.wait_timeout(requests, end.saturating_duration_since(now));
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Requests {
    fn add(&mut self, request: Request) {
        self.by_target.insert(Arc::as_ptr(&request.target).addr(), request);
    }
}

/// The life of the thread.
fn serve(interpreter: &'static Interpreter) {
    loop {
        let due = interpreter.stopper.wait();
        let Ok(_inside) = interpreter.lifecycle.enter() else { return };
        // Past the gate: whoever is to be stopped holds it.
        let _attached = Attached::enter_past(interpreter);
        for request in due {
            // Under the GIL, without which no step ends: the call is not over, and will forget it.
            if let Some(request) = request.carry_out(interpreter) {
                interpreter.stopper.lock().add(request);
            }
        }
    }
}

impl Request {
    /// Stops a call at once, and a step of a task that had its time; gives a task time. The caller is attached.
    fn carry_out(mut self, interpreter: &Interpreter) -> Option<Request> {
        let target = &self.target;
        let begun = target.begun.load(Ordering::Relaxed);
        if self.patience.as_ref().is_some_and(|patience| patience.begun != begun) {
            return None;
        }
        match target.phase.load(Ordering::Relaxed) {
            RUNNING if target.what == What::Task && self.patience.is_none() => {
                self.patience = Some(Patience { until: Instant::now() + PATIENCE, begun });
                return Some(self);
            }
            RUNNING => target.send(interpreter, self.reason),
            OUTSIDE => target.missed.store(true, Ordering::Relaxed),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpython, CpythonConfig};

    #[test]
    fn no_request_outlives_its_call() {
        Cpython::start(&CpythonConfig::new()).expect("starts");
        let interpreter = Interpreter::get().expect("started");
        // The stopper may take requests, and gets no further while this thread is attached.
        let attached = Attached::enter(interpreter);
        let token = CancelToken::new();
        let calls: Vec<_> = (0..1000).map(|_| Stop::watch(interpreter, &token, What::Task)).collect();
        calls.iter().for_each(Stop::begin);
        token.cancel();
        assert!(interpreter.stopper.lock().by_target.len() <= calls.len());
        calls.iter().for_each(Stop::end);
        drop(calls);
        assert!(interpreter.stopper.lock().by_target.is_empty());
        drop(attached);
        assert!(interpreter.stopper.lock().by_target.is_empty());
    }
}
