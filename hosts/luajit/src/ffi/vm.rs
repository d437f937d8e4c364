//! One LuaJIT state with what the host knows about it.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int};
use std::sync::Arc;

use mlua_sys::lua51::{self as lua, lua_State};
use polyhost_bridge::{CallContext, Error, ErrorKind, Frame, Result};

use super::interrupt::{Interrupts, Kept};
use super::memory::{Memory, taken};
use super::stack::Stack;
use super::{c_stack, open, registry, traceback};
use crate::error::{self, Raised};
use crate::host::{Host, Loading, Service};
use crate::printed::Printed;
use crate::scratch::Scratch;

/// A VM. Not for several threads at once: see [`super::Instances`].
pub(crate) struct Vm {
    /// The state of the main coroutine; null once closed. Its stack holds the message handler and nothing else while
    /// no call is inside. Owned by this value.
    main: Cell<*mut lua_State>,
    /// The coroutine that runs now: where a call that comes back has to go on.
    current: Cell<*mut lua_State>,
    /// How many calls of the host are inside, one within the other.
    depth: Cell<usize>,
    /// How many of them can be interrupted.
    watched: Cell<usize>,
    /// Where the thread's stack ended when the innermost call began.
    start: Cell<usize>,
    /// The context of the innermost call, or of the load; null outside of both. Borrowed from the caller of
    /// [`Vm::call`] or [`Vm::load`], who waits.
    cx: Cell<*const CallContext>,
    memory: Option<Box<Memory>>,
    interrupts: Arc<Interrupts>,
    /// What stopped none of the last call.
    kept: Cell<Option<Kept>>,
    /// Where the last error that reached the host was raised.
    frames: RefCell<Vec<Frame>>,
    loading: RefCell<Option<Loading>>,
    printed: Printed,
    /// The host services that the guest has found, each once.
    services: RefCell<Vec<Arc<Service>>>,
    /// Whether the table of unknown fields was ever written to.
    has_unknown: Cell<bool>,
    /// Memory for the next message that is written.
    scratch: Cell<Scratch>,
    host: Arc<Host>,
}

unsafe extern "C-unwind" {
    /// LuaJIT's own; mlua-sys has another of this name that checks the signature itself.
    fn luaL_loadbufferx(
        l: *mut lua_State,
        text: *const c_char,
        len: usize,
        name: *const c_char,
        mode: *const c_char,
    ) -> c_int;
}

impl Vm {
    /// A VM with its libraries and the guest library, ready to load a module.
    pub(crate) fn open(host: Arc<Host>) -> Result<Box<Vm>> {
        // SAFETY: makes a state that is ours alone.
        let l = unsafe { lua::luaL_newstate() };
        if l.is_null() {
            return Err(Error::new(ErrorKind::Exhausted, "no memory for another LuaJIT VM"));
        }
        let limit = host.settings.memory_limit;
        // SAFETY: a new state; `Drop` detaches before the box goes.
        let memory = (limit > 0).then(|| unsafe { Memory::attach(l, limit) });
        let vm = Box::new(Vm {
            main: Cell::new(l),
            current: Cell::new(l),
            depth: Cell::new(0),
            watched: Cell::new(0),
            start: Cell::new(usize::MAX),
            cx: Cell::new(std::ptr::null()),
            memory,
            interrupts: Arc::new(Interrupts::of(l)),
            kept: Cell::default(),
            frames: RefCell::default(),
            loading: RefCell::default(),
            printed: Printed::default(),
            services: RefCell::default(),
            has_unknown: Cell::new(false),
            scratch: Cell::default(),
            host,
        });
        // SAFETY: a new state; the box does not move, and `Drop` closes the state before it goes.
        unsafe { open::libraries(l, &vm) }?;
        match &vm.memory {
            Some(memory) if !vm.has_memory(0) => Err(error::too_small(memory.limit(), memory.used())),
            _ => Ok(vm),
        }
    }

    /// How many bytes the state has.
    pub(super) fn heap(&self) -> usize {
        let l = self.main.get();
        if l.is_null() {
            return 0;
        }
        // SAFETY: our state, which this thread holds, in host code.
        unsafe { taken(l) }
    }

    /// Runs a module's text in `cx` and gives what it exported. Each export's handler stays with the VM under its number.
    pub(crate) fn load(&self, cx: &CallContext, text: &[u8], chunk_name: &str) -> Result<Loading, Box<Raised>> {
        let name = CString::new(chunk_name.replace('\0', "?")).expect("the zeros are gone");
        self.loading.replace(Some(Loading::default()));
        let l = self.main.get();
        self.start.set(c_stack::here());
        self.cx.set(cx);
        // SAFETY: our state, with room for a few values above the handler at 1. Compiling raises nothing: it returns a
        // status and a message.
        let outcome = unsafe {
            match luaL_loadbufferx(l, text.as_ptr().cast(), text.len(), name.as_ptr(), c"t".as_ptr()) {
                lua::LUA_OK => self.run_watched(l, cx, 0, 0, 1),
                status => Err(self.raised(l, status)),
            }
        };
        self.cx.set(std::ptr::null());
        let loading = self.loading.take().unwrap_or_default();
        self.printed.flush(&self.host);
        outcome.map(|()| loading)
    }

