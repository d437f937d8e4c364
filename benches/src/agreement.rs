//! Tests: every contender gives the results of the reference, for every workload, with random requests.

use std::sync::Arc;

use polyhost::Output;
use polyhost_proto::bench::v1::{RepeatReply, RepeatRequest, Stage};
use prost::Message;
use rustix::process::{Pid, Signal, kill_process};

use crate::contenders::{self, Caller, Contender, Known};
use crate::targets::report::Unmeasured;
use crate::workloads::{self, Workload, message};

const PAYLOADS: [usize; 5] = [0, 64, 1024, 5_000, 65_536];
const EACH: usize = 4;

/// Whether what is skipped has to be there: where runtimes are required all is, but for libraries.
fn may_be_missing(contender: &str, workload: &str) -> bool {
    let required = std::env::var("POLYHOST_REQUIRE").is_ok_and(|list| !list.is_empty());
    !required || workload == "render" || matches!((contender, workload), ("clib", "middleware") | ("nginx-kestrel", _))
}

/// The contender with the workload; nothing where it is skipped, which is told.
fn ready(contender: &str, workload: &Arc<dyn Workload>) -> Option<Box<dyn Contender>> {
    let started = contenders::start(contender).and_then(|mut it| it.load(workload).map(|()| it));
    match started {
        Ok(contender) => Some(contender),
        Err(Unmeasured::Skipped(reason)) if may_be_missing(contender, workload.name()) => {
            eprintln!("skipped: {contender}, {}: {reason}", workload.name());
            None
        }
        Err(Unmeasured::Skipped(reason) | Unmeasured::Failed(reason)) => {
            panic!("{contender}, {}: {reason}", workload.name())
        }
    }
}

fn agree(caller: &mut dyn Caller, workload: &dyn Workload, seed: u64) -> Result<(), String> {
    let random = &mut fastrand::Rng::with_seed(seed);
    for payload in PAYLOADS {
        for request in workload.requests(payload, EACH, random) {
            let mut output = Output::new();
            caller.call(&request.bytes, &mut output).map_err(|e| format!("{payload} bytes: {e:?}"))?;
            workload.check(&request.bytes, output.as_slice()).map_err(|e| format!("{payload} bytes: {e}"))?;
        }
    }
    Ok(())
}

/// Two callers at the same time.
fn check(contender: &str, workload: &Arc<dyn Workload>) {
    let Some(mut started) = ready(contender, workload) else { return };
    started.prepare(2).unwrap_or_else(|e| panic!("{contender}: {e:?}"));
    let mut callers = Vec::new();
    for seed in [1, 2] {
        callers.push((seed, started.caller().unwrap_or_else(|e| panic!("{contender}: {e:?}"))));
    }
    std::thread::scope(|scope| {
        for (seed, mut caller) in callers {
            scope.spawn(move || {
                let agreed = agree(&mut *caller, &**workload, seed);
                assert_eq!(Ok(()), agreed, "{contender}, {}, seed {seed}", workload.name());
            });
        }
    });
}

fn check_all(workload: &str) {
    let workload = workloads::named(workload).expect("there is one");
    for contender in contenders::all().iter().filter(|it| contenders::knows(&it.name, workload.name())) {
        check(&contender.name, &workload);
    }
}

#[test]
fn of_echo() {
    check_all("echo");
}

#[test]
fn of_sum() {
    check_all("sum");
}

#[test]
fn of_transform() {
    check_all("transform");
}

#[test]
fn of_middleware() {
    check_all("middleware");
}

#[test]
fn of_render() {
    check_all("render");
}

#[test]
fn of_callback() {
    check_all("callback");
}

#[test]
fn of_http() {
    check_all("http");
}

#[test]
fn requests_are_about_as_large_as_asked_for() {
    for workload in workloads::all() {
        // The middleware's requests have headers that take a part of it.
        for payload in [1024, 65_536] {
            let requests = workload.requests(payload, 16, &mut fastrand::Rng::with_seed(1));
            let mean = requests.iter().map(|it| it.bytes.len()).sum::<usize>() / requests.len();
            assert!((payload * 7 / 10..payload * 13 / 10).contains(&mean), "{} {payload}: {mean}", workload.name());
        }
    }
}

