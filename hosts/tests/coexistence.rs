//! .NET, CPython, LuaJIT and native code in one process.
//!
//! A runtime starts once in a process, so that each test runs in one of its own: this program, started again.

mod subjects;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use polyhost::native::function;
use polyhost::{
    CallContext, CancelToken, Code, Error, ErrorKind, Export, LoadOptions, Method, Module, Output, Runtime, Services,
};
use polyhost_proto::conformance::v1::misbehave_request::Deed;
use polyhost_proto::conformance::v1::spin_request::How;
use polyhost_proto::conformance::v1::{
    AddReply, AddRequest, CallServiceReply, CallServiceRequest, FailRequest, MisbehaveRequest, Nothing, SpinRequest,
};
use polyhost_testkit::{PATIENCE, Subject};
use prost::Message;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const ADD: Method<AddRequest, AddReply> = Method::new("conformance.v1.Conformance/Add");
const FAIL: Method<FailRequest, Nothing> = Method::new("conformance.v1.Conformance/Fail");
const SPIN: Method<SpinRequest, Nothing> = Method::new("conformance.v1.Conformance/Spin");
const CALL_SERVICE: Method<CallServiceRequest, CallServiceReply> =
    Method::new("conformance.v1.Conformance/CallService");
const MISBEHAVE: Method<MisbehaveRequest, Nothing> = Method::new("conformance.v1.Conformance/Misbehave");

const EVERY: [&str; 5] = ["clr", "cpython", "luajit", "library", "native"];

/// From the outermost to the one before Rust.
const CHAIN: [&str; 3] = ["clr", "luajit", "cpython"];

#[test]
fn an_error_through_four_languages_shows_the_frames_of_each() {
    alone("an_error_through_four_languages_shows_the_frames_of_each", |all| {
        let report = format!("{:?}", fail_through(&all, CHAIN));
        println!("{report}");
    });
}

#[test]
fn every_order_of_starting_works() {
    for order in ORDERS {
        let name = format!("every_order_of_starting_works {}", order.join(" "));
        alone_as("every_order_of_starting_works", &name, move |all| {
            for name in order {
                runtime(&all, name);
            }
            fail_through(&all, order);
        });
    }
}

#[test]
fn every_order_of_calling_works() {
    alone("every_order_of_calling_works", |all| {
        for order in ORDERS {
            fail_through(&all, order);
        }
    });
}

#[test]
fn a_deadline_reaches_the_next_guest_in_every_pair() {
    alone("a_deadline_reaches_the_next_guest_in_every_pair", |all| {
        for outer in EVERY {
            for inner in EVERY {
                stop_through(&all, &[outer, inner]);
            }
        }
    });
}

#[test]
fn a_deadline_reaches_through_four_guests() {
    alone("a_deadline_reaches_through_four_guests", |all| {
        for order in ORDERS {
            stop_through(&all, &[&["native"], &order[..]].concat());
            stop_through(&all, &[&order[..], &["native"]].concat());
        }
    });
}

#[test]
fn faults_of_many_threads_stay_apart() {
    alone("faults_of_many_threads_stay_apart", |all| {
        let modules: Vec<_> = CHAIN.into_iter().map(|name| (name, load(&all, name, panics()))).collect();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let modules = &modules;
                scope.spawn(move || {
                    for round in 0..100 {
                        for (name, module) in modules {
                            commit_faults(name, &**module, &format!("{thread}/{round}"));
                        }
                    }
                });
            }
        });
        for (name, module) in &modules {
            let sum = call(&**module, ADD, &AddRequest { n: 0 }).unwrap_or_else(|e| panic!("{name}: {e:?}")).sum;
            assert_eq!(400, sum, "{name}");
        }
    });
}

#[test]
fn signals_reach_handlers_that_were_there_before_the_runtimes() {
    alone("signals_reach_handlers_that_were_there_before_the_runtimes", |all| {
        let signals = Signals::new([SIGINT, SIGTERM, SIGCHLD]).expect("handlers can be set");
        let modules = CHAIN.map(|name| load(&all, name, Services::new()));
        signals_arrive(signals, &modules);
    });
}

#[test]
fn signals_reach_handlers_that_come_after_the_runtimes() {
    alone("signals_reach_handlers_that_come_after_the_runtimes", |all| {
        let modules = CHAIN.map(|name| load(&all, name, Services::new()));
        signals_arrive(Signals::new([SIGINT, SIGTERM, SIGCHLD]).expect("handlers can be set"), &modules);
    });
}

#[test]
fn a_pipe_that_nobody_reads_is_an_error_and_no_signal() {
    alone("a_pipe_that_nobody_reads_is_an_error_and_no_signal", |all| {
        let _modules = CHAIN.map(|name| load(&all, name, Services::new()));
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(std::io::ErrorKind::BrokenPipe, writer.write(b"x").expect_err("nobody reads it").kind());
    });
}

