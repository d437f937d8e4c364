//! The way of a call into the VM and back.

use std::ffi::c_int;

use mlua_sys::lua51::{self as lua, lua_State};
use polyhost_bridge::{CallContext, Error, ErrorKind, Output, Result};

use super::c_stack;
use super::interrupt::Watch;
use super::registry;
use super::stack::{Kind, MAX_STRING, Stack};
use super::vm::Vm;
use crate::error::Raised;
use crate::host::Handler;

/// Why a call gave no reply.
pub(crate) enum Failed {
    /// Guest code raised.
    Raised(Box<Raised>),
    /// The handler returned a value of this type where it has to return a string.
    NotBytes(Kind),
    /// The VM has no room for the request.
    Memory,
    /// The call was interrupted while its reply was read.
    Interrupted,
    /// What host code on the way found.
    Host(Error),
}

impl From<Error> for Failed {
    #[cold]
    fn from(error: Error) -> Self {
        Failed::Host(error)
    }
}

impl Vm {
    /// Calls a handler with the bytes as a string, and appends the string it returns.
    #[inline]
    pub(crate) fn call(
        &self,
        handler: Handler,
        cx: &CallContext,
        input: &[u8],
        output: &mut Output,
    ) -> Result<(), Failed> {
        if input.len() >= MAX_STRING {
            return Err(too_large(input.len()).into());
        }
        self.enter(
            handler,
            cx,
            input.len(),
            |stack| {
                // SAFETY: room for what a call pushes was made; the memory limit is lifted; Lua copies the bytes.
                unsafe { lua::lua_pushlstring_(stack.state(), input.as_ptr().cast(), input.len()) };
                Ok(())
            },
            |stack| {
                let l = stack.state();
                let mut len = 0;
                // SAFETY: there is a reply on top. It is a string where it is read as one, so that nothing is
                // converted, and stays on the stack until it has been copied.
                unsafe {
                    if lua::lua_type(l, -1) != lua::LUA_TSTRING {
                        return Err(Failed::NotBytes(stack.kind(stack.top())));
                    }
                    let data = lua::lua_tolstring(l, -1, &mut len);
                    Ok(output.write(std::slice::from_raw_parts(data.cast::<u8>(), len))?)
                }
            },
        )
    }

    /// Calls a handler. `push` pushes the request, which takes about `memory` bytes; `take` reads
    /// the reply on top. Both leave the stack otherwise as it is when they succeed.
    #[inline]
    pub(crate) fn enter(
        &self,
        handler: Handler,
        cx: &CallContext,
        memory: usize,
        push: impl FnOnce(&Stack<'_>) -> Result<(), Failed>,
        take: impl FnOnce(&Stack<'_>) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        if !self.has_memory(memory) {
            return Err(Failed::Memory);
        }
        // The main coroutine's stack holds the handler at 1, and room for more, while no call is inside.
        let (l, depth) = (self.current().get(), self.depth().get());
        let base = if depth == 0 { 1 } else { self.make_room(l)? };
        let stack = Stack::new(self, l);
        self.depth().set(depth + 1);
        let outer_cx = self.cx_cell().replace(cx);
        let outer_start = self.start().replace(c_stack::here());
        // SAFETY: room for the handler and its two arguments; the registry holds what `open` and `load` put there.
        unsafe { lua::lua_rawgeti_(l, lua::LUA_REGISTRYINDEX, registry::EXPORTS + handler.number as c_int) };
        let outcome = match push(&stack) {
            // SAFETY: as above: the function and its request are there.
            Ok(()) => match unsafe { self.run(l, cx, handler.takes_context, base) } {
                Ok(()) => take(&stack),
                Err(raised) => Err(Failed::Raised(raised)),
            },
            Err(failed) => Err(failed),
        };
        self.start().set(outer_start);
        self.cx_cell().set(outer_cx);
        self.depth().set(depth);
        // SAFETY: back to where it was; what is above is garbage now.
        unsafe { lua::lua_settop(l, if depth == 0 { 1 } else { base - 1 }) };
        if depth == 0 {
            self.printed().flush(self.host());
        }
        outcome
    }

    /// Runs the function and its request on top, with the context as the second argument where it takes one.
    ///
    /// # Safety
    /// They are there, room for one more is, and the handler is at `handler`.
    #[inline]
    unsafe fn run(
        &self,
        l: *mut lua_State,
        cx: &CallContext,
        context: bool,
        handler: c_int,
    ) -> Result<(), Box<Raised>> {
        if context {
            // SAFETY: the caller's promise.
            unsafe { lua::lua_rawgeti_(l, lua::LUA_REGISTRYINDEX, registry::CONTEXT) };
        }
        let arguments = 1 + c_int::from(context);
        if cx.token().is_none() && self.watched().get() == 0 {
            // SAFETY: a function and its arguments.
            return match unsafe { self.protected(l, arguments, 1, handler) } {
                lua::LUA_OK => Ok(()),
                status => Err(self.raised(l, status)),
            };
        }
        // SAFETY: as above.
        unsafe { self.run_watched(l, cx, arguments, 1, handler) }
    }

    /// As `run`, where something may cancel the call, or the one it is nested in.
    ///
    /// # Safety
    /// A function and so many arguments are on top.
    pub(super) unsafe fn run_watched(
        &self,
        l: *mut lua_State,
        cx: &CallContext,
        arguments: c_int,
        results: c_int,
        handler: c_int,
    ) -> Result<(), Box<Raised>> {
        let run = || {
            // SAFETY: the caller's promise.
            match unsafe { self.protected(l, arguments, results, handler) } {
                lua::LUA_OK => Ok(()),
                // Still watched: to show the error may run guest code.
                status => Err(self.raised(l, status)),
            }
        };
        let Some(token) = cx.token() else {
            let outer = self.interrupts().suspend();
            let outcome = run();
            self.interrupts().resume(outer);
            return outcome;
        };
        let watch = Watch::begin(self, token);
        let outcome = run();
        watch.end(self);
        outcome
    }

    /// Makes room for a call within a call, pushes the message handler, and says where it is.
    #[cold]
    fn make_room(&self, l: *mut lua_State) -> Result<c_int> {
        let stack = Stack::new(self, l);
        if !c_stack::has_room(c_stack::here()) {
            let message =
                "the thread's stack is nearly used up by calls within calls; nest less, or use a larger stack";
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        stack.reserve(8)?;
        stack.push_kept(registry::TRACEBACK);
        Ok(stack.top())
    }
}

#[cold]
fn too_large(len: usize) -> Error {
    Error::new(ErrorKind::Exhausted, format!("an input of {len} bytes; a Lua string holds fewer than {MAX_STRING}"))
}
