//! Exports, their types, and finding them.

use polyhost_bridge::{ErrorKind, Export, Module};
use prost_reflect::DescriptorPool;

use super::{ADD, CALL_SERVICE, CONTEXT, ECHO, ECHO_ASYNC, FAIL, GROW, LOG, MISBEHAVE, RAW_ECHO, RECURSE, SPIN};
use super::{expect_kind, expect_says};
use crate::case::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("resolve::lists_every_export_of_the_guest_sorted_by_name").once().run(|cx| {
            let module = cx.module();
            let names: Vec<_> = module.exports().iter().map(Export::name).collect();
            assert!(names.is_sorted(), "not sorted: {names:?}");
            let expected = [
                ADD.name(),
                CALL_SERVICE.name(),
                CONTEXT.name(),
                ECHO.name(),
                ECHO_ASYNC.name(),
                FAIL.name(),
                GROW.name(),
                LOG.name(),
                MISBEHAVE.name(),
                RECURSE.name(),
                SPIN.name(),
                RAW_ECHO,
            ];
            let missing: Vec<_> = expected.into_iter().filter(|name| !names.contains(name)).collect();
            assert!(missing.is_empty(), "missing: {missing:?}; there are: {names:?}");
        }),
        case("resolve::tells_the_types_of_messages_and_of_raw_bytes").once().run(|cx| {
            let module = cx.module();
            let types = |name: &str| {
                let export = module.exports().iter().find(|export| export.name() == name).expect("is listed");
                (export.input_type().map(str::to_owned), export.output_type().map(str::to_owned))
            };
            assert_eq!((None, None), types(RAW_ECHO));
            let message = |name: &str| Some(format!("conformance.v1.{name}"));
            assert_eq!((message("AddRequest"), message("AddReply")), types(ADD.name()));
            assert_eq!((message("Nothing"), message("ContextReply")), types(CONTEXT.name()));
        }),
        case("resolve::carries_the_descriptors_of_every_type").once().run(|cx| {
            let module = cx.module();
            let bytes = module.descriptors().expect("its exports name messages");
            // Dependencies first and all of them there: else this fails.
            let pool = DescriptorPool::decode(bytes).unwrap_or_else(|error| panic!("no FileDescriptorSet: {error}"));
            for export in module.exports() {
                for name in [export.input_type(), export.output_type()].into_iter().flatten() {
                    assert!(pool.get_message_by_name(name).is_some(), "no descriptor of {name}");
                }
            }
            let all_types = pool.get_message_by_name("conformance.v1.AllTypes").expect("is one of them");
            let (ours, theirs) = (crate::golden::descriptor(), all_types);
            assert_eq!(ours.fields().len(), theirs.fields().len(), "AllTypes has other fields");
        }),
        case("resolve::gives_the_export_of_a_function").once().run(|cx| {
            let module = cx.module();
            for export in module.exports() {
                assert_eq!(export, module.function(export.name()).expect("is listed").export());
            }
        }),
        case("resolve::lists_what_there_is_when_an_export_is_missing").once().run(|cx| {
            let module = cx.module();
            let check = |module: &dyn Module, name: &str| {
                let error = module.function(name).expect_err("is missing");
                expect_kind(ErrorKind::NotFound, &error);
                expect_says(&error, RAW_ECHO);
            };
            check(&*module, "no.such/Export");
            check(&*module, "");
            check(&*module, "raw/echo");
            check(&*module, "raw/Echo\0");
        }),
        case("resolve::compares_the_types_of_a_method").once().run(|cx| {
            let module = cx.module();
            ADD.checked_of(&*module).expect("are the same");
            let wrong: polyhost_bridge::Method<
                polyhost_proto::conformance::v1::GrowRequest,
                polyhost_proto::conformance::v1::AddReply,
            > = polyhost_bridge::Method::new(ADD.name());
            expect_kind(ErrorKind::Config, &wrong.checked_of(&*module).expect_err("differ"));
        }),
    ]
}
