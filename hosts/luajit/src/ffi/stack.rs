//! The Lua stack, with the calls that raise nothing.

use std::ffi::{CStr, c_int};

use mlua_sys::lua51::{self as lua, lua_State};
use polyhost_bridge::{Error, ErrorKind, Result};

use super::registry;
use super::vm::Vm;

/// The stack of the coroutine that runs, in host code.
///
/// Its methods raise no Lua error. They push only what there is room for, while
/// the memory limit is lifted; they read and write tables without metamethods,
/// so that no guest code runs. Places are absolute: 1 is the first.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'vm> {
    vm: &'vm Vm,
    l: *mut lua_State,
}

/// What kind of value is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    None,
    Nil,
    Boolean,
    Number,
    String,
    Table,
    Function,
    /// A 64-bit integer of LuaJIT, or anything else of the FFI, which guests can't make.
    Cdata,
    Other(&'static str),
}

/// A 64-bit integer as guests have it beyond 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wide {
    Signed(i64),
    Unsigned(u64),
}

impl Wide {
    /// Beyond this, the integers that a Lua number holds have gaps.
    pub(crate) const EXACT: u64 = 1 << 53;
}

impl Kind {
    /// As Lua's `type` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::None => "no value",
            Kind::Nil => "nil",
            Kind::Boolean => "boolean",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Table => "table",
            Kind::Function => "function",
            Kind::Cdata => "cdata",
            Kind::Other(name) => name,
        }
    }
}

impl<'vm> Stack<'vm> {
    pub(super) fn new(vm: &'vm Vm, l: *mut lua_State) -> Self {
        Stack { vm, l }
    }

