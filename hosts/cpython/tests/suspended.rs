//! `async def` exports whose calls are suspended: cancelled, blocked, and there when their module goes.

mod common;

use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use common::{ask, block_on, both, call_in, function, load, load_with, log};
use polyhost_bridge::{
    Bytes, CallContext, CancelToken, ErrorKind, Export, LoadOptions, Module, Services, UnloadVerdict,
};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn calls_are_cancelled_where_they_wait_and_in_their_first_step() {
    let module = load(
        "
import asyncio
from polyhost import export

waiting = cancelled = 0

@export('wait')
async def wait(data: bytes) -> bytes:
    global waiting, cancelled
    waiting += 1
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled += 1
        raise

@export('spin')
async def spin(data: bytes) -> bytes:
    while True:
        pass

@export('idle')
async def idle(data: bytes) -> bytes:
    await asyncio.sleep(0.001)
    return b''

@export('count')
async def count(data: bytes) -> bytes:
    return f'{waiting} {cancelled}'.encode()
",
    );
    let count = || {
        let reply = ask(&*module, "count", "");
        let (waiting, cancelled) = reply.split_once(' ').expect("two numbers");
        (waiting.parse::<u32>().expect("a number"), cancelled.parse::<u32>().expect("a number"))
    };
    // Where it waits, for certain.
    let token = CancelToken::new();
    let waiting = function(&*module, "wait").call_async(CallContext::none().with_cancel(&token), Bytes::new());
    while count() == (0, 0) {
        ask(&*module, "idle", "");
    }
    token.cancel();
    assert_eq!(ErrorKind::Cancelled, block_on(waiting).expect_err("is cancelled").kind());
    // Wherever it is by then: some never begin to wait.
    for i in 1..=10 {
        let cx = CallContext::none().with_timeout(Duration::from_millis(i));
        let error = call_in(&cx, &*module, "wait", b"").expect_err("waits for ever");
        assert_eq!(ErrorKind::DeadlineExceeded, error.kind(), "{error:?}");
        let token = CancelToken::new();
        let cx = CallContext::none().with_cancel(&token);
        let waiting = function(&*module, "wait").call_async(cx, Bytes::new());
        token.cancel();
        assert_eq!(ErrorKind::Cancelled, block_on(waiting).expect_err("is cancelled").kind());
        drop(function(&*module, "wait").call_async(CallContext::none(), Bytes::new()));
    }
    // All that have begun are told, and come to it.
    while count().0 != count().1 {
        ask(&*module, "idle", "");
    }
    // A loop without an await, where the thread that called it runs it.
    ask(&*module, "idle", "");
    let cx = CallContext::none().with_timeout(Duration::from_millis(20));
    let error = call_in(&cx, &*module, "spin", b"").expect_err("spins for ever");
    assert_eq!(ErrorKind::DeadlineExceeded, error.kind(), "{error:?}");
    assert_eq!("", ask(&*module, "idle", ""));
}

#[test]
fn a_blocking_call_back_into_the_module_does_not_hang() {
    // Each level blocks the loop that the next one needs.
    let late: Arc<std::sync::OnceLock<std::sync::Weak<dyn Module>>> = Arc::default();
    let target = late.clone();
    let mut services = Services::new();
    let back = polyhost_native::function(Export::bytes("back"), move |cx, input, output| {
        let module = target.get().and_then(std::sync::Weak::upgrade).expect("its caller holds it");
        module.function("f")?.call(cx, input, output)
    });
    services.add(back).expect("new");
    let module = load_with(
        "
import asyncio
from polyhost import export, service

back = service('back')

@export('f')
async def f(data: bytes) -> bytes:
    task = asyncio.current_task()
    await asyncio.sleep(0)
    reply = back(data[1:]) if len(data) > 1 else b''
    assert asyncio.current_task() is task
    await asyncio.sleep(0)
    return data[:1] + reply

@export('g')
async def g(data: bytes) -> bytes:
    return back(data)
",
        &LoadOptions::new().services(services),
    );
    assert!(late.set(Arc::downgrade(&module)).is_ok());
    for _ in 0..5 {
        assert_eq!("abcde", both(&*module, "f", "abcde"));
        assert_eq!("abcde", both(&*module, "g", "abcde"));
    }
}

