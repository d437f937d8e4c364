//! A value that many threads use, without a lock, while another replaces it.
//!
//! Using it costs a few plain stores, as entering a module does, and no counter that callers share: the thread
//! announces the address that it is about to use, and looks again whether that is still the current one. Whoever
//! replaces it has every thread pass a barrier, and then sees all who use the old one. These are hazard pointers, with
//! the reader's barrier on the writer's side.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::barrier_everywhere;
use crate::error::Result;
use crate::lifecycle::{Use, users};
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};
use crate::sync::{Arc, Condvar, Mutex};

/// The value that is used now.
pub(crate) struct Current<T> {
    /// From [`Arc::into_raw`].
    value: AtomicPtr<T>,
    /// How many wait for the users of a replaced value.
    waiting: AtomicUsize,
    lock: Mutex<()>,
    left: Condvar,
}

/// A value that was replaced and may still be used. What is dropped while it is used is leaked.
pub(crate) struct Replaced<T>(ManuallyDrop<Arc<T>>);

/// What became of a wait for the users of a replaced value.
pub(crate) enum Drained<T> {
    /// Nobody uses it any more.
    Free(T),
    /// So many others do, and this thread does so often, who can't wait for itself.
    Used(Replaced<T>, usize, usize),
}

impl<T: Send + Sync> Current<T> {
    pub(crate) fn new(value: T) -> Self {
        Current {
            value: AtomicPtr::new(Arc::into_raw(Arc::new(value)).cast_mut()),
            waiting: AtomicUsize::new(0),
            lock: Mutex::new(()),
            left: Condvar::new(),
        }
    }

    /// Uses the current value on this thread until the guard is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`](crate::ErrorKind::Exhausted) where the thread's uses are too deep.
    #[inline]
    pub(crate) fn enter(&self) -> Result<Used<'_, T>> {
        let place = Use::begin()?;
        let seen = self.value.load(Ordering::Relaxed);
        place.announce(seen.cast());
        let mut value = self.value.load(Ordering::Acquire);
        if !std::ptr::eq(value, seen) {
            value = self.follow(&place, value);
        }
        Ok(Used { current: self, place: ManuallyDrop::new(place), value })
    }

    /// Announces the current value, which was another a moment ago.
    #[cold]
    fn follow(&self, place: &Use, mut seen: *mut T) -> *mut T {
        loop {
            place.announce(seen.cast());
            // Somebody may wait for the one that was announced before.
            self.left();
            let now = self.value.load(Ordering::Acquire);
            if std::ptr::eq(now, seen) {
                return now;
            }
            seen = now;
        }
    }

    /// Puts a value in the place of the current one.
    pub(crate) fn replace(&self, value: T) -> Replaced<T> {
        let old = self.value.swap(Arc::into_raw(Arc::new(value)).cast_mut(), Ordering::AcqRel);
        // SAFETY: it came from `Arc::into_raw`, and only whoever swaps it out takes it back.
        Replaced(ManuallyDrop::new(unsafe { Arc::from_raw(old) }))
    }

    /// Waits until nobody but this thread uses a replaced value, for `grace` at most.
    pub(crate) fn drain(&self, mut replaced: Replaced<T>, grace: Duration) -> Drained<T> {
        let deadline = Instant::now().checked_add(grace);
        let _waiting = Waiting::begin(&self.waiting);
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (others, own) = replaced.users();
            if others == 0 && own == 0 {
                match replaced.free() {
                    Ok(value) => return Drained::Free(value),
                    Err(used) => replaced = used,
                }
            }
            let wait = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            if (others == 0 && own > 0) || wait.is_zero() {
                return Drained::Used(replaced, others, own);
            }
            let wait = wait.min(Duration::from_secs(3600));
            lock = self.left.wait_timeout(lock, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// After something of ours was let go of: wakes those who wait for that.
    #[inline]
    fn left(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.tell_left();
        }
    }

    #[cold]
    fn tell_left(&self) {
        // Taking the lock makes sure that a drain either sees us gone or is woken.
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.left.notify_all();
    }
}

impl<T> Drop for Current<T> {
    fn drop(&mut self) {
        // SAFETY: it came from `Arc::into_raw`; nobody uses it, as each use borrows this.
        drop(unsafe { Arc::from_raw(self.value.load(Ordering::Relaxed)) });
    }
}

impl<T> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

/// Counts one who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        // Pairs with the barriers of those who leave, and of those who enter: from here on we see who uses what was
        // replaced, and whoever leaves sees us.
        barrier_everywhere();
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<T> Replaced<T> {
    /// How often other threads use it, or keep it, and how often this one uses it. After a barrier everywhere. A use is
    /// announced until after it has become a keep, so those are counted first.
    fn users(&self) -> (usize, usize) {
        let (others, own) = users(Arc::as_ptr(&self.0).cast());
        (others + Arc::strong_count(&self.0) - 1, own)
    }

    /// The value, where nobody uses it.
    fn free(mut self) -> Result<T, Self> {
        // SAFETY: it is not used again: `self` is forgotten, or gets it back.
        let value = unsafe { ManuallyDrop::take(&mut self.0) };
        std::mem::forget(self);
        Arc::try_unwrap(value).map_err(|value| Replaced(ManuallyDrop::new(value)))
    }
}

