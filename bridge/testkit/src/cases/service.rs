//! Host services, as guests call them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use polyhost_bridge::{Code, Error, ErrorKind, LoadOptions, Services};
use polyhost_proto::conformance::v1::CallServiceRequest;

use super::{CALL_SERVICE, RAW_ECHO, expect_says, service_request};
use crate::case::{Case, case};
use crate::subject::service;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("service::gets_the_bytes_of_the_guest_and_the_guest_its_reply").run(|cx| {
            let module = cx.module_with(service("reverse", |_, input, output| {
                output.write(&input.iter().rev().copied().collect::<Vec<_>>())
            }));
            for input in [&b""[..], b"abc", b"\0\xff\x80", &vec![7; 1 << 20]] {
                let reply = cx.invoke(&*module, CALL_SERVICE, &service_request("reverse", input)).expect("calls");
                assert!(input.iter().rev().eq(&reply.output), "{} bytes came back otherwise", input.len());
                assert_eq!((0, ""), (reply.code, &*reply.message));
            }
        }),
        case("service::is_called_as_often_as_the_guest_does").run(|cx| {
            let count = Arc::new(AtomicUsize::new(0));
            let counter = count.clone();
            let module = cx.module_with(service("count", move |_, _, output| {
                output.write(counter.fetch_add(1, Ordering::Relaxed).to_string().as_bytes())
            }));
            let request = CallServiceRequest { times: 100, ..service_request("count", b"") };
            assert_eq!(b"99", &*cx.invoke(&*module, CALL_SERVICE, &request).expect("calls").output);
            assert_eq!(100, count.load(Ordering::Relaxed));
        }),
        case("service::may_be_one_of_many").run(|cx| {
            let mut services = Services::new();
            for name in ["a", "b", "c", "a name with spaces", "näme"] {
                services.add(service(name, |_, _, output| output.write(b"wrong"))).expect("is new");
            }
            services.add(service("d", |_, _, output| output.write(b"right"))).expect("is new");
            let module = cx.load(&LoadOptions::new().services(services)).expect("loads");
            let reply = cx.invoke(&*module, CALL_SERVICE, &service_request("d", b"")).expect("calls");
            assert_eq!(b"right", &*reply.output);
            cx.invoke(&*module, CALL_SERVICE, &service_request("näme", b"")).expect("calls");
        }),
        case("service::may_be_the_export_of_another_module").run(|cx| {
            let other = cx.module();
            let mut services = Services::new();
            services.link(&*other).expect("are all new");
            let module = cx.load(&LoadOptions::new().services(services)).expect("loads");
            let reply = cx.invoke(&*module, CALL_SERVICE, &service_request(RAW_ECHO, b"hi")).expect("calls");
            assert_eq!(b"hi", &*reply.output);
        }),
        case("service::that_is_missing_is_an_error_that_lists_what_there_is").run(|cx| {
            let module = cx.module_with(service("there", |_, _, _| Ok(())));
            let error = cx.invoke(&*module, CALL_SERVICE, &service_request("not.there", b"")).expect_err("is missing");
            assert_eq!(Code::NotFound, error.code(), "{error:?}");
            expect_says(&error, "not.there");
            expect_says(&error, "there are: there");
            let error = cx.invoke(&*cx.module(), CALL_SERVICE, &service_request("any", b"")).expect_err("has none");
            assert_eq!(Code::NotFound, error.code(), "{error:?}");
        }),
        case("service::failure_can_be_caught_by_the_guest").run(|cx| {
            let module = cx.module_with(service("no", |_, _, _| Err(Error::status(Code::DataLoss, "it is gone"))));
            for (name, code, part) in [("no", Code::DataLoss, "it is gone"), ("missing", Code::NotFound, "missing")] {
                let request = CallServiceRequest { catch: true, ..service_request(name, b"") };
                let reply = cx.invoke(&*module, CALL_SERVICE, &request).expect("it is caught");
                assert_eq!(code.number(), reply.code);
                assert!(reply.message.contains(part), "{}", reply.message);
            }
        }),
        case("service::has_each_status_code_in_the_guest").run(|cx| {
            let module = cx.module_with(service("code", |_, input, _| {
                Err(Error::status(Code::from_number(input[0].into()).expect("is a code"), "as asked"))
            }));
            for code in Code::ALL {
                let request = service_request("code", &[code.number() as u8]);
                let reply = cx.invoke(&*module, CALL_SERVICE, &CallServiceRequest { catch: true, ..request.clone() });
                assert_eq!(code.number(), reply.expect("it is caught").code);
                assert_eq!(code, cx.invoke(&*module, CALL_SERVICE, &request).expect_err("it escapes").code());
            }
        }),
        case("service::panic_stops_at_the_boundary").run(|cx| {
            let module = cx.module_with(service("panic", |_, _, _| panic!("on purpose: in a host service")));
            for _ in 0..3 {
                let error = cx.invoke(&*module, CALL_SERVICE, &service_request("panic", b"")).expect_err("it panics");
                assert_eq!(Code::Internal, error.code(), "{error:?}");
                expect_says(&error, "on purpose: in a host service");
                let request = CallServiceRequest { catch: true, ..service_request("panic", b"") };
                let reply = cx.invoke(&*module, CALL_SERVICE, &request).expect("it is caught");
                assert_eq!(Code::Internal.number(), reply.code);
            }
        }),
        case("service::failure_drops_what_it_wrote").run(|cx| {
            let module = cx.module_with(service("half", |_, _, output| {
                output.write(b"half a reply")?;
                Err(Error::status(Code::Aborted, "no"))
            }));
            let request = CallServiceRequest { catch: true, ..service_request("half", b"") };
            assert_eq!(b"", &*cx.invoke(&*module, CALL_SERVICE, &request).expect("it is caught").output);
        }),
        case("service::failure_of_another_kind_keeps_its_code").run(|cx| {
            let module = cx.module_with(service("limit", |_, _, _| Err(Error::new(ErrorKind::Exhausted, "too much"))));
            let error = cx.invoke(&*module, CALL_SERVICE, &service_request("limit", b"")).expect_err("it fails");
            assert_eq!(Code::ResourceExhausted, error.code(), "{error:?}");
            assert!(error.chain().any(|it| it.kind() == ErrorKind::Exhausted), "{error:?}");
        }),
    ]
}
