//! Threads as the holders of VMs: a number that is quick to get, and a name for errors.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use polyhost_bridge::sync::atomic::{AtomicU64, Ordering};
use polyhost_bridge::sync::{LazyLock, thread_local};

thread_local! {
    static ME: Cell<u64> = const { Cell::new(0) };
}

/// The id of this thread: even, not 0, never used again.
#[inline]
pub(crate) fn me() -> u64 {
    match ME.with(Cell::get) {
        0 => introduce(),
        me => me,
    }
}

/// What to call the thread with this id; `None` once it has ended.
pub(crate) fn name(id: u64) -> Option<String> {
    threads().get(&id).cloned()
}

static THREADS: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());

fn threads() -> MutexGuard<'static, BTreeMap<u64, String>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cold]
fn introduce() -> u64 {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(1));
    struct Leave(u64);
    impl Drop for Leave {
        fn drop(&mut self) {
            threads().remove(&self.0);
        }
    }
    thread_local! {
        static LEAVE: Cell<Option<Leave>> = const { Cell::new(None) };
    }
    let me = 2 * LazyLock::force(&NEXT).fetch_add(1, Ordering::Relaxed);
    ME.with(|it| it.set(me));
    let thread = std::thread::current();
    let name = thread.name().map_or_else(|| format!("{:?}", thread.id()), |name| format!("thread {name}"));
    threads().insert(me, name);
    // During a thread's last destructors its name stays behind; calls are refused by then anyway.
    let _ = LEAVE.try_with(|leave| leave.set(Some(Leave(me))));
    me
}
