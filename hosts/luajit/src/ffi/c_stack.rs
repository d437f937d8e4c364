//! How much of the thread's own stack guest code may use.

use std::cell::Cell;

/// What has to be left for a call into Lua. Below it are, at their worst: the compiler's recursion for a deeply nested
/// expression, a pattern match 200 levels deep in a buffer of 8 KiB, a message of 100 levels, and raising an error.
const RESERVE: usize = 256 << 10;

/// What one call of the host may use for calls from C into Lua, however large the stack is. LuaJIT takes time in the
/// square of their number to raise an error through them: many seconds for the 50,000 that fit into 64 MiB.
const BUDGET: usize = 1 << 20;

thread_local! {
    /// The lowest address of the stack, and the lowest that leaves the reserve; 0 before the first question.
    static BOUNDS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// About where the stack ends now.
#[inline(always)]
pub(super) fn here() -> usize {
    let local = 0u8;
    std::hint::black_box(&raw const local).addr()
}

/// Whether another call into Lua fits, for a call of the host that began at `start`.
#[inline]
pub(super) fn has_room(start: usize) -> bool {
    let here = here();
    let bounds = match BOUNDS.get() {
        (_, 0) => measure(),
        bounds => bounds,
    };
    fits(here, bounds) && start.saturating_sub(here) <= BUDGET
}

/// Not where what is left is the reserve. Beyond the stack it is some other one, a fiber's say, of which we know
/// nothing.
#[inline]
fn fits(here: usize, (bottom, low): (usize, usize)) -> bool {
    !(bottom..low).contains(&here)
}

#[cold]
fn measure() -> (usize, usize) {
    // A small stack is used up to a half.
    let bounds = thread_stack().map_or((usize::MAX, usize::MAX), |(low, size)| (low, low + RESERVE.min(size / 2)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_of_this_stack_alone_is_refused() {
        assert!(has_room(here()));
        let (bottom, low) = BOUNDS.get();
        assert!(bottom < low && low < here());
        for (address, expected) in [(low, true), (low - 1, false), (bottom, false), (bottom - 1, true)] {
            assert_eq!(expected, fits(address, (bottom, low)), "{address:#x} of {bottom:#x}..{low:#x}");
        }
    }
}
