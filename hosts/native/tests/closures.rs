//! Rust closures through the trait.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use polyhost_bridge::{
    CallContext, Code, Error, ErrorKind, Export, LoadOptions, Method, Module, ModuleSource, Output, Runtime,
    UnloadVerdict,
};
use polyhost_native::{Native, NativeConfig, NativeModule, method};
use polyhost_proto::conformance::v1::{AddReply, AddRequest};

const ADD: Method<AddRequest, AddReply> = Method::new("conformance.v1.Conformance/Add");

fn native() -> Arc<Native> {
    Native::start(NativeConfig::new().module("adder", |module, _options| {
        let sum = AtomicI64::new(0);
        Ok(module.method(ADD, move |_cx, request| {
            Ok(AddReply { sum: sum.fetch_add(request.n, Ordering::Relaxed) + request.n })
        }))
    }))
}

fn adder(native: &Native) -> Arc<dyn Module> {
    native.load(&ModuleSource::Name("adder".into()), &LoadOptions::new()).expect("it is registered")
}

fn add(module: &dyn Module, n: i64) -> i64 {
    let add = ADD.checked_of(module).expect("the types are the same");
    add.call(&CallContext::none(), &AddRequest { n }).expect("adds").sum
}

#[test]
fn a_registered_module_has_state_of_its_own_at_each_load() {
    let native = native();
    let (one, two) = (adder(&native), adder(&native));
    assert_eq!([1, 3, 5], [add(&*one, 1), add(&*one, 2), add(&*two, 5)]);
    // As `native:adder` of a registry gives it.
    let by_path = native.load(&ModuleSource::Path("adder".into()), &LoadOptions::new()).expect("the same");
    assert_eq!(7, add(&*by_path, 7));
}

#[test]
fn what_is_not_registered_or_not_known_is_a_clear_error() {
    let native = native();
    let check = |source: ModuleSource, options: LoadOptions, kind, part: &str| {
        let error = native.load(&source, &options).expect_err("it does not load");
        assert_eq!(kind, error.kind(), "{error}");
        assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
    };
    let adder = || ModuleSource::Name("adder".into());
    check(ModuleSource::Name("other".into()), LoadOptions::new(), ErrorKind::Load, "there are: adder");
    check(adder(), LoadOptions::new().option("colour", "red"), ErrorKind::Config, "colour");
    check(adder(), LoadOptions::new().instances(2), ErrorKind::Unsupported, "not 2");
    check(adder(), LoadOptions::new().instances(0), ErrorKind::Config, "not 0");
    let text = ModuleSource::Text { name: "a.rs".into(), text: "fn main() {}".into() };
    check(text, LoadOptions::new(), ErrorKind::Unsupported, "source text");
    native.shutdown(Duration::MAX).expect("nobody is inside");
    check(adder(), LoadOptions::new(), ErrorKind::Closed, "shut down");
}

#[test]
fn two_exports_of_one_name_are_refused() {
    let builder = NativeModule::builder("twice");
    let echo = |_cx: &CallContext, input: &[u8], output: &mut Output| output.write(input);
    let error = builder.export(Export::bytes("a"), echo).export(Export::bytes("a"), echo).build().expect_err("twice");
    assert_eq!("two exports have the name a; give one of them another (module: twice)", error.to_string());
}

#[test]
fn a_panic_is_an_error_and_what_was_written_is_taken_back() {
    let module = NativeModule::builder("panics").export(Export::bytes("panic"), |_cx, input, output| {
        output.write(input)?;
        panic!("on purpose: {}", input.len());
    });
    let function = module.build().expect("one export").function("panic").expect("there");
    let mut output = Output::new();
    output.write(b"kept").expect("room");
    let error = function.call(&CallContext::none(), b"gone", &mut output).expect_err("it panics");
    assert_eq!((ErrorKind::Internal, Code::Internal), (error.kind(), error.code()));
    assert_eq!("call panic: host code panicked: on purpose: 4", error.to_string());
    assert_eq!(b"kept", output.as_slice());
}

#[test]
fn an_undecodable_request_names_the_message() {
    let add = method(ADD, |_cx, request| Ok(AddReply { sum: request.n }));
    let error = add.call(&CallContext::none(), &[0xff], &mut Output::new()).expect_err("no varint");
    assert_eq!(ErrorKind::Decode, error.kind());
    assert!(error.to_string().contains("conformance.v1.AddRequest"), "{error}");
}

#[test]
fn a_closure_that_gives_up_in_time_has_the_kind_of_its_cancellation() {
    let token = polyhost_bridge::CancelToken::new();
    let gives_up = {
        let token = token.clone();
        polyhost_native::function(Export::bytes("f"), move |_cx, _input, _output| {
            token.cancel();
            Err(Error::status(Code::Cancelled, "gave up"))
        })
    };
    let cx = CallContext::none().with_cancel(&token);
    let error = gives_up.call(&cx, b"", &mut Output::new()).expect_err("gives up");
    assert_eq!(ErrorKind::Cancelled, error.kind());
    assert_eq!("gave up", error.guest().expect("its own words").message);
}

#[test]
fn an_unload_says_who_holds_the_closures() {
    let module = adder(&native());
    let held = module.function(ADD.name()).expect("there");
    let what = vec!["functions of it are held: 1".to_owned()];
    assert_eq!(UnloadVerdict::StillAlive { what }, module.unload(Duration::MAX));
    let error = held.call(&CallContext::none(), b"", &mut Output::new()).expect_err("unloaded");
    assert_eq!(ErrorKind::Closed, error.kind());
    drop(held);
    assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::MAX));
}
