//! Guests that do what they must not. The host lives; where a runtime does not allow that, its expectations say why.

use polyhost_bridge::{CallContext, Code, Module};
use polyhost_proto::conformance::v1::MisbehaveRequest;
use polyhost_proto::conformance::v1::misbehave_request::Deed;

use super::{MISBEHAVE, RAW_ECHO, function};
use crate::case::{Case, Cx, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("misbehave::a_guest_that_exits_does_not_end_the_host").run_alone(|cx| survive(cx, &[Deed::Exit])),
        case("misbehave::a_failure_on_a_thread_of_the_guest_does_not_end_the_host")
            .run_alone(|cx| survive(cx, &[Deed::ThrowOnThread, Deed::ThrowOnThread])),
        case("misbehave::a_failure_that_nobody_awaits_does_not_end_the_host")
            .run_alone(|cx| survive(cx, &[Deed::UnobservedTask, Deed::UnobservedTask])),
        case("misbehave::a_null_dereference_does_not_end_the_host")
            .run_alone(|cx| survive(cx, &[Deed::Null, Deed::Null, Deed::Null])),
        case("misbehave::a_buffer_kept_after_its_call_harms_nobody").run_alone(|cx| {
            survive(cx, &[Deed::KeepBuffer, Deed::UseKeptBuffer, Deed::KeepBuffer, Deed::UseKeptBuffer]);
        }),
        case("misbehave::an_abort_ends_the_process_by_a_signal")
            .once()
            .child(|cx| {
                let _ = commit(cx, &*cx.module(), Deed::Abort);
            })
            .run(|cx| {
                let exit = cx.child();
                // A language without a way to abort does nothing, or raises.
                assert!(exit.signal.is_some() || exit.code == Some(0), "{exit}");
            }),
    ]
}

/// Does the deeds one after the other, each of which may be an error, and checks that calls go on as before.
fn survive(cx: &Cx<'_>, deeds: &[Deed]) {
    let module = cx.module();
    let echo = function(&*module, RAW_ECHO);
    for deed in deeds {
        let deed_done = commit(cx, &*module, *deed);
        if let Err(error) = deed_done {
            if error.code() == Code::Unimplemented {
                cx.skip(format!("the guest's language can't: {}", error.message()));
            }
            // Who is told, is told what.
            assert!(!error.message().is_empty(), "{error:?}");
        }
        for i in 0..20_u8 {
            assert_eq!([i; 100], *cx.call(&echo, &CallContext::none(), &[i; 100]).expect("the module lives"));
        }
    }
    let again = cx.module();
    let echo = function(&*again, RAW_ECHO);
    assert_eq!(b"hi", &*cx.call(&echo, &CallContext::none(), b"hi").expect("the runtime lives"));
}

fn commit(cx: &Cx<'_>, module: &dyn Module, deed: Deed) -> polyhost_bridge::Result<()> {
    cx.invoke(module, MISBEHAVE, &MisbehaveRequest { deed: deed.into() }).map(drop)
}
