//! Loading modules, and sources that do not load.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use polyhost_bridge::{CallContext, Capabilities, ErrorKind, LoadOptions, ModuleSource};
use polyhost_proto::conformance::v1::AddRequest;

use super::{ADD, CALL_SERVICE, RAW_ECHO, expect_kind, expect_says, function, service_request};
use crate::case::{Case, case};
use crate::subject::service;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("load::gives_every_load_a_state_of_its_own").run(|cx| {
            let (one, two) = (cx.module(), cx.module());
            let add = |module, n| cx.invoke(module, ADD, &AddRequest { n }).expect("adds").sum;
            assert_eq!([1, 3, 10], [add(&*one, 1), add(&*one, 2), add(&*two, 10)]);
        }),
        case("load::gives_every_load_services_of_its_own").run(|cx| {
            let answers = |answer: &'static [u8]| service("who", move |_, _, output| output.write(answer));
            let (one, two) = (cx.module_with(answers(b"one")), cx.module_with(answers(b"two")));
            let ask = |module| cx.invoke(module, CALL_SERVICE, &service_request("who", b"")).expect("calls").output;
            assert_eq!([b"one", b"two"].map(|it| it.to_vec()), [ask(&*one), ask(&*two)]);
        }),
        case("load::takes_the_name_it_is_given").once().run(|cx| {
            let module = cx.load(&LoadOptions::new().name("given name")).expect("loads");
            assert_eq!("given name", module.name());
        }),
        case("load::makes_a_name_from_the_source").once().run(|cx| {
            let name = cx.module().name().to_owned();
            assert!(!name.is_empty(), "the name is empty");
        }),
        case("load::says_where_it_looked_for_a_missing_file").once().run(|cx| {
            // As the conformance guest, with the ending of its language.
            let missing = match &cx.subject().conformance {
                ModuleSource::Path(path) if path.parent().is_some_and(|it| it.exists()) => {
                    let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
                    path.with_file_name(format!("polyhost-missing.{ending}"))
                }
                _ => PathBuf::from("/nowhere/polyhost-missing.file"),
            };
            let shown = missing.display().to_string();
            let error = cx.runtime().load(&ModuleSource::Path(missing), &LoadOptions::new()).expect_err("is missing");
            // A host that takes no paths at all says that.
            if error.kind() != ErrorKind::Unsupported {
                expect_kind(ErrorKind::Load, &error);
                expect_says(&error, &shown);
            }
        }),
        case("load::refuses_bytes_that_are_no_module").once().run(|cx| {
            let bytes = b"\x00\x01no module".to_vec();
            let source = ModuleSource::Bytes { name: "noise.bin".into(), bytes };
            let error = cx.runtime().load(&source, &LoadOptions::new()).expect_err("is noise");
            assert!(matches!(error.kind(), ErrorKind::Load | ErrorKind::Unsupported), "{error:?}");
        }),
        case("load::refuses_an_unknown_option_by_name").once().run(|cx| {
            let error = cx.load(&LoadOptions::new().option("no_such_option", "1")).expect_err("is unknown");
            expect_kind(ErrorKind::Config, &error);
            expect_says(&error, "no_such_option");
        }),
        case("load::refuses_to_be_no_instance_at_all").once().run(|cx| {
            let error = cx.load(&LoadOptions::new().instances(0)).expect_err("is none");
            expect_kind(ErrorKind::Config, &error);
        }),
        case("load::refuses_instances_it_does_not_have").lacks(Capabilities::INSTANCES).once().run(|cx| {
            let error = cx.load(&LoadOptions::new().instances(2)).expect_err("has one");
            expect_kind(ErrorKind::Unsupported, &error);
        }),
        case("load::says_what_is_broken_and_where").once().run(|cx| {
            if cx.subject().broken.is_empty() {
                cx.skip("the subject brings no broken source");
            }
            for broken in &cx.subject().broken {
                let Err(error) = cx.runtime().load(&broken.source, &LoadOptions::new()) else {
                    panic!("{} loads", broken.what);
                };
                expect_kind(ErrorKind::Load, &error);
                broken.says.iter().for_each(|part| expect_says(&error, part));
            }
        }),
        case("load::works_after_a_load_that_failed").once().run(|cx| {
            for broken in &cx.subject().broken {
                assert!(cx.runtime().load(&broken.source, &LoadOptions::new()).is_err(), "{} loads", broken.what);
            }
            cx.load(&LoadOptions::new().option("no_such_option", "1")).expect_err("is unknown");
            let module = cx.module();
            let echo = function(&*module, RAW_ECHO);
            assert_eq!(b"hi", &*cx.call(&echo, &CallContext::none(), b"hi").expect("echoes"));
        }),
        case("load::takes_source_text").needs(Capabilities::SOURCE_TEXT).run(|cx| {
            let source = cx.subject().text.as_ref().expect("who claims source_text brings a text");
            let module = cx.runtime().load(source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
            let echo = function(&*module, RAW_ECHO);
            assert_eq!(b"hi", &*cx.call(&echo, &CallContext::none(), b"hi").expect("echoes"));
        }),
        case("load::refuses_source_text_it_cannot_take").lacks(Capabilities::SOURCE_TEXT).once().run(|cx| {
            let source = ModuleSource::Text { name: "a.txt".into(), text: "text".into() };
            let error = cx.runtime().load(&source, &LoadOptions::new()).expect_err("takes no text");
            expect_kind(ErrorKind::Unsupported, &error);
        }),
        case("load::is_refused_once_its_deadline_has_passed").once().run(|cx| {
            let error = cx.load(&LoadOptions::new().deadline(Instant::now())).expect_err("is too late");
            expect_kind(ErrorKind::DeadlineExceeded, &error);
            cx.load(&LoadOptions::new().deadline(Instant::now() + crate::PATIENCE)).expect("is in time");
        }),
        case("load::a_loop_is_stopped_by_its_deadline").needs(Capabilities::INTERRUPT).run(|cx| {
            let endless = cx.subject().endless.as_ref().expect("who claims interrupt brings a source without end");
            for _ in 0..3 {
                let deadline = Instant::now() + Duration::from_millis(20);
                let outcome = cx.runtime().load(endless, &LoadOptions::new().deadline(deadline));
                expect_kind(ErrorKind::DeadlineExceeded, &outcome.expect_err("never ends by itself"));
                assert_eq!(1, cx.invoke(&*cx.module(), ADD, &AddRequest { n: 1 }).expect("adds").sum);
            }
        }),
        case("load::can_be_done_by_many_threads_at_once").once().run(|cx| {
            std::thread::scope(|scope| {
                for n in 1..=8 {
                    scope.spawn(move || {
                        let module = cx.module();
                        assert_eq!(n, cx.invoke(&*module, ADD, &AddRequest { n }).expect("adds").sum);
                    });
                }
            });
        }),
    ]
}
