//! Many threads: no call waits for another that waits.

mod common;

use std::sync::{Arc, Barrier};
use std::time::Duration;

use common::{ask, call, call_in, function, load, load_with, python};
use polyhost_bridge::{
    CallContext, CancelToken, Capabilities, ErrorKind, Export, Function, LoadOptions, Output, Services,
};

const N: usize = 24;

/// Calls an export on `N` threads, each of which has to come back.
fn all(function: &Arc<dyn Function>) {
    std::thread::scope(|scope| {
        for i in 0..N {
            let function = &**function;
            scope.spawn(move || {
                let mut output = Output::new();
                let outcome = function.call(&CallContext::none(), &[i as u8], &mut output);
                outcome.unwrap_or_else(|error| panic!("{error:?}"));
                assert_eq!([i as u8], *output);
            });
        }
    });
}

#[test]
fn calls_that_meet_in_python_all_arrive() {
    let module = load(&format!(
        "
import threading
from polyhost import export

barrier = threading.Barrier({N})

@export('meet')
def meet(data: bytes) -> bytes:
    barrier.wait(60)
    return data
"
    ));
    let meet = function(&*module, "meet");
    // Again and again: a function that has overstayed goes past the gate.
    for _ in 0..10 {
        all(&meet);
    }
}

#[test]
fn calls_that_block_on_a_socket_let_the_one_in_that_writes() {
    let module = load(
        "
import socket
from polyhost import export

here, there = socket.socketpair()

@export('read')
def read(data: bytes) -> bytes:
    assert here.recv(1) == b'x'
    return data

@export('write')
def write(data: bytes) -> bytes:
    there.sendall(data)
    return b''
",
    );
    let (read, write) = (function(&*module, "read"), function(&*module, "write"));
    std::thread::scope(|scope| {
        let readers = scope.spawn(|| all(&read));
        write.call(&CallContext::none(), &[b'x'; N], &mut Output::new()).expect("gets in while they block");
        readers.join().expect("no panic");
    });
}

#[test]
fn calls_that_meet_in_a_service_all_arrive() {
    let barrier = Barrier::new(N);
    let meet = polyhost_native::function(Export::bytes("meet"), move |_, input, output| {
        barrier.wait();
        output.write(input)
    });
    let mut services = Services::new();
    services.add(meet).expect("new");
    let module = load_with(
        "from polyhost import export, service\nmeet = service('meet')\n@export('f')\ndef f(data: bytes) -> bytes:\n    return meet(data)\n",
        &LoadOptions::new().services(services),
    );
    let f = function(&*module, "f");
    for _ in 0..10 {
        all(&f);
    }
}

#[test]
fn a_computing_call_does_not_keep_others_out() {
    let module = load(
        "
import threading
from polyhost import export

done = threading.Event()

@export('compute')
def compute(data: bytes) -> bytes:
    n = 0
    while not done.is_set():
        n += 1
    return data

@export('end')
def end(data: bytes) -> bytes:
    done.set()
    return data
",
    );
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| call(&*module, "compute", b"").expect("comes back"));
        }
        scope.spawn(|| call(&*module, "end", b"").expect("gets in"));
    });
}

#[test]
fn guests_threads_and_callers_share_the_interpreter() {
    let mut services = Services::new();
    services
        .add(polyhost_native::function(Export::bytes("echo"), |_, input, output| output.write(input)))
        .expect("new");
    let module = load_with(
        "
import threading
from concurrent.futures import ThreadPoolExecutor
from polyhost import export, service

echo = service('echo')
pool = ThreadPoolExecutor(4)

@export('f')
def f(data: bytes) -> bytes:
    return b''.join(pool.map(echo, [data] * 8))
",
        &LoadOptions::new().services(services),
    );
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!("abababababababab", ask(&*module, "f", "ab"));
                }
            });
        }
    });
}

