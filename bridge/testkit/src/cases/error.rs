//! What guest code raises, as errors.

use polyhost_bridge::{CallContext, CancelToken, Code, Error, ErrorKind, Module, Output};
use polyhost_proto::conformance::v1::{AddRequest, FailRequest};
use prost::Message;

use super::{
    ADD, CALL_SERVICE, ECHO, FAIL, RAW_ECHO, RAW_WRONG_TYPE, expect_kind, expect_says, function, service_request,
};
use crate::case::{Case, Cx, case};
use crate::subject::service;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("error::has_the_type_and_the_message_the_guest_raised").run(|cx| {
            let error = fail(cx, &*cx.module(), FailRequest { message: "it broke".into(), ..FailRequest::default() });
            expect_kind(ErrorKind::Guest, &error);
            assert_eq!(Code::Unknown, error.code(), "{error:?}");
            let guest = error.guest().expect("says what was raised");
            assert!(!guest.type_name.is_empty(), "{error:?}");
            assert!(guest.message.contains("it broke"), "{error:?}");
            assert_eq!(None, guest.status, "{error:?}");
        }),
        case("error::has_the_status_the_guest_raised").run(|cx| {
            let module = cx.module();
            for code in Code::ALL {
                let message = format!("as {code}");
                let request = FailRequest { message: message.clone(), code: code.number(), ..FailRequest::default() };
                let error = fail(cx, &*module, request);
                expect_kind(ErrorKind::Guest, &error);
                assert_eq!((code, Some(code)), (error.code(), error.guest().and_then(|it| it.status)), "{error:?}");
                assert_eq!(message, error.guest().expect("says what was raised").message);
            }
        }),
        case("error::says_what_was_called").run(|cx| {
            let error = fail(cx, &*cx.module(), FailRequest::default());
            assert_eq!(Some(format!("call {}", FAIL.name())).as_deref(), error.operation_name(), "{error:?}");
        }),
        case("error::says_which_call_was_refused").once().run(|cx| {
            let module = cx.module();
            let echo = function(&*module, RAW_ECHO);
            let refused = |kind, context: &CallContext| {
                let error = echo.call(context, b"", &mut Output::new()).expect_err("is refused");
                expect_kind(kind, &error);
                assert_eq!(Some("call raw/Echo"), error.operation_name(), "{error:?}");
            };
            let cancelled = CancelToken::new();
            cancelled.cancel();
            refused(ErrorKind::Cancelled, &CallContext::none().with_cancel(&cancelled));
            module.unload(crate::PATIENCE);
            refused(ErrorKind::Closed, &CallContext::none());
        }),
        case("error::has_the_frames_of_the_guest_innermost_first").run(|cx| {
            let module = cx.module();
            let frames = |depth| {
                let request = FailRequest { message: "deep".into(), depth, ..FailRequest::default() };
                fail(cx, &*module, request).guest().expect("says what was raised").frames.clone()
            };
            let (shallow, deep) = (frames(0), frames(7));
            assert!(shallow.first().is_some_and(|frame| frame.line > 0 && !frame.file.is_empty()), "{shallow:?}");
            assert_eq!(shallow.len() + 7, deep.len(), "{deep:?}");
            // What recurses comes before what called it.
            let named = |name: &str| deep.iter().take(7).filter(|frame| frame.function == name).count();
            assert!(deep.iter().any(|frame| !frame.function.is_empty() && named(&frame.function) >= 6), "{deep:?}");
        }),
        case("error::has_the_status_of_deep_guest_code_too").run(|cx| {
            let request =
                FailRequest { message: "deep".into(), code: Code::Aborted.number(), depth: 5, wrapped: false };
            let error = fail(cx, &*cx.module(), request);
            assert_eq!((Code::Aborted, "deep"), (error.code(), &*error.guest().expect("was raised").message));
        }),
        case("error::keeps_the_cause_as_the_language_tells_it").run(|cx| {
            let request = FailRequest { message: "inner".into(), wrapped: true, ..FailRequest::default() };
            let error = fail(cx, &*cx.module(), request);
            let guest = error.guest().expect("says what was raised");
            assert!(guest.message.contains("wrapped: inner"), "{error:?}");
            let cause = guest.cause.as_ref().unwrap_or_else(|| panic!("no cause: {error:?}"));
            assert!(cause.message.contains("inner") && !cause.message.contains("wrapped"), "{error:?}");
            expect_says(&error, "inner");
        }),
        case("error::keeps_every_character_of_the_message").run(|cx| {
            let module = cx.module();
            for message in ["", "Grüße, 世界 🎉", "two\nlines", "%s %d {0} {}", "nul \0 in it", "\u{feff}"] {
                let request = FailRequest { message: message.into(), code: 3, ..FailRequest::default() };
                let error = fail(cx, &*module, request);
                assert_eq!(message, error.guest().expect("says what was raised").message);
                assert_eq!(1, error.to_string().lines().count(), "{error}");
            }
        }),
        case("error::carries_a_message_of_a_mebibyte").run(|cx| {
            let message = "long ".repeat(200_000);
            let request = FailRequest { message: message.clone(), code: 3, ..FailRequest::default() };
            let error = fail(cx, &*cx.module(), request);
            assert_eq!(message.len(), error.guest().expect("says what was raised").message.len());
        }),
        case("error::leaves_the_state_of_the_module_alone").run(|cx| {
            let module = cx.module();
            for sum in 1..=10 {
                fail(cx, &*module, FailRequest { message: "no".into(), depth: 3, ..FailRequest::default() });
                assert_eq!(sum, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
            }
        }),
        case("error::leaves_the_output_as_it_was").once().run(|cx| {
            let module = cx.module();
            let mut output = Output::new();
            output.write(b"kept").expect("room");
            let request = FailRequest { message: "no".into(), ..FailRequest::default() }.encode_to_vec();
            let none = CallContext::none();
            function(&*module, FAIL.name()).call(&none, &request, &mut output).expect_err("fails");
            function(&*module, ECHO.name()).call(&none, b"\xff", &mut output).expect_err("is no message");
            assert_eq!(b"kept", output.as_slice());
        }),
        case("error::names_the_export_that_returned_the_wrong_type").run(|cx| {
            let module = cx.module();
            if module.exports().iter().all(|export| export.name() != RAW_WRONG_TYPE) {
                cx.skip("the guest's language lets no function return another type");
            }
            let wrong = function(&*module, RAW_WRONG_TYPE);
            let error = cx.call(&wrong, &CallContext::none(), b"").expect_err("is the wrong type");
            expect_kind(ErrorKind::Encode, &error);
            expect_says(&error, RAW_WRONG_TYPE);
        }),
        case("error::keeps_the_cause_of_a_host_service_failure").run(|cx| {
            let module = cx.module_with(service("bank", |_, _, _| {
                let disk = std::io::Error::other("the disk is full");
                Err(Error::status(Code::PermissionDenied, "not yours").with("account", "7").caused_by(disk))
            }));
            let error = cx.invoke(&*module, CALL_SERVICE, &service_request("bank", b"")).expect_err("it fails");
            expect_kind(ErrorKind::Guest, &error);
            assert_eq!(Some(Code::PermissionDenied), error.guest().and_then(|it| it.status), "{error:?}");
            let kinds: Vec<_> = error.chain().map(|it| it.kind()).collect();
            assert_eq!([ErrorKind::Guest, ErrorKind::Service, ErrorKind::Guest], kinds[..3], "{error:?}");
            let origin = error.chain().nth(2).expect("is the third");
            assert_eq!(
                ("not yours", Code::PermissionDenied),
                (&*origin.guest().expect("raised").message, origin.code())
            );
            for part in ["host service bank failed", "not yours", "account: 7", "the disk is full"] {
                expect_says(&error, part);
            }
        }),
        case("error::shows_the_frames_of_the_guest_that_called_a_failing_service").run(|cx| {
            let module = cx.module_with(service("no", |_, _, _| Err(Error::status(Code::Aborted, "no"))));
            let error = cx.invoke(&*module, CALL_SERVICE, &service_request("no", b"")).expect_err("it fails");
            let frames = &error.guest().expect("was raised").frames;
            assert!(frames.iter().any(|frame| frame.line > 0 && !frame.file.is_empty()), "{error:?}");
        }),
    ]
}

/// Has the guest fail, and returns how.
fn fail(cx: &Cx<'_>, module: &dyn Module, request: FailRequest) -> Error {
    cx.invoke(module, FAIL, &request).expect_err("it is asked to fail")
}