#[test]
fn stages_do_what_the_methods_do() {
    for workload in ["echo", "sum", "transform", "render"] {
        let workload = workloads::named(workload).expect("there is one");
        let all = contenders::all().into_iter().filter(|it| contenders::knows(&it.name, workload.name()));
        for Known { name, .. } in all {
            let Some(contender) = ready(&name, &workload) else { continue };
            let what = format!("{}, {name}", workload.name());
            let mut repeater = contender.repeater().unwrap_or_else(|e| panic!("{what}: {e}"));
            stages(&what, &mut *repeater, &*workload);
        }
    }
}

fn stages(what: &str, repeater: &mut dyn Caller, workload: &dyn Workload) {
    let method = workload.native().export().name().to_owned();
    let requests = workload.requests(1024, 2, &mut fastrand::Rng::with_seed(3));
    let inputs: Vec<_> = requests.into_iter().map(|it| it.bytes).collect();
    let mut repeat = |method: &str, stage: Stage| {
        let request = RepeatRequest { method: method.into(), stage: stage.into(), times: 5, inputs: inputs.clone() };
        let mut output = Output::new();
        let called = repeater.call(&request.encode_to_vec(), &mut output);
        called.map(|()| message::<RepeatReply>(output.as_slice()).expect("a reply").output)
    };
    let last = repeat(&method, Stage::Encode).unwrap_or_else(|e| panic!("{what}: {e:?}"));
    assert_eq!(Ok(()), workload.check(&inputs[0], &last), "{what}");
    for stage in [Stage::Decode, Stage::Work] {
        match repeat(&method, stage) {
            Ok(output) => assert!(output.is_empty(), "{what}: {stage:?} gives a reply"),
            // In C and in Rust, they are one.
            Err(error) => assert!(error.to_string().contains("have STAGE_ENCODE alone"), "{what}: {error:?}"),
        }
    }
    let error = repeat("bench.v1.Bench/None", Stage::Encode).expect_err("there is no such method");
    assert!(error.to_string().contains("no "), "{what}: {error:?}");
}

#[test]
fn all_tell_what_their_numbers_depend_on() {
    let python = ["GIL", "JIT", "garbage collector", "protobuf", "runtime"];
    for (name, expected) in [
        ("native", &["compiler", "protobuf", "markdown"][..]),
        ("clib", &["compiler", "protobuf", "runtime"]),
        ("clr", &["garbage collector", "guest", "protobuf", "runtime", "tiered PGO", "tiered compilation"]),
        ("luajit", &["JIT", "instances", "protobuf", "runtime"]),
        ("cpython", &python),
        ("grpc-rust", &["client", "compiler", "gRPC", "protobuf"]),
        ("grpc-python", &[&python[..], &["client", "gRPC"]].concat()),
        ("child-rust", &["compiler", "protobuf"]),
        ("child-python", &python),
    ] {
        let facts = match contenders::start(name) {
            Ok(contender) => contender.facts(),
            Err(Unmeasured::Skipped(reason)) if may_be_missing(name, "echo") => {
                eprintln!("skipped: {name}: {reason}");
                continue;
            }
            Err(reason) => panic!("{name}: {reason:?}"),
        };
        for fact in expected {
            assert!(facts.iter().any(|(it, value)| it == fact && !value.is_empty()), "{name}, {fact}: {facts:?}");
        }
        assert!(!facts.iter().any(|(it, _)| it == "facts"), "{name}: {facts:?}");
    }
}

#[test]
fn a_process_that_dies_fails_the_call() {
    let all = ["grpc-rust", "grpc-python", "child-rust", "child-python", "kestrel", "nginx-kestrel", "hyper"];
    for contender in all {
        let workload = ["sum", "http"].into_iter().find(|it| contenders::knows(contender, it)).expect("one of them");
        let workload = workloads::named(workload).expect("there is one");
        let Some(started) = ready(contender, &workload) else { continue };
        let mut caller = started.caller().unwrap_or_else(|e| panic!("{contender}: {e:?}"));
        let request = workload.requests(64, 1, &mut fastrand::Rng::with_seed(1)).remove(0);
        let mut output = Output::new();
        caller.call(&request.bytes, &mut output).expect("it lives");
        for pid in started.pids() {
            let pid = Pid::from_raw(pid.try_into().expect("a process")).expect("not 0");
            kill_process(pid, Signal::KILL).expect("it lives");
        }
        let error = caller.call(&request.bytes, &mut output).expect_err("it is dead");
        assert!(!error.to_string().is_empty(), "{contender}");
    }
}
