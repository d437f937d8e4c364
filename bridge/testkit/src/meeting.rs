//! Where calls wait for each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use polyhost_bridge::{Code, Error, Result};

/// How long a case waits for what may never come, before it fails. What does come, comes much sooner.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A place where `n` calls wait until all of them have arrived, and from where others can see how many have.
#[derive(Debug)]
pub struct Meeting {
    n: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    arrived: usize,
    open: bool,
}

impl Meeting {
    /// For `n` calls.
    pub fn of(n: usize) -> Self {
        Meeting { n, state: Mutex::default(), changed: Condvar::new() }
    }

    /// A gate: those who arrive wait until it is opened, however many they are.
    pub fn gate() -> Self {
        Meeting::of(usize::MAX)
    }

    /// Arrives, and waits for the others.
    ///
    /// # Errors
    /// `ABORTED` where they do not come.
    pub fn arrive(&self) -> Result<()> {
        let mut state = self.lock();
        state.arrived += 1;
        state.open |= state.arrived >= self.n;
        self.changed.notify_all();
        let state = self.wait(state, |state| state.open);
        if state.open {
            return Ok(());
        }
        let message = format!("only {} of {} arrived: calls that wait hold up the others", state.arrived, self.n);
        Err(Error::status(Code::Aborted, message))
    }

    /// Waits until `n` have arrived. Panics where they do not come.
    pub fn wait_for(&self, n: usize) {
        let state = self.wait(self.lock(), |state| state.arrived >= n);
        assert!(state.arrived >= n, "only {} of {n} arrived: calls that wait hold up the others", state.arrived);
    }

    /// Lets everybody go on.
    pub fn open(&self) {
        self.lock().open = true;
        self.changed.notify_all();
    }

    /// How many have arrived.
    pub fn arrived(&self) -> usize {
        self.lock().arrived
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, done: impl Fn(&State) -> bool) -> MutexGuard<'a, State> {
        let end = Instant::now() + PATIENCE;
        let mut state = state;
        while !done(&state) && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