#[test]
fn a_guests_thread_may_call_back_into_the_module_through_a_service() {
    let inner = load(
        "from polyhost import export\n@export('inner')\ndef inner(data: bytes) -> bytes:\n    return data + b'!'\n",
    );
    let mut services = Services::new();
    services.link(&*inner).expect("new");
    let module = load_with(
        "
import threading
from polyhost import export, service

inner = service('inner')

@export('f')
def f(data: bytes) -> bytes:
    result = []
    thread = threading.Thread(target=lambda: result.extend(inner(data) for _ in range(100)))
    thread.start(); thread.join()
    assert result == [data + b'!'] * 100
    return result[0]
",
        &LoadOptions::new().services(services),
    );
    for _ in 0..20 {
        assert_eq!("x!", ask(&*module, "f", "x"));
    }
}

#[test]
fn threads_that_come_and_go_leave_nothing() {
    let module = load(
        "
import threading
from polyhost import export

local = threading.local()
freed = []

class Witness:
    def __del__(self):
        freed.append(1)

@export('f')
def f(data: bytes) -> bytes:
    local.witness = Witness()
    return data

@export('freed')
def count(data: bytes) -> bytes:
    return str(len(freed)).encode()
",
    );
    for _ in 0..50 {
        std::thread::scope(|scope| {
            scope.spawn(|| call(&*module, "f", b"").expect("comes back")).join().expect("no panic")
        });
    }
    assert_eq!("50", ask(&*module, "freed", ""));
}

#[test]
fn a_deadline_is_no_matter_of_other_calls() {
    let module = load("from polyhost import export\n@export('f')\ndef f(data: bytes) -> bytes:\n    return data\n");
    assert!(!common::python().capabilities().contains(Capabilities::PARALLEL));
    std::thread::scope(|scope| {
        for i in 0..8 {
            let module = &*module;
            scope.spawn(move || {
                for round in 0..200_u64 {
                    let cx = match i % 2 {
                        0 => CallContext::none(),
                        _ => CallContext::none().with_timeout(Duration::from_micros(round)),
                    };
                    let outcome = call_in(&cx, module, "f", b"x");
                    assert!(outcome.is_ok() || i % 2 == 1, "{outcome:?}");
                }
            });
        }
    });
}

/// Nobody can have C code let go of the GIL: Python waits, and the host does where it calls Python alone.
#[test]
fn c_code_that_keeps_the_gil_holds_up_no_cancel() {
    let folder = common::Folder::new(
        "gil",
        &[(
            "guest.py",
            "
import ctypes
from polyhost import export

# Of a library that is called with the GIL held, as the code of extensions is.
system = ctypes.PyDLL(None).system

@export('hold')
def hold(command: bytes) -> bytes:
    system(command)
    while True:
        pass

@export('echo')
def echo(data: bytes) -> bytes:
    return data
",
        )],
    );
    let pipe = |name: &str| folder.path().join(name);
    let made = std::process::Command::new("mkfifo").arg(pipe("inside")).arg(pipe("go")).status();
    assert!(made.expect("every Unix has it").success());
    let module = python().load(&folder.file("guest.py"), &LoadOptions::new()).unwrap_or_else(|e| panic!("{e:?}"));
    let (hold, echo) = (function(&*module, "hold"), function(&*module, "echo"));
    let token = CancelToken::new();
    let cx = CallContext::none().with_cancel(&token);
    let input = format!("cd '{}' && echo > inside && cat go", folder.path().display());
    std::thread::scope(|scope| {
        let holding = scope.spawn(|| hold.call(&cx, input.as_bytes(), &mut Output::new()));
        std::fs::read(pipe("inside")).expect("is written to when the GIL is held");
        let waiting = scope.spawn(|| echo.call(&CallContext::none(), b"x", &mut Output::new()));
        token.cancel();
        std::fs::write(pipe("go"), "").expect("is read from");
        let stopped = holding.join().expect("no panic").expect_err("is stopped when it is back");
        assert_eq!(ErrorKind::Cancelled, stopped.kind(), "{stopped:?}");
        waiting.join().expect("no panic").expect("gets in");
    });
}
