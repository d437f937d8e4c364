//! How much of the thread's own stack is left.

use std::cell::Cell;

/// What has to be left for a call into Lua. Below it are, at their worst: the compiler's recursion for a deeply nested
/// expression, a pattern match 200 levels deep in a buffer of 8 KiB, a message of 100 levels, and raising an error.
const RESERVE: usize = 256 << 10;

thread_local! {
    /// The lowest address that leaves the reserve, and the highest of the stack; 0 before the first question.
    static BOUNDS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Whether another call into Lua fits on this thread's stack.
#[inline]
pub(super) fn has_room() -> bool {
    // A variable: a reference to a constant would point to the program's data.
    let mark = 0u8;
    let here = std::ptr::from_ref(&mark).addr();
    let (low, high) = match BOUNDS.get() {
        (_, 0) => measure(),
        bounds => bounds,
    };
    // Beyond the bounds it is some other stack, of which we know nothing.
    here >= low || here > high
}

#[cold]
fn measure() -> (usize, usize) {
    let bounds = thread_stack().map_or((0, usize::MAX), |(low, size)| {
        // A small stack is used up to a half.
        (low + RESERVE.min(size / 2), low + size)
    });
    BOUNDS.set(bounds);
    bounds
}

/// Lowest address and size.
#[cfg(target_os = "linux")]
fn thread_stack() -> Option<(usize, usize)> {
    // SAFETY: attributes that pthread_getattr_np initialises, and that are destroyed once if it did.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) != 0 {
            return None;
        }
        let (mut low, mut size) = (std::ptr::null_mut(), 0);
        let known = libc::pthread_attr_getstack(&attributes, &mut low, &mut size) == 0;
        libc::pthread_attr_destroy(&mut attributes);
        known.then_some((low.addr(), size))
    }
}

#[cfg(not(target_os = "linux"))]
compile_error!("polyhost-luajit knows the bounds of a thread's stack on Linux alone; add them here");
