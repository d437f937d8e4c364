//! The gate in front of the GIL: who may go in without a fight.
//!
//! Threads that fight over the GIL get far less done than one thread alone
//! does: each call wakes a waiter that finds the GIL taken again. `callers.cpython`
//! of the bench measures what eight of them get done. The gate lets
//! one thread in, call after call, for a slice of time. One other, the heir,
//! watches; the rest sleep in a queue. After the slice the heir asks, the
//! holder's next call steps aside, and the next in the queue becomes the heir.
//! So one thread is woken per slice and not per call, and everybody's turn
//! comes in the order of arrival.
//!
//! The gate is no lock: the GIL is. A holder that is still inside long after
//! the heir has asked most likely waits for I/O in Python and has let go of the
//! GIL, so the heir takes the gate over and waits for the GIL itself. Holders
//! that wait in a host service leave the gate before.
//!
//! A thread that has been the only one for long goes past the gate, until
//! another comes.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use polyhost_bridge::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use polyhost_bridge::sync::{Condvar, Instant, Mutex, spin_loop, thread, thread_local};

use polyhost_bridge::observe::Waits;

use crate::runtime::NAME;

/// How long a holder may go on entering while somebody waits: many times what it costs to hand over.
const SLICE: Duration = Duration::from_micros(50);

/// How long a holder that was asked may stay inside before it counts as waiting for I/O.
const PATIENCE: Duration = Duration::from_micros(50);

/// A gate that stays open for so long was left for good; between the calls of a busy holder it is open far shorter.
const LEFT: Duration = Duration::from_micros(2);

/// So many calls of a function that overstayed go past the gate.
const PAST: u32 = 32;

/// After so many entries in a row a thread counts as the only one.
const ALONE: u32 = if cfg!(loom) { 2 } else { 1024 };

/// The word: the number of entries so far, and two flags.
const HELD: u64 = 1;
const WANTED: u64 = 2;
const ENTRY: u64 = 4;

pub(crate) struct Gate {
    /// The thread that is the only one; 0 for none.
    alone: AtomicUsize,
    /// The thread that entered last, and how often in a row.
    last: AtomicUsize,
    in_a_row: AtomicU32,
    word: AtomicU64,
    /// Who waits, in the order of arrival. The first is the heir.
    queue: Mutex<VecDeque<Arc<Turn>>>,
    waits: Waits,
}

/// What the holder has: the word as it entered, or nothing for who went past the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass(u64);

impl Pass {
    pub(crate) const NONE: Pass = Pass(0);
}

/// What a function has shown: whether its calls overstay.
///
/// Each such call costs the heir a slice of watching, so a function that waits for I/O had better not hold the gate.
#[derive(Debug, Default)]
pub(crate) struct Habit(AtomicU32);

