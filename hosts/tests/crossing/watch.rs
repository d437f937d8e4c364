//! Who stands where, and for how long.

use std::cell::OnceCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

/// How long a thread may stand in one step. All of them end, by a deadline if by nothing else, in less than a second.
const PATIENCE: u32 = 60;
const LOOK: Duration = Duration::from_secs(1);

static THREADS: Mutex<Vec<Arc<Steps>>> = Mutex::new(Vec::new());

thread_local! {
    static HERE: OnceCell<Arc<Steps>> = const { OnceCell::new() };
}

/// What a thread is inside of, outermost first.
struct Steps {
    thread: Thread,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stack: Vec<String>,
    /// How often the watch has seen the stack as it is. Counted and not measured: a stopped process is not stuck.
    looks: u32,
}

impl Steps {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        let mut state = self.lock();
        change(&mut state.stack);
        state.looks = 0;
    }
}

/// A step that this thread is in, until it is dropped.
pub(crate) struct At(Arc<Steps>);

pub(crate) fn at(step: String) -> At {
    let here = HERE.with(|here| here.get_or_init(register).clone());
    here.change(|stack| stack.push(step));
    At(here)
}

impl Drop for At {
    fn drop(&mut self) {
        self.0.change(|stack| _ = stack.pop());
    }
}

fn register() -> Arc<Steps> {
    let steps = Arc::new(Steps { thread: std::thread::current(), state: Mutex::default() });
    let mut threads = threads();
    // Of ended threads this is the last trace.
    threads.retain(|it| Arc::strong_count(it) > 1);
    threads.push(steps.clone());
    steps
}

fn threads() -> MutexGuard<'static, Vec<Arc<Steps>>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process where a thread makes no progress, and says where all of them stand; until `done` is disconnected.
pub(crate) fn watch(done: &Receiver<()>, what: &str) {
    while let Err(RecvTimeoutError::Timeout) = done.recv_timeout(LOOK) {
        let threads = threads();
        if look(&threads) {
            // Past what the test's harness captures.
            let _ = write!(std::io::stderr(), "\nno progress: {what}\n{}", stands(&threads));
            // Nothing that a runtime does at a process's end: it may wait for those that are stuck.
            std::process::abort();
        }
    }
}

/// Whether one of them is stuck.
fn look(threads: &[Arc<Steps>]) -> bool {
    threads.iter().fold(false, |stuck, it| {
        let mut state = it.lock();
        state.looks += 1;
        stuck || !state.stack.is_empty() && state.looks > PATIENCE
    })
}

/// Where they stand, and for how many looks.
fn stands(threads: &[Arc<Steps>]) -> String {
    let mut text = String::new();
    for it in threads {
        let state = it.lock();
        if !state.stack.is_empty() {
            let (name, id) = (it.thread.name().unwrap_or("no name"), it.thread.id());
            let _ = writeln!(text, "thread {name} ({id:?}), for {} s: {}", state.looks, state.stack.join(" → "));
        }
    }
    text
}

#[test]
fn who_stands_still_is_named() {
    let still = || Arc::new(Steps { thread: std::thread::current(), state: Mutex::default() });
    let (idle, moves, stuck) = (still(), still(), still());
    stuck.change(|stack| stack.extend(["plan 7".to_owned(), "Guest".to_owned()]));
    let threads = [idle, moves.clone(), stuck];
    for _ in 0..PATIENCE {
        moves.change(|stack| stack.push("on".to_owned()));
        assert!(!look(&threads));
    }
    moves.change(Vec::clear);
    assert!(look(&threads));
    let text = stands(&threads);
    assert!(text.contains("for 61 s: plan 7 → Guest") && text.lines().count() == 1, "{text}");
}
