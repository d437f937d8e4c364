//! Guests that do what they must not. The host lives; where a runtime does not allow that, its expectations say why.

use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use polyhost_bridge::{
    CallContext, CancelToken, Capabilities, Code, Error, ErrorKind, Limits, LoadOptions, LogSink, Module, UnloadVerdict,
};
use polyhost_proto::conformance::v1::misbehave_request::Deed;
use polyhost_proto::conformance::v1::{AddRequest, MisbehaveRequest};
use prost::Message;

use super::cancel::poll_once;
use super::{ADD, MISBEHAVE, RAW_ECHO, expect_kind, function};
use crate::case::{Case, Cx, block_on, case};

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
        case("misbehave::a_guest_that_ignores_its_cancel_holds_up_nobody_else").once().run_alone(ignore_cancel),
        case("misbehave::a_guest_that_logs_without_end_is_stopped_and_its_log_bounded")
            .needs(Capabilities::LOG_LIMIT)
            .run(log_without_end),
        case("misbehave::a_guest_that_forks_does_not_end_the_host").run_alone(|cx| survive(cx, &[Deed::Fork; 3])),
        case("misbehave::a_guest_that_closes_files_does_not_end_the_host")
            .run_alone(|cx| survive(cx, &[Deed::CloseFiles, Deed::CloseFiles])),
        case("misbehave::files_of_the_host_stay_open").once().run_alone(|cx| {
            let mut file = File::open("/proc/self/exe").expect("can be read");
            survive(cx, &[Deed::CloseFiles]);
            let read = file.read(&mut [0; 16]);
            // Its number may be another file's by now.
            std::mem::forget(file);
            assert_eq!(16, read.expect("it is still open"));
        }),
        case("misbehave::a_guest_that_changes_the_folder_does_not_end_the_host")
            .run_alone(|cx| survive(cx, &[Deed::ChangeFolder])),
        case("misbehave::the_folder_of_the_host_stays").once().run_alone(|cx| {
            let before = std::env::current_dir().expect("is there");
            survive(cx, &[Deed::ChangeFolder]);
            assert_eq!(before, std::env::current_dir().expect("is there"));
        }),
        case("misbehave::a_guest_that_takes_a_signal_does_not_end_the_host")
            .run_alone(|cx| survive(cx, &[Deed::TakeSignal, Deed::TakeSignal])),
        case("misbehave::signals_of_the_host_stay_as_they_are").once().run_alone(|cx| {
            let _ = cx.module();
            let before = sigterm();
            survive(cx, &[Deed::TakeSignal]);
            assert_eq!(before, sigterm(), "ignored, caught");
        }),
        case("misbehave::a_guest_that_sets_the_locale_changes_no_call")
            .run_alone(|cx| survive(cx, &[Deed::SetLocale, Deed::SetLocale])),
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
            skip_if_impossible(cx, &error);
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

fn skip_if_impossible(cx: &Cx<'_>, error: &Error) {
    if error.code() == Code::Unimplemented {
        cx.skip(format!("the guest's language can't: {}", error.message()));
    }
}

/// A call that does not end is answered in time, and what it holds is told. It ends with this process.
fn ignore_cancel(cx: &Cx<'_>) {
    let (sender, inside) = mpsc::channel();
    let log = LogSink::new(move |_| {
        // One line is waited for.
        let _ = sender.send(());
    });
    let module = cx.load(&LoadOptions::new().log(log)).unwrap_or_else(|error| panic!("{error:?}"));
    let other = cx.module();
    let request = MisbehaveRequest { deed: Deed::IgnoreCancel.into() }.encode_to_vec();
    let stop = CancelToken::new();
    let context = CallContext::none().with_cancel(&stop);
    let mut call = cx.future(&function(&*module, MISBEHAVE.name()), &context, &request);
    assert!(block_on(poll_once(&mut call)).is_none(), "never ends by itself");
    inside.recv_timeout(crate::PATIENCE).expect("the guest is inside");
    stop.cancel();
    expect_kind(ErrorKind::Cancelled, &block_on(call).expect_err("answers in time"));
    for sum in 1..=20 {
        assert_eq!(sum, cx.invoke(&*other, ADD, &AddRequest { n: 1 }).expect("is not held up").sum);
    }
    match module.unload(Duration::from_millis(10)) {
        UnloadVerdict::StillAlive { what } => {
            assert!(what.iter().any(|line| line.contains("still inside")), "{what:?}");
        }
        // It was stopped, for all it did.
        UnloadVerdict::Unloaded => assert!(cx.has(Capabilities::INTERRUPT), "it is inside"),
        verdict => panic!("{verdict:?}"),
    }
}

/// A limit bounds what arrives, and the cancel ends it.
fn log_without_end(cx: &Cx<'_>) {
    let stop = CancelToken::new();
    let (passed, enough) = (Arc::new(AtomicU64::new(0)), stop.clone());
    let count = passed.clone();
    let sink = LogSink::new(move |record| {
        assert!(record.message.len() <= 200, "{}", record.message);
        if count.fetch_add(1, Ordering::Relaxed) == 10 {
            enough.cancel();
        }
    });
    let options = LoadOptions::new().log(sink).limits(Limits::new().log_lines(20));
    let module = cx.load(&options).unwrap_or_else(|error| panic!("{error:?}"));
    let request = MisbehaveRequest { deed: Deed::Log.into() };
    let context = CallContext::none().with_cancel(&stop);
    match cx.invoke_in(&context, &*module, MISBEHAVE, &request) {
        // It looked, and ended by itself.
        Ok(_) => {}
        Err(error) => expect_kind(ErrorKind::Cancelled, &error),
    }
    assert!(passed.load(Ordering::Relaxed) > 10);
    assert_eq!(1, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
}

/// Whether this process ignores SIGTERM, and whether it has a handler for it.
fn sigterm() -> (bool, bool) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let has = |name: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).expect("is among them");
        u64::from_str_radix(mask.trim(), 16).expect("is a mask") & (1 << 14) != 0
    };
    (has("SigIgn:"), has("SigCgt:"))
}