impl<T> Deref for Replaced<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Drop for Replaced<T> {
    fn drop(&mut self) {
        barrier_everywhere();
        if users(Arc::as_ptr(&self.0).cast()) == (0, 0) {
            // SAFETY: it is dropped once, here. Nobody announces it, and nobody can any more: it is not the current one.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

impl<T> fmt::Debug for Replaced<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replaced").finish_non_exhaustive()
    }
}

/// A use of the value that was current when it began. Stays on its thread.
pub(crate) struct Used<'a, T: Send + Sync> {
    current: &'a Current<T>,
    place: ManuallyDrop<Use>,
    value: *const T,
}

impl<T: Send + Sync> Used<'_, T> {
    /// Keeps the value beyond this use, on any thread; `of` leads to where it is from.
    pub(crate) fn keep<O: AsRef<Current<T>>>(&self, of: O) -> Kept<T, O> {
        debug_assert!(std::ptr::eq(of.as_ref(), self.current), "bridge bug: kept for another, please report");
        // SAFETY: it came from `Arc::into_raw`, and is not freed while this use announces it.
        let value = unsafe {
            Arc::increment_strong_count(self.value);
            Arc::from_raw(self.value)
        };
        Kept { value: ManuallyDrop::new(value), of }
    }
}

impl<T: Send + Sync> Deref for Used<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread announces the address, and has seen it to be the current one since. Who replaces it frees
        // it only after a barrier on every thread and a look at what is announced.
        unsafe { &*self.value }
    }
}

impl<T: Send + Sync> Drop for Used<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it is dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.place) };
        self.current.left();
    }
}

/// A value that is kept while no thread uses it.
pub(crate) struct Kept<T: Send + Sync, O: AsRef<Current<T>>> {
    value: ManuallyDrop<Arc<T>>,
    of: O,
}

impl<T: Send + Sync, O: AsRef<Current<T>>> Deref for Kept<T, O> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Send + Sync, O: AsRef<Current<T>>> Drop for Kept<T, O> {
    fn drop(&mut self) {
        // SAFETY: it is dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        // Pairs with the barrier of who waits: they see us gone, or we see them.
        fence(Ordering::SeqCst);
        self.of.as_ref().left();
    }
}

#[cfg(all(test, loom))]
mod races {
    use std::sync::Arc as StdArc;

    use super::*;
    use crate::sync::{loom, thread};

    type Shared = StdArc<Current<AtomicUsize>>;

    fn use_once(current: &Shared) {
        current.enter().expect("not too deep").fetch_add(1, Ordering::Relaxed);
    }

    fn keep(current: &Shared) {
        let kept = current.enter().expect("not too deep").keep(current.clone());
        kept.fetch_add(1, Ordering::Relaxed);
    }

    /// The value, which loom finds used if anybody still does.
    fn free(drained: Drained<AtomicUsize>) -> usize {
        match drained {
            Drained::Free(mut value) => value.with_mut(|value| *value),
            Drained::Used(_, others, own) => panic!("waited in vain for {others} others, and {own}"),
        }
    }

    /// While others use what is current, it is replaced, and waited for. Every use is of one value or the other.
    fn model(uses: &'static [fn(&Shared)], replacements: usize) {
        loom::model(move || {
            let current: Shared = StdArc::new(Current::new(AtomicUsize::new(0)));
            let user = |used: &fn(&Shared)| {
                let (current, used) = (current.clone(), *used);
                thread::spawn(move || used(&current))
            };
            let users: Vec<_> = uses.iter().map(user).collect();
            let mut used = 0;
            for _ in 0..replacements {
                let old = current.replace(AtomicUsize::new(0));
                used += free(current.drain(old, Duration::MAX));
            }
            users.into_iter().for_each(|user| user.join().expect("no panic"));
            let last = current.replace(AtomicUsize::new(0));
            used += free(current.drain(last, Duration::ZERO));
            assert_eq!(uses.len(), used);
        });
    }

    #[test]
    fn what_is_used_is_not_freed() {
        model(&[use_once], 1);
    }

    #[test]
    fn what_is_used_is_not_freed_where_it_is_replaced_again() {
        model(&[use_once], 2);
    }

    #[test]
    fn what_two_use_is_not_freed() {
        model(&[use_once, use_once], 1);
    }

    #[test]
    fn what_is_kept_is_not_freed() {
        model(&[keep], 1);
    }

    #[test]
    fn what_is_dropped_unwaited_is_not_freed_while_it_is_used() {
        // What is used then is leaked, which loom would call a fault: so nobody keeps it.
        loom::model(|| {
            let current: Shared = StdArc::new(Current::new(AtomicUsize::new(0)));
            let other = current.clone();
            let user = thread::spawn(move || use_once(&other));
            user.join().expect("no panic");
            drop(current.replace(AtomicUsize::new(0)));
        });
    }
}
