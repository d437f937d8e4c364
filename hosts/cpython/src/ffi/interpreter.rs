//! The one interpreter of this process, and the thread that starts and ends it.

use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use polyhost_bridge::{Error, ErrorKind, Lifecycle, Result, boundary};
use pyo3::ffi;
use pyo3::prelude::*;

use super::attach::{self, Attached};
use super::memory;
use super::stop::Stopper;
use crate::config::MemoryLimits;
use crate::error;
use crate::gate::Gate;
use crate::module::Helpers;

/// CPython's own name of the version that this was built with, such as `3.11.7`; `3.11` where the build knew no more.
pub(crate) const BUILT_WITH: &str = env!("POLYHOST_CPYTHON_VERSION");

/// How CPython is started.
pub(crate) struct Launch {
    /// The interpreter whose prefix and site-packages are used: a program that is not run.
    pub(crate) executable: PathBuf,
    pub(crate) dev_mode: bool,
    pub(crate) memory: Option<MemoryLimits>,
}

/// The interpreter. There is one in a process, for ever; nothing else of ours that belongs to Python is static.
pub(crate) struct Interpreter {
    state: NonNull<ffi::PyInterpreterState>,
    pub(crate) gate: Gate,
    /// Who uses Python outside of the calls of a module: loads, unloads, threads of guests that log.
    pub(crate) lifecycle: Arc<Lifecycle>,
    main: Sender<Job>,
    threads: Mutex<Threads>,
    thread_left: Condvar,
    pub(super) stopper: Stopper,
    helpers: OnceLock<Helpers>,
}

// SAFETY: `state` is given to `PyThreadState_New` only, which any thread may call; the rest is Send.
unsafe impl Send for Interpreter {}
// SAFETY: as above; the rest is Sync.
unsafe impl Sync for Interpreter {}

/// Kept thread states are deleted at the end of their threads, but never while or after Python ends.
struct Threads {
    alive: bool,
    /// Whether somebody has seen the end of Python.
    ended: bool,
    /// Threads that delete theirs right now.
    leaving: usize,
}

enum Job {
    Run(Box<dyn FnOnce(Python<'_>) + Send>),
    /// To be dropped outside of Python.
    Drop(Box<dyn Send>),
    /// Ends Python and this thread.
    Finish(Sender<()>),
}

static INTERPRETER: OnceLock<Interpreter> = OnceLock::new();

impl Interpreter {
    /// The interpreter, once it has been started.
    #[inline]
    pub(crate) fn get() -> Option<&'static Interpreter> {
        INTERPRETER.get()
    }

    /// Starts CPython on a thread of ours, where it will also be ended, and has `install` run there.
    ///
    /// # Errors
    /// [`ErrorKind::Load`] where it does not start, or is not the version this was built with; what `install` says.
    pub(crate) fn start(
        launch: Launch,
        install: impl FnOnce(Python<'_>) -> Result<Helpers> + Send + 'static,
    ) -> Result<&'static Interpreter> {
        check_version(&version())?;
        let (ready, outcome) = mpsc::channel();
        let run = move || {
            let (main, jobs) = mpsc::channel();
            let started = initialize(&launch, main).and_then(|interpreter| {
                let helpers = interpreter.with(install)?;
                // Nobody else sets it: this runs once per process.
                let _ = interpreter.helpers.set(helpers);
                Ok(interpreter)
            });
            let interpreter = started.as_ref().ok().copied();
            // The starter waits for this.
            let _ = ready.send(started);
            if let Some(interpreter) = interpreter {
                interpreter.serve(&jobs);
            }
        };
        // As much as a program's first thread has: CPython takes that for granted.
        let thread = std::thread::Builder::new().name("polyhost-python".into()).stack_size(8 << 20).spawn(run);
        thread.map_err(|e| Error::new(ErrorKind::Load, "no thread can be started for Python").caused_by(e))?;
        outcome.recv().unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the thread that starts Python is gone")))
    }

    /// What the guest package offers the host. Set as long as anybody can be attached through a module.
    #[inline]
    pub(crate) fn helpers(&self) -> &Helpers {
        self.helpers.get().expect("bridge bug: Python is used before it has started, please report")
    }

    /// The same; `None` while the guest package is still being imported.
    #[inline]
    pub(super) fn try_helpers(&self) -> Option<&Helpers> {
        self.helpers.get()
    }

    /// Attaches this thread for `run`, on a path where speed does not matter.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] once Python was shut down; what `run` says.
    pub(crate) fn with<R>(&'static self, run: impl FnOnce(Python<'_>) -> Result<R>) -> Result<R> {
        let _inside = self.lifecycle.enter().map_err(|error| match error.kind() {
            ErrorKind::Closed => error::shut_down(),
            _ => error,
        })?;
        let _attached = Attached::enter(self);
        // pyo3 counts its own attaches: without this one, what it drops would wait in its pool.
        Python::attach(run)
    }

