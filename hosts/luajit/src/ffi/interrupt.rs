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

use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use mlua_sys::lua51::{self as lua, lua_Debug, lua_State};
use polyhost_bridge::cancel::{OnCancel, Subscription};
use polyhost_bridge::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use polyhost_bridge::sync::{Condvar, Mutex, MutexGuard};
use polyhost_bridge::{CancelReason, CancelToken, boundary};

use super::registry;
use super::vm::Vm;

/// What other threads know of a VM.
pub(super) struct Interrupts<H = LuaHook> {
    /// The watched call whose guest code runs; 0 where it is another's. Stored by the thread that has the VM, and by no
    /// other.
    current: AtomicU64,
    /// Whether that thread has to look at `state` after it has stored: a call was cancelled, and the hook may be set. Under
    /// the lock of `state`.
    busy: AtomicBool,
    state: Mutex<State<H>>,
    /// How often the hook has fired.
    fired: AtomicU64,
}

/// What stops the code that runs in a VM, as long as it is set.
pub(super) trait Hook: Sized + Send + 'static {
    fn set(&mut self);
    fn clear(&mut self);
    /// Has it set again until it fires.
    fn again(pressed: Pressed<Self>);
}

/// That of LuaJIT, in the state of a VM: used while a watched call is inside alone, under the lock.
pub(super) struct LuaHook(*mut lua_State);

// SAFETY: it is only passed to `lua_sethook`, under the lock and while a call is inside, so that the VM is open.
unsafe impl Send for LuaHook {}

struct State<H> {
    hook: H,
    /// Never used again.
    last_id: u64,
    /// The calls that are to stop, now or when control comes back to them.
    cancelled: Vec<u64>,
    /// Whether the hook is set.
    pressed: bool,
}

/// A call that can be interrupted; see [`Watch::begin`].
pub(super) struct Watch {
    outer: u64,
    kept: Kept,
}

/// What stops calls with one token, in one VM.
pub(super) struct Kept {
    token: CancelToken,
    id: u64,
    subscription: Subscription,
}

impl Interrupts {
    pub(super) fn of(l: *mut lua_State) -> Self {
        Interrupts::new(LuaHook(l))
    }
}

impl<H: Hook> Interrupts<H> {
    fn new(hook: H) -> Self {
        let state = State { hook, last_id: 0, cancelled: Vec::new(), pressed: false };
        Interrupts {
            current: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            state: Mutex::new(state),
            fired: AtomicU64::new(0),
        }
    }

    /// How often the hook has fired.
    pub(super) fn fired(&self) -> u64 {
        self.fired.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets guest code of another call run: one that nothing can cancel, within one that something can.
    /// Returns what to give back to [`Interrupts::resume`].
    pub(super) fn suspend(self: &Arc<Self>) -> u64 {
        self.switch(0)
    }

    /// Goes on with the call that [`Interrupts::suspend`] left.
    pub(super) fn resume(self: &Arc<Self>, outer: u64) {
        self.switch(outer);
    }

    /// Another call's guest code runs from here on. Returns whose did.
    #[inline]
    fn switch(self: &Arc<Self>, to: u64) -> u64 {
        let from = self.current.load(Ordering::Relaxed);
        self.current.store(to, Ordering::Relaxed);
        // Pairs with the barrier in `cancel`: either we see that it is busy, or it sees whose code runs.
        boundary::barrier_here();
        if self.busy.load(Ordering::Relaxed) {
            self.switch_busy(to);
        }
        from
    }

    #[cold]
    fn switch_busy(self: &Arc<Self>, to: u64) {
        let mut state = self.lock();
        state.release();
        if state.cancelled.contains(&to) {
            self.stop(state, to);
        } else {
            self.busy.store(!state.cancelled.is_empty(), Ordering::Relaxed);
        }
    }

    /// Stops a call, now or when control comes back to it.
    fn cancel(self: &Arc<Self>, id: u64) {
        let mut state = self.lock();
        state.cancelled.push(id);
        self.busy.store(true, Ordering::Relaxed);
        boundary::barrier_everywhere();
        if self.current.load(Ordering::Relaxed) == id {
            self.stop(state, id);
        }
    }

    /// Stops the current call, which is `id`.
    fn stop(self: &Arc<Self>, mut state: MutexGuard<'_, State<H>>, id: u64) {
        state.press();
        drop(state);
        let fired = self.fired();
        H::again(Pressed { interrupts: self.clone(), id, fired });
    }

    /// Has `token` stop a call, once it runs.
    fn subscribe(self: &Arc<Self>, token: &CancelToken) -> Kept {
        let id = {
            let mut state = self.lock();
            state.last_id += 1;
            state.last_id
        };
        Kept { token: token.clone(), id, subscription: token.tell(self.clone(), id) }
    }

    /// Forgets a call that is over, and what stopped it.
    fn forget(&self, kept: Kept) {
        let Kept { id, subscription, .. } = kept;
        // The listener is done, or never runs.
        drop(subscription);
        let mut state = self.lock();
        state.cancelled.retain(|it| *it != id);
        self.busy.store(state.pressed || !state.cancelled.is_empty(), Ordering::Relaxed);
    }
}

impl<H: Hook> OnCancel for Interrupts<H> {
    fn cancelled(self: Arc<Self>, id: u64, _: CancelReason) {
        self.cancel(id);
    }
}

impl<H: Hook> State<H> {
    fn press(&mut self) {
        self.pressed = true;
        self.hook.set();
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.pressed) {
            self.hook.clear();
        }
    }
}

