//! The least that a call into LuaJIT takes, by hand: what the host's own calls are measured against.

use std::sync::Arc;

use mlua_sys::lua51::{self as lua, lua_State};
use polyhost_bridge::{Error, ErrorKind, Function, Result};

use super::version;

/// A call by hand: the request, and where the reply goes; says how many bytes that are.
pub type Floor = Box<dyn FnMut(&[u8], &mut [u8]) -> usize>;

struct State(*mut lua_State);

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: our state, closed once.
        unsafe { lua::lua_close(self.0) };
    }
}

/// Whether the compiler is on, and what it makes use of, such as `on: x64, SSE3 SSE4.1 BMI2 fold cse`. Guests can't be
/// asked, who are not given `jit`: a plain state is, which begins as theirs do.
pub fn compiler() -> Option<String> {
    version::ask(
        c"local status = { jit.status() }
        local on = table.remove(status, 1)
        return (on and 'on: ' or 'off: ') .. jit.arch .. ', ' .. table.concat(status, ' ')",
    )
}

/// An echo in a plain LuaJIT state of its own with every library: `lua_rawgeti`, `lua_pushlstring`, `lua_pcall`, and
/// a copy. It stands for the export that it is given the name of and does not use it.
///
/// # Errors
/// [`ErrorKind::Exhausted`] where there is no memory for the state.
pub fn echo(_like: &Arc<dyn Function>) -> Result<Floor> {
    let no_memory = || Error::new(ErrorKind::Exhausted, "no memory for a LuaJIT state");
    // SAFETY: a new state, used by the closure alone; the text compiles, and returns a function.
    let (state, echo) = unsafe {
        let l = lua::luaL_newstate();
        if l.is_null() {
            return Err(no_memory());
        }
        let state = State(l);
        lua::luaL_openlibs(l);
        let text = c"return function(request) return request end";
        if lua::luaL_loadstring(l, text.as_ptr()) != lua::LUA_OK || lua::lua_pcall(l, 0, 1, 0) != lua::LUA_OK {
            return Err(no_memory());
        }
        (state, lua::luaL_ref(l, lua::LUA_REGISTRYINDEX))
    };
    Ok(Box::new(move |request, reply| {
        // All of it: a closure that names only the field copies that, and the state is closed before the first call.
        let State(l) = *{ &state };
        // SAFETY: the function is in the registry, the stack is empty before and after, and at most `reply.len()` bytes
        // are copied out of the string that is on it.
        unsafe {
            lua::lua_rawgeti_(l, lua::LUA_REGISTRYINDEX, echo);
            lua::lua_pushlstring_(l, request.as_ptr().cast(), request.len());
            let status = lua::lua_pcall(l, 1, 1, 0);
            assert_eq!(lua::LUA_OK, status, "the echo raises nothing");
            let mut len = 0;
            let data = lua::lua_tolstring(l, -1, &mut len);
            std::ptr::copy_nonoverlapping(data.cast::<u8>(), reply.as_mut_ptr(), len.min(reply.len()));
            lua::lua_settop(l, 0);
            len
        }
    }))
}
