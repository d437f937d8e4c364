//! Guests that are called again while they wait for a host service.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use polyhost_bridge::{CallContext, Code, ErrorKind, Export, Function, Module};
use polyhost_bridge::{Capabilities, LoadOptions, Output, Services};
use polyhost_proto::conformance::v1::{AddRequest, CallServiceReply, CallServiceRequest, FailRequest};
use prost::Message;

use super::{ADD, CALL_SERVICE, FAIL, RAW_ECHO, expect_says, function, service_request};
use crate::case::{Case, Cx, case};
use crate::meeting::Meeting;
use crate::subject::service;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("reentrancy::a_service_may_call_the_module_it_was_called_from").run(|cx| {
            let looped = Looped::new(cx, RAW_ECHO);
            let reply = cx.invoke(&*looped.module, CALL_SERVICE, &service_request("back", b"hi")).expect("calls");
            assert_eq!(b"hi", &*reply.output);
        }),
        case("reentrancy::state_is_the_same_inside").run(|cx| {
            let looped = Looped::new(cx, ADD.name());
            let five = AddRequest { n: 5 };
            cx.invoke(&*looped.module, ADD, &five).expect("adds");
            let request = service_request("back", &five.encode_to_vec());
            cx.invoke(&*looped.module, CALL_SERVICE, &request).expect("adds");
            assert_eq!(15, cx.invoke(&*looped.module, ADD, &five).expect("adds").sum);
        }),
        case("reentrancy::goes_thirty_deep").run(|cx| {
            let looped = Looped::new(cx, CALL_SERVICE.name());
            let deepest = service_request("echo", b"from the bottom");
            let request = (0..29).fold(deepest, |inner, _| service_request("back", &inner.encode_to_vec()));
            let mut reply = cx.invoke(&*looped.module, CALL_SERVICE, &request).expect("calls");
            for _ in 0..29 {
                reply = CallServiceReply::decode(&*reply.output).expect("is the reply of one level deeper");
            }
            assert_eq!(b"from the bottom", &*reply.output);
        }),
        case("reentrancy::without_end_is_an_error_and_the_module_lives").run(|cx| {
            let looped = Looped::new(cx, CALL_SERVICE.name());
            // Asks for itself, whatever it is asked.
            let error = cx.invoke(&*looped.module, CALL_SERVICE, &service_request("again", b"")).expect_err("no end");
            assert_eq!(Code::ResourceExhausted, error.code(), "{error}");
            let reply = cx.invoke(&*looped.module, CALL_SERVICE, &service_request("echo", b"hi")).expect("lives");
            assert_eq!(b"hi", &*reply.output);
        }),
        case("reentrancy::an_inner_failure_passes_through_both_levels").run(|cx| {
            let looped = Looped::new(cx, FAIL.name());
            let fail =
                FailRequest { message: "innermost".into(), code: Code::DataLoss.number(), ..FailRequest::default() };
            let request = service_request("back", &fail.encode_to_vec());
            let error = cx.invoke(&*looped.module, CALL_SERVICE, &request).expect_err("it fails");
            assert_eq!(Code::DataLoss, error.code(), "{error:?}");
            expect_says(&error, "innermost");
            assert_eq!(2, error.chain().filter(|it| it.kind() == ErrorKind::Guest).count(), "{error:?}");
            let caught = CallServiceRequest { catch: true, ..request };
            let reply = cx.invoke(&*looped.module, CALL_SERVICE, &caught).expect("it is caught");
            assert_eq!(Code::DataLoss.number(), reply.code);
        }),
        case("reentrancy::two_modules_may_call_each_other").run(|cx| {
            let (one, two) = crossed(cx, |_| {});
            let request = service_request("other", b"hi");
            for module in [&one, &two] {
                assert_eq!(b"hi", &*cx.invoke(&**module, CALL_SERVICE, &request).expect("calls").output);
            }
        }),
        case("reentrancy::two_threads_that_cross_do_not_hang").run(|cx| {
            let meeting = Arc::new(Meeting::of(2));
            let (one, two) = crossed(cx, {
                let meeting = meeting.clone();
                move |cx: &CallContext| {
                    // Both are inside their first module before either goes on to the other's.
                    if cx.metadata_value("first").is_some() {
                        meeting.arrive().expect("each calls on a thread of its own");
                    }
                }
            });
            let waits = cx.has(Capabilities::CONCURRENT_WAIT);
            let mut context = CallContext::none().with_metadata("first", "");
            if !waits {
                // Each holds what the other needs. That has to end by itself, at the deadline at the latest.
                context = context.with_timeout(Duration::from_millis(200));
            }
            let call = |module: &Arc<dyn Module>| {
                let input = service_request("other", b"hi").encode_to_vec();
                (function(&**module, CALL_SERVICE.name()), context.clone(), input)
            };
            for outcome in cx.call_all(&[call(&one), call(&two)]) {
                match outcome {
                    Ok(_) => {}
                    Err(error) if !waits => {
                        let expected = [Code::ResourceExhausted, Code::DeadlineExceeded];
                        assert!(expected.contains(&error.code()), "{error:?}");
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
            // Nothing of it stays behind.
            let reply = cx.invoke(&*one, CALL_SERVICE, &service_request("other", b"hi")).expect("calls");
            assert_eq!(b"hi", &*reply.output);
        }),
    ]
}

/// A module with the services `echo`; `back`, which is one of its own exports; and `again`, which calls it to call
/// `again`.
struct Looped {
    module: Arc<dyn Module>,
}

impl Looped {
    fn new(cx: &Cx<'_>, export: &str) -> Self {
        let mut services = Services::new();
        let (back, again) = (Late::new("back"), Late::new("again"));
        services.add(service("echo", |_, input, output| output.write(input))).expect("is new");
        services.add(back.clone()).expect("is new");
        services.add(again.clone()).expect("is new");
        let module = cx.load(&LoadOptions::new().services(services)).expect("loads");
        back.set(&module, export, None);
        again.set(&module, CALL_SERVICE.name(), Some(service_request("again", b"").encode_to_vec()));
        Looped { module }
    }
}

/// Two modules, each with the other's `raw/Echo` as its service `other`; `before` runs before that is called.
fn crossed(
    cx: &Cx<'_>,
    before: impl Fn(&CallContext) + Clone + Send + Sync + 'static,
) -> (Arc<dyn Module>, Arc<dyn Module>) {
    let load = || {
        let (late, before) = (Late::new("other"), before.clone());
        let inner = late.clone();
        let module = cx.module_with(service("other", move |cx, input, output| {
            before(cx);
            inner.call(cx, input, output)
        }));
        (late, module)
    };
    let ((late_one, one), (late_two, two)) = (load(), load());
    late_one.set(&two, RAW_ECHO, None);
    late_two.set(&one, RAW_ECHO, None);
    (one, two)
}

/// A service that becomes an export of a module which is loaded after it. It does not keep that module loaded.
#[derive(Debug)]
pub(super) struct Late {
    export: Export,
    target: OnceLock<Target>,
}

#[derive(Debug)]
struct Target {
    module: Weak<dyn Module>,
    export: String,
    /// Replaces what the service is called with.
    input: Option<Vec<u8>>,
}

impl Late {
    pub(super) fn new(name: &str) -> Arc<Self> {
        Arc::new(Late { export: Export::bytes(name), target: OnceLock::new() })
    }

    pub(super) fn set(&self, module: &Arc<dyn Module>, export: &str, input: Option<Vec<u8>>) {
        let target = Target { module: Arc::downgrade(module), export: export.to_owned(), input };
        self.target.set(target).expect("is set once");
    }
}

impl Function for Late {
    fn export(&self) -> &Export {
        &self.export
    }

    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> polyhost_bridge::Result<()> {
        let target = self.target.get().expect("is set before the first call");
        let module = target.module.upgrade().expect("its caller holds it");
        module.function(&target.export)?.call(cx, target.input.as_deref().unwrap_or(input), output)
    }
}