    /// Has Python's own thread do something when it comes to it; never, after the end of Python.
    pub(crate) fn later(&self, job: impl FnOnce(Python<'_>) + Send + 'static) {
        // Without a receiver Python has ended, and what the job held went with it.
        let _ = self.main.send(Job::Run(Box::new(job)));
    }

    /// Has Python's own thread drop something outside of Python.
    pub(super) fn drop_later(&self, value: Box<dyn Send>) {
        // Without a receiver it is dropped here: Python has ended, and no thread is attached.
        let _ = self.main.send(Job::Drop(value));
    }

    /// Ends Python on its own thread. Nobody is attached and nobody attaches any more: close and drain before.
    ///
    /// False where it has not ended after `grace`; it goes on ending.
    pub(crate) fn finish(&self, grace: Duration) -> bool {
        let mut threads = self.threads();
        if threads.ended {
            return true;
        }
        threads.alive = false;
        while threads.leaving > 0 {
            threads = self.thread_left.wait(threads).unwrap_or_else(PoisonError::into_inner);
        }
        drop(threads);
        let (done, ended) = mpsc::channel();
        let ended = match self.main.send(Job::Finish(done)) {
            Ok(()) => !matches!(ended.recv_timeout(grace), Err(mpsc::RecvTimeoutError::Timeout)),
            // Asked before, and it has ended since.
            Err(_) => true,
        };
        // The thread of Python may take a while to be gone; who asks again has no time for that.
        self.threads().ended |= ended;
        ended
    }

    /// A new state for this thread.
    pub(super) fn new_thread_state(&self) -> *mut ffi::PyThreadState {
        // SAFETY: the interpreter lives: whoever gets here is counted in a lifecycle that is drained before its end.
        let state = unsafe { ffi::PyThreadState_New(self.state.as_ptr()) };
        assert!(!state.is_null(), "no memory for a Python thread state");
        state
    }

    /// Deletes the state of a thread that ends, unless Python ends as well and takes all states with it.
    ///
    /// # Safety
    /// `state` was made by [`Interpreter::new_thread_state`] on this thread, is not attached and not used again.
    pub(super) unsafe fn delete_thread_state(&self, state: *mut ffi::PyThreadState) {
        let mut threads = self.threads();
        if !threads.alive {
            return;
        }
        threads.leaving += 1;
        drop(threads);
        // SAFETY: the state is this thread's, by contract; Python lives until `leaving` is 0 again.
        unsafe {
            ffi::PyEval_RestoreThread(state);
            ffi::PyThreadState_Clear(state);
            ffi::PyThreadState_DeleteCurrent();
        }
        self.threads().leaving -= 1;
        self.thread_left.notify_all();
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of Python's own thread after the start.
    fn serve(&'static self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Run(run) => {
                    let _attached = Attached::enter(self);
                    // What guests' destructors do must not end this thread.
                    let _ = boundary::enter(|| {
                        Python::attach(run);
                        Ok(())
                    });
                }
                Job::Drop(value) => {
                    let _ = boundary::enter(|| {
                        drop(value);
                        Ok(())
                    });
                }
                Job::Finish(done) => {
                    attach::enter_for_good();
                    // SAFETY: this is the thread that initialised Python, and it is attached.
                    unsafe { ffi::Py_FinalizeEx() };
                    let _ = done.send(());
                    return;
                }
            }
        }
    }
}

/// Initialises CPython on this thread and detaches it.
fn initialize(launch: &Launch, main: Sender<Job>) -> Result<&'static Interpreter> {
    // SAFETY: may be asked at any time.
    if unsafe { ffi::Py_IsInitialized() } != 0 {
        return Err(if INTERPRETER.get().is_some() { error::failed_before() } else { error::started_elsewhere() });
    }
    configure(launch).map_err(|status| error::not_started(&status, &launch.executable))?;
    // SAFETY: initialised just now on this thread, which is attached.
    let state = unsafe { NonNull::new(ffi::PyInterpreterState_Get()) };
    let interpreter = Interpreter {
        state: state.expect("bridge bug: Python runs without an interpreter, please report"),
        gate: Gate::new(),
        lifecycle: Arc::new(Lifecycle::new()),
        main,
        threads: Mutex::new(Threads { alive: true, ended: false, leaving: 0 }),
        thread_left: Condvar::new(),
        stopper: Stopper::default(),
        helpers: OnceLock::new(),
    };
    attach::leave_first();
    assert!(INTERPRETER.set(interpreter).is_ok(), "bridge bug: Python was started twice, please report");
    Ok(INTERPRETER.get().expect("set just now"))
}

