//! Calls that are cancelled, or run out of time.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use polyhost_bridge::{CallContext, CancelToken, Capabilities, Code, Error, ErrorKind};
use polyhost_proto::conformance::v1::spin_request::How;
use polyhost_proto::conformance::v1::{AddRequest, CallServiceRequest, SpinRequest};
use prost::Message;

use super::{ADD, CALL_SERVICE, ECHO, RAW_ECHO, SPIN, expect_kind, function, service_request};
use crate::case::{Case, Cx, block_on, case};
use crate::meeting::Meeting;
use crate::subject::service;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("cancel::a_call_that_is_cancelled_already_does_not_get_in").run(|cx| {
            let (module, token) = (cx.module(), CancelToken::new());
            token.cancel();
            let past = CallContext::none().with_deadline(Instant::now());
            let cancelled = CallContext::none().with_cancel(&token);
            for (context, kind) in [(past, ErrorKind::DeadlineExceeded), (cancelled, ErrorKind::Cancelled)] {
                let error = cx.invoke_in(&context, &*module, ADD, &AddRequest { n: 1 }).expect_err("is too late");
                expect_kind(kind, &error);
                // Not even its input is looked at.
                let error = cx.call(&function(&*module, ECHO.name()), &context, b"\xff").expect_err("is too late");
                expect_kind(kind, &error);
            }
            assert_eq!(0, cx.invoke(&*module, ADD, &AddRequest { n: 0 }).expect("adds").sum);
        }),
        case("cancel::a_loop_is_stopped_by_its_deadline").needs(Capabilities::INTERRUPT).run(stop_by_deadline),
        case("cancel::a_guest_that_looks_is_stopped_by_its_deadline")
            .needs(Capabilities::COOPERATIVE_CANCEL)
            .run(stop_by_deadline),
        case("cancel::a_loop_is_stopped_by_hand").needs(Capabilities::INTERRUPT).run(stop_by_hand),
        case("cancel::a_guest_that_looks_is_stopped_by_hand").needs(Capabilities::COOPERATIVE_CANCEL).run(stop_by_hand),
        case("cancel::a_loop_that_catches_what_is_raised_is_stopped").run(|cx| stop_every_way(cx, How::Catch)),
        case("cancel::a_coroutine_is_stopped").run(|cx| stop_every_way(cx, How::Coroutine)),
        case("cancel::what_waits_for_the_cancel_is_told_of_it").run(|cx| stop_every_way(cx, How::Wait)),
        case("cancel::a_stopped_module_goes_on_as_before").needs(Capabilities::INTERRUPT).run(|cx| {
            let module = cx.module();
            for sum in 1..=10 {
                let context = CallContext::none().with_timeout(Duration::from_millis(5));
                cx.invoke_in(&context, &*module, SPIN, &SpinRequest::default()).expect_err("never ends by itself");
                assert_eq!(sum, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
            }
        }),
        case("cancel::a_deadline_hits_no_later_call").run(|cx| {
            // Deadlines that pass while nobody is inside, and while the next call is.
            let echo = function(&*cx.module(), RAW_ECHO);
            for i in 0..200_u32 {
                let timeout = Duration::from_micros(u64::from(i % 20) * 10);
                let context = CallContext::none().with_timeout(timeout);
                if let Err(error) = cx.call(&echo, &context, b"hi") {
                    expect_kind(ErrorKind::DeadlineExceeded, &error);
                }
                assert_eq!(b"hi", &*cx.call(&echo, &CallContext::none(), b"hi").expect("has all the time"));
            }
        }),
        case("cancel::a_guest_in_a_service_is_stopped_when_the_service_returns").run(|cx| {
            // The service takes until the call is cancelled, and returns well.
            let module = cx.module_with(service("wait", |cx, _, _| {
                wait_for_cancel(cx);
                Ok(())
            }));
            let request = CallServiceRequest { times: 2, ..service_request("wait", b"") };
            let context = CallContext::none().with_timeout(Duration::from_millis(5));
            let error = cx.invoke_in(&context, &*module, CALL_SERVICE, &request).expect_err("is out of time");
            expect_kind(ErrorKind::DeadlineExceeded, &error);
        }),
        case("cancel::a_failure_for_want_of_time_is_told_apart_from_others").run(|cx| {
            let module = cx.module_with(service("no", |_, _, _| {
                Err(Error::status(Code::DeadlineExceeded, "another deadline than ours"))
            }));
            let context = CallContext::none().with_timeout(Duration::from_secs(3600));
            let error = cx.invoke_in(&context, &*module, CALL_SERVICE, &service_request("no", b"")).expect_err("fails");
            expect_kind(ErrorKind::Guest, &error);
        }),
        case("cancel::call_async_answers_in_time_while_the_guest_is_still_inside").once().run(|cx| {
            let gate = Arc::new(Meeting::gate());
            let wait = gate.clone();
            let module = cx.module_with(service("wait", move |_, _, _| wait.arrive()));
            let (inside, stop) = (function(&*module, CALL_SERVICE.name()), CancelToken::new());
            let context = CallContext::none().with_cancel(&stop);
            let input = service_request("wait", b"").encode_to_vec();
            let mut call = cx.future(&inside, &context, &input);
            // Whoever starts it at the first poll only, does so now.
            assert!(block_on(poll_once(&mut call)).is_none(), "waits at the gate");
            gate.wait_for(1);
            stop.cancel();
            expect_kind(ErrorKind::Cancelled, &block_on(call).expect_err("answers before the gate opens"));

            let context = CallContext::none().with_timeout(Duration::from_millis(5));
            let call = cx.future(
                &function(
                    &*cx.module_with(service("wait", {
                        let gate = gate.clone();
                        move |_, _, _| gate.arrive()
                    })),
                    CALL_SERVICE.name(),
                ),
                &context,
                &input,
            );
            expect_kind(ErrorKind::DeadlineExceeded, &block_on(call).expect_err("answers before the gate opens"));
            gate.open();
        }),
        case("cancel::dropping_the_future_cancels_the_call").once().run(|cx| {
            let (arrived, has_arrived) = mpsc::channel();
            let (cancelled, is_cancelled) = mpsc::channel();
            let module = cx.module_with(service("wait", move |cx, _, _| {
                arrived.send(()).expect("the case waits");
                wait_for_cancel(cx);
                cancelled.send(cx.cancelled()).expect("the case waits");
                Ok(())
            }));
            let inside = function(&*module, CALL_SERVICE.name());
            let mut call = cx.future(&inside, &CallContext::none(), &service_request("wait", b"").encode_to_vec());
            assert!(block_on(poll_once(&mut call)).is_none(), "waits in the service");
            has_arrived.recv_timeout(crate::PATIENCE).expect("the guest calls the service");
            drop(call);
            let reason = is_cancelled.recv_timeout(crate::PATIENCE).expect("the service is told");
            assert_eq!(Some(polyhost_bridge::CancelReason::Cancelled), reason);
        }),
        case("cancel::calls_that_are_cancelled_leave_nothing_behind").once().run_alone(leave_nothing),
        case("cancel::one_call_does_not_touch_others_with_its_context").once().run(|cx| {
            let echo = function(&*cx.module(), RAW_ECHO);
            let context = CallContext::none().with_cancel(&CancelToken::new()).with_metadata("a", "1");
            for _ in 0..20 {
                drop(cx.future(&echo, &context, b"dropped"));
                assert_eq!(b"hi", &*block_on(cx.future(&echo, &context, b"hi")).expect("was not dropped"));
            }
        }),
    ]
}

