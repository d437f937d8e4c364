//! Limits: of replies, depth, calls, memory and log. Who reaches one gets an error; the host and others go on.

use std::sync::{Arc, Mutex};

use polyhost_bridge::{
    CallContext, Capabilities, Code, Error, ErrorKind, Limits, LoadOptions, LogSink, Module, Output, Services,
};
use polyhost_proto::conformance::v1::misbehave_request::Deed;
use polyhost_proto::conformance::v1::{
    AddRequest, AllTypes, GrowRequest, LogRequest, MisbehaveRequest, RecurseRequest,
};
use prost::Message;

use super::reentrancy::Late;
use super::{
    ADD, CALL_SERVICE, ECHO_ASYNC, GROW, LOG, MISBEHAVE, RAW_ECHO, RECURSE, expect_kind, expect_says, function,
    service_request,
};
use crate::case::{Case, Cx, case};
use crate::meeting::Meeting;
use crate::subject::service;

pub(super) fn cases() -> Vec<Case> {
    [of_outputs(), of_modules(), of_memory(), of_the_stack()].concat()
}

fn of_outputs() -> Vec<Case> {
    vec![
        case("limits::a_reply_over_the_limit_is_an_error_and_the_output_is_as_before").once().run(|cx| {
            let module = cx.module();
            let (echo, grow) = (function(&*module, RAW_ECHO), function(&*module, GROW.name()));
            let size = GrowRequest { size: 100_000 }.encode_to_vec();
            for (function, input) in [(&echo, &b"x".repeat(1000)), (&grow, &size)] {
                let mut output = Output::with_limit(100);
                output.write(b"kept").expect("room");
                let error = function.call(&CallContext::none(), input, &mut output).expect_err("is over the limit");
                expect_kind(ErrorKind::Exhausted, &error);
                assert_eq!(b"kept", output.as_slice());
            }
        }),
        case("limits::a_reply_may_be_as_long_as_the_limit_and_no_longer").once().run(|cx| {
            let echo = function(&*cx.module(), RAW_ECHO);
            for limit in [1, 64, 1000, 100_000] {
                let mut output = Output::with_limit(limit);
                echo.call(&CallContext::none(), &b"x".repeat(limit), &mut output).expect("fits");
                output.clear();
                let error =
                    echo.call(&CallContext::none(), &b"x".repeat(limit + 1), &mut output).expect_err("does not");
                expect_kind(ErrorKind::Exhausted, &error);
            }
        }),
        case("limits::the_error_of_a_long_reply_names_the_limit").once().run(|cx| {
            let echo = function(&*cx.module(), RAW_ECHO);
            let mut output = Output::with_limit(1234);
            let error =
                echo.call(&CallContext::none(), &b"x".repeat(5000), &mut output).expect_err("is over the limit");
            expect_says(&error, "1234");
        }),
    ]
}

