//! What each thread is inside of and uses, for others to see.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::PoisonError;

use super::{MAX_DEPTH, ending, nested_too_deep};
use crate::boundary;
use crate::error::Result;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::sync::{LazyLock, Mutex, MutexGuard, thread_local};

/// What one thread is inside of, outermost first, by id. Written by that thread alone. Never freed: the next thread
/// gets it.
pub(super) struct Slots {
    pub(super) inside: [AtomicU64; MAX_DEPTH],
    /// The addresses of what it uses meanwhile and others may replace; see [`Use`].
    uses: [AtomicPtr<()>; MAX_DEPTH],
}

/// All there are, and those that no thread has at the moment.
#[derive(Default)]
pub(super) struct Threads {
    pub(super) all: Vec<&'static Slots>,
    free: Vec<&'static Slots>,
}

static THREADS: LazyLock<Mutex<Threads>> = LazyLock::new(Mutex::default);

pub(super) fn threads() -> MutexGuard<'static, Threads> {
    LazyLock::force(&THREADS).lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Without a destructor, so that asking is one load.
    pub(super) static HERE: Here = const {
        Here { light: Cell::new(None), slots: Cell::new(None), depth: Cell::new(0), uses: Cell::new(0) }
    };
    /// Gives the slots back at the thread's end.
    static OWNED: Owned = const { Owned };
}

pub(super) struct Here {
    /// The slots, where a light barrier will do for them.
    pub(super) light: Cell<Option<&'static Slots>>,
    pub(super) slots: Cell<Option<&'static Slots>>,
    pub(super) depth: Cell<usize>,
    uses: Cell<usize>,
}

struct Owned;

impl Here {
    /// The thread's slots; nothing during its last destructors, when nobody would take them back.
    #[cold]
    pub(super) fn slots(&self) -> Option<&'static Slots> {
        if let Some(slots) = self.slots.get() {
            return Some(slots);
        }
        OWNED.try_with(|_| ()).ok()?;
        let mut threads = threads();
        let slots = threads.free.pop().unwrap_or_else(|| {
            let new = Slots {
                inside: std::array::from_fn(|_| AtomicU64::new(0)),
                uses: std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())),
            };
            let slots: &'static Slots = Box::leak(Box::new(new));
            threads.all.push(slots);
            slots
        });
        self.slots.set(Some(slots));
        self.light.set(Some(slots).filter(|_| boundary::is_light()));
        Some(slots)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // loom has its statics end before its threads do.
        if cfg!(loom) {
            return;
        }
        let slots = HERE.with(|here| {
            here.light.set(None);
            here.slots.take()
        });
        if let Some(slots) = slots {
            threads().free.push(slots);
        }
    }
}

/// A place in which this thread announces the address of what it uses, as it does for modules it is inside of; see
/// [`boundary::Current`]. The innermost is dropped first.
pub(crate) struct Use {
    slot: &'static AtomicPtr<()>,
    depth: usize,
    light: bool,
    /// Neither Send nor Sync: the slot belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Use {
    /// Takes this thread's next place.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`](crate::ErrorKind::Exhausted) where [`MAX_DEPTH`] are taken.
    #[inline]
    pub(crate) fn begin() -> Result<Use> {
        let (depth, light) = HERE.with(|here| (here.uses.get(), here.light.get()));
        if depth >= MAX_DEPTH {
            return Err(nested_too_deep());
        }
        let Some(slots) = light.or_else(|| HERE.with(Here::slots)) else { return Err(ending()) };
        HERE.with(|here| here.uses.set(depth + 1));
        Ok(Use { slot: &slots.uses[depth], depth, light: light.is_some(), _thread: PhantomData })
    }

    /// Announces an address in place of what was announced before. Who asks for [`users`] after a
    /// [`boundary::barrier_everywhere`] sees it, or else whatever this thread loads next was stored before that.
    #[inline]
    pub(crate) fn announce(&self, address: *mut ()) {
        // Release, as whoever sees it in the place of an older address may free what that was of.
        self.slot.store(address, Ordering::Release);
        boundary::light_barrier(self.light);
    }
}

impl Drop for Use {
    #[inline]
    fn drop(&mut self) {
        self.slot.store(std::ptr::null_mut(), Ordering::Release);
        HERE.with(|here| here.uses.set(self.depth));
        boundary::light_barrier(self.light);
    }
}

/// How often an address is announced: by other threads, and by this one.
pub(crate) fn users(address: *const ()) -> (usize, usize) {
    let mine = HERE.with(|here| here.slots.get()).map_or(std::ptr::null(), std::ptr::from_ref);
    let count = |slots: &Slots| {
        let same = |slot: &&AtomicPtr<()>| std::ptr::eq(slot.load(Ordering::Acquire), address);
        slots.uses.iter().filter(same).count()
    };
    threads().all.iter().fold((0, 0), |(others, own), slots| match std::ptr::eq(*slots, mine) {
        true => (others, own + count(slots)),
        false => (others + count(slots), own),
    })
}