    /// `lua_pcall` with the limits that guest code has.
    ///
    /// # Safety
    /// As `lua_pcall`; `l` belongs to this VM.
    #[inline]
    pub(super) unsafe fn protected(
        &self,
        l: *mut lua_State,
        arguments: c_int,
        results: c_int,
        handler: c_int,
    ) -> c_int {
        let before = self.set_strict(true);
        // SAFETY: the caller's promise. Nothing in this frame is to be dropped.
        let status = unsafe { lua::lua_pcall(l, arguments, results, handler) };
        self.set_strict(before);
        if let Some(memory) = &self.memory {
            // SAFETY: our state, on this thread, between the guest's code and ours.
            unsafe { memory.tidy(l) };
        }
        status
    }

    /// What failed with `status`: takes the error off the stack.
    #[cold]
    pub(super) fn raised(&self, l: *mut lua_State, status: c_int) -> Box<Raised> {
        let frames = self.frames.take();
        let stack = Stack::new(self, l);
        let raised = traceback::describe(&stack, frames, status);
        stack.pop(1);
        Box::new(raised)
    }

    #[inline]
    pub(super) fn set_strict(&self, strict: bool) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.set_strict(strict))
    }

    /// The limit that `more` bytes would pass, where they would.
    pub(crate) fn over_limit(&self, more: usize) -> Option<usize> {
        self.memory.as_ref().filter(|memory| memory.is_over(more)).map(|memory| memory.limit())
    }

    /// Whether `more` bytes fit under the limit, after a collection if need be.
    #[inline]
    pub(super) fn has_memory(&self, more: usize) -> bool {
        self.over_limit(more).is_none() || self.collect(more)
    }

    #[cold]
    fn collect(&self, more: usize) -> bool {
        // SAFETY: our state; no finalizer of a guest's exists that could raise.
        unsafe { lua::lua_gc(self.current.get(), lua::LUA_GCCOLLECT, 0) };
        self.over_limit(more).is_none()
    }

    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    pub(super) fn interrupts(&self) -> &Arc<Interrupts> {
        &self.interrupts
    }

    pub(super) fn kept(&self) -> &Cell<Option<Kept>> {
        &self.kept
    }

    pub(crate) fn times_interrupted(&self) -> u64 {
        self.interrupts.fired()
    }

    pub(super) fn current(&self) -> &Cell<*mut lua_State> {
        &self.current
    }

    pub(super) fn depth(&self) -> &Cell<usize> {
        &self.depth
    }

    pub(super) fn watched(&self) -> &Cell<usize> {
        &self.watched
    }

    pub(super) fn start(&self) -> &Cell<usize> {
        &self.start
    }

    pub(super) fn cx_cell(&self) -> &Cell<*const CallContext> {
        &self.cx
    }

    /// The context of the call that is inside, or of the load.
    pub(crate) fn with_cx<T>(&self, use_it: impl FnOnce(Option<&CallContext>) -> T) -> T {
        // SAFETY: not null only during `Vm::call` and `Vm::load`, whose caller's reference it is.
        use_it(unsafe { self.cx.get().as_ref() })
    }

    pub(super) fn frames(&self) -> &RefCell<Vec<Frame>> {
        &self.frames
    }

    /// The exports so far, while the module loads.
    pub(crate) fn loading(&self) -> &RefCell<Option<Loading>> {
        &self.loading
    }

    pub(crate) fn printed(&self) -> &Printed {
        &self.printed
    }

    pub(crate) fn services(&self) -> &RefCell<Vec<Arc<Service>>> {
        &self.services
    }

    pub(super) fn has_unknown(&self) -> &Cell<bool> {
        &self.has_unknown
    }

    /// Lends an empty buffer that keeps its memory from one use to the next.
    pub(crate) fn with_scratch<T>(&self, use_it: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        // A use within a use finds another.
        let mut scratch = self.scratch.take();
        let outcome = scratch.with(use_it);
        self.scratch.set(scratch);
        outcome
    }

    /// Keeps the function at `at` as the handler of export `number`.
    pub(crate) fn keep_handler(&self, stack: &Stack<'_>, at: i32, number: usize) {
        stack.keep(at, registry::EXPORTS + number as c_int);
    }

    /// Closes the state and frees all it holds.
    pub(super) fn close(&self) {
        let l = self.main.replace(std::ptr::null_mut());
        if l.is_null() {
            return;
        }
        drop(self.kept.take());
        if let Some(memory) = &self.memory {
            // SAFETY: the state that it was attached to.
            unsafe { memory.detach(l) };
        }
        // SAFETY: our state, which nobody uses any more: no call is inside, and `main` is null from here on.
        unsafe { lua::lua_close(l) };
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.close();
    }
}
