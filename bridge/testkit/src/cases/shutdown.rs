//! Starting and shutting down, each in a process of its own.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use polyhost_bridge::{CallContext, ErrorKind, LoadOptions};
use prost::Message;

use super::{CALL_SERVICE, RAW_ECHO, expect_kind, expect_says, function, service_request};
use crate::case::{Case, Cx, case};
use crate::meeting::Meeting;
use crate::subject::service;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("start::tells_name_and_version").once().run_alone(|cx| {
            let info = cx.runtime().info();
            assert!(!info.scheme.is_empty() && !info.name.is_empty(), "{info:?}");
            assert!(info.version.starts_with(|it: char| it.is_ascii_digit()), "{info:?}");
        }),
        case("start::may_be_done_twice").once().run_alone(|cx| {
            let again = cx.subject().start().unwrap_or_else(|error| panic!("{error:?}"));
            let module = again.load(&cx.subject().conformance, &LoadOptions::new()).expect("loads");
            let echo = function(&*module, RAW_ECHO);
            assert_eq!(b"hi", &*cx.call(&echo, &CallContext::none(), b"hi").expect("echoes"));
            cx.module();
        }),
        case("start::may_be_done_by_many_threads_at_once").once().run_alone(|cx| {
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        let runtime = cx.subject().start().unwrap_or_else(|error| panic!("{error:?}"));
                        runtime.load(&cx.subject().conformance, &LoadOptions::new()).expect("loads");
                    });
                }
            });
        }),
        case("start::works_on_a_thread_that_ends").once().run_alone(|cx| {
            // The runtime was started on the case's thread by now; calls and ends of other threads must not matter.
            std::thread::scope(|scope| {
                scope.spawn(|| cx.module()).join().expect("no panic");
            });
            call(cx);
        }),
        case("shutdown::refuses_later_calls_and_loads").run_alone(|cx| {
            let module = cx.module();
            let echo = function(&*module, RAW_ECHO);
            cx.runtime().shutdown(crate::PATIENCE).expect("nobody is inside");
            expect_kind(ErrorKind::Closed, &cx.call(&echo, &CallContext::none(), b"hi").expect_err("is shut down"));
            expect_kind(ErrorKind::Closed, &cx.load(&LoadOptions::new()).expect_err("is shut down"));
            expect_kind(ErrorKind::Closed, &module.function(RAW_ECHO).expect_err("is shut down"));
            cx.runtime().shutdown(Duration::ZERO).expect("again does nothing");
        }),
        case("shutdown::does_not_disturb_the_calls_inside").run_alone(|cx| {
            let gate = Arc::new(Meeting::gate());
            let wait = gate.clone();
            let module = cx.module_with(service("wait", move |_, _, output| {
                wait.arrive()?;
                output.write(b"came back")
            }));
            let call = function(&*module, CALL_SERVICE.name());
            std::thread::scope(|scope| {
                let input = service_request("wait", b"").encode_to_vec();
                let inside = scope.spawn(move || cx.call(&call, &CallContext::none(), &input));
                gate.wait_for(1);
                let early = cx.runtime().shutdown(Duration::ZERO);
                gate.open();
                assert!(inside.join().expect("no panic").expect("comes back").ends_with(b"came back"));
                expect_kind(ErrorKind::DeadlineExceeded, &early.expect_err("a call was inside"));
            });
            cx.runtime().shutdown(crate::PATIENCE).expect("nobody is inside any more");
        }),
        case("shutdown::refuses_functions_whose_module_was_dropped").run_alone(|cx| {
            let echo = function(&*cx.module(), RAW_ECHO);
            assert_eq!(b"hi", &*cx.call(&echo, &CallContext::none(), b"hi").expect("keeps its module loaded"));
            cx.runtime().shutdown(crate::PATIENCE).expect("nobody is inside");
            expect_kind(ErrorKind::Closed, &cx.call(&echo, &CallContext::none(), b"hi").expect_err("is shut down"));
        }),
        case("shutdown::by_a_service_leaves_the_call_what_it_stands_on").run_alone(|cx| {
            let runtime = cx.runtime().clone();
            let (told, is_told) = mpsc::channel();
            let module = cx.module_with(service("shut_down", move |_, _, output| {
                told.send(runtime.shutdown(Duration::from_millis(20))).expect("the case waits");
                output.write(b"came back")
            }));
            let reply = cx.invoke(&*module, CALL_SERVICE, &service_request("shut_down", b"")).expect("is undisturbed");
            assert_eq!(b"came back", &*reply.output);
            // It can't wait for the call that it serves.
            let error = is_told.try_recv().expect("was called").expect_err("the call is inside");
            expect_kind(ErrorKind::DeadlineExceeded, &error);
            expect_says(&error, "the thread that asks is itself inside");
            let again = cx.invoke(&*module, CALL_SERVICE, &service_request("shut_down", b""));
            expect_kind(ErrorKind::Closed, &again.expect_err("is shut down"));
            drop(module);
            cx.runtime().shutdown(crate::PATIENCE).expect("nobody is inside any more");
        }),
        case("shutdown::before_any_load_is_fine").once().run_alone(|cx| {
            cx.runtime().shutdown(crate::PATIENCE).expect("nobody is inside");
        }),
        case("shutdown::prints_nothing")
            .once()
            .child(|cx| {
                call(cx);
                cx.runtime().shutdown(crate::PATIENCE).expect("nobody is inside");
            })
            .run(expect_silence),
        case("shutdown::can_be_left_out").once().child(call).run(expect_silence),
        case("shutdown::can_be_left_out_while_calls_are_inside")
            .once()
            .child(|cx| {
                let gate = Arc::new(Meeting::gate());
                let wait = gate.clone();
                let module = cx.module_with(service("wait", move |_, _, _| wait.arrive()));
                let call = function(&*module, CALL_SERVICE.name());
                let input = service_request("wait", b"").encode_to_vec();
                for _ in 0..2 {
                    let (call, input) = (call.clone(), input.clone());
                    std::thread::spawn(move || call.call(&CallContext::none(), &input, &mut Default::default()));
                    if !cx.has(polyhost_bridge::Capabilities::CONCURRENT_WAIT) {
                        break;
                    }
                }
                gate.wait_for(1);
            })
            .run(expect_silence),
    ]
}

fn call(cx: &Cx<'_>) {
    let echo = function(&*cx.module(), RAW_ECHO);
    assert_eq!(b"hi", &*cx.call(&echo, &CallContext::none(), b"hi").expect("echoes"));
}

/// The child ends well and without a word.
fn expect_silence(cx: &Cx<'_>) {
    let exit = cx.child();
    exit.expect_success();
    assert!(exit.stdout.is_empty() && exit.stderr.is_empty(), "it wrote something\n{exit}");
}