/// Does the first part of the start by itself, after which the allocators may be replaced: the same that the second part
/// would do first.
fn preinitialize(launch: &Launch, limits: MemoryLimits) -> Result<(), String> {
    let mut config = MaybeUninit::<ffi::PyPreConfig>::uninit();
    // SAFETY: initialised by the first call.
    let status = unsafe {
        ffi::PyPreConfig_InitIsolatedConfig(config.as_mut_ptr());
        let config = config.assume_init_mut();
        config.dev_mode = launch.dev_mode.into();
        ffi::Py_PreInitialize(config)
    };
    // SAFETY: the status of the call above, whose text is a constant of CPython's.
    unsafe {
        if ffi::PyStatus_Exception(status) != 0 {
            return Err(text(status.err_msg));
        }
    }
    memory::limit(limits, launch.dev_mode);
    Ok(())
}

/// Runs `Py_InitializeFromConfig`; the error is CPython's own text.
fn configure(launch: &Launch) -> Result<(), String> {
    if let Some(limits) = launch.memory {
        preinitialize(launch, limits)?;
    }
    let mut config = MaybeUninit::<ffi::PyConfig>::uninit();
    // SAFETY: the configuration is initialised by the first call, cleared by the last, and not moved between; the
    // path is copied.
    unsafe {
        ffi::PyConfig_InitIsolatedConfig(config.as_mut_ptr());
        let config = config.assume_init_mut();
        // Signals are the host's. Arguments too.
        config.install_signal_handlers = 0;
        config.parse_argv = 0;
        // Modules in users' folders leave nothing there.
        config.write_bytecode = 0;
        config.dev_mode = launch.dev_mode.into();
        #[cfg(Py_3_11)]
        {
            config.safe_path = 1;
        }
        let path = CString::new(launch.executable.as_os_str().as_encoded_bytes())
            .map_err(|_| "the path of the interpreter has a null in it".to_owned())?;
        let mut status = ffi::PyConfig_SetBytesString(config, &raw mut config.executable, path.as_ptr());
        if ffi::PyStatus_Exception(status) == 0 {
            status = ffi::Py_InitializeFromConfig(config);
        }
        ffi::PyConfig_Clear(config);
        if ffi::PyStatus_Exception(status) == 0 { Ok(()) } else { Err(text(status.err_msg)) }
    }
}

/// The version of the libpython in this process, such as `3.11.7`.
pub(crate) fn version() -> String {
    // SAFETY: works before Python is initialised, and returns a constant of its own.
    let text = unsafe { text(ffi::Py_GetVersion()) };
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

/// The file that the libpython in this process was loaded from.
pub(crate) fn library() -> Option<PathBuf> {
    let mut info = MaybeUninit::<libc::Dl_info>::uninit();
    let function: unsafe extern "C" fn() -> *const c_char = ffi::Py_GetVersion;
    // SAFETY: dladdr fills `info` where it returns not 0, with strings that live as long as the library.
    unsafe {
        if libc::dladdr(function as *const libc::c_void, info.as_mut_ptr()) == 0 {
            return None;
        }
        let name = info.assume_init().dli_fname;
        (!name.is_null()).then(|| PathBuf::from(text(name)))
    }
}

/// Refuses a libpython other than the one this was built with: its standard library would not fit, or worse.
fn check_version(found: &str) -> Result<()> {
    let same = found == BUILT_WITH || found.strip_prefix(BUILT_WITH).is_some_and(|rest| rest.starts_with('.'));
    if same { Ok(()) } else { Err(error::other_version(found, BUILT_WITH, library().as_deref())) }
}

/// # Safety
/// `text` is null or a string that ends with a null.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_refused_with_both_named() {
        assert!(check_version(BUILT_WITH).is_ok());
        assert!(check_version(&format!("{BUILT_WITH}.1")).is_ok());
        let error = check_version("3.11.999").expect_err("another");
        assert_eq!(ErrorKind::Load, error.kind());
        for part in [BUILT_WITH, "3.11.999", "rpath"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(check_version(&format!("{BUILT_WITH}0")).is_err());
    }
}
