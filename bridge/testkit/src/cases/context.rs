//! Metadata and deadline, as the guest and its services see them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use polyhost_bridge::{CallContext, CancelToken, TraceParent};
use polyhost_proto::conformance::v1::{ContextReply, Nothing};

use super::{CALL_SERVICE, CONTEXT, RAW_TRACE, service_request};
use crate::case::{Case, Cx, case};
use crate::subject::service;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("context::metadata_reaches_the_guest").run(|cx| {
            let entries = [("key", "value"), ("empty", ""), ("x-ütf8", "世界"), ("a b", "c\nd")];
            let context =
                entries.into_iter().fold(CallContext::none(), |cx, (key, value)| cx.with_metadata(key, value));
            let metadata = ask(cx, &context).metadata;
            assert_eq!(entries.len(), metadata.len(), "{metadata:?}");
            for (key, value) in entries {
                assert_eq!(Some(value), metadata.get(key).map(String::as_str), "{key}");
            }
        }),
        case("context::without_metadata_and_deadline_says_so").run(|cx| {
            let reply = ask(cx, &CallContext::none());
            assert!(reply.metadata.is_empty() && !reply.has_deadline && !reply.cancelled, "{reply:?}");
        }),
        case("context::metadata_of_one_call_is_gone_at_the_next").run(|cx| {
            let module = cx.module();
            let with = CallContext::none().with_metadata("key", "value");
            for context in [&with, &CallContext::none(), &with, &CallContext::none()] {
                let reply = cx.invoke_in(context, &*module, CONTEXT, &Nothing {}).expect("tells");
                assert_eq!(context.metadata().len(), reply.metadata.len());
            }
        }),
        case("context::deadline_reaches_the_guest").run(|cx| {
            let hour = Duration::from_secs(3600);
            let reply = ask(cx, &CallContext::none().with_timeout(hour));
            assert!(reply.has_deadline, "{reply:?}");
            let left = Duration::from_nanos(reply.remaining_nanos.try_into().expect("is not past"));
            assert!(left > Duration::ZERO && left <= hour, "{left:?}");
        }),
        case("context::cancel_token_that_is_quiet_changes_nothing").run(|cx| {
            let reply = ask(cx, &CallContext::none().with_cancel(&CancelToken::new()));
            assert!(!reply.cancelled && !reply.has_deadline, "{reply:?}");
        }),
        case("context::is_handed_on_to_the_services_of_the_guest").run(|cx| {
            let seen = Arc::new(Mutex::new(None));
            let see = seen.clone();
            let module = cx.module_with(service("see", move |cx, _, _| {
                *see.lock().expect("no panic") = Some((cx.metadata().to_vec(), cx.deadline()));
                Ok(())
            }));
            let deadline = Instant::now() + Duration::from_secs(3600);
            let context = CallContext::none().with_metadata("a", "1").with_metadata("a", "2").with_deadline(deadline);
            cx.invoke_in(&context, &*module, CALL_SERVICE, &service_request("see", b"")).expect("calls");
            let (metadata, at) = seen.lock().expect("no panic").take().expect("was called");
            assert_eq!((context.metadata(), Some(deadline)), (&*metadata, at));
        }),
        case("context::trace_reaches_the_guest_and_its_services").run(|cx| {
            let parent = TraceParent::parse(TRACE.as_bytes()).expect("as the W3C has it");
            let context = CallContext::none().with_metadata("a", "1").with_trace(parent, "vendor=1,other=2");
            let seen = Arc::new(Mutex::new(None));
            let see = seen.clone();
            let module = cx.module_with(service("see", move |cx, _, _| {
                *see.lock().expect("no panic") = cx.trace_parent().map(|it| it.as_str().to_owned());
                Ok(())
            }));
            let trace = module.function(RAW_TRACE).expect("is exported");
            let told = cx.call(&trace, &context, b"").expect("tells");
            assert_eq!(format!("{TRACE}\nvendor=1,other=2"), String::from_utf8_lossy(&told));
            let told = cx.call(&trace, &CallContext::none(), b"").expect("tells");
            assert_eq!("\n", String::from_utf8_lossy(&told));
            cx.invoke_in(&context, &*module, CALL_SERVICE, &service_request("see", b"")).expect("calls");
            assert_eq!(Some(TRACE), seen.lock().expect("no panic").as_deref());
        }),
    ]
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn ask(cx: &Cx<'_>, context: &CallContext) -> ContextReply {
    let reply = cx.invoke_in(context, &*cx.module(), CONTEXT, &Nothing {});
    reply.unwrap_or_else(|error| panic!("{error:?}"))
}