impl Hook for LuaHook {
    fn set(&mut self) {
        // SAFETY: the lock is held, and a call is inside. Taking the hook off first makes LuaJIT write its table of
        // instructions anew, if it was writing it itself when the hook was set before.
        unsafe {
            lua::lua_sethook(self.0, None, 0, 0);
            lua::lua_sethook(self.0, Some(hook), lua::LUA_MASKCOUNT, 1);
        }
    }

    fn clear(&mut self) {
        // SAFETY: as above.
        unsafe { lua::lua_sethook(self.0, None, 0, 0) };
    }

    fn again(pressed: Pressed) {
        Presser::get().add(pressed);
    }
}

impl Watch {
    /// From here on `token` stops what runs in the VM, until [`Watch::end`]. What stopped none of the last call is used
    /// again where that had the same token: most have, where a request makes several.
    #[inline]
    pub(super) fn begin(vm: &Vm, token: &CancelToken) -> Watch {
        let kept = match vm.kept().take() {
            Some(kept) if kept.token.is_same(token) => kept,
            other => Watch::subscribe(vm, token, other),
        };
        vm.watched().set(vm.watched().get() + 1);
        Watch { outer: vm.interrupts().switch(kept.id), kept }
    }

    #[inline(never)]
    fn subscribe(vm: &Vm, token: &CancelToken, other: Option<Kept>) -> Kept {
        let interrupts = vm.interrupts();
        if let Some(other) = other {
            interrupts.forget(other);
        }
        interrupts.subscribe(token)
    }

    /// Nothing stops the VM on behalf of this call any more.
    #[inline]
    pub(super) fn end(self, vm: &Vm) {
        let Watch { outer, kept } = self;
        vm.interrupts().switch(outer);
        vm.watched().set(vm.watched().get() - 1);
        let last = if outer == 0 && kept.token.reason().is_none() { vm.kept().replace(Some(kept)) } else { Some(kept) };
        if let Some(last) = last {
            vm.interrupts().forget(last);
        }
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
pub(super) struct Pressed<H = LuaHook> {
    interrupts: Arc<Interrupts<H>>,
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

impl<H: Hook> Pressed<H> {
    /// Sets the hook again where it has not fired since the last look. False when the call is out.
    fn look(&mut self) -> bool {
        let mut state = self.interrupts.lock();
        let inside = state.pressed && self.interrupts.current.load(Ordering::Relaxed) == self.id;
        let before = std::mem::replace(&mut self.fired, self.interrupts.fired());
        if inside && before == self.fired {
            state.press();
        }
        inside
    }
}

#[cfg(all(test, loom))]
mod races {
    use super::*;
    use polyhost_bridge::sync::{loom, thread};

    type Set = Arc<AtomicBool>;

    /// A hook that is looked at.
    struct Flag(Set);

    impl Hook for Flag {
        fn set(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }

        fn clear(&mut self) {
            self.0.store(false, Ordering::Relaxed);
        }

        fn again(_: Pressed<Self>) {}
    }

    /// Runs calls on this thread, while another cancels the token.
    fn model(run: fn(&Arc<Interrupts<Flag>>, &CancelToken, &Set)) {
        loom::model(move || {
            let set = Set::default();
            let (interrupts, token) = (Arc::new(Interrupts::new(Flag(set.clone()))), CancelToken::new());
            let canceller = thread::spawn({
                let token = token.clone();
                move || token.cancel()
            });
            run(&interrupts, &token, &set);
            canceller.join().expect("no panic");
            expect_unset(&set);
        });
    }

    fn expect_unset(set: &Set) {
        assert!(!set.load(Ordering::Relaxed), "what nobody has cancelled is stopped");
    }

    /// Guest code without an end.
    fn spin(set: &Set) {
        while !set.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_cancelled_call_is_stopped_and_what_runs_next_is_not() {
        model(|interrupts, token, set| {
            let kept = interrupts.subscribe(token);
            let outer = interrupts.switch(kept.id);
            spin(set);
            interrupts.switch(outer);
            expect_unset(set);
            interrupts.forget(kept);
        });
    }

    #[test]
    fn a_call_that_is_over_stops_nobody() {
        model(|interrupts, token, set| {
            let kept = interrupts.subscribe(token);
            let outer = interrupts.switch(kept.id);
            interrupts.switch(outer);
            expect_unset(set);
            interrupts.forget(kept);
            let other = interrupts.subscribe(&CancelToken::new());
            interrupts.switch(other.id);
            expect_unset(set);
            interrupts.switch(0);
            interrupts.forget(other);
        });
    }

    #[test]
    fn a_call_within_is_not_stopped_and_the_one_around_it_is() {
        model(|interrupts, token, set| {
            let kept = interrupts.subscribe(token);
            interrupts.switch(kept.id);
            let outer = interrupts.suspend();
            expect_unset(set);
            interrupts.resume(outer);
            spin(set);
            interrupts.switch(0);
            interrupts.forget(kept);
        });
    }
}