fn of_modules() -> Vec<Case> {
    vec![
        case("limits::one_that_means_nothing_is_refused").once().run(|cx| {
            for limits in [Limits::new().reply(0), Limits::new().calls(0), Limits::new().depth(1000)] {
                let error = cx.load(&LoadOptions::new().limits(limits)).expect_err("means nothing");
                expect_kind(ErrorKind::Config, &error);
            }
        }),
        case("limits::one_that_is_not_claimed_is_refused_and_who_could_is_named").once().run(|cx| {
            let all = [
                (Capabilities::REPLY_LIMIT, Limits::new().reply(1 << 20)),
                (Capabilities::DEPTH_LIMIT, Limits::new().depth(8)),
                (Capabilities::CALLS_LIMIT, Limits::new().calls(8)),
                (Capabilities::LOG_LIMIT, Limits::new().log_lines(8)),
                (Capabilities::LOG_LIMIT, Limits::new().log_bytes(8)),
                (Capabilities::MEMORY_LIMIT, Limits::new().memory(64 << 20)),
            ];
            for (capability, limits) in all {
                match cx.load(&LoadOptions::new().limits(limits)) {
                    Ok(_) => assert!(cx.has(capability), "{limits:?} is not claimed and not refused"),
                    Err(error) => {
                        assert!(!cx.has(capability), "{limits:?} is claimed and refused: {error:?}");
                        expect_kind(ErrorKind::Unsupported, &error);
                        assert!(error.message().contains(':'), "says nothing of who could: {error}");
                    }
                }
            }
        }),
        case("limits::replies_of_a_module_can_be_limited").needs(Capabilities::REPLY_LIMIT).run(|cx| {
            let (module, free) = (limited(cx, Limits::new().reply(1000)), cx.module());
            let echo = function(&*module, RAW_ECHO);
            for _ in 0..3 {
                let error = cx.invoke(&*module, GROW, &GrowRequest { size: 100_000 }).expect_err("is too long");
                expect_kind(ErrorKind::Exhausted, &error);
                expect_says(&error, "1000");
                let long = AllTypes { f_bytes: vec![1; 2000], ..AllTypes::default() };
                let error = cx.invoke(&*module, ECHO_ASYNC, &long).expect_err("is too long");
                expect_kind(ErrorKind::Exhausted, &error);
                assert_eq!(1000, cx.call(&echo, &CallContext::none(), &[7; 1000]).expect("fits").len());
                cx.invoke(&*free, GROW, &GrowRequest { size: 100_000 }).expect("is not limited");
            }
        }),
        case("limits::depth_is_limited_and_the_chain_named").needs(Capabilities::DEPTH_LIMIT).run(|cx| {
            let load = |name: &str, limits: Limits| {
                let next = Late::new("next");
                let mut services = Services::new();
                services.add(next.clone()).expect("is the only one");
                let options = LoadOptions::new().name(name).services(services).limits(limits);
                (next, cx.load(&options).unwrap_or_else(|error| panic!("{error:?}")))
            };
            let ((to_bank, shop), (to_shop, bank)) =
                (load("shop", Limits::new().depth(4)), load("bank", Limits::new()));
            // Each asks the other for the same, without an end.
            let request = service_request("next", b"");
            to_bank.set(&bank, CALL_SERVICE.name(), Some(request.encode_to_vec()));
            to_shop.set(&shop, CALL_SERVICE.name(), Some(request.encode_to_vec()));
            for sum in 1..=3 {
                let error = cx.invoke(&*shop, CALL_SERVICE, &request).expect_err("has no end");
                assert_eq!(Code::ResourceExhausted, error.code(), "{error:?}");
                let line = error.to_string();
                assert!(line.contains("shop → bank → shop → bank → shop"), "the chain is not in: {line}");
                for module in [&shop, &bank] {
                    assert_eq!(sum, cx.invoke(&**module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
                }
            }
        }),
        case("limits::calls_at_a_time_are_limited").needs(Capabilities::CALLS_LIMIT).run(|cx| {
            let gate = Arc::new(Meeting::gate());
            let wait = gate.clone();
            let mut services = Services::new();
            services.add(service("wait", move |_, _, _| wait.arrive())).expect("is new");
            let options = LoadOptions::new().services(services).limits(Limits::new().calls(1));
            let (module, free) = (cx.load(&options).expect("loads"), cx.module());
            std::thread::scope(|scope| {
                let inside = scope.spawn(|| cx.invoke(&*module, CALL_SERVICE, &service_request("wait", b"")));
                gate.wait_for(1);
                let error = cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect_err("is one too many");
                expect_kind(ErrorKind::Exhausted, &error);
                expect_says(&error, "1 calls are inside");
                cx.invoke(&*free, ADD, &AddRequest { n: 1 }).expect("is not limited");
                gate.open();
                inside.join().expect("no panic").expect("was the first");
            });
            for sum in 1..=3 {
                assert_eq!(sum, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("nobody is inside").sum);
            }
        }),
        case("limits::a_call_that_comes_back_to_its_module_counts_once").needs(Capabilities::CALLS_LIMIT).run(|cx| {
            let back = Late::new("back");
            let mut services = Services::new();
            services.add(back.clone()).expect("is the only one");
            let options = LoadOptions::new().services(services).limits(Limits::new().calls(1));
            let module = cx.load(&options).expect("loads");
            back.set(&module, RAW_ECHO, None);
            for _ in 0..3 {
                let reply = cx.invoke(&*module, CALL_SERVICE, &service_request("back", b"hi")).expect("is one call");
                assert_eq!(b"hi", &*reply.output);
            }
        }),
        case("limits::volume_of_the_log_is_limited_and_what_is_dropped_told").needs(Capabilities::LOG_LIMIT).run(
            |cx| {
                const LINES: u64 = 500;
                for limits in [Limits::new().log_lines(5), Limits::new().log_bytes(5 * 100)] {
                    let (lines, options) = logged();
                    let module = cx.load(&options.clone().limits(limits)).expect("loads");
                    let request = LogRequest { level: "info".into(), message: "x".repeat(100) };
                    for _ in 0..LINES {
                        cx.invoke(&*module, LOG, &request).expect("is no error of the guest's");
                    }
                    module.unload(crate::PATIENCE);
                    let lines = std::mem::take(&mut *lines.lock().expect("no panic"));
                    let (told, passed): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contains("were dropped"));
                    let dropped: u64 = told.iter().filter_map(|line| line.split(' ').next()?.parse::<u64>().ok()).sum();
                    assert_eq!(LINES, passed.len() as u64 + dropped, "{told:?}");
                    assert!(dropped > 0 && !told.is_empty(), "{} lines passed", passed.len());
                }
                // Another module of the same sink's kind writes what it wants.
                let (lines, options) = logged();
                let free = cx.load(&options).expect("loads");
                for _ in 0..100 {
                    let request = LogRequest { level: "info".into(), message: "free".into() };
                    cx.invoke(&*free, LOG, &request).expect("is not limited");
                }
                assert_eq!(100, lines.lock().expect("no panic").len());
            },
        ),
    ]
}

fn of_memory() -> Vec<Case> {
    vec![
        case("limits::memory_of_a_module_can_be_limited").needs(Capabilities::MEMORY_LIMIT).run(|cx| {
            let (module, free) = (limited(cx, Limits::new().memory(16 << 20)), cx.module());
            for sum in 1..=5 {
                too_much(&cx.invoke(&*module, GROW, &GrowRequest { size: 32 << 20 }).expect_err("is too much"));
                cx.invoke(&*module, GROW, &GrowRequest { size: 1 << 20 }).expect("is not");
                assert_eq!(sum, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
                cx.invoke(&*free, GROW, &GrowRequest { size: 32 << 20 }).expect("is not limited");
            }
        }),
        case("limits::a_guest_that_allocates_without_end_is_stopped_by_the_limit_of_its_module")
            .needs(Capabilities::MEMORY_LIMIT)
            .run(|cx| {
                let (module, free) = (limited(cx, Limits::new().memory(16 << 20)), cx.module());
                allocate(cx, &*module, &*free);
            }),
        case("limits::memory_of_the_runtime_can_be_limited")
            .needs(Capabilities::RUNTIME_MEMORY_LIMIT)
            .once()
            .limited()
            .run_alone(|cx| {
                let (module, other) = (cx.module(), cx.module());
                for sum in 1..=3 {
                    too_much(&cx.invoke(&*module, GROW, &GrowRequest { size: 512 << 20 }).expect_err("is too much"));
                    cx.invoke(&*other, GROW, &GrowRequest { size: 1 << 20 }).expect("is not");
                    assert_eq!(sum, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
                }
            }),
        case("limits::a_guest_that_allocates_without_end_is_stopped_by_the_limit_of_its_runtime")
            .needs(Capabilities::RUNTIME_MEMORY_LIMIT)
            .once()
            .limited()
            .run_alone(|cx| allocate(cx, &*cx.module(), &*cx.module())),
    ]
}

fn of_the_stack() -> Vec<Case> {
    vec![
        case("limits::a_hundred_levels_of_recursion_are_nothing_special").run(|cx| {
            let depth = cx.invoke(&*cx.module(), RECURSE, &RecurseRequest { depth: 100 }).expect("returns").depth;
            assert_eq!(100, depth);
        }),
        case("limits::endless_recursion_is_an_error_and_the_module_lives").needs(Capabilities::STACK_GUARD).run_alone(
            |cx| {
                let module = cx.module();
                for sum in 1..=3 {
                    let error = cx.invoke(&*module, RECURSE, &RecurseRequest { depth: 0 }).expect_err("has no end");
                    assert!(matches!(error.kind(), ErrorKind::Guest | ErrorKind::Exhausted), "{error:?}");
                    assert_eq!(sum, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
                }
            },
        ),
        case("limits::endless_recursion_ends_the_process_and_nothing_else")
            .lacks(Capabilities::STACK_GUARD)
            .once()
            .child(|cx| {
                let _ = cx.invoke(&*cx.module(), RECURSE, &RecurseRequest { depth: 0 });
            })
            .run(|cx| {
                let exit = cx.child();
                assert!(exit.signal.is_some(), "it can't be survived, so no host may claim to have: {exit}");
            }),
    ]
}

/// The guest with these limits.
fn limited(cx: &Cx<'_>, limits: Limits) -> Arc<dyn Module> {
    cx.load(&LoadOptions::new().limits(limits)).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Has a guest take all it gets, several times; it and the other go on.
fn allocate(cx: &Cx<'_>, module: &dyn Module, other: &dyn Module) {
    for sum in 1..=3 {
        let request = MisbehaveRequest { deed: Deed::Allocate.into() };
        too_much(&cx.invoke(module, MISBEHAVE, &request).expect_err("has an end"));
        assert_eq!(sum, cx.invoke(module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
        assert_eq!(sum, cx.invoke(other, ADD, &AddRequest { n: 1 }).expect("adds").sum);
    }
}

#[track_caller]
fn too_much(error: &Error) {
    assert_eq!(Code::ResourceExhausted, error.code(), "{error:?}");
}

/// Options with a log, and what is written there.
fn logged() -> (Arc<Mutex<Vec<String>>>, LoadOptions) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let write = lines.clone();
    let sink = LogSink::new(move |record| write.lock().expect("no panic").push(record.message.to_owned()));
    (lines, LoadOptions::new().log(sink))
}
