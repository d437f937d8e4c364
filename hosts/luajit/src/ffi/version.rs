//! Which LuaJIT is linked in.

use std::ffi::CStr;
use std::sync::OnceLock;

use mlua_sys::lua51::{self as lua};

/// The version that `jit.version` tells, such as `2.1.1774638290`.
pub(crate) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    let version = || ask(c"return jit.version").map(|it| it.trim_start_matches("LuaJIT ").to_owned());
    VERSION.get_or_init(|| version().unwrap_or_else(|| "2.1".into()))
}

/// What a text returns in a new state with every library: a string.
pub(super) fn ask(text: &CStr) -> Option<String> {
    // SAFETY: a state of our own, closed before we return; what may raise is the text, which runs protected.
    unsafe {
        let l = lua::luaL_newstate();
        if l.is_null() {
            return None;
        }
        lua::luaL_openlibs(l);
        let ran = lua::luaL_loadstring(l, text.as_ptr()) == lua::LUA_OK && lua::lua_pcall(l, 0, 1, 0) == lua::LUA_OK;
        let answer = lua::lua_tostring(l, -1);
        let answer = (ran && !answer.is_null()).then(|| CStr::from_ptr(answer).to_string_lossy().into_owned());
        lua::lua_close(l);
        answer
    }
}
