//! How guest code calls host code.

use std::ffi::{CStr, c_int};

use mlua_sys::lua51::{self as lua, lua_CFunction, lua_State};
use polyhost_bridge::{Error, boundary};

use super::stack::Stack;
use super::vm::Vm;
use super::{c_stack, registry, traceback};
use crate::library;

/// A native function in safe Rust: takes its arguments from the stack, pushes its results and says how many they are.
pub(super) type Native = fn(&Stack<'_>) -> Result<i32, Raise>;

/// What a native function raises.
pub(crate) enum Raise {
    /// A plain message, as `error` raises it.
    Text(String),
    /// A failure of the host, as an error table of the guest library.
    Failure(Error),
    /// Not enough memory, as LuaJIT itself raises it.
    Memory,
    /// What interrupts raise.
    Interrupt,
}

impl From<Error> for Raise {
    fn from(error: Error) -> Self {
        Raise::Failure(error)
    }
}

/// Makes the C function of a native one. `lua_error` is called in a frame that has nothing to drop.
///
/// It returns 64 bits: LuaJIT takes the number of results out of all of `rax` (vm_x64.dasc, `nresults returned in eax`
/// and `lea RA, [BASE+RD*8]`), whose upper half the ABI leaves open for an `int`.
macro_rules! native {
    ($run:path) => {{
        unsafe extern "C-unwind" fn call(l: *mut lua_State) -> usize {
            // SAFETY: called by LuaJIT alone, as a native function of a VM.
            let results = unsafe { enter(l, $run) };
            if results < 0 {
                // SAFETY: `enter` left the error on top of the stack.
                unsafe { lua::lua_error(l) }
            }
            results as usize
        }
        // SAFETY: only C calls it, which finds its `int` in the lower half.
        unsafe { std::mem::transmute::<unsafe extern "C-unwind" fn(*mut lua_State) -> usize, lua_CFunction>(call) }
    }};
}

/// `call_service`, the one through which a call of the host may be within another in one VM.
const CALL_SERVICE: lua_CFunction = native!(library::call_service);

/// Whether the function is the one that calls host services.
pub(super) fn calls_out(function: lua_CFunction) -> bool {
    std::ptr::fn_addr_eq(function, CALL_SERVICE)
}

/// Whether the function is one that the guest library and the sandbox get.
pub(super) fn is_native(function: lua_CFunction) -> bool {
    natives().any(|(_, native)| std::ptr::fn_addr_eq(function, native))
}

/// The native functions that the guest library and the sandbox get, by name.
pub(super) fn natives() -> impl Iterator<Item = (&'static CStr, lua_CFunction)> {
    [
        (c"export", native!(library::export)),
        (c"proto", native!(library::proto)),
        (c"find_service", native!(library::find_service)),
        (c"call_service", CALL_SERVICE),
        (c"encode", native!(library::encode)),
        (c"decode", native!(library::decode)),
        (c"log", native!(library::log)),
        (c"print", native!(library::print)),
        (c"remaining", native!(library::remaining)),
        (c"cancelled", native!(library::cancelled)),
        (c"metadata", native!(library::metadata)),
        (c"find_module", native!(library::find_module)),
        (c"interrupts", native!(library::interrupts)),
    ]
    .into_iter()
}

/// The VM that a native function belongs to.
///
/// # Safety
/// Within a native function that [`super::open`] made: its first upvalue is the VM, which outlives the state.
#[inline]
pub(super) unsafe fn vm_of<'vm>(l: *mut lua_State) -> &'vm Vm {
    // SAFETY: the caller's promise.
    unsafe { &*lua::lua_touserdata(l, lua::lua_upvalueindex(1)).cast::<Vm>() }
}

/// Runs a native function; negative where the error it raises is on top of the stack.
///
/// # Safety
/// As [`vm_of`].
#[inline(never)]
unsafe fn enter(l: *mut lua_State, run: Native) -> c_int {
    // SAFETY: the caller's promise.
    let vm = unsafe { vm_of(l) };
    // Host code is not limited, so that its pushes do not raise. A call that comes back goes on in this coroutine.
    let strict = vm.set_strict(false);
    let current = vm.current().replace(l);
    let stack = Stack::new(vm, l);
    let outcome = boundary::enter(|| Ok(run(&stack)));
    let results = match outcome.unwrap_or_else(|panicked| Err(Raise::Failure(panicked))) {
        // Results that fill the VM beyond its limit are refused here, where there is nothing to unwind.
        Ok(_) if strict && vm.over_limit(0).is_some() => push(&stack, Raise::Memory),
        Ok(results) => results,
        Err(raise) => push(&stack, raise),
    };
    vm.current().set(current);
    vm.set_strict(strict);
    results
}

/// Pushes what is to be raised. A panic here has nowhere to go but the end of the process: nothing in it panics.
#[cold]
fn push(stack: &Stack<'_>, raise: Raise) -> c_int {
    // A native function may have left the stack full.
    stack.set_top(stack.top().min(1));
    match raise {
        Raise::Text(message) => {
            let message = format!("{}{message}", stack.caller());
            stack.push_bytes(message.as_bytes());
        }
        Raise::Failure(error) => library::push_error(stack, &error),
        Raise::Memory => stack.push_bytes(b"not enough memory"),
        Raise::Interrupt => stack.push_kept(registry::INTERRUPTED),
    }
    -1
}

/// Checks that there is room on the thread's stack for another call from C into Lua, and makes it.
///
/// LuaJIT watches its own stack alone: a function that calls itself by way of `string.gsub`, a comparison of
/// `table.sort` or a coroutine in a coroutine would use up the thread's stack first, which ends the process. The
/// functions that can do so are each wrapped in this one; see the sandbox.
///
/// # Safety
/// Called by LuaJIT alone; the upvalues are the VM and the wrapped function.
unsafe extern "C-unwind" fn guarded(l: *mut lua_State) -> c_int {
    // SAFETY: nothing here is to be dropped when the wrapped function raises.
    unsafe {
        if !c_stack::has_room(vm_of(l).start().get()) {
            lua::lua_settop(l, 0);
            lua::lua_pushlstring_(l, STACK_OVERFLOW.as_ptr().cast(), STACK_OVERFLOW.len());
            lua::lua_error(l);
        }
        lua::lua_pushvalue(l, lua::lua_upvalueindex(2));
        lua::lua_insert(l, 1);
        lua::lua_call(l, lua::lua_gettop(l) - 1, lua::LUA_MULTRET);
        lua::lua_gettop(l)
    }
}

const STACK_OVERFLOW: &str = "stack overflow (C stack)";

/// The same around the handler of an `xpcall`, which an interrupt must not reach: the hook that raised it does not
/// fire before it has returned, and a handler may loop.
///
/// # Safety
/// As [`guarded`].
unsafe extern "C-unwind" fn guarded_handler(l: *mut lua_State) -> c_int {
    // SAFETY: nothing here is to be dropped.
    unsafe {
        lua::lua_settop(l, 1);
        if Stack::new(vm_of(l), l).is_interrupt(1) {
            return 1;
        }
        guarded(l)
    }
}

/// `guard(function)`: the function wrapped in [`guarded`].
///
/// # Safety
/// Called by LuaJIT alone; the first upvalue is the VM.
pub(super) unsafe extern "C-unwind" fn guard(l: *mut lua_State) -> c_int {
    // SAFETY: as for `wrap`.
    unsafe { wrap(l, guarded) }
}

/// `guard_handler(function)`: the function wrapped in [`guarded_handler`].
///
/// # Safety
/// Called by LuaJIT alone; the first upvalue is the VM.
pub(super) unsafe extern "C-unwind" fn guard_handler(l: *mut lua_State) -> c_int {
    // SAFETY: as for `wrap`.
    unsafe { wrap(l, guarded_handler) }
}

/// # Safety
/// Within a native function with one argument or more, whose first upvalue is the VM.
unsafe fn wrap(l: *mut lua_State, wrapper: lua_CFunction) -> c_int {
    // SAFETY: the VM and the argument become the upvalues of the result; nothing is to be dropped if that raises.
    unsafe {
        lua::lua_settop(l, 1);
        lua::lua_pushvalue(l, lua::lua_upvalueindex(1));
        lua::lua_insert(l, 1);
        lua::lua_pushcclosure(l, wrapper, 2);
    }
    1
}

/// The message handler as a native function.
pub(super) const HANDLER: lua_CFunction = traceback::handler;
