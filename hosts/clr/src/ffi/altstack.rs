//! Signal stacks that are large enough for .NET.
//!
//! A null dereference in C# is a SIGSEGV that .NET turns into an exception, on the alternate signal stack of the
//! thread. Rust gives its threads 8 KiB, .NET keeps a stack that is there, and on processors with AVX-512 the two
//! together end the process (dotnet/runtime#115438, netcorehost#38). So each thread gets a larger one before it
//! first enters managed code.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use polyhost_bridge::{Error, ErrorKind, Result};

/// What .NET needs beside the frame that the kernel writes; its own stacks have 16 KiB, of which 15 were seen in use
/// (dotnet/runtime#127320).
const HANDLERS: usize = 56 << 10;
/// No stack is smaller than this.
const LEAST: usize = 64 << 10;

thread_local! {
    /// Whether this thread has a stack that will do. Without a destructor, so that asking is one load.
    static READY: Cell<bool> = const { Cell::new(false) };
    /// What this thread was given, to be given back at its end.
    static GIVEN: Given = const { Given(Cell::new(None)) };
}

/// Stacks of threads that have ended. They are never unmapped: a signal may still be on its way out of one.
static FREE: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// Makes sure that this thread may enter managed code. One load where it was asked before.
///
/// # Errors
/// [`ErrorKind::Exhausted`] where there is no memory for a stack; [`ErrorKind::Closed`] on a thread that is about to
/// end.
#[inline]
pub(crate) fn ready() -> Result<()> {
    if READY.get() { Ok(()) } else { prepare() }
}

#[cold]
fn prepare() -> Result<()> {
    let failed = |e: io::Error| {
        let message = format!("this thread cannot get the signal stack that .NET needs: {e}");
        Error::new(ErrorKind::Exhausted, message).caused_by(e)
    };
    let before = current().map_err(failed)?;
    if before.ss_flags & libc::SS_DISABLE != 0 || before.ss_size < LEAST {
        GIVEN.try_with(|given| given.install(before)).map_err(|_| ending())?.map_err(failed)?;
    }
    READY.set(true);
    Ok(())
}

#[cold]
fn ending() -> Error {
    Error::new(ErrorKind::Closed, "this thread is ending and can make no more calls")
}

/// Memory for a signal stack, above a page that faults. Owned by the thread it is given to, else by [`FREE`].
struct Stack {
    bottom: NonNull<libc::c_void>,
    size: usize,
}

// SAFETY: a Stack is memory that only its owner uses, and nothing of it belongs to a thread.
unsafe impl Send for Stack {}

struct Given(Cell<Option<(Stack, libc::stack_t)>>);

impl Given {
    fn install(&self, before: libc::stack_t) -> io::Result<()> {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let stack = free.map_or_else(Stack::map, Ok)?;
        let new = libc::stack_t { ss_sp: stack.bottom.as_ptr(), ss_flags: 0, ss_size: stack.size };
        // SAFETY: the memory is ours alone and is never unmapped.
        let outcome = unsafe { set(&new) };
        match outcome {
            Ok(()) => self.0.set(Some((stack, before))),
            Err(_) => stack.free(),
        }
        outcome
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        READY.set(false);
        let Some((stack, before)) = self.0.take() else { return };
        // Rust's own stack is gone by now, with signal stacks switched off (std's `drop_handler`): then there is
        // nothing to put back. Else whoever owns the one from before still counts on it.
        let ours =
            current().is_ok_and(|now| now.ss_sp == stack.bottom.as_ptr() && now.ss_flags & libc::SS_DISABLE == 0);
        // SAFETY: ours is in force, so nobody has come to take away the one from before since we replaced it.
        if ours && unsafe { set(&before) }.is_err() {
            // The thread stands on it. It stays the thread's for good.
            return;
        }
        stack.free();
    }
}

impl Stack {
    fn map() -> io::Result<Self> {
        // SAFETY: both ask the system for a number.
        let (page, frame) = unsafe { (libc::sysconf(libc::_SC_PAGESIZE), libc::getauxval(libc::AT_MINSIGSTKSZ)) };
        let page = usize::try_from(page).unwrap_or(4096);
        let size = (HANDLERS + frame as usize).max(LEAST).next_multiple_of(page);
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, wherever there is room.
        let map = unsafe { libc::mmap(ptr::null_mut(), page + size, protection, flags, -1, 0) };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the first page of the mapping that was just made; nobody uses it.
        if unsafe { libc::mprotect(map, page, libc::PROT_NONE) } != 0 {
            let error = io::Error::last_os_error();
            // SAFETY: as above.
            unsafe { libc::munmap(map, page + size) };
            return Err(error);
        }
        // SAFETY: `page` lies within the mapping of `page + size` bytes.
        let bottom = unsafe { map.byte_add(page) };
        Ok(Stack { bottom: NonNull::new(bottom).expect("behind a mapped page"), size })
    }

    fn free(self) {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }
}

fn current() -> io::Result<libc::stack_t> {
    let mut now = MaybeUninit::uninit();
    // SAFETY: asks only; the system writes to `now`, which has the size it wants.
    if unsafe { libc::sigaltstack(ptr::null(), now.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: written by the successful call.
    Ok(unsafe { now.assume_init() })
}

/// # Safety
/// The memory that `stack` names is there until another stack is set on this thread.
unsafe fn set(stack: &libc::stack_t) -> io::Result<()> {
    // SAFETY: the caller vouches for the memory.
    match unsafe { libc::sigaltstack(stack, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bottom() -> usize {
        current().expect("asked").ss_sp as usize
    }

    #[test]
    fn a_thread_gets_a_stack_once_and_the_next_thread_gets_it_again() {
        let on_a_thread = || {
            std::thread::spawn(|| {
                let before = bottom();
                ready().expect("ready");
                let given = bottom();
                assert_ne!(before, given);
                assert!(current().expect("asked").ss_size >= LEAST);
                ready().expect("ready");
                assert_eq!(given, bottom());
                given
            })
            .join()
            .expect("no panic")
        };
        assert_eq!(on_a_thread(), on_a_thread());
    }

    #[test]
    fn a_stack_that_is_large_enough_stays() {
        std::thread::spawn(|| {
            let own = Stack::map().expect("mapped");
            let stack = libc::stack_t { ss_sp: own.bottom.as_ptr(), ss_flags: 0, ss_size: own.size };
            // SAFETY: the mapping is never unmapped.
            unsafe { set(&stack) }.expect("set");
            ready().expect("ready");
            assert_eq!(own.bottom.as_ptr() as usize, bottom());
        })
        .join()
        .expect("no panic");
    }

    #[test]
    fn the_page_below_faults() {
        let stack = Stack::map().expect("mapped");
        let mut pages = [0u8; 1];
        let below = stack.bottom.as_ptr().wrapping_byte_sub(4096);
        // SAFETY: writes to nothing of ours: a page that may not be written makes read(2) fail with EFAULT.
        let outcome = unsafe {
            let zero = libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY);
            assert_eq!(1, libc::read(zero, pages.as_mut_ptr().cast(), 1));
            let outcome = libc::read(zero, below, 1);
            libc::close(zero);
            outcome
        };
        assert_eq!(-1, outcome);
        assert_eq!(Some(libc::EFAULT), io::Error::last_os_error().raw_os_error());
    }
}
