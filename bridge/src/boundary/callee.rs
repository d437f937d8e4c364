//! Which export a thread works for, for whoever asks on that thread.

use std::cell::Cell;
use std::ptr;

use crate::observe::Callee;

thread_local! {
    static CALLEE: Cell<*const Callee> = const { Cell::new(ptr::null()) };
}

/// Runs `run` as part of a call of `callee`, or of none.
#[inline]
pub(crate) fn works_for<R>(callee: Option<&Callee>, run: impl FnOnce() -> R) -> R {
    struct Back(*const Callee);
    impl Drop for Back {
        #[inline]
        fn drop(&mut self) {
            CALLEE.set(self.0);
        }
    }
    let _back = Back(CALLEE.replace(callee.map_or(ptr::null(), ptr::from_ref)));
    run()
}

/// Gives `see` the callee of the innermost call of this thread.
#[inline]
pub(crate) fn callee<R>(see: impl FnOnce(Option<&Callee>) -> R) -> R {
    // SAFETY: `works_for` borrows what it points to for as long as it is there, and `see` runs within that.
    see(unsafe { CALLEE.get().as_ref() })
}
