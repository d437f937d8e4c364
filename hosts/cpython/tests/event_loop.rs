//! `async def` exports.

mod common;

use common::{ask, ask_async, block_on, both, call, function, load};
use polyhost_bridge::{Bytes, CallContext, ErrorKind};

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
