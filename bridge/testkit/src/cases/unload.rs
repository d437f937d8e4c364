//! Modules that are unloaded.

use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::time::Duration;

use polyhost_bridge::{CallContext, Capabilities, ErrorKind, Module, UnloadVerdict};
use polyhost_proto::conformance::v1::AddRequest;
use prost::Message;

use super::{ADD, CALL_SERVICE, RAW_ECHO, expect_kind, function, service_request};
use crate::case::{Case, Cx, Mode, case};
use crate::meeting::Meeting;
use crate::subject::service;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("unload::refuses_every_later_call").run(|cx| {
            let module = cx.module();
            let echo = function(&*module, RAW_ECHO);
            cx.call(&echo, &CallContext::none(), b"hi").expect("is loaded");
            module.unload(crate::PATIENCE);
            expect_kind(ErrorKind::Closed, &cx.call(&echo, &CallContext::none(), b"hi").expect_err("is unloaded"));
            expect_kind(ErrorKind::Closed, &module.function(RAW_ECHO).expect_err("is unloaded"));
            module.unload(Duration::ZERO);
        }),
        case("unload::waits_for_the_calls_inside").run(|cx| {
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
                let verdict = module.unload(Duration::ZERO);
                let told = matches!(&verdict, UnloadVerdict::StillAlive { what } if !what.is_empty());
                let refused = module.function(RAW_ECHO);
                gate.open();
                let reply = inside.join().expect("no panic");
                assert!(told, "a call is inside, and the verdict is {verdict:?}");
                expect_kind(ErrorKind::Closed, &refused.expect_err("is closed"));
                // The call that was inside is not disturbed.
                assert!(reply.expect("comes back").ends_with(b"came back"));
                module.unload(crate::PATIENCE);
            });
        }),
        case("unload::leaves_other_modules_alone").run(|cx| {
            let (one, two) = (cx.module(), cx.module());
            let add = |sum| assert_eq!(sum, cx.invoke(&*two, ADD, &AddRequest { n: 1 }).expect("adds").sum);
            add(1);
            one.unload(crate::PATIENCE);
            add(2);
            drop(one);
            add(3);
        }),
        case("unload::frees_the_code").needs(Capabilities::UNLOAD).run(|cx| {
            for _ in 0..3 {
                let module = cx.module();
                assert_eq!(1, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
                assert_eq!(UnloadVerdict::Unloaded, module.unload(crate::PATIENCE));
            }
        }),
        case("unload::frees_the_code_after_failures_and_services").needs(Capabilities::UNLOAD).run(|cx| {
            let module = cx.module_with(service("echo", |_, input, output| output.write(input)));
            for name in ["echo", "missing"] {
                let _ = cx.invoke(&*module, CALL_SERVICE, &service_request(name, b"hi"));
            }
            let _ = cx.call(&function(&*module, ADD.name()), &CallContext::none(), b"\xff");
            assert_eq!(UnloadVerdict::Unloaded, module.unload(crate::PATIENCE));
        }),
        case("unload::a_function_keeps_its_module_loaded").run(|cx| {
            let module = cx.module();
            let add = function(&*module, ADD.name());
            cx.call(&add, &CallContext::none(), b"\x08\x01").expect("adds");
            drop(module);
            assert_eq!(b"\x08\x02", &*cx.call(&add, &CallContext::none(), b"\x08\x01").expect("is still there"));
        }),
        case("unload::by_a_service_of_the_module_itself_does_not_hang").run(unload_from_inside),
    ]
}

/// A service unloads the module whose call it serves: it can't wait for that very call.
fn unload_from_inside(cx: &Cx<'_>) {
    let late: Arc<OnceLock<Weak<dyn Module>>> = Arc::default();
    let (target, (sender, verdict)) = (late.clone(), mpsc::channel());
    let module = cx.module_with(service("unload", move |_, _, _| {
        let module = target.get().and_then(Weak::upgrade).expect("its caller holds it");
        let _ = sender.send(module.unload(Duration::from_millis(20)));
        Ok(())
    }));
    assert!(late.set(Arc::downgrade(&module)).is_ok());
    // Whether this call still ends well is the host's choice; that it ends is not.
    let outcome = cx.invoke(&*module, CALL_SERVICE, &service_request("unload", b""));
    if let (Err(error), Mode::Call) = (&outcome, cx.mode()) {
        assert!(!error.message().is_empty());
    }
    match verdict.try_recv().expect("the service was called") {
        UnloadVerdict::StillAlive { what } => assert!(what[0].contains("inside"), "{what:?}"),
        verdict => panic!("its call is inside, and the verdict is {verdict:?}"),
    }
    let error = cx.invoke(&*module, CALL_SERVICE, &service_request("unload", b"")).expect_err("is unloaded");
    expect_kind(ErrorKind::Closed, &error);
    if cx.has(Capabilities::UNLOAD) {
        assert_eq!(UnloadVerdict::Unloaded, module.unload(crate::PATIENCE), "its call is out");
    }
}
