//! Stopping guest code from another thread.
//!
//! LuaJIT looks at its hook before every instruction once there is one, and,
//! built with `LUAJIT_ENABLE_CHECKHOOK`, in each round of a compiled loop. The
//! hook may be set "from a signal handler or another native thread"
//! (`lj_record.c`); here that is done under a lock, and only for the call that
//! is to stop. It raises at every instruction until the call is out, so that no
//! `pcall` of the guest swallows it for good.
//!
//! `lua_sethook` changes what the VM's own thread changes too, without an atomic
//! operation on either side, so that a hook may be lost. While a call that is to
//! stop is inside and its hook does not fire, it is set again each millisecond.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use mlua_sys::lua51::{self as lua, lua_Debug, lua_State};
use polyhost_bridge::cancel::{OnCancel, Subscription};
use polyhost_bridge::{CancelReason, CancelToken};

use super::registry;
use super::vm::Vm;

/// What other threads know of a VM.
pub(super) struct Interrupts {
    state: Mutex<State>,
    /// How often the hook has fired.
    fired: AtomicU64,
}

struct State {
    /// The VM's state; used while a watched call is inside alone, under the lock, for `lua_sethook`.
    l: *mut lua_State,
    /// Never used again.
    last_id: u64,
    /// The watched call whose guest code runs; 0 where it is another's.
    current: u64,
    /// The calls further out that are to stop when control comes back to them.
    cancelled: Vec<u64>,
    /// Whether the hook is set.
    pressed: bool,
}

// SAFETY: `l` is only passed to `lua_sethook`, under the lock and while a call is inside, so that the VM is open.
unsafe impl Send for State {}

/// A call that can be interrupted; see [`Watch::begin`].
pub(super) struct Watch {
    id: u64,
    outer: u64,
    subscription: Subscription,
}

impl Interrupts {
    pub(super) fn new(l: *mut lua_State) -> Self {
        let state = State { l, last_id: 0, current: 0, cancelled: Vec::new(), pressed: false };
        Interrupts { state: Mutex::new(state), fired: AtomicU64::new(0) }
    }

    /// How often the hook has fired.
    pub(super) fn fired(&self) -> u64 {
        self.fired.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets guest code of another call run: one that nothing can cancel, within one that something can.
    /// Returns what to give back to [`Interrupts::resume`].
    pub(super) fn suspend(&self) -> u64 {
        let mut state = self.lock();
        state.release();
        std::mem::take(&mut state.current)
    }

    /// Goes on with the call that [`Interrupts::suspend`] left.
    pub(super) fn resume(self: &Arc<Self>, outer: u64) {
        self.go_on(self.lock(), outer);
    }

    fn go_on(self: &Arc<Self>, mut state: MutexGuard<'_, State>, outer: u64) {
        state.release();
        state.current = outer;
        if state.cancelled.contains(&outer) {
            self.stop(state);
        }
    }

    /// Stops a call, now or when control comes back to it.
    fn cancel(self: &Arc<Self>, id: u64) {
        let mut state = self.lock();
        state.cancelled.push(id);
        if state.current == id {
            self.stop(state);
        }
    }

    /// Stops the current call.
    fn stop(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.press();
        let id = state.current;
        drop(state);
        let fired = self.fired();
        Presser::get().add(Pressed { interrupts: self.clone(), id, fired });
    }
}

impl OnCancel for Interrupts {
    fn cancelled(self: Arc<Self>, id: u64, _: CancelReason) {
        self.cancel(id);
    }
}

impl State {
    fn press(&mut self) {
        self.pressed = true;
        // SAFETY: see `l`. Taking the hook off first makes LuaJIT write its table of instructions anew, if it was
        // writing it itself when the hook was set before.
        unsafe {
            lua::lua_sethook(self.l, None, 0, 0);
            lua::lua_sethook(self.l, Some(hook), lua::LUA_MASKCOUNT, 1);
        }
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.pressed) {
            // SAFETY: see `l`.
            unsafe { lua::lua_sethook(self.l, None, 0, 0) };
        }
    }
}

impl Watch {
    /// From here on `token` stops what runs in the VM, until [`Watch::end`].
    pub(super) fn begin(vm: &Vm, token: &CancelToken) -> Watch {
        let interrupts = vm.interrupts();
        let (outer, id) = {
            let mut state = interrupts.lock();
            state.release();
            state.last_id += 1;
            let id = state.last_id;
            (std::mem::replace(&mut state.current, id), id)
        };
        vm.watched().set(vm.watched().get() + 1);
        Watch { id, outer, subscription: token.tell(interrupts.clone(), id) }
    }

    /// Nothing stops the VM on behalf of this call any more.
    pub(super) fn end(self, vm: &Vm) {
        // The listener is done, or never runs.
        drop(self.subscription);
        vm.watched().set(vm.watched().get() - 1);
        let mut state = vm.interrupts().lock();
        state.cancelled.retain(|id| *id != self.id);
        vm.interrupts().go_on(state, self.outer);
    }
}

unsafe extern "C-unwind" fn hook(l: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: LuaJIT calls this where an error may be raised, with room on the stack; nothing is to be dropped. The VM
    // is in the registry and outlives its state.
    unsafe {
        lua::lua_rawgeti_(l, lua::LUA_REGISTRYINDEX, registry::VM);
        let vm = &*lua::lua_touserdata(l, -1).cast::<Vm>();
        vm.interrupts().fired.fetch_add(1, Ordering::Relaxed);
        lua::lua_rawgeti_(l, lua::LUA_REGISTRYINDEX, registry::INTERRUPTED);
        lua::lua_error(l);
    }
}

/// Sets hooks again until their calls are out.
struct Presser {
    pressed: Mutex<Vec<Pressed>>,
    wake: Condvar,
}

/// A call whose hook is set.
struct Pressed {
    interrupts: Arc<Interrupts>,
    id: u64,
    /// How often the hook had fired when it was last looked at.
    fired: u64,
}

const AGAIN: Duration = Duration::from_millis(1);

impl Presser {
    fn get() -> &'static Presser {
        static PRESSER: OnceLock<&'static Presser> = OnceLock::new();
        PRESSER.get_or_init(|| {
            let presser: &'static Presser =
                Box::leak(Box::new(Presser { pressed: Mutex::default(), wake: Condvar::new() }));
            let thread = std::thread::Builder::new().name("polyhost-lua-interrupt".into());
            // Without the thread the first press is all there is, which nearly always does.
            let _ = thread.spawn(move || presser.run());
            presser
        })
    }

    fn add(&self, pressed: Pressed) {
        self.pressed.lock().unwrap_or_else(PoisonError::into_inner).push(pressed);
        self.wake.notify_one();
    }

    fn run(&self) {
        let mut pressed = self.pressed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            pressed = match pressed.is_empty() {
                true => self.wake.wait(pressed).unwrap_or_else(PoisonError::into_inner),
                false => self.wake.wait_timeout(pressed, AGAIN).unwrap_or_else(PoisonError::into_inner).0,
            };
            pressed.retain_mut(Pressed::look);
        }
    }
}

impl Pressed {
    /// Sets the hook again where it has not fired since the last look. False when the call is out.
    fn look(&mut self) -> bool {
        let mut state = self.interrupts.lock();
        let inside = state.pressed && state.current == self.id;
        let before = std::mem::replace(&mut self.fired, self.interrupts.fired());
        if inside && before == self.fired {
            state.press();
        }
        inside
    }
}