#[test]
fn the_others_go_on_when_one_is_shut_down() {
    for first in CHAIN {
        let name = format!("the_others_go_on_when_one_is_shut_down {first}");
        alone_as("the_others_go_on_when_one_is_shut_down", &name, move |all| {
            let modules = CHAIN.map(|name| (name, load(&all, name, Services::new())));
            runtime(&all, first).shutdown(PATIENCE).expect("nobody is inside");
            for (name, module) in &modules {
                let outcome = call(&**module, ADD, &AddRequest { n: 1 });
                if *name == first {
                    assert_eq!(ErrorKind::Closed, outcome.expect_err("is shut down").kind());
                } else {
                    assert_eq!(1, outcome.unwrap_or_else(|error| panic!("{name}: {error:?}")).sum);
                    load(&all, name, Services::new());
                }
            }
            // And then the rest.
            for name in CHAIN {
                runtime(&all, name).shutdown(PATIENCE).expect("nobody is inside");
            }
        });
    }
}

const ORDERS: [[&str; 3]; 6] = [
    ["clr", "luajit", "cpython"],
    ["clr", "cpython", "luajit"],
    ["luajit", "clr", "cpython"],
    ["luajit", "cpython", "clr"],
    ["cpython", "clr", "luajit"],
    ["cpython", "luajit", "clr"],
];

/// Calls through the languages in this order into Rust, which fails, and checks what becomes of it.
fn fail_through(all: &[Subject], order: [&str; 3]) -> Error {
    let mut failing = load(all, "native", Services::new()).function(FAIL.name()).expect("is exported");
    let mut request =
        FailRequest { message: "in Rust".into(), code: Code::DataLoss.number(), depth: 2, wrapped: false }
            .encode_to_vec();
    for name in order.into_iter().rev() {
        let mut services = Services::new();
        services.add_as("next", failing).expect("is the only one");
        failing = load(all, name, services).function(CALL_SERVICE.name()).expect("is exported");
        let service = CallServiceRequest { service: "next".into(), input: request, ..CallServiceRequest::default() };
        request = service.encode_to_vec();
    }
    let error = failing.call(&CallContext::none(), &request, &mut Output::new()).expect_err("fails at its end");
    let report = format!("{error:?}");
    assert_eq!(Code::DataLoss, error.code(), "{report}");
    let raised: Vec<_> = error.chain().filter_map(Error::guest).collect();
    assert_eq!(4, raised.len(), "{report}");
    // Each language is there with a frame, in the order of the calls.
    let endings = order.iter().map(|name| match *name {
        "clr" => ".cs",
        "luajit" => ".lua",
        _ => ".py",
    });
    for (guest, ending) in raised.iter().zip(endings.chain([".rs"])) {
        let found = guest.frames.iter().any(|frame| frame.file.ends_with(ending) && frame.line > 0);
        assert!(found, "no frame in a {ending} file: {guest:?}\n{report}");
    }
    assert_eq!("in Rust", raised[3].message, "{report}");
    error
}

/// Calls through guests in this order into the last, which runs without an end until the deadline of the first call; or
/// until that is cancelled. Everybody goes on after that.
fn stop_through(all: &[Subject], order: &[&str]) {
    let (last, before) = order.split_last().expect("are several");
    for how in [How::Unspecified, How::Catch, How::Coroutine, How::Wait] {
        let innermost = load(all, last, Services::new());
        let mut function = innermost.function(SPIN.name()).expect("is exported");
        let mut request = SpinRequest { how: how.into() }.encode_to_vec();
        let mut modules = vec![innermost];
        for name in before.iter().rev() {
            let mut services = Services::new();
            services.add_as("next", function).expect("is the only one");
            let module = load(all, name, services);
            function = module.function(CALL_SERVICE.name()).expect("is exported");
            let service =
                CallServiceRequest { service: "next".into(), input: request, ..CallServiceRequest::default() };
            request = service.encode_to_vec();
            modules.push(module);
        }
        for expected in [Code::DeadlineExceeded, Code::Cancelled] {
            let at = Instant::now() + Duration::from_millis(20);
            let (stop, timer) = (CancelToken::new(), CancelToken::with_deadline(at));
            let cx = match expected {
                Code::Cancelled => CallContext::none().with_cancel(&stop),
                _ => CallContext::none().with_deadline(at),
            };
            let _subscription = timer.on_cancel(move |_| stop.cancel());
            let error = function.call(&cx, &request, &mut Output::new()).expect_err("never ends by itself");
            // The last one's language may have nothing to catch, or to wait for; every one has a loop.
            if error.code() != Code::Unimplemented || how == How::Unspecified {
                assert_eq!(expected, error.code(), "{order:?} {how:?}: {error:?}");
            }
            for module in &modules {
                call(&**module, ADD, &AddRequest { n: 1 }).unwrap_or_else(|error| panic!("{order:?}: {error:?}"));
            }
        }
    }
}

