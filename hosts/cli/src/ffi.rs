//! Loading shared libraries, keeping stdout for results, and what `doctor` asks the C library: signal actions,
//! alternate stacks, limits, and where code was loaded from.

use std::ffi::{CStr, c_int, c_void};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::FromRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use polyhost::native::Native;

#[cfg(not(target_os = "linux"))]
compile_error!("the polyhost program is written for Linux");

/// The runtime of shared libraries.
pub(crate) fn native() -> Arc<Native> {
    // SAFETY: whoever names a library on the command line vouches for it, as for any program that they run.
    unsafe { Native::with_libraries() }
}

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// The standard library opens /dev/null in the place of a closed stdout before `main`, which then looks like one that
/// somebody chose. So this is asked earlier.
// SAFETY: the C library calls what is in this section once, before `main`; the types are compatible: arguments are
// ignored.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_STDOUT: extern "C" fn() = {
    extern "C" fn look() {
        // SAFETY: asks for the flags of a descriptor, which may be closed.
        let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
        STDOUT_WAS_CLOSED.store(closed, Ordering::Relaxed);
    }
    look
};

/// Whether this program was started without a stdout.
pub(crate) fn stdout_was_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}

/// Gives stdout as a file of its own, which no child process gets, and points descriptor 1 to stderr.
pub(crate) fn take_stdout() -> io::Result<File> {
    // SAFETY: makes a new descriptor, above the three that everybody knows, and owns it from then on.
    let stdout = unsafe {
        let copy = libc::fcntl(libc::STDOUT_FILENO, libc::F_DUPFD_CLOEXEC, 3);
        if copy == -1 {
            return Err(io::Error::last_os_error());
        }
        File::from_raw_fd(copy)
    };
    // SAFETY: both are open: the standard library sees to that. Nobody owns descriptor 1.
    match unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(stdout),
    }
}

/// What a process does with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Default,
    Ignored,
    /// The handler's address, and whether it runs on the alternate stack.
    Handler {
        address: usize,
        on_stack: bool,
    },
}

/// The action of a signal; `None` for one that the C library keeps to itself.
pub(crate) fn signal_action(signal: c_int) -> Option<Action> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action sigaction only writes the old one, to a place that is large enough.
    if unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: it has succeeded, and so has filled it.
    let action = unsafe { action.assume_init() };
    Some(match action.sa_sigaction {
        libc::SIG_DFL => Action::Default,
        libc::SIG_IGN => Action::Ignored,
        address => Action::Handler { address, on_stack: action.sa_flags & libc::SA_ONSTACK != 0 },
    })
}

/// The highest number a signal can have.
pub(crate) fn last_signal() -> c_int {
    libc::SIGRTMAX()
}

/// Bytes of the alternate signal stack of this thread; `None` where it has none.
pub(crate) fn alternate_stack() -> Option<usize> {
    let mut stack = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: without a new stack sigaltstack only writes the old one, to a place that is large enough.
    if unsafe { libc::sigaltstack(std::ptr::null(), stack.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: it has succeeded, and so has filled it.
    let stack = unsafe { stack.assume_init() };
    (stack.ss_flags & libc::SS_DISABLE == 0).then_some(stack.ss_size)
}

/// Bytes that the kernel needs for a signal frame on this processor; 0 where it does not say.
pub(crate) fn least_signal_stack() -> u64 {
    // SAFETY: getauxval takes any number and touches no memory of ours.
    unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) }
}

/// Bytes of stack of this thread.
pub(crate) fn thread_stack() -> Option<usize> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: pthread_getattr_np initialises the attributes of a thread that lives: this one.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let mut size = 0;
    // SAFETY: they were initialised above, are read once, and destroyed once.
    let outcome = unsafe {
        let outcome = libc::pthread_attr_getstacksize(attributes.as_ptr(), &mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        outcome
    };
    (outcome == 0).then_some(size)
}

/// Soft and hard limit of a resource, such as `RLIMIT_STACK`; `None` for one without a limit.
pub(crate) fn limits(resource: libc::__rlimit_resource_t) -> Option<(Option<u64>, Option<u64>)> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: getrlimit writes to a place that is large enough.
    if unsafe { libc::getrlimit(resource, limit.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: it has succeeded, and so has filled it.
    let limit = unsafe { limit.assume_init() };
    let finite = |value: libc::rlim_t| (value != libc::RLIM_INFINITY).then_some(value);
    Some((finite(limit.rlim_cur), finite(limit.rlim_max)))
}

/// The file that the code at an address was loaded from.
pub(crate) fn file_of(address: usize) -> Option<PathBuf> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr compares the address with what is loaded and never reads there.
    if unsafe { libc::dladdr(address as *const c_void, info.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: it has succeeded, and so has filled it.
    let name = unsafe { info.assume_init() }.dli_fname;
    if name.is_null() {
        return None;
    }
    // SAFETY: the loader's own text, which stays as long as the file is loaded; copied here and now.
    let name = unsafe { CStr::from_ptr(name) };
    Some(PathBuf::from(name.to_string_lossy().into_owned()))
}

/// The version of the libpython that was loaded, as it tells it, and its file.
#[cfg(feature = "cpython")]
pub(crate) fn loaded_python() -> (String, Option<PathBuf>) {
    // SAFETY: may be called before Python is initialised; the text is static.
    let version = unsafe { CStr::from_ptr(pyo3_ffi::Py_GetVersion()) };
    (version.to_string_lossy().into_owned(), file_of(pyo3_ffi::Py_GetVersion as *const () as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_action_of_signals() {
        // The standard library ignores SIGPIPE and handles SIGSEGV on an alternate stack.
        assert_eq!(Some(Action::Ignored), signal_action(libc::SIGPIPE));
        assert!(matches!(signal_action(libc::SIGSEGV), Some(Action::Handler { on_stack: true, .. })));
        assert_eq!(Some(Action::Default), signal_action(libc::SIGUSR2));
        assert_eq!(None, signal_action(0));
        assert_eq!(None, signal_action(last_signal() + 1));
    }

    #[test]
    fn reads_stacks_and_limits() {
        let spawned = std::thread::Builder::new().stack_size(1 << 20).spawn(|| (thread_stack(), alternate_stack()));
        let (stack, alternate) = spawned.expect("a thread").join().expect("no panic");
        assert!(stack.is_some_and(|bytes| bytes >= 1 << 20), "{stack:?}");
        assert!(alternate.is_some_and(|bytes| bytes >= 4096), "{alternate:?}");
        assert!(limits(libc::RLIMIT_STACK).is_some());
    }

    #[test]
    fn names_the_file_that_code_came_from() {
        let me = std::env::current_exe().expect("this test");
        let here = names_the_file_that_code_came_from as *const () as usize;
        let named = file_of(here).and_then(|path| path.canonicalize().ok());
        assert_eq!(me.canonicalize().ok(), named);
        assert_eq!(None, file_of(1));
    }
}
