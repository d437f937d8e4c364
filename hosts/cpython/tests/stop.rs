//! Calls that are stopped.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{ask, call, call_in, function, load, load_with};
use polyhost_bridge::{CallContext, CancelToken, ErrorKind, Export, Function, LoadOptions, Module, Output, Services};

/// A guest with a service `cancel`, which cancels the call that calls it.
fn cancelling(guest: &str) -> Arc<dyn Module> {
    let mut services = Services::new();
    let cancel = polyhost_native::function(Export::bytes("cancel"), |cx, _, _| {
        let token = cx.token().expect("the call can be cancelled").clone();
        // From elsewhere, and when the guest is back in its own code or not: it is told in either case.
        std::thread::spawn(move || token.cancel());
        Ok(())
    });
    services.add(cancel).expect("new");
    load_with(
        &format!("from polyhost import *\ncancel = service('cancel')\n{guest}"),
        &LoadOptions::new().services(services),
    )
}

fn cancellable() -> CallContext {
    CallContext::none().with_cancel(&CancelToken::new())
}

#[test]
fn loops_of_every_kind_are_stopped() {
    let module = cancelling(
        "
@export('while')
def loop(data: bytes) -> bytes:
    cancel(b'')
    while True:
        pass

@export('except')
def stubborn(data: bytes) -> bytes:
    cancel(b'')
    while True:
        try:
            sum(range(100))
        except Exception:
            pass

@export('generator')
def generator(data: bytes) -> bytes:
    cancel(b'')
    return bytes(sum(0 for _ in iter(int, 1)))

@export('look')
def look(data: bytes, context: CallContext) -> bytes:
    cancel(b'')
    while not context.cancelled:
        pass
    context.check()

clean = []

@export('finally')
def cleans(data: bytes) -> bytes:
    try:
        cancel(b'')
        while True:
            pass
    finally:
        clean.append(1)

@export('clean')
def cleaned(data: bytes) -> bytes:
    return str(len(clean)).encode()
",
    );
    for export in ["while", "except", "generator", "look", "finally"] {
        let error = call_in(&cancellable(), &*module, export, b"").expect_err("has no end");
        assert_eq!(ErrorKind::Cancelled, error.kind(), "{export}: {error:?}");
        let guest = error.guest().expect("was stopped somewhere");
        assert_eq!("polyhost.Cancelled", guest.type_name, "{error:?}");
        assert!(guest.frames.iter().any(|frame| frame.file == "guest.py"), "{error:?}");
    }
    assert_eq!("1", ask(&*module, "clean", ""));
}

#[test]
fn a_loop_ends_at_its_deadline() {
    let module = load(
        "from polyhost import export\n@export('f')\ndef f(data: bytes) -> bytes:\n    while True:\n        pass\n",
    );
    let cx = CallContext::none().with_timeout(Duration::from_millis(20));
    let error = call_in(&cx, &*module, "f", b"").expect_err("has no end");
    assert_eq!(ErrorKind::DeadlineExceeded, error.kind(), "{error:?}");
}

#[test]
fn a_guest_may_catch_it_and_answer() {
    let module = cancelling(
        "
@export('f')
def f(data: bytes) -> bytes:
    try:
        cancel(b'')
        while True:
            pass
    except Cancelled:
        return b'in time'
",
    );
    assert_eq!(b"in time", &*call_in(&cancellable(), &*module, "f", b"").expect("answers"));
}

#[test]
fn what_is_stopped_in_c_is_stopped_when_that_returns() {
    let module = load(
        "
import threading
from polyhost import export

event = threading.Event()

@export('wait')
def wait(data: bytes) -> bytes:
    event.wait(60)
    return b'too late'

@export('set')
def set(data: bytes) -> bytes:
    event.set()
    return b''
",
    );
    let token = CancelToken::new();
    let cx = CallContext::none().with_cancel(&token);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| call_in(&cx, &*module, "wait", b""));
        token.cancel();
        // Whether the exception has been sent by now or not, the call ends with it or before it.
        call(&*module, "set", b"").expect("gets in");
        let outcome = waiting.join().expect("no panic");
        assert!(outcome.is_err_and(|error| error.kind() == ErrorKind::Cancelled));
    });
}