fn stop_by_deadline(cx: &Cx<'_>) {
    let context = CallContext::none().with_timeout(Duration::from_millis(20));
    let error = cx.invoke_in(&context, &*cx.module(), SPIN, &SpinRequest::default()).expect_err("never ends by itself");
    expect_kind(ErrorKind::DeadlineExceeded, &error);
}

/// By its deadline and by hand; and the module goes on.
fn stop_every_way(cx: &Cx<'_>, how: How) {
    let (module, request) = (cx.module(), SpinRequest { how: how.into() });
    for by_hand in [false, true] {
        let stop = CancelToken::new();
        let context = CallContext::none().with_cancel(&stop);
        let (context, timer) = match by_hand {
            false => (context.with_timeout(Duration::from_millis(20)), None),
            true => (context, Some(CancelToken::with_deadline(Instant::now() + Duration::from_millis(20)))),
        };
        let _subscription = timer.as_ref().map(|timer| timer.on_cancel(move |_| stop.cancel()));
        let error = cx.invoke_in(&context, &*module, SPIN, &request).expect_err("never ends by itself");
        if error.code() == Code::Unimplemented {
            cx.skip(format!("the guest's language can't: {}", error.message()));
        }
        expect_kind(if by_hand { ErrorKind::Cancelled } else { ErrorKind::DeadlineExceeded }, &error);
        cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds");
    }
}

fn stop_by_hand(cx: &Cx<'_>) {
    let (stop, timer) = (CancelToken::new(), CancelToken::with_deadline(Instant::now() + Duration::from_millis(20)));
    let context = CallContext::none().with_cancel(&stop);
    let _subscription = timer.on_cancel(move |_| stop.cancel());
    let error = cx.invoke_in(&context, &*cx.module(), SPIN, &SpinRequest::default()).expect_err("never ends by itself");
    expect_kind(ErrorKind::Cancelled, &error);
}

/// What is left of each call makes memory grow in every round; what a collector takes in steps does in some.
fn leave_nothing(cx: &Cx<'_>) {
    const CALLS: usize = 4000;
    const ALLOWED: usize = CALLS * 300;
    let module = cx.module_with(service("stop", |cx, _, _| {
        cx.token().expect("the call can be cancelled").cancel();
        Ok(())
    }));
    let request = CallServiceRequest { times: 2, ..service_request("stop", b"") };
    let round = || {
        for _ in 0..CALLS {
            let context = CallContext::none().with_cancel(&CancelToken::new());
            let error = cx.invoke_in(&context, &*module, CALL_SERVICE, &request).expect_err("is cancelled");
            expect_kind(ErrorKind::Cancelled, &error);
        }
        anonymous_memory()
    };
    let mut series = vec![round()];
    for _ in 0..12 {
        let (before, after) = (series[series.len() - 1], round());
        if after < before + ALLOWED {
            return;
        }
        series.push(after);
    }
    panic!("memory grows with every {CALLS} calls that are cancelled: {series:?}");
}

/// Bytes of this process that are no pages of files.
fn anonymous_memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux has it");
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("it tells what is not of files");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// Waits in a service until its call is to stop.
fn wait_for_cancel(cx: &CallContext) {
    let (sender, receiver) = mpsc::channel();
    let token = cx.token().expect("the call can be cancelled");
    let _subscription = token.on_cancel(move |_| sender.send(()).expect("the service waits"));
    receiver.recv_timeout(crate::PATIENCE).expect("the call is cancelled");
}

/// The outcome of a future, if it has one by now.
pub(super) async fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
