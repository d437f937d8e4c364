//! Where the bridge and hosts take locks, atomics and threads from, in code that loom looks for races in.
//!
//! They are those of std. Under `--cfg loom` (`make races`) they are loom's, whose tests run every order in which threads
//! may take turns, and every value that a load may see. What loom does not know is made of what it does:
//! - The asymmetric barrier of [`boundary`](crate::boundary) is a full fence on both sides, as where the kernel has no
//!   membarrier(2), which promises the same.
//! - A wait for a time at most lasts until somebody wakes it, so that a wake-up that is lost is a deadlock, which loom
//!   reports.
//! - [`Instant`] goes on a little whenever a thread looks.

#[cfg(loom)]
pub use self::modelled::*;
#[cfg(not(loom))]
pub use self::real::*;

#[cfg(not(loom))]
mod real {
    pub use std::hint::spin_loop;
    pub use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, atomic};
    pub use std::thread;
    pub use std::thread_local;
    pub use std::time::Instant;
}

#[cfg(loom)]
mod modelled {
    use std::cell::Cell;
    use std::marker::PhantomData;
    use std::ops::Sub;
    use std::time::Duration;

    pub use loom;
    pub use loom::hint::spin_loop;
    pub use loom::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
    pub use loom::thread;

    pub use crate::loom_thread_local as thread_local;

    /// `std::thread_local!` with constants, of which a thread of loom has its own.
    #[macro_export]
    macro_rules! loom_thread_local {
        ($($(#[$attribute:meta])* $public:vis static $name:ident: $type:ty = const $value:block;)*) => {
            $($crate::sync::loom::thread_local! { $(#[$attribute])* $public static $name: $type = $value; })*
        };
    }

    /// `std::sync::LazyLock`, made anew in each run.
    pub struct LazyLock<T>(loom::lazy_static::Lazy<T>);

    impl<T: 'static> LazyLock<T> {
        pub const fn new(init: fn() -> T) -> Self {
            LazyLock(loom::lazy_static::Lazy { init, _p: PhantomData })
        }

        pub fn force(this: &'static Self) -> &'static T {
            this.0.get()
        }
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Instant(Duration);

    impl Instant {
        pub fn now() -> Self {
            const TICK: Duration = Duration::from_micros(30);
            crate::loom_thread_local! { static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) }; }
            NOW.with(|now| {
                now.set(now.get() + TICK);
                Instant(now.get())
            })
        }

        pub fn elapsed(self) -> Duration {
            Instant::now() - self
        }

        pub fn checked_add(self, duration: Duration) -> Option<Self> {
            self.0.checked_add(duration).map(Instant)
        }

        pub fn saturating_duration_since(self, earlier: Instant) -> Duration {
            self.0.saturating_sub(earlier.0)
        }
    }

    impl Sub for Instant {
        type Output = Duration;

        fn sub(self, earlier: Instant) -> Duration {
            self.0 - earlier.0
        }
    }
}