#[test]
fn a_call_nested_in_a_stopped_one_is_not_hit() {
    // The outer call is cancelled while the inner one runs, which has a context of its own.
    let token = Arc::new(Mutex::new(CancelToken::new()));
    let outer_token = token.clone();
    let mut services = Services::new();
    let cancel = polyhost_native::function(Export::bytes("cancel"), move |_, _, _| {
        outer_token.lock().expect("no panic").cancel();
        Ok(())
    });
    services.add(cancel).expect("new");
    let inner = load_with(
        "
from polyhost import export, service

cancel = service('cancel')

@export('inner')
def inner(data: bytes) -> bytes:
    cancel(b'')
    n = 0
    for _ in range(300_000):
        n += 1
    return str(n).encode()
",
        &LoadOptions::new().services(services),
    );
    let target = function(&*inner, "inner");
    let mut services = Services::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = seen.clone();
    let call_inner = polyhost_native::function(Export::bytes("inner"), move |_, input, output| {
        let outcome = target.call(&CallContext::none(), input, output);
        see.lock().expect("no panic").push(outcome.map(|()| output.to_vec()).map_err(|error| format!("{error:?}")));
        Ok(())
    });
    services.add(call_inner).expect("new");
    let outer = load_with(
        "
from polyhost import export, service

inner = service('inner')

@export('outer')
def outer(data: bytes) -> bytes:
    inner(b'')
    while True:
        pass
",
        &LoadOptions::new().services(services),
    );
    for _ in 0..20 {
        let cx = CallContext::none().with_cancel(&token.lock().expect("no panic"));
        let error = call_in(&cx, &*outer, "outer", b"").expect_err("is cancelled");
        assert_eq!(ErrorKind::Cancelled, error.kind(), "{error:?}");
        assert_eq!([Ok(b"300000".to_vec())], seen.lock().expect("no panic").split_off(0)[..]);
        *token.lock().expect("no panic") = CancelToken::new();
    }
}

#[test]
fn nothing_is_left_over_for_the_next_call() {
    let module = load(
        "
from polyhost import export

@export('f')
def f(data: bytes) -> bytes:
    n = 0
    for i in range(300):
        n += i
    return data
",
    );
    let f = function(&*module, "f");
    let mut output = Output::new();
    for i in 0..2000_u64 {
        output.clear();
        let cx = CallContext::none().with_timeout(Duration::from_micros(i % 200));
        let _ = f.call(&cx, b"x", &mut output);
        output.clear();
        f.call(&CallContext::none(), b"x", &mut output).unwrap_or_else(|error| panic!("round {i}: {error:?}"));
        assert_eq!(b"x", output.as_slice());
    }
}

/// Calls of one request, one after the other, are watched by what the first made.
#[test]
fn a_cancel_hits_the_calls_of_its_token_and_no_others() {
    let module = load(
        "
from polyhost import export

@export('f')
def f(data: bytes) -> bytes:
    n = 0
    for i in range(100):
        n += i
    return data

@export('spin')
def spin(data: bytes) -> bytes:
    while True:
        pass
",
    );
    let (f, spin) = (function(&*module, "f"), function(&*module, "spin"));
    let call = |function: &dyn Function, cx: &CallContext| function.call(cx, b"x", &mut Output::new());
    for round in 0..1000_u32 {
        let token = CancelToken::new();
        let cx = CallContext::none().with_cancel(&token);
        let other = CallContext::none().with_cancel(&CancelToken::new());
        let canceller = std::thread::spawn(move || {
            (0..round % 500).for_each(|_| std::hint::spin_loop());
            token.cancel();
        });
        for _ in 0..round % 5 {
            if let Err(error) = call(&*f, &cx) {
                assert_eq!(ErrorKind::Cancelled, error.kind(), "{error:?}");
            }
            for cx in [&other, &other, &CallContext::none()] {
                call(&*f, cx).unwrap_or_else(|error| panic!("round {round}: {error:?}"));
            }
        }
        assert_eq!(ErrorKind::Cancelled, call(&*spin, &cx).expect_err("endless").kind());
        canceller.join().expect("no panic");
    }
}
