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
            let used =
                lua::lua_gc(l, lua::LUA_GCCOUNT, 0) as usize * 1024 + lua::lua_gc(l, lua::LUA_GCCOUNTB, 0) as usize;
            let inner = lua::lua_getallocf(l, &mut inner_state);
            let memory =
                Box::new(Memory { used: Cell::new(used), limit, strict: Cell::new(false), inner, inner_state });
            lua::lua_setallocf(l, allocate, std::ptr::from_ref(&*memory).cast_mut().cast());
            // LuaJIT collects nothing when an allocation is refused, so that garbage counts against the limit: a
            // shorter pause keeps it at a quarter of what is alive.
            lua::lua_gc(l, lua::LUA_GCSETPAUSE, 125);
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

    pub(super) fn limit(&self) -> usize {
        self.limit
    }
}

/// # Safety
/// Called by LuaJIT alone, on the thread that uses the state, with what [`Memory::attach`] passed.
unsafe extern "C" fn allocate(state: *mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: the box lives until `detach`. Only the thread that uses the state is here.
    let memory = unsafe { &*state.cast::<Memory>() };
    let old = if block.is_null() { 0 } else { old };
    // A shrinking block is never refused: LuaJIT does not expect that.
    if new > old && memory.strict.get() && memory.is_over(new - old) {
        return std::ptr::null_mut();
    }
    // SAFETY: LuaJIT's own allocator with its own state and block.
    let block = unsafe { (memory.inner)(memory.inner_state, block, old, new) };
    if !block.is_null() || new == 0 {
        memory.used.set(memory.used.get().wrapping_sub(old).wrapping_add(new));
    }
    block
}