/// Wakes one thread in the queue.
#[derive(Default)]
struct Turn {
    come: Mutex<bool>,
    wake: Condvar,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Gate {
            alone: AtomicUsize::new(0),
            last: AtomicUsize::new(0),
            in_a_row: AtomicU32::new(0),
            word: AtomicU64::new(0),
            queue: Mutex::new(VecDeque::new()),
            waits: Waits::new(NAME, "gate", None),
        }
    }

    /// Enters, waiting for a turn; `thread` tells one living thread from another and is not 0. The GIL is still to be
    /// taken.
    #[inline]
    pub(crate) fn enter(&self, thread: usize) -> Pass {
        if self.alone.load(Ordering::Relaxed) == thread {
            return Pass::NONE;
        }
        self.enter_among_others(thread)
    }

    /// Enters for a call of a function with this habit.
    #[inline]
    pub(crate) fn enter_for(&self, thread: usize, habit: &Habit) -> Pass {
        if habit.0.load(Ordering::Relaxed) == 0 || habit.forget_one() { self.enter(thread) } else { Pass::NONE }
    }

    #[inline(never)]
    fn enter_among_others(&self, thread: usize) -> Pass {
        // Who is alone and inside right now has no pass and needs none: the GIL is what keeps us apart.
        self.count(thread);
        let word = self.word.load(Ordering::Relaxed);
        if word & (HELD | WANTED) == 0
            && let Some(pass) = self.take(word)
        {
            return pass;
        }
        self.waits.time(|| self.wait())
    }

    /// Finds out who is alone. Threads that get here at the same time may lose a count; it decides no more than speed.
    fn count(&self, thread: usize) {
        if self.last.load(Ordering::Relaxed) != thread {
            self.last.store(thread, Ordering::Relaxed);
            self.in_a_row.store(0, Ordering::Relaxed);
            if self.alone.load(Ordering::Relaxed) != 0 {
                self.alone.store(0, Ordering::Relaxed);
            }
            return;
        }
        let in_a_row = self.in_a_row.load(Ordering::Relaxed) + 1;
        if in_a_row < ALONE {
            self.in_a_row.store(in_a_row, Ordering::Relaxed);
        } else if self.word.load(Ordering::Relaxed) & (HELD | WANTED) == 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
            self.alone.store(thread, Ordering::Relaxed);
        }
    }

    /// Leaves, with the GIL let go. False where somebody has taken the gate over.
    #[inline]
    pub(crate) fn leave(&self, pass: Pass) -> bool {
        if pass == Pass::NONE {
            return true;
        }
        let mut word = pass.0;
        loop {
            match self.word.compare_exchange(word, word & !HELD, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) if now == pass.0 | WANTED && now != word => word = now,
                Err(_) => return false,
            }
        }
    }

    /// Leaves after a call of a function with this habit.
    #[inline]
    pub(crate) fn leave_for(&self, pass: Pass, habit: &Habit) {
        if !self.leave(pass) {
            habit.0.store(PAST, Ordering::Relaxed);
        }
    }

    /// Takes the gate if the word still is `word`, whether somebody holds it or not.
    #[inline]
    fn take(&self, word: u64) -> Option<Pass> {
        let taken = ((word & !WANTED).wrapping_add(ENTRY)) | HELD;
        let won = self.word.compare_exchange(word, taken, Ordering::Acquire, Ordering::Relaxed);
        won.is_ok().then_some(Pass(taken))
    }

    #[cold]
    fn wait(&self) -> Pass {
        let turn = own_turn();
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(turn.clone());
        let first = queue.len() == 1;
        drop(queue);
        if !first {
            turn.wait();
        }
        let pass = self.inherit();
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front();
        let next = queue.front().cloned();
        drop(queue);
        if let Some(next) = next {
            next.give();
        }
        pass
    }

    /// The heir's part: lets the holder go on for a slice, then asks, then loses patience.
    fn inherit(&self) -> Pass {
        let began = Instant::now();
        let mut seen = self.word.load(Ordering::Relaxed);
        let mut since = began;
        loop {
            pause();
            let (word, now) = (self.word.load(Ordering::Relaxed), Instant::now());
            if word != seen {
                (seen, since) = (word, now);
            }
            if word & HELD == 0
                && now - since >= LEFT
                && let Some(pass) = self.take(word)
            {
                return pass;
            }
            if now - began >= SLICE {
                break;
            }
        }
        self.word.fetch_or(WANTED, Ordering::Relaxed);
        let asked = Instant::now();
        loop {
            let word = self.word.load(Ordering::Relaxed);
            if (word & HELD == 0 || asked.elapsed() >= PATIENCE)
                && let Some(pass) = self.take(word)
            {
                return pass;
            }
            pause();
        }
    }
}

impl Habit {
    /// Uses up one of the calls that go past the gate. True where there was none left.
    #[cold]
    fn forget_one(&self) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        // Two threads may use up the same one; it is a habit and no account.
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        left == 0
    }
}

impl Turn {
    fn wait(&self) {
        let mut come = self.come.lock().unwrap_or_else(PoisonError::into_inner);
        while !*come {
            come = self.wake.wait(come).unwrap_or_else(PoisonError::into_inner);
        }
        *come = false;
    }

    fn give(&self) {
        *self.come.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_one();
    }
}

