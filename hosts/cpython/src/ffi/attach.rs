//! Entering and leaving Python on a thread.
//!
//! Each thread keeps its `PyThreadState` from call to call: to make and delete
//! one takes many times what a call with a kept state does.

use std::cell::{Cell, RefCell};
use std::ptr;

use polyhost_bridge::{CallContext, observe};
use pyo3::ffi;

use super::interpreter::Interpreter;
use super::record::{self, Record};
use super::stop::Stop;
use crate::gate::{Habit, Pass};

/// What Polyhost knows of this thread.
pub(super) struct Thread {
    /// The state to attach with; null before the first time. Owned by `KEPT`, or by Python where Python started the
    /// thread.
    state: Cell<*mut ffi::PyThreadState>,
    /// What this thread entered the gate with.
    pass: Cell<Pass>,
    /// The innermost call into Python on this thread; null outside of any.
    pub(super) record: Cell<*const Record<'static>>,
    /// Whether it does the work of an event loop, which then waits for it.
    pub(super) on_loop: Cell<bool>,
}

impl Thread {
    /// Tells this thread from all others that live.
    #[inline]
    fn id(&self) -> usize {
        ptr::from_ref(self).addr()
    }
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            state: Cell::new(ptr::null_mut()),
            pass: Cell::new(Pass::NONE),
            record: Cell::new(ptr::null()),
            on_loop: Cell::new(false),
        }
    };
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Deletes a kept state at the end of its thread.
struct Kept(*mut ffi::PyThreadState);

impl Drop for Kept {
    fn drop(&mut self) {
        here().state.set(ptr::null_mut());
        // The first thread ends with the process, which must not wait for the GIL.
        // SAFETY: these have no conditions.
        let first = unsafe { libc::gettid() == libc::getpid() };
        if let (false, Some(interpreter)) = (first, Interpreter::get()) {
            // SAFETY: made on this thread, which makes no more calls: nobody is attached with it.
            unsafe { interpreter.delete_thread_state(self.0) };
        }
    }
}

/// This thread is inside Python until this is dropped.
pub(crate) struct Attached {
    interpreter: &'static Interpreter,
    /// Not Sync, so this stays on its thread.
    thread: &'static Thread,
    how: How,
}

enum How {
    /// With the state of this thread, through the gate or past it. The pass of an outer call is put back at the end.
    Entered { outer: Pass },
    /// With a state that was made for this time: the thread is about to end and keeps nothing any more.
    Once,
    /// It was inside already: the caller uses Python by other means than ours and has called us from there.
    Already,
}

impl Attached {
    /// Enters.
    ///
    /// Python lives until the end: the caller is counted in a [`polyhost_bridge::Lifecycle`] that is drained before.
    #[inline]
    pub(crate) fn enter(interpreter: &'static Interpreter) -> Attached {
        Attached::enter_with(interpreter, |thread| interpreter.gate.enter(thread))
    }

    /// Enters for a call of a function with this habit.
    #[inline]
    pub(crate) fn enter_for(interpreter: &'static Interpreter, habit: &Habit) -> Attached {
        Attached::enter_with(interpreter, |thread| interpreter.gate.enter_for(thread, habit))
    }

    /// Enters past the gate, to get at who holds it.
    pub(super) fn enter_past(interpreter: &'static Interpreter) -> Attached {
        Attached::enter_with(interpreter, |_| Pass::NONE)
    }

    #[inline]
    fn enter_with(interpreter: &'static Interpreter, gate: impl FnOnce(usize) -> Pass) -> Attached {
        let thread = here();
        let state = thread.state.get();
        if state.is_null() {
            return Attached::first(interpreter, thread, gate);
        }
        if current() == state {
            return Attached { interpreter, thread, how: How::Already };
        }
        let outer = observe::waiting(|| {
            let outer = thread.pass.replace(gate(thread.id()));
            // SAFETY: the state is this thread's own and not attached; Python lives, by contract.
            unsafe { ffi::PyEval_RestoreThread(state) };
            outer
        });
        Attached { interpreter, thread, how: How::Entered { outer } }
    }

    #[cold]
    fn first(interpreter: &'static Interpreter, thread: &'static Thread, gate: impl FnOnce(usize) -> Pass) -> Attached {
        // SAFETY: may be asked on any thread while Python lives.
        if unsafe { ffi::PyGILState_Check() } != 0 {
            return Attached { interpreter, thread, how: How::Already };
        }
        let state = interpreter.new_thread_state();
        let kept = KEPT.try_with(|kept| *kept.borrow_mut() = Some(Kept(state)));
        let outer = thread.pass.replace(gate(thread.id()));
        // SAFETY: new, and made on this thread.
        unsafe { ffi::PyEval_RestoreThread(state) };
        if kept.is_err() {
            thread.pass.set(outer);
            return Attached { interpreter, thread, how: How::Once };
        }
        thread.state.set(state);
        Attached { interpreter, thread, how: How::Entered { outer } }
    }