    pub(crate) fn vm(&self) -> &'vm Vm {
        self.vm
    }

    pub(super) fn state(&self) -> *mut lua_State {
        self.l
    }

    /// How many values there are.
    pub(crate) fn top(&self) -> i32 {
        // SAFETY: `l` is a live coroutine of a VM that this thread holds, here and in all of this file.
        unsafe { lua::lua_gettop(self.l) }
    }

    pub(crate) fn kind(&self, at: i32) -> Kind {
        // SAFETY: any positive place may be asked for.
        match unsafe { lua::lua_type(self.l, self.positive(at)) } {
            lua::LUA_TNONE => Kind::None,
            lua::LUA_TNIL => Kind::Nil,
            lua::LUA_TBOOLEAN => Kind::Boolean,
            lua::LUA_TNUMBER => Kind::Number,
            lua::LUA_TSTRING => Kind::String,
            lua::LUA_TTABLE => Kind::Table,
            lua::LUA_TFUNCTION => Kind::Function,
            lua::LUA_TCDATA => Kind::Cdata,
            lua::LUA_TUSERDATA | lua::LUA_TLIGHTUSERDATA => Kind::Other("userdata"),
            _ => Kind::Other("thread"),
        }
    }

    /// Whether it counts as true in Lua.
    pub(crate) fn truth(&self, at: i32) -> bool {
        // SAFETY: as `kind`.
        unsafe { lua::lua_toboolean(self.l, self.positive(at)) != 0 }
    }

    /// The number at a place; `None` for any other kind, strings of digits too.
    pub(crate) fn number(&self, at: i32) -> Option<f64> {
        // SAFETY: as `kind`; the conversion of a number changes nothing.
        (self.kind(at) == Kind::Number).then(|| unsafe { lua::lua_tonumber(self.l, at) })
    }

    /// The bytes of the string at a place, which has to stay there meanwhile; `None` for any other kind, numbers too.
    pub(crate) fn with_bytes<T>(&self, at: i32, use_them: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if self.kind(at) != Kind::String {
            return None;
        }
        let mut len = 0;
        // SAFETY: it is a string, so that nothing is converted; Lua's strings never move, and this one lives while it
        // is on the stack.
        let bytes = unsafe {
            let data = lua::lua_tolstring(self.l, at, &mut len);
            std::slice::from_raw_parts(data.cast::<u8>(), len)
        };
        Some(use_them(bytes))
    }

    /// A copy of the text at a place, with what is no UTF-8 replaced; `None` where it is no string.
    pub(crate) fn text(&self, at: i32) -> Option<String> {
        self.with_bytes(at, |bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// Makes sure that `more` values may be pushed.
    pub(crate) fn reserve(&self, more: i32) -> Result<()> {
        // SAFETY: it reports a failure and raises nothing.
        if unsafe { lua::lua_checkstack(self.l, more) } != 0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Exhausted, "the Lua stack is full"))
    }

    /// Drops the topmost values.
    pub(crate) fn pop(&self, values: i32) {
        debug_assert!(values <= self.top());
        // SAFETY: there are that many; see the assertion.
        unsafe { lua::lua_settop(self.l, -values - 1) };
    }

    /// Cuts the stack down, or fills it up with nil, to `top` values.
    pub(crate) fn set_top(&self, top: i32) {
        if top > self.top() {
            self.room();
        }
        // SAFETY: at most a few values are added, for which there is room.
        unsafe { lua::lua_settop(self.l, top) };
    }

    pub(crate) fn push_nil(&self) {
        self.room();
        // SAFETY: there is room, here and below.
        unsafe { lua::lua_pushnil(self.l) };
    }

    pub(crate) fn push_boolean(&self, value: bool) {
        self.room();
        // SAFETY: as above.
        unsafe { lua::lua_pushboolean(self.l, c_int::from(value)) };
    }

    pub(crate) fn push_number(&self, value: f64) {
        self.room();
        // SAFETY: as above.
        unsafe { lua::lua_pushnumber(self.l, value) };
    }

    /// Pushes a string of fewer than 2^31 bytes.
    pub(crate) fn push_bytes(&self, bytes: &[u8]) {
        assert!(bytes.len() < MAX_STRING, "bridge bug: a string of {} bytes for Lua, please report", bytes.len());
        self.room();
        // SAFETY: as above; Lua copies the bytes.
        unsafe { lua::lua_pushlstring_(self.l, bytes.as_ptr().cast(), bytes.len()) };
    }

    /// Pushes a copy of the value at `at`.
    pub(crate) fn push_value(&self, at: i32) {
        self.room();
        // SAFETY: as above; the place exists or counts as nil.
        unsafe { lua::lua_pushvalue(self.l, self.positive(at)) };
    }

    /// Pushes a new table with room for so many entries.
    pub(crate) fn push_table(&self, array: usize, hash: usize) {
        // A hint that grows with the wire alone: the rest comes as the entries do.
        let clamp = |entries: usize| entries.min(1 << 16) as c_int;
        self.room();
        // SAFETY: as above.
        unsafe { lua::lua_createtable(self.l, clamp(array), clamp(hash)) };
    }

    /// Pushes what the table at `at` has under the name.
    pub(crate) fn push_field(&self, at: i32, name: &str) {
        self.push_bytes(name.as_bytes());
        self.raw_get(at);
    }

    /// Replaces the key on top with what the table at `at` has under it.
    pub(crate) fn raw_get(&self, at: i32) {
        self.expect_table(at);
        // SAFETY: a table and a key; reading takes any key.
        unsafe { lua::lua_rawget(self.l, at) };
    }

    /// Pushes entry `index` of the table at `at`.
    pub(crate) fn push_entry(&self, at: i32, index: i32) {
        self.expect_table(at);
        self.room();
        // SAFETY: a table, and room.
        unsafe { lua::lua_rawgeti_(self.l, at, index) };
    }

    /// Takes the value on top and puts it under the name into the table at `at`.
    pub(crate) fn set_field(&self, at: i32, name: &str) {
        self.push_bytes(name.as_bytes());
        // SAFETY: two values are there; the key goes beneath its value.
        unsafe { lua::lua_insert(self.l, -2) };
        self.set_entry(at);
    }

    /// Takes a value and the key beneath it and puts them into the table at `at`. The key is neither nil nor NaN.
    pub(crate) fn set_entry(&self, at: i32) {
        self.expect_table(at);
        // SAFETY: a table, and a key that a table takes: callers push strings, booleans, tables and integers.
        unsafe { lua::lua_rawset(self.l, at) };
    }

    /// Takes the value on top and makes it entry `index` of the table at `at`.
    pub(crate) fn set_index(&self, at: i32, index: i32) {
        self.expect_table(at);
        // SAFETY: a table and a value.
        unsafe { lua::lua_rawseti_(self.l, at, index) };
    }

    /// Replaces the key on top with the next key of the table at `at` and its value; false, and the key gone, at the
    /// end. Begin with nil.
    pub(crate) fn next(&self, at: i32) -> bool {
        self.expect_table(at);
        self.room();
        // SAFETY: a table, and a key that came from it: nothing is put into the table meanwhile.
        unsafe { lua::lua_next(self.l, at) != 0 }
    }

    /// The length of the array at `at`, as `#` without metamethods.
    pub(crate) fn length(&self, at: i32) -> usize {
        self.expect_table(at);
        // SAFETY: a table.
        unsafe { lua::lua_objlen(self.l, at) }
    }

    /// Whether the value at `at` is a table with the guest library's metatable of errors.
    pub(crate) fn is_error(&self, at: i32) -> bool {
        self.room();
        // SAFETY: one or two values are pushed and popped.
        unsafe {
            if self.kind(at) != Kind::Table || lua::lua_getmetatable(self.l, at) == 0 {
                return false;
            }
            self.room();
            lua::lua_rawgeti_(self.l, lua::LUA_REGISTRYINDEX, registry::ERROR);
            let same = lua::lua_rawequal(self.l, -1, -2) != 0;
            lua::lua_settop(self.l, -3);
            same
        }
    }

    /// Gives the table on top the guest library's metatable of errors.
    pub(crate) fn make_error(&self) {
        self.room();
        // SAFETY: there is a table on top, and room for its metatable, which the guest library put there.
        unsafe {
            lua::lua_rawgeti_(self.l, lua::LUA_REGISTRYINDEX, registry::ERROR);
            lua::lua_setmetatable(self.l, -2);
        }
    }

    /// Whether the value at `at` is what interrupts raise.
    pub(super) fn is_interrupt(&self, at: i32) -> bool {
        self.room();
        // SAFETY: one value is pushed and popped.
        unsafe {
            lua::lua_rawgeti_(self.l, lua::LUA_REGISTRYINDEX, registry::INTERRUPTED);
            let same = lua::lua_rawequal(self.l, -1, at) != 0;
            lua::lua_settop(self.l, -2);
            same
        }
    }

    /// Keeps a copy of the value at `at` in the registry.
    pub(super) fn keep(&self, at: i32, key: c_int) {
        self.push_value(at);
        // SAFETY: the registry and a value.
        unsafe { lua::lua_rawseti_(self.l, lua::LUA_REGISTRYINDEX, key) };
    }

    /// Pushes a kept value.
    pub(super) fn push_kept(&self, key: c_int) {
        self.room();
        // SAFETY: there is room.
        unsafe { lua::lua_rawgeti_(self.l, lua::LUA_REGISTRYINDEX, key) };
    }

    /// What Lua's `tostring` makes of the value at `at`; guest code may run. `None` where that fails.
    ///
    /// # Errors
    /// Where the call is interrupted meanwhile.
    pub(super) fn display(&self, at: i32) -> Result<Option<String>, Interrupted> {
        self.push_kept(registry::TOSTRING);
        self.push_value(at);
        // SAFETY: a function and its argument; without a handler, so that the frames of the error stay as they are.
        let status = unsafe { self.vm.protected(self.l, 1, 1, 0) };
        let text = match status {
            lua::LUA_OK => Ok(self.text(self.top())),
            _ if self.is_interrupt(self.top()) => Err(Interrupted),
            _ => Ok(None),
        };
        self.pop(1);
        text
    }

    /// Pushes a 64-bit integer: a number as long as that is exact, else LuaJIT's own.
    ///
    /// # Errors
    /// Where the call is interrupted meanwhile.
    pub(crate) fn push_wide(&self, value: Wide) -> Result<(), Interrupted> {
        let (bits, signed) = match value {
            Wide::Signed(value) if value.unsigned_abs() <= Wide::EXACT => {
                self.push_number(value as f64);
                return Ok(());
            }
            Wide::Unsigned(value) if value <= Wide::EXACT => {
                self.push_number(value as f64);
                return Ok(());
            }
            Wide::Signed(value) => (value as u64, true),
            Wide::Unsigned(value) => (value, false),
        };
        self.push_kept(registry::JOIN);
        self.push_number((bits >> 32) as f64);
        self.push_number((bits & 0xffff_ffff) as f64);
        self.push_boolean(signed);
        self.helper(3, 1)
    }

    /// The 64-bit integer at `at`; `None` where it is other cdata.
    ///
    /// # Errors
    /// Where the call is interrupted meanwhile.
    pub(crate) fn wide(&self, at: i32) -> Result<Option<Wide>, Interrupted> {
        self.push_kept(registry::SPLIT);
        self.push_value(at);
        self.helper(1, 3)?;
        let top = self.top();
        let half = |at| self.number(at).map(|half| half as u64);
        let wide = match (half(top - 2), half(top - 1)) {
            (Some(high), Some(low)) => {
                let bits = high << 32 | low;
                Some(if self.truth(top) { Wide::Signed(bits as i64) } else { Wide::Unsigned(bits) })
            }
            _ => None,
        };
        self.pop(3);
        Ok(wide)
    }

    /// Keeps the unknown fields of the message that is the table at `at`, for as long as the table lives; `more` of
    /// them where the message comes in parts.
    pub(crate) fn remember_unknown(&self, at: i32, message: &str, fields: &[u8], more: bool) {
        self.vm.has_unknown().set(true);
        // The type's name keeps them from messages of other types: there the numbers may be known.
        let bytes = [message.as_bytes(), b"\0", fields].concat();
        self.push_kept(registry::UNKNOWN);
        let kept = self.top();
        if more {
            self.push_value(at);
            self.raw_get(kept);
        }
        // A list of the parts: putting the bytes together each time would take the square of their number.
        if more && self.kind(kept + 1) != Kind::Nil {
            if self.kind(kept + 1) == Kind::String {
                self.push_table(2, 0);
                self.push_value(kept + 1);
                self.set_index(kept + 2, 1);
                self.push_value(at);
                self.push_value(kept + 2);
                self.set_entry(kept);
            }
            let list = self.top();
            self.push_bytes(&bytes);
            self.set_index(list, self.length(list) as i32 + 1);
        } else {
            self.push_value(at);
            self.push_bytes(&bytes);
            self.set_entry(kept);
        }
        self.set_top(kept - 1);
    }

    /// Hands over the unknown fields that were kept for the table at `at`, where it is of this type: each part in turn.
    pub(crate) fn with_unknown<E>(
        &self,
        at: i32,
        message: &str,
        mut use_them: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.vm.has_unknown().get() {
            return Ok(());
        }
        self.push_kept(registry::UNKNOWN);
        let kept = self.top();
        self.push_value(at);
        self.raw_get(kept);
        let mut part = |at| {
            let fields = |bytes: &[u8]| bytes.strip_prefix(message.as_bytes())?.strip_prefix(b"\0").map(&mut use_them);
            self.with_bytes(at, fields).flatten().unwrap_or(Ok(()))
        };
        let outcome = match self.kind(kept + 1) {
            Kind::Table => (1..=self.length(kept + 1) as i32).try_for_each(|index| {
                self.push_entry(kept + 1, index);
                let outcome = part(kept + 2);
                self.pop(1);
                outcome
            }),
            _ => part(kept + 1),
        };
        self.set_top(kept - 1);
        outcome
    }

    /// Calls one of our own helpers in Lua. It fails only where an interrupt hits it.
    fn helper(&self, arguments: c_int, results: c_int) -> Result<(), Interrupted> {
        self.reserve(3).map_err(|_| Interrupted)?;
        // SAFETY: a function and its arguments, under `lua_pcall`; not `protected`: the memory is the host's.
        if unsafe { lua::lua_pcall(self.l, arguments, results, 0) } == lua::LUA_OK {
            return Ok(());
        }
        self.pop(1);
        Err(Interrupted)
    }

    /// `file:line: ` of the guest function that called the native one, as `error` puts it before a message.
    pub(crate) fn caller(&self) -> String {
        // SAFETY: a zeroed lua_Debug is one to be filled; both calls raise nothing, and the text is copied before
        // anything else runs.
        unsafe {
            let mut frame: lua::lua_Debug = std::mem::zeroed();
            for level in 1..4 {
                if lua::lua_getstack(self.l, level, &mut frame) == 0 {
                    break;
                }
                lua::lua_getinfo(self.l, c"Sl".as_ptr(), &mut frame);
                let source = CStr::from_ptr(frame.short_src.as_ptr()).to_string_lossy();
                // Not the guest library itself: its callers made the mistake.
                if frame.currentline > 0 && !source.starts_with("polyhost/") {
                    return format!("{source}:{}: ", frame.currentline);
                }
            }
        }
        String::new()
    }

    /// Callers push the table themselves, or have asked for its kind.
    fn expect_table(&self, at: i32) {
        debug_assert!(self.kind(at) == Kind::Table, "bridge bug: no table at {at}, please report");
    }

    /// Makes room for one value and for what a method puts beside it.
    fn room(&self) {
        // SAFETY: it reports a failure and raises nothing.
        let room = unsafe { lua::lua_checkstack(self.l, 2) } != 0;
        assert!(room, "bridge bug: the Lua stack is full, please report");
    }

    fn positive(&self, at: i32) -> c_int {
        assert!(at > 0, "bridge bug: place {at} of the Lua stack, please report");
        at
    }
}

/// LuaJIT's strings are shorter than this.
pub(crate) const MAX_STRING: usize = 0x7fff_0000;

/// The call was interrupted while one of our own functions in Lua ran.
#[derive(Debug)]
pub(crate) struct Interrupted;
