//! Calls: what goes in, what comes out.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::{ask, call, call_in, function, load, load_with, log};
use polyhost_bridge::{CallContext, ErrorKind, Export, LoadOptions, LogLevel, Output, Services, UnloadVerdict};
use polyhost_proto::conformance::v1::{AddReply, AddRequest};
use prost::Message;

#[test]
fn anything_with_a_buffer_is_a_reply_of_bytes() {
    let module = load(
        "
from polyhost import export
from array import array

@export('bytes')
def of_bytes(data: bytes) -> bytes:
    return data

@export('bytearray')
def of_bytearray(data: bytes) -> bytearray:
    return bytearray(data)

@export('memoryview')
def of_memoryview(data: bytes) -> memoryview:
    return memoryview(data)[1:-1]

@export('array')
def of_array(data: bytes):
    return array('B', data)

@export('subclass')
def of_subclass(data: bytes) -> bytes:
    class Own(bytes):
        pass
    return Own(data)

@export('split')
def split(data: bytes) -> bytes:
    return memoryview(data)[::2]
",
    );
    for export in ["bytes", "bytearray", "array", "subclass"] {
        for input in [&b""[..], b"a", b"\0\xff\n"] {
            assert_eq!(input, call(&*module, export, input).expect("comes back"), "{export}");
        }
    }
    assert_eq!(b"bc", &*call(&*module, "memoryview", b"abcd").expect("comes back"));
    let error = call(&*module, "split", b"abcd").expect_err("is in pieces");
    assert_eq!(ErrorKind::Encode, error.kind(), "{error:?}");
}

#[test]
fn another_type_is_named_with_what_was_declared() {
    let module = load(
        "
from polyhost import export

@export('text')
def text(data: bytes) -> bytes:
    return 'text'

@export('nothing')
def nothing(data: bytes) -> bytes:
    pass

@export('coroutine')
def coroutine(data: bytes) -> bytes:
    async def later():
        return b''
    return later()
",
    );
    for (export, actual) in [("text", "str"), ("nothing", "NoneType"), ("coroutine", "coroutine")] {
        let error = call(&*module, export, b"").expect_err("is no bytes");
        assert_eq!(ErrorKind::Encode, error.kind(), "{error:?}");
        assert_eq!(format!("{export} returned {actual} instead of bytes"), error.message());
    }
}

#[test]
fn replies_are_appended() {
    let module =
        load("from polyhost import export\n@export('echo')\ndef echo(data: bytes) -> bytes:\n    return data\n");
    let mut output = Output::new();
    output.write(b"before ").expect("room");
    function(&*module, "echo").call(&CallContext::none(), b"after", &mut output).expect("comes back");
    assert_eq!(b"before after", output.as_slice());
}

