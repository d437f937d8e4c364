//! The limits on CPython's memory, by its own allocators.
//!
//! Two places take memory from the system: the raw allocator, by malloc, for blocks of more than 512 bytes and what
//! needs no GIL; and the arenas, by mmap, out of which small objects come. Both are counted and held to the limits;
//! small objects cost nothing more. What C extensions take by malloc themselves is not seen.
//!
//! Over the soft limit guest code gets no more and so a `MemoryError`. What is left up to the hard limit is for who
//! reports that: an error's description takes memory too.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;

use super::attach;
use crate::config::MemoryLimits;

/// The bytes that were taken and not given back.
static USED: AtomicUsize = AtomicUsize::new(0);
static SOFT: AtomicUsize = AtomicUsize::new(usize::MAX);
static HARD: AtomicUsize = AtomicUsize::new(usize::MAX);

thread_local! {
    /// Whether host code runs on this thread within a guest's call.
    static LENIENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs host code within a guest's call, with memory up to the hard limit.
pub(super) fn leniently<R>(run: impl FnOnce() -> R) -> R {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            LENIENT.set(self.0);
        }
    }
    let _back = Back(LENIENT.replace(true));
    run()
}

/// How many bytes CPython has and how many guests let it take, where that is limited.
pub(crate) fn used_of() -> Option<(usize, usize)> {
    let soft = SOFT.load(Ordering::Relaxed);
    (soft != usize::MAX).then(|| (USED.load(Ordering::Relaxed), soft))
}

/// Counts from here on. CPython is preinitialised, and not initialised: what it has is not counted, and is given back to
/// the same malloc.
pub(super) fn limit(limits: MemoryLimits, dev_mode: bool) {
    SOFT.store(limits.soft, Ordering::Relaxed);
    HARD.store(limits.hard.unwrap_or(usize::MAX), Ordering::Relaxed);
    let mut raw = ffi::PyMemAllocatorEx {
        ctx: ptr::null_mut(),
        malloc: Some(raw_malloc),
        calloc: Some(raw_calloc),
        realloc: Some(raw_realloc),
        free: Some(raw_free),
    };
    let mut arenas =
        ffi::PyObjectArenaAllocator { ctx: ptr::null_mut(), alloc: Some(arena_alloc), free: Some(arena_free) };
    // SAFETY: the one thread that starts CPython, between the two steps of its start; the functions keep the contract of
    // the allocators, and the structs are copied.
    unsafe {
        ffi::PyMem_SetAllocator(ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_RAW, &raw mut raw);
        ffi::PyObject_SetArenaAllocator(&raw mut arenas);
        if dev_mode {
            // They were around the allocator that was there before.
            ffi::PyMem_SetupDebugHooks();
        }
    }
}

/// Counts `bytes` more, if there may be so many. What is refused is not counted meanwhile either: it would be in the way
/// of another thread that asks for less.
fn take(bytes: usize) -> bool {
    let (soft, hard) = (SOFT.load(Ordering::Relaxed), HARD.load(Ordering::Relaxed));
    let may_be = |used: &usize| *used <= soft || *used <= hard && !in_guest_code();
    let more = |used: usize| used.checked_add(bytes).filter(may_be);
    USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

/// Counts what became of `taken` bytes: malloc rounds up, and what is freed is counted as it is.
fn recount(taken: usize, block: *mut c_void) {
    let became = size_of_block(block);
    if became > taken {
        USED.fetch_add(became - taken, Ordering::Relaxed);
    } else {
        give_back(taken - became);
    }
}

fn give_back(bytes: usize) {
    // What was taken before anybody counted may be given back after.
    let _ = USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used.saturating_sub(bytes)));
}

#[cold]
fn in_guest_code() -> bool {
    !attach::here().record.get().is_null() && !LENIENT.get()
}

// CPython alone calls these, with blocks and arenas that it got from them, or from the same malloc before.

extern "C" fn raw_malloc(_: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: as malloc; of 0 bytes CPython wants a block of its own.
    counted(size, || unsafe { libc::malloc(size.max(1)) })
}

extern "C" fn raw_calloc(_: *mut c_void, count: usize, size: usize) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else { return ptr::null_mut() };
    // SAFETY: as above.
    counted(bytes, || unsafe { libc::calloc(bytes.max(1), 1) })
}

/// Allocates `size` bytes, and counts what they became.
fn counted(size: usize, allocate: impl FnOnce() -> *mut c_void) -> *mut c_void {
    if !take(size) {
        return ptr::null_mut();
    }
    let block = allocate();
    recount(size, block);
    block
}

extern "C" fn raw_realloc(context: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return raw_malloc(context, size);
    }
    let before = size_of_block(block);
    // Less than it has is never refused: CPython does not expect that.
    let more = size.saturating_sub(before);
    if more > 0 && !take(more) {
        return ptr::null_mut();
    }
    // SAFETY: a block of this malloc, by CPython's contract.
    let moved = unsafe { libc::realloc(block, size.max(1)) };
    if moved.is_null() {
        give_back(more);
    } else {
        recount(before + more, moved);
    }
    moved
}

extern "C" fn raw_free(_: *mut c_void, block: *mut c_void) {
    give_back(size_of_block(block));
    // SAFETY: a block of this malloc, or null, by CPython's contract.
    unsafe { libc::free(block) };
}

fn size_of_block(block: *mut c_void) -> usize {
    // SAFETY: null or a block of malloc, which is what each caller has.
    unsafe { libc::malloc_usable_size(block) }
}

extern "C" fn arena_alloc(_: *mut c_void, size: usize) -> *mut c_void {
    if !take(size) {
        return ptr::null_mut();
    }
    let (read_write, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, wherever the kernel likes.
    let arena = unsafe { libc::mmap(ptr::null_mut(), size, read_write, flags, -1, 0) };
    if arena == libc::MAP_FAILED {
        give_back(size);
        return ptr::null_mut();
    }
    arena
}

extern "C" fn arena_free(_: *mut c_void, arena: *mut c_void, size: usize) {
    // SAFETY: an arena of this size from above, by CPython's contract.
    unsafe { libc::munmap(arena, size) };
    give_back(size);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn set(bytes: usize) {
        for limit in [&SOFT, &HARD] {
            limit.store(bytes, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_refused_is_in_nobodys_way() {
        // CPython is not limited in this process, so that nobody else counts.
        set(1000);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for bytes in [1001, usize::MAX, usize::MAX / 2] {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        assert!(!take(bytes));
                    }
                });
            }
            for _ in 0..100_000 {
                let taken = take(1000);
                // Before the test fails, the others end.
                stop.fetch_or(!taken, Ordering::Relaxed);
                assert!(taken, "there is room");
                give_back(1000);
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(0, USED.load(Ordering::Relaxed));
        set(usize::MAX);
    }
}
