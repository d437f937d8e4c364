//! The libraries of a new VM.

use std::ffi::{CStr, c_int, c_void};

use mlua_sys::lua51::{self as lua, lua_CFunction, lua_State};
use polyhost_bridge::{Error, ErrorKind, Result};

use super::natives::{self, HANDLER};
use super::registry;
use super::stack::Stack;
use super::vm::Vm;

/// LuaJIT's libraries, all of them: the sandbox then takes away what guests don't get.
const LIBRARIES: [(&CStr, lua_CFunction); 9] = [
    (c"", lua::luaopen_base),
    (c"table", lua::luaopen_table),
    (c"string", lua::luaopen_string),
    (c"math", lua::luaopen_math),
    (c"bit", lua::luaopen_bit),
    (c"os", lua::luaopen_os),
    (c"io", lua::luaopen_io),
    (c"debug", lua::luaopen_debug),
    // Turns the compiler on.
    (c"jit", lua::luaopen_jit),
];

/// What the two embedded files are called. A file of a guest's begins with `@`.
pub(super) const SANDBOX: &CStr = c"=polyhost/sandbox.lua";
pub(super) const LIBRARY: &CStr = c"=polyhost/init.lua";

/// What the host keeps of what the sandbox and the guest library return, in their order.
const KEPT: [c_int; 7] = [
    registry::INTERRUPTED,
    registry::CONTEXT,
    registry::ERROR,
    registry::TOSTRING,
    registry::SPLIT,
    registry::JOIN,
    registry::UNKNOWN,
];

/// Opens the libraries, takes away what guests don't get, and loads the guest library.
///
/// # Safety
/// `l` is the new state of `vm`, whose box does not move while the state lives.
pub(super) unsafe fn libraries(l: *mut lua_State, vm: &Vm) -> Result<()> {
    // SAFETY: everything that may raise runs within a protected call, in a function with nothing to drop.
    let status = unsafe { lua::lua_cpcall(l, open, std::ptr::from_ref(vm).cast_mut().cast()) };
    if status == lua::LUA_OK {
        let stack = Stack::new(vm, l);
        stack.push_kept(registry::TRACEBACK);
        return Ok(());
    }
    let raised = vm.raised(l, status);
    let message = format!("a LuaJIT VM does not open: {}", raised.guest.message);
    let kind = if status == lua::LUA_ERRMEM { ErrorKind::Exhausted } else { ErrorKind::Internal };
    Err(Error::new(kind, message))
}

unsafe extern "C-unwind" fn open(l: *mut lua_State) -> c_int {
    // SAFETY: run by `lua_cpcall` with the VM as its argument; nothing here is to be dropped when something raises.
    unsafe {
        let vm = lua::lua_touserdata(l, 1);
        for (name, library) in LIBRARIES {
            lua::lua_pushcclosure(l, library, 0);
            lua::lua_pushstring_(l, name.as_ptr());
            lua::lua_call(l, 1, 0);
        }
        lua::lua_pushlightuserdata(l, vm);
        lua::lua_rawseti_(l, lua::LUA_REGISTRYINDEX, registry::VM);
        push_closure(l, vm, HANDLER);
        lua::lua_rawseti_(l, lua::LUA_REGISTRYINDEX, registry::TRACEBACK);

        load(l, SANDBOX, polyhost_lua::SANDBOX);
        push_natives(l, vm);
        load(l, LIBRARY, polyhost_lua::LIBRARY);
        push_options(l, vm);
        lua::lua_pushcclosure(l, lua::luaopen_ffi, 0);
        lua::lua_pushstring_(l, c"ffi".as_ptr());
        lua::lua_call(l, 1, 1);
        lua::lua_call(l, 4, KEPT.len() as c_int);
        for key in KEPT.iter().rev() {
            lua::lua_rawseti_(l, lua::LUA_REGISTRYINDEX, *key);
        }
        lua::lua_settop(l, 0);
    }
    0
}

/// Compiles one of the embedded files and pushes its function, or raises.
///
/// # Safety
/// Within a protected call.
unsafe fn load(l: *mut lua_State, name: &CStr, text: &str) {
    // SAFETY: the caller's promise.
    unsafe {
        if lua::luaL_loadbuffer(l, text.as_ptr().cast(), text.len(), name.as_ptr()) != lua::LUA_OK {
            lua::lua_error(l);
        }
    }
}

/// Pushes a table of the native functions.
///
/// # Safety
/// Within a protected call; `vm` outlives the state.
unsafe fn push_natives(l: *mut lua_State, vm: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe {
        lua::lua_createtable(l, 0, 16);
        for (name, function) in natives::natives() {
            push_closure(l, vm, function);
            lua::lua_setfield(l, -2, name.as_ptr());
        }
        for (name, function) in
            [(c"guard", natives::guard as lua_CFunction), (c"guard_handler", natives::guard_handler)]
        {
            push_closure(l, vm, function);
            lua::lua_setfield(l, -2, name.as_ptr());
        }
    }
}

/// Pushes a table of what the sandbox asks about the module.
///
/// # Safety
/// Within a protected call; `vm` is the VM.
unsafe fn push_options(l: *mut lua_State, vm: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe {
        let settings = &(*vm.cast::<Vm>()).host().settings;
        lua::lua_createtable(l, 0, 4);
        for (name, value) in [(c"io", settings.io), (c"os", settings.os)] {
            lua::lua_pushboolean(l, c_int::from(value));
            lua::lua_setfield(l, -2, name.as_ptr());
        }
        let version = env!("CARGO_PKG_VERSION");
        lua::lua_pushlstring_(l, version.as_ptr().cast(), version.len());
        lua::lua_setfield(l, -2, c"version".as_ptr());
    }
}

/// Pushes a native function of the VM.
///
/// # Safety
/// Within a protected call; `vm` outlives the state.
unsafe fn push_closure(l: *mut lua_State, vm: *mut c_void, function: lua_CFunction) {
    // SAFETY: the caller's promise.
    unsafe {
        lua::lua_pushlightuserdata(l, vm);
        lua::lua_pushcclosure(l, function, 1);
    }
}
