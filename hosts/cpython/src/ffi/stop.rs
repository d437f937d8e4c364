//! Stopping guest code that runs too long: an exception raised in its thread from outside.
//!
//! CPython raises it between two bytecodes, so a loop in Python ends and one in
//! C does not. Everything about a [`Stop`] but its beginning happens under the
//! GIL; that is the lock which makes sure that an exception meant for one call
//! is never raised in the next.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use polyhost_bridge::cancel::Subscription;
use polyhost_bridge::{CallContext, CancelReason, CancelToken};
use pyo3::ffi;

use super::attach::Attached;
use super::interpreter::Interpreter;

/// What can stop one call.
pub(super) struct Stop {
    shared: Arc<Shared>,
    /// Taken off the token when the call is over, with the GIL let go.
    _subscription: Subscription,
}

struct Shared {
    /// CPython's name of the thread.
    thread: libc::pthread_t,
    /// Where the call is. Under the GIL.
    phase: AtomicU8,
    /// An exception was sent to the thread and may still be on its way. Under the GIL.
    sent: AtomicBool,
    /// It was to be stopped while it was outside. Under the GIL.
    missed: AtomicBool,
}

/// Not in Python yet: the caller looks at its token once it is.
const BEFORE: u8 = 0;
/// Innermost on its thread.
const RUNNING: u8 = 1;
/// In a host service: other calls may run on the thread by now.
const OUTSIDE: u8 = 2;
const ENDED: u8 = 3;

impl Stop {
    /// Watches `token` for the call that is about to begin on this thread, which is not attached.
    pub(super) fn watch(interpreter: &'static Interpreter, token: &CancelToken) -> Stop {
        let shared = Arc::new(Shared {
            // SAFETY: has no conditions.
            thread: unsafe { libc::pthread_self() },
            phase: AtomicU8::new(BEFORE),
            sent: AtomicBool::new(false),
            missed: AtomicBool::new(false),
        });
        let target = shared.clone();
        // The listener may run on the thread that watches all deadlines, so it must not wait for the GIL.
        let subscription = token.on_cancel(move |reason| interpreter.stopper.ask(interpreter, target.clone(), reason));
        Stop { shared, _subscription: subscription }
    }

    /// The call is in Python from now on. The caller looks at its token after this.
    pub(super) fn begin(&self) {
        self.shared.phase.store(RUNNING, Ordering::Relaxed);
    }

    /// Stops the call from within. The caller is attached.
    pub(super) fn send_here(&self, interpreter: &Interpreter, reason: CancelReason) {
        self.shared.send(interpreter, reason);
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

    /// The call has left Python for good, or raises of itself: what is on its way to it is taken back.
    pub(super) fn take_back(&self) {
        self.shared.missed.store(false, Ordering::Relaxed);
        if self.shared.sent.swap(false, Ordering::Relaxed) {
            self.shared.set(std::ptr::null_mut());
        }
    }

    /// The call is over.
    pub(super) fn end(&self) {
        self.shared.phase.store(ENDED, Ordering::Relaxed);
        self.take_back();
    }
}

impl Shared {
    /// The caller is attached.
    fn send(&self, interpreter: &Interpreter, reason: CancelReason) {
        self.sent.store(true, Ordering::Relaxed);
        self.set(interpreter.helpers().stopped(reason).as_ptr());
    }

    /// Sets or clears the thread's asynchronous exception. The caller is attached.
    fn set(&self, exception: *mut ffi::PyObject) {
        // SAFETY: attached; the exception is a class that the interpreter keeps, or null. CPython counts the type of
        // its parameter as unsigned, which pyo3 does not.
        unsafe { ffi::PyThreadState_SetAsyncExc(self.thread as std::ffi::c_long, exception) };
    }
}

/// The thread that stops calls. It is started when a call is first to be stopped.
pub(super) struct Stopper(Mutex<Option<Sender<Request>>>);

type Request = (Arc<Shared>, CancelReason);

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
            let _ = sender.send((target, reason));
        }
    }
}

fn serve(interpreter: &'static Interpreter, requests: &Receiver<Request>) {
    while let Ok((target, reason)) = requests.recv() {
        let Ok(_inside) = interpreter.lifecycle.enter() else { return };
        // Past the gate: whoever is to be stopped holds it.
        let _attached = Attached::enter_past(interpreter);
        match target.phase.load(Ordering::Relaxed) {
            RUNNING => target.send(interpreter, reason),
            OUTSIDE => target.missed.store(true, Ordering::Relaxed),
            _ => {}
        }
    }
}
