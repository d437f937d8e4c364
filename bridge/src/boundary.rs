//! Where panics stop, and the barrier that makes entering a module cheap.

mod callee;
mod current;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::compiler_fence;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::atomic::{Ordering, fence};

pub(crate) use callee::{callee, works_for};
pub(crate) use current::{Current, Drained, Kept, Replaced};

/// Runs host code that a guest has called, and turns a panic into an error.
///
/// Every function pointer that a guest is given begins with this, around pure
/// Rust only: `catch_unwind` around code that can raise a Lua error aborts the
/// process ("Rust cannot catch foreign exceptions").
pub fn enter<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result,
        Err(payload) => Err(panic_error(payload)),
    }
}

/// The error of a caught panic.
#[cold]
pub fn panic_error(payload: Box<dyn Any + Send>) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    // A payload may panic again while it is dropped; that must not escape either. The second payload is leaked:
    // there is no end to this otherwise.
    if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(second);
    }
    let text = text.unwrap_or_else(|| "a value that is no text".into());
    Error::new(ErrorKind::Internal, format!("host code panicked: {text}"))
}

/// The reader's half of an asymmetric barrier, for hosts: what this thread stores before it is seen by whoever loads after
/// a [`barrier_everywhere`], or else this thread loads after it what that one stored before. Costs next to nothing.
#[inline]
pub fn barrier_here() {
    light_barrier(is_light());
}

/// The reader's half of an asymmetric barrier: stops the compiler, and the processor where it is not light, because
/// [`barrier_everywhere`] can't reach it.
#[inline]
pub(crate) fn light_barrier(light: bool) {
    if light {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The writer's half: after it, every thread of the process has passed a full barrier.
pub fn barrier_everywhere() {
    fence(Ordering::SeqCst);
    if is_light() {
        membarrier(MEMBARRIER_PRIVATE_EXPEDITED);
    }
}

/// Whether the kernel does the readers' barrier for them: membarrier(2), Linux 4.14 and later.
pub(crate) fn is_light() -> bool {
    static EXPEDITED: OnceLock<bool> = OnceLock::new();
    *EXPEDITED.get_or_init(|| membarrier(MEMBARRIER_REGISTER_PRIVATE_EXPEDITED))
}

// linux/membarrier.h; libc has no names for them.
const MEMBARRIER_PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const MEMBARRIER_REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

#[cfg(all(target_os = "linux", not(any(loom, miri))))]
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier takes three integers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

#[cfg(not(all(target_os = "linux", not(any(loom, miri)))))]
fn membarrier(_command: libc::c_int) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_errors() {
        let error = enter::<()>(|| panic!("no {}", 1)).expect_err("a panic");
        assert_eq!("host code panicked: no 1", error.to_string());
        struct Rude;
        impl Drop for Rude {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let error = enter::<()>(|| std::panic::panic_any(Rude)).expect_err("a panic");
        assert_eq!("host code panicked: a value that is no text", error.to_string());
    }
}