#[test]
fn messages_are_found_by_annotation_or_named() {
    let module = common::python()
        .load(
            &polyhost_bridge::ModuleSource::Text { name: "guest.py".into(), text: MESSAGES.into() },
            &LoadOptions::new().option("path", concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests/gen")),
        )
        .unwrap_or_else(|error| panic!("{error:?}"));
    let types: Vec<_> = module.exports().iter().map(|it| (it.name(), it.input_type(), it.output_type())).collect();
    let (request, reply) = (Some("conformance.v1.AddRequest"), Some("conformance.v1.AddReply"));
    let expected =
        [("class", request, reply), ("function", request, reply), ("half", None, reply), ("named", request, reply)];
    assert_eq!(expected, types[..]);
    let input = AddRequest { n: 20 }.encode_to_vec();
    for export in ["class", "function", "named"] {
        let reply = call(&*module, export, &input).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(21, AddReply::decode(&*reply).expect("an AddReply").sum, "{export}");
    }
    let files = module.descriptors().expect("has messages");
    let set = polyhost_proto::DESCRIPTORS;
    assert!(!files.is_empty() && !set.is_empty());
}

const MESSAGES: &str = "
from __future__ import annotations
from conformance.v1.conformance_pb2 import AddRequest, AddReply
from polyhost import export, CallContext

@export('function')
def function(request: AddRequest, context: CallContext) -> AddReply:
    '''Adds one.'''
    return AddReply(sum=request.n + 1)

@export('named', request=AddRequest, reply=AddReply)
def named(request, *, one=1):
    return AddReply(sum=request.n + one)

@export('half')
def half(data: bytes) -> AddReply:
    return AddReply(sum=len(data))

class Adder:
    def __call__(self, request: AddRequest) -> AddReply:
        return AddReply(sum=request.n + 1)

export('class')(Adder())
";

#[test]
fn what_is_no_message_and_no_bytes_is_refused_when_it_is_loaded() {
    for (source, says) in [
        ("@export('x')\ndef f(n: int) -> bytes: ...", "annotated as <class 'int'>"),
        ("@export('x')\ndef f(n: 'Missing') -> bytes: ...", "can't be resolved"),
        ("@export('x')\ndef f() -> bytes: ...", "is to take a request"),
        ("@export('x')\ndef f(a, b, c) -> bytes: ...", "is to take a request"),
        ("@export('x')\ndef f(a): ...\n@export('x')\ndef g(a): ...", "two functions are exported as x"),
        ("@export\ndef f(a): ...", "takes a name"),
    ] {
        let error = common::load_error(&common::text(&format!("from polyhost import export\n{source}\n")));
        assert_eq!(ErrorKind::Load, error.kind());
        assert!(error.to_string().contains(says), "{error:?}");
    }
}

#[test]
fn the_context_has_metadata_and_time() {
    let module = load(
        "
import time
from polyhost import CallContext, export

@export('ask')
def ask(data: bytes, context: CallContext) -> bytes:
    current = CallContext.current()
    assert context.metadata == current.metadata
    assert abs(context.deadline - time.monotonic() - context.remaining) < 1
    context.check()
    return repr((dict(context.metadata), context.metadata_all('a'), context.cancelled, context.remaining > 3000)).encode()

@export('without')
def without(data: bytes) -> bytes:
    current = CallContext.current()
    return repr((dict(current.metadata), current.remaining, current.deadline)).encode()
",
    );
    let cx = CallContext::none().with_metadata("a", "1").with_metadata("a", "2").with_metadata("ü", "世");
    let cx = cx.with_timeout(std::time::Duration::from_secs(3600));
    let reply = call_in(&cx, &*module, "ask", b"").unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!("({'ü': '世', 'a': '1'}, ('1', '2'), False, True)", String::from_utf8_lossy(&reply));
    assert_eq!("({}, None, None)", ask(&*module, "without", ""));
}

#[test]
fn services_are_functions_of_bytes_or_messages() {
    let mut services = Services::new();
    let reverse = polyhost_native::function(Export::bytes("reverse"), |_, input, output| {
        output.write(&input.iter().rev().copied().collect::<Vec<_>>())
    });
    let double = polyhost_native::function(Export::bytes("double"), |_, input, output| {
        let n = AddRequest::decode(input).expect("an AddRequest").n;
        output.write(&AddReply { sum: 2 * n }.encode_to_vec())
    });
    services.add(reverse).expect("new");
    services.add(double).expect("new");
    let options = LoadOptions::new()
        .services(services)
        .option("path", concat!(env!("CARGO_MANIFEST_DIR"), "/../../python/tests/gen"));
    let module = load_with(
        "
from conformance.v1.conformance_pb2 import AddRequest, AddReply
from polyhost import export, service, ServiceError

reverse = service('reverse')
double = service('double', AddRequest, AddReply)

@export('all')
def all(data: bytes) -> bytes:
    assert reverse(bytearray(data)) == reverse(memoryview(data)) == reverse(data)
    for wrong in ((), (data, data), ('text',), (None,)):
        try:
            reverse(*wrong)
        except TypeError:
            pass
        else:
            raise AssertionError(wrong)
    try:
        service('missing')
    except ServiceError as error:
        assert error.code.name == 'NOT_FOUND' and 'missing' in error.message and error.report, error
    return reverse(data) + str(double(AddRequest(n=21)).sum).encode()
",
        &options,
    );
    assert_eq!("cba42", ask(&*module, "all", "abc"));
}

#[test]
fn what_is_printed_and_logged_arrives_with_its_module() {
    let (lines, sink) = log();
    let module = load_with(
        "
import logging, sys, threading, warnings
from polyhost import export, log

print('while it loads')
logger = logging.getLogger(__name__)

@export('speak')
def speak(data: bytes) -> bytes:
    print('one', 'line')
    print('two\\nlines')
    print('no newline', end='')
    print('to stderr', file=sys.stderr)
    sys.stdout.buffer.write(b'bytes \\xff\\n')
    log('debug', 'by log', target='t')
    logger.warning('by %s', 'logging')
    logging.getLogger('lib').debug('below the level')
    thread = threading.Thread(target=print, args=('of nobody',))
    thread.start(); thread.join()
    thread = threading.Thread(target=lambda: print('on a thread'))
    thread.start(); thread.join()
    return b''

@export('fail')
def fail(data: bytes) -> bytes:
    def run():
        raise ValueError('on a thread of its own')
    thread = threading.Thread(target=run, name='own')
    thread.start(); thread.join()
    return b''
",
        &LoadOptions::new().log(sink),
    );
    call(&*module, "speak", b"").unwrap_or_else(|error| panic!("{error:?}"));
    let line = |level, target: &str, message: &str| (level, target.to_owned(), message.to_owned());
    let (info, warn) = (LogLevel::Info, LogLevel::Warn);
    let expected = [
        line(info, "stdout", "while it loads"),
        line(info, "stdout", "one line"),
        line(info, "stdout", "two"),
        line(info, "stdout", "lines"),
        line(warn, "stderr", "to stderr"),
        line(info, "stdout", "no newlinebytes \u{fffd}"),
        line(LogLevel::Debug, "t", "by log"),
        line(warn, "guest", "by logging"),
        line(info, "stdout", "on a thread"),
    ];
    assert_eq!(expected, lines.lock().expect("no panic")[..]);
    lines.lock().expect("no panic").clear();
    call(&*module, "fail", b"").unwrap_or_else(|error| panic!("{error:?}"));
    let lines = lines.lock().expect("no panic");
    assert_eq!(1, lines.len(), "{lines:?}");
    assert_eq!(LogLevel::Error, lines[0].0);
    for part in ["thread own failed: ValueError: on a thread of its own", "guest.py:"] {
        assert!(lines[0].2.contains(part), "{lines:?}");
    }
}

#[test]
fn logging_arrives_whoever_imports_it() {
    let (lines, sink) = log();
    load_with(
        "import importlib\nlogging = importlib.import_module('logging')\nlogging.getLogger('own').info('hello')\n\
         assert logging.__spec__.loader is logging.__loader__ and logging.__loader__.get_filename() == logging.__file__\n",
        &LoadOptions::new().log(sink),
    );
    let lines = lines.lock().expect("no panic");
    assert_eq!([(LogLevel::Info, "own".to_owned(), "hello".to_owned())], lines[..]);
}

#[test]
fn what_is_left_without_a_newline_arrives_when_the_call_ends() {
    let (lines, sink) = log();
    let module = load_with(
        "from polyhost import export\n@export('p')\ndef p(data: bytes) -> bytes:\n    print('rest', end='')\n    return b''\n",
        &LoadOptions::new().log(sink),
    );
    call(&*module, "p", b"").expect("prints");
    assert_eq!("rest", lines.lock().expect("no panic")[0].2);
}

#[test]
fn what_a_thread_has_left_without_a_newline_keeps_no_module() {
    struct Told(mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (sender, is_dropped) = mpsc::channel();
    let told = Told(sender);
    let mut services = Services::new();
    services
        .add(polyhost_native::function(Export::bytes("never"), move |_, _, _| {
            let _kept = &told;
            Ok(())
        }))
        .expect("is new");
    // The thread belongs to the standard library, and stays.
    let module = load_with(
        "
import sys
from concurrent.futures import ThreadPoolExecutor
from polyhost import export

sys.stays = ThreadPoolExecutor(1)

def speak():
    print('half', end='')

@export('speak')
def speak_there(data: bytes) -> bytes:
    sys.stays.submit(speak).result()
    # By then it has let go of what it ran before.
    sys.stays.submit(int).result()
    return b''
",
        &LoadOptions::new().services(services),
    );
    call(&*module, "speak", b"").unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::MAX));
    drop(module);
    is_dropped.recv().expect("the services go with their module");
}