/// One of each kind, with good calls between.
fn commit_faults(name: &str, module: &dyn Module, message: &str) {
    let fail = FailRequest { message: message.into(), code: 9, depth: 3, wrapped: false };
    let error = call(module, FAIL, &fail).expect_err("fails");
    assert_eq!((Code::FailedPrecondition, message), (error.code(), &*error.guest().expect("was raised").message));

    let plain = FailRequest { message: message.into(), ..FailRequest::default() };
    let error = call(module, FAIL, &plain).expect_err("fails");
    assert_eq!((ErrorKind::Guest, Code::Unknown), (error.kind(), error.code()), "{name}: {error:?}");

    let panic = CallServiceRequest { service: "panic".into(), ..CallServiceRequest::default() };
    let error = call(module, CALL_SERVICE, &panic).expect_err("the service panics");
    assert_eq!(Code::Internal, error.code(), "{name}: {error:?}");

    if name == "clr" {
        let null = MisbehaveRequest { deed: Deed::Null.into() };
        let error = call(module, MISBEHAVE, &null).expect_err("dereferences null");
        assert!(error.to_string().contains("NullReferenceException"), "{error:?}");
    }
    call(module, ADD, &AddRequest { n: 1 }).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let echo = module.function("raw/Echo").expect("is exported");
    let mut output = Output::new();
    echo.call(&CallContext::none(), message.as_bytes(), &mut output).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    assert_eq!(message.as_bytes(), output.as_slice(), "{name}");
}

fn panics() -> Services {
    let mut services = Services::new();
    services.add(function(Export::bytes("panic"), |_, _, _| panic!("on purpose"))).expect("is the only one");
    services
}

/// With a thread that computes in each language, every signal arrives, and all of them go on.
fn signals_arrive(mut signals: Signals, modules: &[Arc<dyn Module>]) {
    let stop = CancelToken::new();
    let cx = CallContext::none().with_cancel(&stop);
    let (sender, receiver) = mpsc::channel();
    let handle = signals.handle();
    let listener = std::thread::spawn(move || signals.forever().try_for_each(|signal| sender.send(signal)));
    let arrives = |signal| loop {
        // A child that another test's process has left is none of ours: only what was sent counts.
        if receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("signal {signal} does not arrive")) == signal {
            break;
        }
    };
    std::thread::scope(|scope| {
        let spinning: Vec<_> = modules
            .iter()
            .map(|module| {
                let spin = SPIN.of(&**module).expect("is exported");
                let cx = cx.clone();
                scope.spawn(move || spin.call(&cx, &SpinRequest::default()))
            })
            .collect();
        for _ in 0..3 {
            for signal in [SIGINT, SIGTERM] {
                // SAFETY: sends a signal to this process, which has a handler for it.
                assert_eq!(0, unsafe { libc::kill(libc::getpid(), signal) });
                arrives(signal);
            }
            assert!(Command::new("true").status().expect("can be started").success());
            arrives(SIGCHLD);
        }
        stop.cancel();
        for thread in spinning {
            let error = thread.join().expect("no panic").expect_err("spins until it is cancelled");
            assert_eq!(ErrorKind::Cancelled, error.kind(), "{error:?}");
        }
    });
    handle.close();
    let _ = listener.join().expect("no panic");
    for module in modules {
        assert_eq!(1, call(&**module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
    }
}

fn call<Req, Rep>(module: &dyn Module, method: Method<Req, Rep>, request: &Req) -> polyhost::Result<Rep>
where
    Req: Message + Default + 'static,
    Rep: Message + Default + 'static,
{
    method.of(module)?.call(&CallContext::none(), request)
}

fn load(all: &[Subject], name: &str, services: Services) -> Arc<dyn Module> {
    let options = LoadOptions::new().services(services);
    let subject = subject(all, name);
    runtime(all, name).load(subject.conformance(), &options).unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

fn runtime<'a>(all: &'a [Subject], name: &str) -> &'a Arc<dyn Runtime> {
    // It has said why.
    subject(all, name).require().unwrap_or_else(|| std::process::exit(SKIPPED))
}

fn subject<'a>(all: &'a [Subject], name: &str) -> &'a Subject {
    all.iter().find(|subject| subject.name() == name).expect("this was built with every host")
}

/// The exit code of a child that is without a runtime.
const SKIPPED: i32 = 77;
const CHILD: &str = "POLYHOST_TEST_CHILD";

fn alone(test: &str, body: impl FnOnce(Vec<Subject>)) {
    alone_as(test, test, body);
}

/// Runs `body` in a process of its own, where nothing has been started. `name` tells those of one test apart.
fn alone_as(test: &str, name: &str, body: impl FnOnce(Vec<Subject>)) {
    if let Some(child) = std::env::var_os(CHILD) {
        if child == name {
            quiet_panics();
            body(subjects::all());
        }
        return;
    }
    let program = std::env::current_exe().expect("the program knows where it is");
    let mut child = Command::new(program);
    child.args([test, "--exact", "--nocapture"]).env(CHILD, name).stdin(Stdio::null());
    let output = child.output().expect("it can be started again");
    if output.status.code() == Some(SKIPPED) {
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{stdout}\n{stderr}", output.status);
}

fn quiet_panics() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>().is_none_or(|text| !text.starts_with("on purpose")) {
            others(info);
        }
    }));
}
