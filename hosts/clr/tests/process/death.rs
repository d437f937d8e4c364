//! Ways in which a guest ends the process. .NET allows none of them to be stopped; what happens is shown here.

use std::sync::Arc;

use polyhost_bridge::{CallContext, LoadOptions, LogSink, Module, ModuleSource};
use polyhost_proto::conformance::v1::RecurseRequest;
use polyhost_proto::conformance::v1::misbehave_request::Deed;
use prost::Message;

use crate::common::{call, guest, load, start};
use crate::{Case, dies, misbehave};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        dies(
            "death::endless_recursion_aborts_and_prints_the_frames",
            || {
                let module = load(&*start());
                let input = RecurseRequest { depth: 0 }.encode_to_vec();
                let _ = call(&*module, "conformance.v1.Conformance/Recurse", &input);
            },
            |exit| {
                assert_eq!(Some(libc::SIGABRT), exit.signal(), "{exit}");
                assert!(exit.stderr().contains("Stack overflow"), "{exit}");
                assert!(exit.stderr().contains("Descend"), "{exit}");
            },
        ),
        dies(
            "death::fail_fast_aborts_and_prints_the_reason",
            || {
                let _ = misbehave(&*load(&*start()), Deed::Abort);
            },
            |exit| {
                assert_eq!(Some(libc::SIGABRT), exit.signal(), "{exit}");
                assert!(exit.stderr().contains("the guest ends the process"), "{exit}");
            },
        ),
        dies(
            "death::a_fault_in_native_code_that_a_guest_calls_ends_the_process_by_a_signal",
            || {
                let text = "using Polyhost; using System.Runtime.InteropServices;\n\
                    static class Guest { [DllImport(\"libc\")] static extern nint strlen(nint text);\n\
                    [Export(\"fault\")] static byte[] Fault(byte[] input) => [(byte)strlen(0)]; }";
                let _ = call(&*source(text), "fault", b"");
            },
            |exit| assert_eq!(Some(libc::SIGSEGV), exit.signal(), "{exit}"),
        ),
        // Through native code; .NET 10 asks about exceptions that leave a thread, and about these it does not.
        dies(
            "death::an_exception_that_leaves_a_callback_of_the_guests_own_aborts_and_is_printed",
            || {
                let text = "using Polyhost; using System.Runtime.InteropServices;\n\
                    static unsafe class Guest {\n\
                    [DllImport(\"libc\")] static extern void qsort(void* items, nint count, nint size, delegate* unmanaged<void*, void*, int> compare);\n\
                    [UnmanagedCallersOnly] static int Compare(void* one, void* two) => throw new InvalidOperationException(\"thrown in a callback\");\n\
                    [Export(\"call\")] static byte[] Call(byte[] input) {\n\
                    try { fixed (void* items = input) qsort(items, input.Length, 1, &Compare); } catch { } return input; } }";
                let _ = call(&*source(text), "call", b"ab");
                println!("the process lives");
            },
            |exit| {
                assert_eq!(Some(libc::SIGABRT), exit.signal(), "{exit}");
                assert!(exit.stderr().contains("thrown in a callback"), "{exit}");
            },
        ),
        dies(
            "death::an_exception_on_a_guests_own_thread_is_logged_from_dotnet_10_on",
            || {
                let runtime = start();
                println!("{}", runtime.info().version);
                let (sender, lines) = std::sync::mpsc::channel();
                let log = LogSink::new(move |record| {
                    // Lines after the test's end have nobody to read them.
                    let _ = sender.send(record.message.to_owned());
                });
                let module = runtime.load(&ModuleSource::Path(guest()), &LoadOptions::new().log(log)).expect("loads");
                misbehave(&*module, Deed::ThrowOnThread).expect("it is thrown elsewhere");
                let line = lines.iter().find(|line| line.contains("thrown on a thread")).expect("a line");
                assert!(line.contains("InvalidOperationException"), "{line}");
                let mut output = polyhost_bridge::Output::new();
                let echo = module.function("raw/Echo").expect("is exported");
                echo.call(&CallContext::none(), b"hi", &mut output).expect("the process lives");
            },
            |exit| {
                let major = exit.stdout().split('.').next().and_then(|it| it.trim().parse().ok());
                if major.is_some_and(|major: u32| major >= 10) {
                    assert!(exit.0.status.success(), "{exit}");
                } else {
                    assert_eq!(Some(libc::SIGABRT), exit.signal(), "{exit}");
                    assert!(exit.stderr().contains("thrown on a thread"), "{exit}");
                }
            },
        ),
    ]
}

fn source(text: &str) -> Arc<dyn Module> {
    let source = ModuleSource::Text { name: "guest.cs".into(), text: text.into() };
    start().load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"))
}
