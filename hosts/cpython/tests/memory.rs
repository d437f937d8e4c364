//! The limits on memory, which hold for the one Python of a process.

use std::sync::Arc;

use polyhost_bridge::{CallContext, Code, Error, ErrorKind, LoadOptions, Module, ModuleSource, Output, Runtime};
use polyhost_cpython::{Cpython, CpythonConfig, MemoryLimits};

const SOFT: usize = 96 << 20;

const GUEST: &str = r#"
from polyhost import export

kept = []


@export("large")
def large(data: bytes) -> bytes:
    return bytes(200 << 20)


@export("small")
def small(data: bytes) -> bytes:
    everything = []
    while True:
        everything.append(object())


@export("growing")
def growing(data: bytes) -> bytes:
    text = bytearray(b"x")
    while True:
        text += bytes(text)


@export("caught")
def caught(data: bytes) -> bytes:
    try:
        small(data)
    except MemoryError:
        return b"went on"


@export("keep")
def keep(data: bytes) -> bytes:
    kept.append(bytes(8 << 20))
    return data


@export("drop")
def drop(data: bytes) -> bytes:
    kept.clear()
    return data


@export("by_itself")
def by_itself(data: bytes) -> bytes:
    import ctypes

    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    taken = libc.malloc(ctypes.c_size_t(200 << 20))
    libc.free(ctypes.c_void_p(taken))
    return b"nothing" if taken is None else b"taken"


@export("echo")
def echo(data: bytes) -> bytes:
    return data
"#;

fn start() -> Arc<dyn Runtime> {
    let memory = MemoryLimits::new(SOFT).hard(SOFT + (16 << 20));
    Cpython::start(&CpythonConfig::default().memory(memory)).unwrap_or_else(|error| panic!("{error:?}"))
}

fn load(text: &str) -> Result<Arc<dyn Module>, Error> {
    start().load(&ModuleSource::Text { name: "memory.py".into(), text: text.into() }, &LoadOptions::new())
}

fn call(module: &dyn Module, export: &str) -> Result<Vec<u8>, Error> {
    let mut output = Output::new();
    let function = module.function(export).expect("is exported");
    function.call(&CallContext::none(), b"hi", &mut output).map(|()| output.into_vec())
}

fn refused(outcome: Result<Vec<u8>, Error>) {
    let error = outcome.expect_err("is too much");
    assert_eq!(Code::ResourceExhausted, error.code(), "{error:?}");
    let line = error.to_string();
    assert!(line.contains(&SOFT.to_string()) && line.contains("CpythonConfig::memory"), "{line}");
}

// One test: all that Python takes counts, whichever thread does.
#[test]
fn what_guests_take_is_limited_and_given_back() {
    let module = load(GUEST).expect("loads");
    let other = load(GUEST).expect("loads");
    for _ in 0..5 {
        for export in ["large", "small", "growing"] {
            refused(call(&*module, export));
            assert_eq!(b"hi", &*call(&*other, "echo").expect("goes on"));
        }
        assert_eq!(b"went on", &*call(&*module, "caught").expect("caught it"));
    }
    // What one keeps, the others lack, until it lets go.
    let kept = (0..100).take_while(|_| call(&*module, "keep").is_ok()).count();
    assert!((2..=12).contains(&kept), "{kept} times 8 MiB");
    refused(call(&*other, "keep"));
    assert_eq!(b"hi", &*call(&*other, "echo").expect("needs little"));
    call(&*module, "drop").expect("needs little");
    call(&*other, "keep").expect("there is room again");
    // While it is loaded, too.
    let error = load("everything = bytes(200 << 20)\n").expect_err("is too much");
    assert_eq!(
        (ErrorKind::Load, Code::ResourceExhausted),
        (error.kind(), error.guest().and_then(|it| it.status).expect("has one")),
        "{error:?}"
    );
    load("import json, decimal\n").expect("is not");
}

#[test]
fn what_c_code_takes_by_itself_is_not_seen() {
    let module = load(GUEST).expect("loads");
    assert_eq!(b"taken", &*call(&*module, "by_itself").expect("is not Python's"));
}

#[test]
fn limits_without_a_reserve_are_refused() {
    let memory = MemoryLimits::new(SOFT).hard(SOFT + 1);
    let error = Cpython::start(&CpythonConfig::default().memory(memory)).expect_err("has no reserve");
    assert_eq!(ErrorKind::Config, error.kind(), "{error:?}");
}