#[test]
fn a_blocking_call_back_into_the_module_is_cancelled_where_it_waits() {
    let late: Arc<std::sync::OnceLock<std::sync::Weak<dyn Module>>> = Arc::default();
    let target = late.clone();
    let mut services = Services::new();
    let back = polyhost_native::function(Export::bytes("back"), move |cx, input, output| {
        let module = target.get().and_then(std::sync::Weak::upgrade).expect("its caller holds it");
        module.function("wait")?.call(cx, input, output)
    });
    services.add(back).expect("new");
    let module = load_with(
        "
import asyncio
from polyhost import export, service

back = service('back')

@export('wait')
async def wait(data: bytes) -> bytes:
    await asyncio.Event().wait()

@export('outer')
async def outer(data: bytes) -> bytes:
    await asyncio.sleep(0)
    return back(data)

@export('first')
async def first(data: bytes) -> bytes:
    return back(data)
",
        &LoadOptions::new().services(services),
    );
    assert!(late.set(Arc::downgrade(&module)).is_ok());
    for export in ["first", "outer"] {
        let cx = CallContext::none().with_timeout(Duration::from_millis(20));
        let error = call_in(&cx, &*module, export, b"").expect_err("waits for ever");
        assert_eq!(ErrorKind::DeadlineExceeded, error.kind(), "{error:?}");
    }
}

#[test]
fn many_suspended_calls_need_no_thread_each() {
    let module = load(
        "
import asyncio
from polyhost import export

waiting = []

@export('wait')
async def wait(data: bytes) -> bytes:
    event = asyncio.Event()
    waiting.append(event)
    await event.wait()
    return data

@export('go')
async def go(data: bytes) -> bytes:
    while len(waiting) < int(data):
        await asyncio.sleep(0)
    for event in waiting:
        event.set()
    return data
",
    );
    let wait = function(&*module, "wait");
    let calls: Vec<_> =
        (0..2000).map(|i| wait.clone().call_async(CallContext::none(), Bytes::from(format!("{i}")))).collect();
    assert_eq!("2000", ask(&*module, "go", "2000"));
    for (i, call) in calls.into_iter().enumerate() {
        assert_eq!(format!("{i}"), String::from_utf8_lossy(&block_on(call).expect("comes back")));
    }
}

#[test]
fn services_called_from_tasks_have_their_context() {
    let (seen, see) = mpsc::channel();
    let barrier = Barrier::new(4);
    let mut services = Services::new();
    let meet = polyhost_native::function(Export::bytes("meet"), move |cx, input, output| {
        seen.send(cx.metadata_value("name").map(str::to_owned)).expect("the test waits");
        barrier.wait();
        output.write(input)
    });
    services.add(meet).expect("new");
    let module = load_with(
        "
import asyncio
from polyhost import export, service

meet = service('meet')

@export('f')
async def f(data: bytes) -> bytes:
    await asyncio.sleep(0)
    return await asyncio.to_thread(meet, data)
",
        &LoadOptions::new().services(services),
    );
    let f = function(&*module, "f");
    let calls: Vec<_> = (0..4)
        .map(|i| f.clone().call_async(CallContext::none().with_metadata("name", i.to_string()), Bytes::from("x")))
        .collect();
    calls.into_iter().for_each(|call| assert_eq!("x", block_on(call).expect("they meet")));
    let mut names: Vec<_> = see.try_iter().flatten().collect();
    names.sort();
    assert_eq!(["0", "1", "2", "3"], names[..]);
}

#[test]
fn tasks_that_outlive_their_call_end_with_the_module() {
    let (lines, sink) = log();
    let module = load_with(
        "
import asyncio
from polyhost import export

tasks = []

async def background():
    try:
        await asyncio.Event().wait()
    finally:
        print('cleaned up')

@export('f')
async def f(data: bytes) -> bytes:
    tasks.append(asyncio.create_task(background()))
    await asyncio.sleep(0)
    return data
",
        &LoadOptions::new().log(sink),
    );
    both(&*module, "f", "x");
    assert_eq!(UnloadVerdict::Unloaded, module.unload(PATIENCE));
    let lines = lines.lock().expect("no panic");
    assert_eq!(["cleaned up", "cleaned up"], lines.iter().map(|(_, _, text)| &**text).collect::<Vec<_>>()[..]);
    assert_eq!(ErrorKind::Closed, module.function("f").expect_err("is unloaded").kind());
}

#[test]
fn unloading_waits_for_suspended_calls() {
    let module = load(
        "
import asyncio
from polyhost import export

event = None

@export('wait')
async def wait(data: bytes) -> bytes:
    global event
    event = asyncio.Event()
    await event.wait()
    return data

@export('go')
async def go(data: bytes) -> bytes:
    event.set()
    return data
",
    );
    let waiting = function(&*module, "wait").call_async(CallContext::none(), Bytes::from("x"));
    let go = function(&*module, "go");
    let verdict = module.unload(Duration::ZERO);
    assert!(matches!(verdict, UnloadVerdict::StillAlive { .. }), "{verdict:?}");
    // Nobody can get in to end it, but whoever waits can give up.
    assert_eq!(
        ErrorKind::Closed,
        go.call(&CallContext::none(), b"", &mut Default::default()).expect_err("shut").kind()
    );
    drop(waiting);
    assert_eq!(UnloadVerdict::Unloaded, module.unload(PATIENCE));
}
