//! What becomes of failures that no call can report, as the configuration says.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use polyhost_bridge::{ErrorKind, LoadOptions, LogSink, Module, ModuleSource, Runtime};
use polyhost_clr::{Clr, ClrConfig, GuestExit, GuestFailure, GuestFailures};
use polyhost_proto::conformance::v1::misbehave_request::Deed;

use crate::common::{call, guest};
use crate::{Case, Exit, dies, misbehave};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        dies("failures::an_unhandled_exception_stops_its_module", unhandled_stops, stopped_or_refused),
        dies(
            "failures::an_unhandled_exception_on_the_thread_pool_stops_its_module",
            || {
                let Some(runtime) = stopping() else { return };
                let source = ModuleSource::Text { name: "pool.cs".into(), text: POOL.into() };
                let (module, lines) = load_source(&*runtime, &source);
                call(&*module, "throw", b"").expect("it is thrown elsewhere");
                stops(&*module, &lines, "thrown on the pool");
            },
            stopped_or_refused,
        ),
        dies(
            "failures::an_unhandled_exception_aborts_where_that_is_asked_for",
            || {
                let runtime =
                    start(|failures| failures.unhandled = Some(GuestFailure::Abort)).expect("any version can");
                let (module, lines) = load(&*runtime);
                misbehave(&*module, Deed::ThrowOnThread).expect("it is thrown elsewhere");
                let _ = lines.recv();
            },
            |exit| {
                assert_eq!(Some(libc::SIGABRT), exit.signal(), "{exit}");
                assert!(exit.stderr().contains("thrown on a thread"), "{exit}");
            },
        ),
        dies(
            "failures::an_unobserved_task_stops_its_module",
            || {
                let runtime = start(|failures| failures.unobserved = GuestFailure::StopGuest).expect("any version can");
                let (module, lines) = load(&*runtime);
                let (other, _lines) = load(&*runtime);
                misbehave(&*module, Deed::UnobservedTask).expect("it fails elsewhere");
                stops(&*module, &lines, "nobody awaits");
                assert_eq!(b"hi", &*call(&*other, "raw/Echo", b"hi").expect("is not stopped"));
            },
            |exit| assert!(exit.0.status.success(), "{exit}"),
        ),
        dies(
            "failures::an_unobserved_task_aborts_where_that_is_asked_for",
            || {
                let runtime = start(|failures| failures.unobserved = GuestFailure::Abort).expect("any version can");
                let (module, lines) = load(&*runtime);
                let _ = misbehave(&*module, Deed::UnobservedTask);
                let _ = lines.recv();
            },
            |exit| {
                assert_eq!(Some(libc::SIGABRT), exit.signal(), "{exit}");
                assert!(exit.stderr().contains("nobody awaits"), "{exit}");
            },
        ),
        // A handler of ProcessExit that does not return would hold it up, but it holds up all finalizers with it.
        dies(
            "failures::environment_exit_is_told_before_it_exits_with_the_guests_code",
            || exit(|_| {}),
            |exit| {
                assert_eq!(Some(9), exit.code(), "{exit}");
                assert!(exit.stdout().contains("Conformance: Environment.Exit(9) was called"), "{exit}");
            },
        ),
        dies(
            "failures::environment_exit_is_not_told_where_nobody_wants_to_know",
            || exit(|failures| failures.exit = GuestExit::Ignore),
            |exit| {
                assert_eq!(Some(9), exit.code(), "{exit}");
                assert!(!exit.stdout().contains("Environment.Exit"), "{exit}");
            },
        ),
        dies(
            "failures::environment_exit_aborts_where_that_is_asked_for",
            || exit(|failures| failures.exit = GuestExit::Abort),
            |exit| {
                assert_eq!(Some(libc::SIGABRT), exit.signal(), "{exit}");
                assert!(exit.stdout().contains("Environment.Exit(9) was called"), "{exit}");
            },
        ),
    ]
}

const POOL: &str = r#"
using Polyhost;

static class Guest
{
    [Export("throw")]
    static byte[] Throw(byte[] input)
    {
        ThreadPool.QueueUserWorkItem(_ => throw new InvalidOperationException("thrown on the pool"));
        return input;
    }

    [Export("raw/Echo")]
    static byte[] Echo(byte[] input) => input;
}
"#;

/// A runtime that stops modules for what they do not handle; on .NET 8 and 9 none.
fn stopping() -> Option<Arc<dyn Runtime>> {
    let started = start(|failures| failures.unhandled = Some(GuestFailure::StopGuest));
    let refused = |error: polyhost_bridge::Error| {
        assert_eq!(ErrorKind::Config, error.kind());
        println!("refused: {error}");
    };
    started.map_err(refused).ok()
}

fn stopped_or_refused(exit: &Exit) {
    assert!(exit.0.status.success(), "{exit}");
}

fn unhandled_stops() {
    let Some(runtime) = stopping() else { return };
    let (module, lines) = load(&*runtime);
    let (other, _lines) = load(&*runtime);
    misbehave(&*module, Deed::ThrowOnThread).expect("it is thrown elsewhere");
    stops(&*module, &lines, "thrown on a thread");
    assert_eq!(b"hi", &*call(&*other, "raw/Echo", b"hi").expect("is not stopped"));
    let (again, _lines) = load(&*runtime);
    assert_eq!(b"hi", &*call(&*again, "raw/Echo", b"hi").expect("is a new one"));
}

/// A failure is told, and from then on the module's calls are refused with the reason.
fn stops(module: &dyn Module, lines: &Receiver<String>, says: &str) {
    let line = lines.iter().find(|line| line.contains(says)).expect("a line");
    assert!(line.contains("its module was stopped"), "{line}");
    let error = call(module, "raw/Echo", b"hi").expect_err("is stopped");
    assert_eq!(ErrorKind::Closed, error.kind(), "{error:?}");
    for part in [says, "load it again"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// A guest exits; its log goes to stdout.
fn exit(set: impl FnOnce(&mut GuestFailures)) {
    let runtime = start(set).expect("any version can");
    let log = LogSink::new(|record| println!("{}: {}", record.module, record.message));
    let module = runtime.load(&ModuleSource::Path(guest()), &LoadOptions::new().log(log)).expect("loads");
    let _ = misbehave(&*module, Deed::Exit);
}

fn start(set: impl FnOnce(&mut GuestFailures)) -> polyhost_bridge::Result<Arc<dyn Runtime>> {
    let mut config = ClrConfig::default();
    set(&mut config.guest_failures);
    Clr::start(&config)
}

/// The guest, and the lines of its log.
fn load(runtime: &dyn Runtime) -> (Arc<dyn Module>, Receiver<String>) {
    load_source(runtime, &ModuleSource::Path(guest()))
}

fn load_source(runtime: &dyn Runtime, source: &ModuleSource) -> (Arc<dyn Module>, Receiver<String>) {
    let (sender, lines) = mpsc::channel();
    let sender = Mutex::new(sender);
    let log = LogSink::new(move |record| {
        // Lines after the test's end have nobody to read them.
        let _ = sender.lock().expect("no panic").send(record.message.to_owned());
    });
    let module = runtime.load(source, &LoadOptions::new().log(log));
    (module.unwrap_or_else(|error| panic!("{error:?}")), lines)
}
