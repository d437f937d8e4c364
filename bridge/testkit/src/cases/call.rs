//! Calls that go well, and what state they leave.

use polyhost_bridge::{CallContext, ErrorKind, Output};
use polyhost_proto::conformance::v1::{AddRequest, AllTypes};

use super::{ADD, ECHO, ECHO_ASYNC, RAW_ECHO, expect_kind, function};
use crate::case::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("call::returns_the_bytes_of_the_guest").run(|cx| {
            let echo = function(&*cx.module(), RAW_ECHO);
            let none = CallContext::none();
            let every: Vec<u8> = (0..=255).collect();
            for input in [&b""[..], b"x", b"\0", &every, &every.repeat(4096)] {
                let reply = cx.call(&echo, &none, input).unwrap_or_else(|error| panic!("{error:?}"));
                assert!(input == reply, "{} bytes came back as {}", input.len(), reply.len());
            }
        }),
        case("call::carries_eight_mebibytes_both_ways").run(|cx| {
            let echo = function(&*cx.module(), RAW_ECHO);
            let input: Vec<u8> = (0..8 << 20).map(|i: u32| (i % 251) as u8).collect();
            assert!(input == cx.call(&echo, &CallContext::none(), &input).expect("echoes"), "came back otherwise");
        }),
        case("call::returns_the_message_of_the_guest").run(|cx| {
            let request = AllTypes { f_string: "hi".into(), f_int64: i64::MIN, ..AllTypes::default() };
            assert_eq!(request, cx.invoke(&*cx.module(), ECHO, &request).expect("echoes"));
        }),
        case("call::awaits_an_export_that_suspends").run(|cx| {
            let request = AllTypes { f_string: "hi".into(), ..AllTypes::default() };
            let module = cx.module();
            for _ in 0..10 {
                assert_eq!(request, cx.invoke(&*module, ECHO_ASYNC, &request).expect("echoes"));
            }
        }),
        case("call::appends_to_what_the_output_holds").once().run(|cx| {
            let echo = function(&*cx.module(), RAW_ECHO);
            let mut output = Output::new();
            output.write(b"one ").expect("room");
            for input in ["two ", "three"] {
                echo.call(&CallContext::none(), input.as_bytes(), &mut output).expect("echoes");
            }
            assert_eq!(b"one two three", output.as_slice());
        }),
        case("call::keeps_the_state_of_the_module_between_calls").run(|cx| {
            let module = cx.module();
            let sums: Vec<_> =
                [1, 2, -10, i64::MAX].map(|n| cx.invoke(&*module, ADD, &AddRequest { n }).expect("adds").sum).into();
            assert_eq!(vec![1, 3, -7, i64::MAX - 7], sums);
        }),
        case("call::works_from_threads_that_come_and_go").run(|cx| {
            let add = function(&*cx.module(), ADD.name());
            for n in 1..=50 {
                let add = &add;
                let reply = std::thread::scope(|scope| {
                    scope.spawn(move || cx.call(add, &CallContext::none(), b"\x08\x01")).join().expect("no panic")
                });
                assert_eq!([8, n], *reply.expect("adds"));
            }
        }),
        case("call::refuses_input_that_is_not_the_message").run(|cx| {
            let module = cx.module();
            // A field of length 5 with nothing behind it; a varint without end; field number 0.
            for input in [&b"\x7a\x05"[..], b"\x08\xff", b"\x00\x00"] {
                for name in [ECHO.name(), ADD.name()] {
                    let outcome = cx.call(&function(&*module, name), &CallContext::none(), input);
                    let Err(error) = outcome else { panic!("{name} takes {input:?}") };
                    expect_kind(ErrorKind::Decode, &error);
                }
            }
            assert_eq!(1, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("no refused call got in").sum);
        }),
        case("call::goes_on_after_an_error").run(|cx| {
            let module = cx.module();
            let add = function(&*module, ADD.name());
            for n in 1..=20 {
                cx.call(&add, &CallContext::none(), b"\xff").expect_err("is no message");
                assert_eq!([8, n], *cx.call(&add, &CallContext::none(), b"\x08\x01").expect("adds"));
            }
        }),
    ]
}
