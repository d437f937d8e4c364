//! Limits: of replies, memory and depth.

use polyhost_bridge::{CallContext, Capabilities, Code, ErrorKind, LoadOptions, Output};
use polyhost_proto::conformance::v1::{AddRequest, GrowRequest, RecurseRequest};
use prost::Message;

use super::{ADD, GROW, RAW_ECHO, RECURSE, expect_kind, expect_says, function};
use crate::case::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("limits::a_reply_over_the_limit_is_an_error_and_the_output_is_as_before").once().run(|cx| {
            let module = cx.module();
            let (echo, grow) = (function(&*module, RAW_ECHO), function(&*module, GROW.name()));
            let size = GrowRequest { size: 100_000 }.encode_to_vec();
            for (function, input) in [(&echo, &b"x".repeat(1000)), (&grow, &size)] {
                let mut output = Output::with_limit(100);
                output.write(b"kept").expect("room");
                let error = function.call(&CallContext::none(), input, &mut output).expect_err("is over the limit");
                expect_kind(ErrorKind::Exhausted, &error);
                assert_eq!(b"kept", output.as_slice());
            }
        }),
        case("limits::a_reply_may_be_as_long_as_the_limit_and_no_longer").once().run(|cx| {
            let echo = function(&*cx.module(), RAW_ECHO);
            for limit in [1, 64, 1000, 100_000] {
                let mut output = Output::with_limit(limit);
                echo.call(&CallContext::none(), &b"x".repeat(limit), &mut output).expect("fits");
                output.clear();
                let error =
                    echo.call(&CallContext::none(), &b"x".repeat(limit + 1), &mut output).expect_err("does not");
                expect_kind(ErrorKind::Exhausted, &error);
            }
        }),
        case("limits::the_error_of_a_long_reply_names_the_limit").once().run(|cx| {
            let echo = function(&*cx.module(), RAW_ECHO);
            let mut output = Output::with_limit(1234);
            let error =
                echo.call(&CallContext::none(), &b"x".repeat(5000), &mut output).expect_err("is over the limit");
            expect_says(&error, "1234");
        }),
        case("limits::memory_of_a_module_can_be_limited").needs(Capabilities::MEMORY_LIMIT).run(|cx| {
            let options = LoadOptions::new().option("memory_limit", (16 << 20).to_string());
            let module = cx.load(&options).unwrap_or_else(|error| panic!("{error:?}"));
            for sum in 1..=5 {
                let error = cx.invoke(&*module, GROW, &GrowRequest { size: 32 << 20 }).expect_err("is too much");
                assert_eq!(Code::ResourceExhausted, error.code(), "{error:?}");
                cx.invoke(&*module, GROW, &GrowRequest { size: 1 << 20 }).expect("is not");
                assert_eq!(sum, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
            }
        }),
        case("limits::a_hundred_levels_of_recursion_are_nothing_special").run(|cx| {
            let depth = cx.invoke(&*cx.module(), RECURSE, &RecurseRequest { depth: 100 }).expect("returns").depth;
            assert_eq!(100, depth);
        }),
        case("limits::endless_recursion_is_an_error_and_the_module_lives").needs(Capabilities::STACK_GUARD).run_alone(
            |cx| {
                let module = cx.module();
                for sum in 1..=3 {
                    let error = cx.invoke(&*module, RECURSE, &RecurseRequest { depth: 0 }).expect_err("has no end");
                    assert!(matches!(error.kind(), ErrorKind::Guest | ErrorKind::Exhausted), "{error:?}");
                    assert_eq!(sum, cx.invoke(&*module, ADD, &AddRequest { n: 1 }).expect("adds").sum);
                }
            },
        ),
        case("limits::endless_recursion_ends_the_process_and_nothing_else")
            .lacks(Capabilities::STACK_GUARD)
            .once()
            .child(|cx| {
                let _ = cx.invoke(&*cx.module(), RECURSE, &RecurseRequest { depth: 0 });
            })
            .run(|cx| {
                let exit = cx.child();
                assert!(exit.signal.is_some(), "it can't be survived, so no host may claim to have: {exit}");
            }),
    ]
}
