//! `async def` exports.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use common::{ask, call, call_in, function, load, load_with, log};
use polyhost_bridge::{
    Bytes, CallContext, CancelToken, ErrorKind, Export, LoadOptions, Module, Services, UnloadVerdict,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

fn ask_async(module: &dyn Module, export: &str, input: &str) -> String {
    let call = function(module, export).call_async(CallContext::none(), Bytes::copy_from_slice(input.as_bytes()));
    let reply = block_on(call).unwrap_or_else(|error| panic!("{error:?}"));
    String::from_utf8(reply.into()).expect("text")
}

/// Asks in both ways, which have to agree.
fn both(module: &dyn Module, export: &str, input: &str) -> String {
    let (reply, later) = (ask(module, export, input), ask_async(module, export, input));
    assert_eq!(reply, later, "{export}");
    reply
}

#[test]
fn everything_of_asyncio_works() {
    let module = load(
        "
import asyncio, contextvars, sys
from polyhost import CallContext, export

lock, own = None, contextvars.ContextVar('own', default='unset')

@export('plain')
async def plain(data: bytes) -> bytes:
    return data

@export('sleep')
async def sleep(data: bytes) -> bytes:
    for _ in range(3):
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    return data

@export('gather')
async def gather(data: bytes) -> bytes:
    parts = await asyncio.gather(*(sleep(bytes([c])) for c in data))
    return b''.join(parts)

@export('current')
async def current(data: bytes) -> bytes:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None and task in asyncio.all_tasks()
    await asyncio.sleep(0)
    assert loop is asyncio.get_running_loop() and task is asyncio.current_task()
    return data

@export('timeout')
async def timeout(data: bytes) -> bytes:
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.001)
    except asyncio.TimeoutError:
        pass
    if sys.version_info >= (3, 11):
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)
        except TimeoutError:
            pass
        async with asyncio.TaskGroup() as group:
            task = group.create_task(sleep(data))
        return task.result()
    return data

@export('lock')
async def locked(data: bytes) -> bytes:
    global lock
    # Not at import: Python 3.9 wants a loop for it.
    lock = lock or asyncio.Lock()
    async with lock:
        await asyncio.sleep(0)
        return data

@export('thread')
async def thread(data: bytes) -> bytes:
    return await asyncio.to_thread(bytes.upper, data)

@export('context')
async def context(data: bytes, context: CallContext) -> bytes:
    own.set(data.decode())
    await asyncio.sleep(0)
    inner = await asyncio.to_thread(CallContext.current)
    assert dict(inner.metadata) == dict(context.metadata) == dict(CallContext.current().metadata)
    return own.get().encode()

@export('stream')
async def stream(data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(data)
    reply = await reader.readexactly(len(data))
    writer.close()
    return reply

address = None

@export('serve')
async def serve(data: bytes) -> bytes:
    async def echo(reader, writer):
        while chunk := await reader.read(100) if sys.version_info >= (3, 8) else None:
            writer.write(chunk)
        writer.close()
    global address, server
    server = await asyncio.start_server(echo, '127.0.0.1', 0)
    address = server.sockets[0].getsockname()
    return data

@export('generator')
async def generator(data: bytes) -> bytes:
    async def items():
        for item in data:
            yield item
            await asyncio.sleep(0)
    return bytes([item async for item in items()])
",
    );
    for export in ["plain", "sleep", "gather", "current", "timeout", "lock", "context", "generator", "serve", "stream"]
    {
        for _ in 0..3 {
            assert_eq!("abc", both(&*module, export, "abc"), "{export}");
        }
    }
    assert_eq!("ABC", both(&*module, "thread", "abc"));
}