    /// Leaves, and notes whether the call overstayed.
    #[inline]
    pub(crate) fn leave_for(self, habit: &Habit) {
        let this = std::mem::ManuallyDrop::new(self);
        this.leave(|pass| this.interpreter.gate.leave_for(pass, habit));
    }

    #[inline]
    fn leave(&self, gate: impl FnOnce(Pass)) {
        match self.how {
            How::Entered { outer } => {
                // SAFETY: attached by `enter` on this thread, and what was attached since has been left.
                unsafe { ffi::PyEval_SaveThread() };
                gate(self.thread.pass.replace(outer));
            }
            How::Once => self.leave_once(),
            How::Already => {}
        }
    }

    #[cold]
    fn leave_once(&self) {
        // SAFETY: attached with a state made for this time.
        unsafe {
            ffi::PyThreadState_Clear(ffi::PyThreadState_Get());
            ffi::PyThreadState_DeleteCurrent();
        }
    }
}

impl Drop for Attached {
    #[inline]
    fn drop(&mut self) {
        self.leave(|pass| {
            self.interpreter.gate.leave(pass);
        });
    }
}

/// Runs `run` outside of Python, on a thread that is inside: the GIL and the gate are left, and entered again.
///
/// What is called may itself enter Python on this thread.
pub(super) fn detached<R>(interpreter: &'static Interpreter, run: impl FnOnce() -> R) -> R {
    /// Enters again, also where `run` panics.
    struct Back {
        interpreter: &'static Interpreter,
        state: *mut ffi::PyThreadState,
        outer_state: *mut ffi::PyThreadState,
        /// Where the call was that can be stopped.
        phase: u8,
    }
    impl Drop for Back {
        fn drop(&mut self) {
            let thread = here();
            thread.state.set(self.outer_state);
            observe::waiting(|| {
                thread.pass.set(self.interpreter.gate.enter(thread.id()));
                // SAFETY: the state that was saved on this thread below. Python lives: the caller is counted.
                unsafe { ffi::PyEval_RestoreThread(self.state) };
            });
            with_stop(|stop, cx| stop.step_in(self.phase, self.interpreter, cx));
        }
    }
    let phase = with_stop(|stop, _| stop.step_out()).unwrap_or_default();
    let thread = here();
    // SAFETY: the caller is attached.
    let state = unsafe { ffi::PyEval_SaveThread() };
    interpreter.gate.leave(thread.pass.replace(Pass::NONE));
    // A thread that Python started enters again with the state that Python gave it.
    let outer_state = thread.state.replace(state);
    let _back = Back { interpreter, state, outer_state, phase };
    run()
}

/// What can interrupt the innermost call of this thread, if anything can.
#[inline]
fn with_stop<R>(run: impl FnOnce(&Stop, &CallContext) -> R) -> Option<R> {
    record::current(|record| {
        let record = record?;
        Some(run(record.stop?, record.cx))
    })
}

/// Detaches the thread that has initialised Python, and keeps its state.
pub(super) fn leave_first() {
    // SAFETY: called on that thread, which is attached. Its state is deleted by Python itself, at its end.
    let state = unsafe { ffi::PyEval_SaveThread() };
    here().state.set(state);
}

/// Attaches the thread that has initialised Python, to end it.
pub(super) fn enter_for_good() {
    let state = here().state.replace(ptr::null_mut());
    // SAFETY: the state of this thread since `leave_first`.
    unsafe { ffi::PyEval_RestoreThread(state) };
}

/// The kept state of this thread; null where it has none.
pub(super) fn thread_state() -> *mut ffi::PyThreadState {
    here().state.get()
}

/// What Polyhost knows of this thread.
#[inline]
pub(super) fn here() -> &'static Thread {
    const { assert!(!std::mem::needs_drop::<Thread>()) };
    let thread = THREAD.with(ptr::from_ref);
    // SAFETY: without a destructor it is there as long as its thread runs, and it is not Sync: no other gets at it.
    unsafe { &*thread }
}

/// The state that this thread is attached with, or on older versions that any thread is: a pointer to compare with.
#[inline]
fn current() -> *mut ffi::PyThreadState {
    #[cfg(Py_3_13)]
    // SAFETY: may be asked at any time.
    return unsafe { ffi::PyThreadState_GetUnchecked() };
    #[cfg(not(Py_3_13))]
    {
        unsafe extern "C" {
            // pyo3-ffi keeps it to itself.
            fn _PyThreadState_UncheckedGet() -> *mut ffi::PyThreadState;
        }
        // SAFETY: as above.
        unsafe { _PyThreadState_UncheckedGet() }
    }
}
