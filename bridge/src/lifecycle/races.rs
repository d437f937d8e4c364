//! Calls, closing and draining in every order of threads; see `make races`.

use super::*;
use crate::sync::{loom, thread};

/// What calls leave behind, by which it shows who was inside when.
#[derive(Default)]
struct Module {
    lifecycle: Arc<Lifecycle>,
    calls: AtomicUsize,
    /// Of another module.
    next: Lifecycle,
}

impl Module {
    /// A call, where it is let in.
    fn call(&self) {
        if let Ok(_inside) = self.lifecycle.enter() {
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Unloads: from then on the calls are what they were.
    fn unload(&self) -> usize {
        self.lifecycle.close();
        assert_eq!(0, self.lifecycle.drain(Duration::MAX));
        // A load may see any value that is not known to be older than another.
        self.calls.load(Ordering::Relaxed)
    }
}

fn model(limits: Limits, call: fn(&Module), callers: usize) {
    loom::model(move || {
        let module = Arc::new(Module {
            lifecycle: Arc::new(Lifecycle::limited("test", "m".into(), &limits)),
            ..Module::default()
        });
        let caller = || {
            let module = module.clone();
            thread::spawn(move || call(&module))
        };
        let callers: Vec<_> = (0..callers).map(|_| caller()).collect();
        let calls = module.unload();
        callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
        assert_eq!(calls, module.calls.load(Ordering::Relaxed), "a call was inside after all were out");
        assert_eq!(0, module.lifecycle.counted.load(Ordering::Relaxed));
    });
}

#[test]
fn nobody_is_inside_of_what_was_drained() {
    model(Limits::new(), Module::call, 1);
}

#[test]
fn two_are_waited_for() {
    model(Limits::new(), Module::call, 2);
}

#[test]
fn nobody_is_inside_of_what_was_drained_where_calls_are_counted() {
    model(Limits::new().calls(1), Module::call, 1);
}

#[test]
fn a_call_within_a_call_is_waited_for() {
    let nested = |module: &Module| {
        let _outer = module.lifecycle.enter();
        module.call();
    };
    model(Limits::new(), nested, 1);
}

#[test]
fn a_call_is_waited_for_that_was_followed_by_one_elsewhere() {
    let elsewhere = |module: &Module| {
        module.call();
        drop(module.next.enter());
    };
    model(Limits::new(), elsewhere, 1);
}

#[test]
fn a_suspended_call_is_waited_for() {
    let suspended = |module: &Module| {
        if let Ok(_inside) = module.lifecycle.suspend() {
            module.calls.fetch_add(1, Ordering::Relaxed);
        }
    };
    model(Limits::new(), suspended, 2);
}