#[test]
fn what_does_not_suspend_stays_on_the_callers_thread() {
    let module = load(
        "
import asyncio, threading
from polyhost import export

@export('before')
async def before(data: bytes) -> bytes:
    return str(threading.get_native_id()).encode()

@export('after')
async def after(data: bytes) -> bytes:
    await asyncio.sleep(0)
    return str(threading.get_native_id()).encode()
",
    );
    // The loop is there once it has done something.
    let on_loop = ask(&*module, "after", "");
    // SAFETY: has no conditions.
    let here = unsafe { libc::gettid() }.to_string();
    assert_ne!(here, on_loop);
    let inline = (0..100).filter(|_| ask(&*module, "before", "") == here).count();
    assert!(inline > 0, "the loop waits for I/O, and nobody did its work");
    assert_eq!(on_loop, ask_async(&*module, "before", ""));
}

#[test]
fn one_thread_at_a_time_runs_the_loop() {
    // Whatever stands between two awaits is never interrupted by another task.
    let module = load(
        "
import asyncio
from polyhost import export

inside, total = 0, 0

@export('f')
async def f(data: bytes) -> bytes:
    global inside, total
    for _ in range(3):
        assert inside == 0
        inside += 1
        seen = total
        for _ in range(200):
            pass
        total = seen + 1
        inside -= 1
        await asyncio.sleep(0)
    return data

@export('total')
async def count(data: bytes) -> bytes:
    return str(total).encode()
",
    );
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let module = &*module;
            scope.spawn(move || {
                for _ in 0..50 {
                    if thread % 2 == 0 {
                        ask(module, "f", "x")
                    } else {
                        ask_async(module, "f", "x")
                    };
                }
            });
        }
    });
    assert_eq!((8 * 50 * 3).to_string(), ask(&*module, "total", ""));
}

#[test]
fn a_timer_set_on_a_callers_thread_wakes_the_loop() {
    let module = load(
        "
import asyncio
from polyhost import export

events = {}

@export('later')
async def later(data: bytes) -> bytes:
    # Returns at once; what it leaves behind is the loop's to do, which waits for I/O.
    events[data] = asyncio.Event()
    asyncio.get_running_loop().call_later(0.001, events[data].set)
    return data

@export('wait')
async def wait(data: bytes) -> bytes:
    await events.pop(data).wait()
    return data
",
    );
    for i in 0..50 {
        let name = i.to_string();
        ask(&*module, "later", &name);
        assert_eq!(name, ask(&*module, "wait", &name));
    }
}

#[test]
fn errors_are_the_guests() {
    let module = load(
        "
import asyncio, sys
from polyhost import Code, StatusError, export

@export('first')
async def first(data: bytes) -> bytes:
    raise StatusError(Code.ABORTED, 'at once')

@export('later')
async def later(data: bytes) -> bytes:
    await asyncio.sleep(0)
    await inner()

async def inner():
    raise StatusError(Code.ABORTED, 'later')

@export('exit')
async def exit(data: bytes) -> bytes:
    sys.exit(3)

@export('exit later')
async def exit_later(data: bytes) -> bytes:
    await asyncio.sleep(0)
    sys.exit(3)

@export('type')
async def type(data: bytes) -> bytes:
    await asyncio.sleep(0)
    return 'text'

@export('cancels itself')
async def cancels(data: bytes) -> bytes:
    asyncio.current_task().cancel()
    await asyncio.sleep(0)
",
    );
    let fail = |export: &str| {
        let error = call(&*module, export, b"").expect_err("it fails");
        let later =
            block_on(function(&*module, export).call_async(CallContext::none(), Bytes::new())).expect_err("too");
        assert_eq!((error.kind(), error.to_string()), (later.kind(), later.to_string()));
        error
    };
    for (export, frames) in [("first", &["first"][..]), ("later", &["inner", "later"])] {
        let error = fail(export);
        let guest = error.guest().expect("raised");
        assert_eq!(Some(polyhost_bridge::Code::Aborted), guest.status);
        assert_eq!(frames, guest.frames.iter().map(|it| &*it.function).collect::<Vec<_>>());
    }
    for export in ["exit", "exit later", "exit"] {
        assert_eq!("SystemExit", fail(export).guest().expect("raised").type_name);
    }
    assert_eq!(ErrorKind::Encode, fail("type").kind());
    assert_eq!(ErrorKind::Guest, fail("cancels itself").kind());
}

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