/// Kept per thread, so that waiting allocates nothing.
fn own_turn() -> Arc<Turn> {
    thread_local! { static TURN: OnceCell<Arc<Turn>> = const { OnceCell::new() }; }
    TURN.try_with(|turn| turn.get_or_init(Arc::default).clone()).unwrap_or_default()
}

/// A moment; shorter than the shortest call, and it lets others run where processors are few.
fn pause() {
    const SPINS: usize = if cfg!(loom) { 0 } else { 16 };
    for _ in 0..SPINS {
        spin_loop();
    }
    thread::yield_now();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn the_gate_is_left_and_entered_again() {
        let gate = Gate::new();
        let first = gate.enter(1);
        assert!(gate.leave(first));
        let second = gate.enter(2);
        assert_ne!(first, second);
        assert!(gate.leave(second));
        assert!(gate.leave(Pass::NONE));
    }

    #[test]
    fn who_is_alone_goes_past_until_another_comes() {
        let gate = Gate::new();
        let through = (0..ALONE * 2)
            .take_while(|_| {
                let pass = gate.enter(1);
                gate.leave(pass);
                pass != Pass::NONE
            })
            .count();
        assert_eq!(ALONE as usize + 1, through);
        assert_ne!(Pass::NONE, gate.enter(2));
        // Overtakes the other, which does not leave.
        assert_ne!(Pass::NONE, gate.enter(1));
    }

    #[test]
    fn a_holder_that_stays_inside_is_overtaken_by_everybody() {
        let gate = Gate::new();
        let inside = Barrier::new(8);
        let habit = Habit::default();
        std::thread::scope(|scope| {
            for thread in 1..=8 {
                let (gate, inside, habit) = (&gate, &inside, &habit);
                scope.spawn(move || {
                    let pass = gate.enter(thread);
                    // As a call that waits until all the others are in.
                    inside.wait();
                    gate.leave_for(pass, habit);
                });
            }
        });
        assert_eq!(Pass::NONE, gate.enter_for(9, &habit));
        let pass = gate.enter(9);
        assert!(gate.leave(pass));
    }

    #[test]
    fn a_habit_wears_off() {
        let gate = Gate::new();
        let habit = Habit(AtomicU32::new(PAST));
        let past = (0..PAST * 2).take_while(|_| gate.enter_for(1, &habit) == Pass::NONE).count();
        assert_eq!(PAST as usize, past);
    }

    #[test]
    fn nobody_is_left_waiting() {
        let gate = Gate::new();
        let start = Barrier::new(8);
        let entries = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 1..=8 {
                let (gate, start, entries) = (&gate, &start, &entries);
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..20_000 {
                        let pass = gate.enter(thread);
                        entries.fetch_add(1, Ordering::Relaxed);
                        gate.leave(pass);
                    }
                });
            }
        });
        assert_eq!(160_000, entries.into_inner());
        assert!(gate.queue.lock().expect("not poisoned").is_empty());
    }
}

#[cfg(all(test, loom))]
mod races {
    use super::*;
    use polyhost_bridge::sync::loom;

    /// `threads` enter so often each; loom interrupts them so often at most.
    fn model(threads: usize, entries: usize, interruptions: usize) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(interruptions);
        model.check(move || {
            let gate = Arc::new(Gate::new());
            let enter = |thread: usize| {
                let gate = gate.clone();
                move || {
                    for _ in 0..entries {
                        let pass = gate.enter(thread);
                        gate.leave(pass);
                    }
                }
            };
            let others: Vec<_> = (2..=threads).map(|other| thread::spawn(enter(other))).collect();
            enter(1)();
            others.into_iter().for_each(|other| other.join().expect("no panic"));
            assert!(gate.queue.lock().expect("not poisoned").is_empty(), "somebody is left waiting");
            assert!(gate.leave(gate.enter(1)), "somebody is left inside");
        });
    }

    #[test]
    fn two_of_two_enter_again_and_again() {
        model(2, 2, 3);
    }

    #[test]
    fn three_of_three_enter() {
        model(3, 1, 2);
    }
}
