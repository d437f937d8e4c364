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
        dies("failures::an_unhandled_exception_stops_its_module", unhandled_stops, |exit| {
            if is_old(exit) {
                assert!(exit.stdout().contains("refused"), "{exit}");
            }
            assert!(exit.0.status.success(), "{exit}");
        }),
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
                stops(&*module, &lines, Deed::UnobservedTask, "nobody awaits");
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

fn unhandled_stops() {
    let runtime = match start(|failures| failures.unhandled = Some(GuestFailure::StopGuest)) {
        Ok(runtime) => runtime,
        Err(error) => {
            assert_eq!(ErrorKind::Config, error.kind());
            println!("refused: {error}");
            return;
        }
    };
    println!("{}", runtime.info().version);
    let (module, lines) = load(&*runtime);
    let (other, _lines) = load(&*runtime);
    stops(&*module, &lines, Deed::ThrowOnThread, "thrown on a thread");
    assert_eq!(b"hi", &*call(&*other, "raw/Echo", b"hi").expect("is not stopped"));
    let (again, _lines) = load(&*runtime);
    assert_eq!(b"hi", &*call(&*again, "raw/Echo", b"hi").expect("is a new one"));
}

/// A deed is told, and from then on the module's calls are refused with the reason.
fn stops(module: &dyn Module, lines: &Receiver<String>, deed: Deed, says: &str) {
    misbehave(module, deed).expect("it fails elsewhere");
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
    let (sender, lines) = mpsc::channel();
    let sender = Mutex::new(sender);
    let log = LogSink::new(move |record| {
        // Lines after the test's end have nobody to read them.
        let _ = sender.lock().expect("no panic").send(record.message.to_owned());
    });
    let module = runtime.load(&ModuleSource::Path(guest()), &LoadOptions::new().log(log)).expect("loads");
    (module, lines)
}

/// Whether the version can't ask a handler.
fn is_old(exit: &Exit) -> bool {
    exit.stdout().starts_with("refused")
}
