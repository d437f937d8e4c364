//! Stopping guest code that runs too long: an exception raised in its thread from outside.
//!
//! CPython raises it between two bytecodes, so a loop in Python ends and one in
//! C does not. What decides about it happens under the GIL; that is the lock
//! which makes sure that an exception meant for one call is never raised in the
//! next.
//!
//! A task of an event loop is cancelled by the loop, where it waits. Only where
//! one step of it does not end is it stopped like this.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use polyhost_bridge::cancel::Subscription;
use polyhost_bridge::{CallContext, CancelReason, CancelToken};
use pyo3::ffi;

use super::attach::Attached;
use super::interpreter::Interpreter;
use super::object::Object;

/// How long a step of a task may still run after its call was cancelled.
const PATIENCE: Duration = Duration::from_millis(50);

/// What can stop one call.
pub(super) struct Stop {
    shared: Arc<Shared>,
    /// Taken off the token when the call is over, with the GIL let go.
    _subscription: Subscription,
}

struct Shared {
    what: What,
    /// CPython's name of the thread that the call runs on. Under the GIL, as all that follows.
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
            what,
            thread: AtomicU64::new(0),
            phase: AtomicU8::new(AWAY),
            begun: AtomicU64::new(0),
            sent: AtomicBool::new(false),
            missed: AtomicBool::new(false),
        });
        let target = shared.clone();
        // The listener may run on the thread that watches all deadlines, so it must not wait for the GIL.
        let subscription = token.on_cancel(move |reason| interpreter.stopper.ask(interpreter, target.clone(), reason));
        Stop { shared, _subscription: subscription }
    }

    /// The call runs on this thread from now on. The caller is attached, and looks at its token after this: who asked
    /// before has done nothing.
    pub(super) fn begin(&self) {
        let Shared { thread, phase, begun, .. } = &*self.shared;
        // SAFETY: has no conditions.
        thread.store(unsafe { libc::pthread_self() }, Ordering::Relaxed);
        begun.fetch_add(1, Ordering::Relaxed);
        phase.store(RUNNING, Ordering::Relaxed);
    }

    /// The call, or this step of it, is over. What is on its way to it is taken back.
    pub(super) fn end(&self) {
        self.shared.phase.store(AWAY, Ordering::Relaxed);
        self.take_back();
    }

    /// The call leaves Python for a while. Returns what to come back with.
    pub(super) fn step_out(&self) -> u8 {
        self.shared.phase.swap(OUTSIDE, Ordering::Relaxed)
    }

    /// The call is back. What came for it meanwhile is raised at the next bytecode.
    pub(super) fn step_in(&self, phase: u8, interpreter: &Interpreter, cx: &CallContext) {
        self.shared.phase.store(phase, Ordering::Relaxed);
        let missed = self.shared.missed.swap(false, Ordering::Relaxed);
        if let (true, RUNNING, Some(reason)) = (missed, phase, cx.cancelled()) {
            self.shared.send(interpreter, reason);
        }
    }

    /// Nothing of what is on its way is to be raised any more: the call raises of itself, or is over.
    pub(super) fn take_back(&self) {
        self.shared.missed.store(false, Ordering::Relaxed);
        if self.shared.sent.swap(false, Ordering::Relaxed) {
            self.shared.set(std::ptr::null_mut());
        }
    }

    /// The class of exception that stops it.
    pub(super) fn class<'a>(&self, interpreter: &'a Interpreter, reason: CancelReason) -> &'a Object {
        self.shared.class(interpreter, reason)
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

/// The thread that stops calls. It is started when a call is first to be stopped.
pub(super) struct Stopper(Mutex<Option<Sender<Request>>>);

struct Request {
    target: Arc<Shared>,
    reason: CancelReason,
}

/// A step of a task that is given time.
struct Patience {
    request: Request,
    until: Instant,
    begun: u64,
}

impl Stopper {
    pub(super) const fn new() -> Self {
        Stopper(Mutex::new(None))
    }

    fn ask(&self, interpreter: &'static Interpreter, target: Arc<Shared>, reason: CancelReason) {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.is_none() {
            let (new, requests) = mpsc::channel();
            let run = move || serve(interpreter, &requests);
            let started = std::thread::Builder::new().name("polyhost-python-stop".into()).spawn(run);
            // Without a thread the call goes on until it ends by itself.
            *sender = started.is_ok().then_some(new);
        }
        if let Some(sender) = &*sender {
            let _ = sender.send(Request { target, reason });
        }
    }
}

fn serve(interpreter: &'static Interpreter, requests: &Receiver<Request>) {
    // In the order in which patience ends: all have the same.
    let mut patience: Vec<Patience> = Vec::new();
    loop {
        let next = patience.first().map(|it| it.until.saturating_duration_since(Instant::now()));
        let request = match next {
            None => requests.recv().map_err(RecvTimeoutError::from),
            Some(wait) => requests.recv_timeout(wait),
        };
        if matches!(request, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
        let Ok(_inside) = interpreter.lifecycle.enter() else { return };
        // Past the gate: whoever is to be stopped holds it.
        let _attached = Attached::enter_past(interpreter);
        if let Ok(request) = request {
            patience.extend(request.carry_out(interpreter));
        }
        let now = Instant::now();
        while patience.first().is_some_and(|it| it.until <= now) {
            patience.remove(0).end(interpreter);
        }
    }
}

impl Request {
    /// Stops a call at once, and gives a task time. The caller is attached.
    fn carry_out(self, interpreter: &Interpreter) -> Option<Patience> {
        let target = &self.target;
        match (target.phase.load(Ordering::Relaxed), target.what) {
            (RUNNING, What::Call) => target.send(interpreter, self.reason),
            (OUTSIDE, _) => target.missed.store(true, Ordering::Relaxed),
            (RUNNING, What::Task) => {
                let begun = target.begun.load(Ordering::Relaxed);
                return Some(Patience { until: Instant::now() + PATIENCE, begun, request: self });
            }
            _ => {}
        }
        None
    }
}

impl Patience {
    /// Stops the step that was given time, if it still runs. The caller is attached.
    fn end(self, interpreter: &Interpreter) {
        let target = &self.request.target;
        if target.begun.load(Ordering::Relaxed) != self.begun {
            return;
        }
        match target.phase.load(Ordering::Relaxed) {
            RUNNING => target.send(interpreter, self.request.reason),
            OUTSIDE => target.missed.store(true, Ordering::Relaxed),
            _ => {}
        }
    }
}
