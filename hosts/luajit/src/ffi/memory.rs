//! The limit on a VM's memory.
//!
//! The memory itself is LuaJIT's own allocator's, which is faster than malloc
//! and gives everything back at once when the VM closes; this counts before it.

use std::cell::Cell;
use std::ffi::c_void;

use mlua_sys::lua51::{self as lua, lua_Alloc, lua_State};

/// What a limited VM's allocator counts. Boxed by the [`super::Vm`], which outlives the state.
pub(super) struct Memory {
    used: Cell<usize>,
    limit: usize,
    /// Whether an allocation over the limit is refused: while guest code runs, and never while host code does, whose
    /// pushes must not raise.
    strict: Cell<bool>,
    /// Whether one was refused since the last [`Memory::tidy`].
    refused: Cell<bool>,
    /// Whether more than half the limit was used at the last [`Memory::tidy`].
    tight: Cell<bool>,
    inner: lua_Alloc,
    inner_state: *mut c_void,
}

impl Memory {
    /// Begins to count. `limit` is more than 0.
    ///
    /// # Safety
    /// `l` is a state of `luaL_newstate` that nothing has been done with; the box outlives what [`Memory::detach`] ends.
    pub(super) unsafe fn attach(l: *mut lua_State, limit: usize) -> Box<Memory> {
        let mut inner_state = std::ptr::null_mut();
        // SAFETY: the caller's state; the old allocator goes on to own everything, the new one counts before it.
        unsafe {
            let used = taken(l);
            let inner = lua::lua_getallocf(l, &mut inner_state);
            let memory = Box::new(Memory {
                tight: Cell::new(false),
                used: Cell::new(used),
                limit,
                strict: Cell::new(false),
                refused: Cell::new(false),
                inner,
                inner_state,
            });
            lua::lua_setallocf(l, allocate, std::ptr::from_ref(&*memory).cast_mut().cast());
            memory
        }
    }

    /// Gives the state its own allocator back: `lua_close` frees that one's memory as a whole, and only that one's.
    ///
    /// # Safety
    /// As [`Memory::attach`], for the same state.
    pub(super) unsafe fn detach(&self, l: *mut lua_State) {
        // SAFETY: what `attach` found there.
        unsafe { lua::lua_setallocf(l, self.inner, self.inner_state) };
    }

    /// Refuses, or no longer refuses, what passes the limit; returns what it did before.
    #[inline]
    pub(super) fn set_strict(&self, strict: bool) -> bool {
        self.strict.replace(strict)
    }

    /// Whether `more` bytes would pass the limit.
    pub(super) fn is_over(&self, more: usize) -> bool {
        self.used.get().saturating_add(more) > self.limit
    }

    /// Sees to the garbage after guest code has run. LuaJIT collects nothing when an allocation is refused, so that
    /// garbage counts against the limit.
    ///
    /// # Safety
    /// `l` is the state this is attached to, and runs on this thread in host code.
    #[inline]
    pub(super) unsafe fn tidy(&self, l: *mut lua_State) {
        let tight = self.used.get() > self.limit / 2;
        if tight != self.tight.get() || self.refused.get() {
            // SAFETY: the caller's promise.
            unsafe { self.change_pace(l, tight) };
        }
    }

    /// # Safety
    /// As [`Memory::tidy`].
    #[cold]
    unsafe fn change_pace(&self, l: *mut lua_State, tight: bool) {
        self.tight.set(tight);
        // Up to half the limit the collector may wait until memory has doubled, as it does by default; beyond, garbage
        // is kept at a quarter of what is alive.
        let pause = if tight { 125 } else { 200 };
        // SAFETY: the caller's promise; collecting raises nothing, as guests have no finalizers.
        unsafe {
            lua::lua_gc(l, lua::LUA_GCSETPAUSE, pause);
            if self.refused.take() {
                lua::lua_gc(l, lua::LUA_GCCOLLECT, 0);
            }
        }
    }

    /// How many bytes the state has.
    pub(super) fn used(&self) -> usize {
        self.used.get()
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }
}

/// How many bytes a state has.
///
/// # Safety
/// `l` is a state that runs on this thread in host code, or on none.
pub(super) unsafe fn taken(l: *mut lua_State) -> usize {
    // SAFETY: the caller's promise; to count changes nothing.
    unsafe { lua::lua_gc(l, lua::LUA_GCCOUNT, 0) as usize * 1024 + lua::lua_gc(l, lua::LUA_GCCOUNTB, 0) as usize }
}

/// # Safety
/// Called by LuaJIT alone, on the thread that uses the state, with what [`Memory::attach`] passed.
unsafe extern "C" fn allocate(state: *mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: the box lives until `detach`. Only the thread that uses the state is here.
    let memory = unsafe { &*state.cast::<Memory>() };
    let old = if block.is_null() { 0 } else { old };
    // A shrinking block is never refused: LuaJIT does not expect that.
    if new > old && memory.strict.get() && memory.is_over(new - old) {
        memory.refused.set(true);
        return std::ptr::null_mut();
    }
    // SAFETY: LuaJIT's own allocator with its own state and block.
    let block = unsafe { (memory.inner)(memory.inner_state, block, old, new) };
    if !block.is_null() || new == 0 {
        memory.used.set(memory.used.get().wrapping_sub(old).wrapping_add(new));
    }
    block
}
