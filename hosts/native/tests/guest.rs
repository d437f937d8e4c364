//! Rust modules as shared libraries, by `guest!`: what a closure in a library sees is what one in the program does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use polyhost_bridge::{
    CallContext, CancelToken, Code, Error, ErrorKind, Export, LoadOptions, LogSink, Method, Module, ModuleSource,
    Output, Runtime, Services, UnloadVerdict,
};
use polyhost_native::{Native, function};
use polyhost_proto::conformance::v1::{AddReply, AddRequest};

const ADD: Method<AddRequest, AddReply> = Method::new("conformance.v1.Conformance/Add");

/// `samples/library.rs`, built as its author would.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "polyhost-native", "--example", "library"]);
        let built = build.args(["--message-format", "json"]).stderr(Stdio::inherit()).output().expect("cargo starts");
        assert!(built.status.success(), "the library does not build");
        let text = String::from_utf8(built.stdout).expect("text");
        let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let files = messages.filter(|it| it["target"]["name"] == "library").map(|it| it["filenames"][0].clone());
        files.filter_map(|it| it.as_str().map(PathBuf::from)).next_back().expect("cargo names the file")
    })
}

fn load(options: &LoadOptions) -> Arc<dyn Module> {
    // SAFETY: only the sample is loaded, which `guest!` makes.
    let native = unsafe { Native::with_libraries() };
    native.load(&ModuleSource::Path(library().to_owned()), options).expect("the sample loads")
}

fn call(module: &dyn Module, name: &str, cx: &CallContext, input: &[u8]) -> Result<String, Error> {
    let mut output = Output::new();
    module.function(name)?.call(cx, input, &mut output)?;
    Ok(String::from_utf8(output.into_vec()).expect("the sample replies with text"))
}

#[test]
fn messages_bytes_and_their_descriptions_cross() {
    let module = load(&LoadOptions::new());
    assert_eq!("hi", call(&*module, "raw/Echo", &CallContext::none(), b"hi").expect("echoes"));
    let exports = module.exports();
    let echo = exports.iter().find(|export| export.name() == "raw/Echo").expect("there");
    assert_eq!("Returns its input.", echo.doc());
    let add = ADD.checked_of(&*module).expect("its types are told");
    for (n, sum) in [(2, 2), (5, 7)] {
        assert_eq!(sum, add.call(&CallContext::none(), &AddRequest { n }).expect("adds").sum);
    }
    // Another load has state of its own.
    let other = load(&LoadOptions::new());
    let other = ADD.of(&*other).expect("there");
    assert_eq!(1, other.call(&CallContext::none(), &AddRequest { n: 1 }).expect("adds").sum);
    assert_eq!(Some(polyhost_proto::DESCRIPTORS), module.descriptors());
}

#[test]
fn failures_and_panics_are_errors_of_the_call() {
    let module = load(&LoadOptions::new());
    let fail = |input: &[u8]| call(&*module, "raw/Fail", &CallContext::none(), input).expect_err("fails");
    let error = fail(b"no");
    assert_eq!((Code::Aborted, "call raw/Fail: ABORTED: no"), (error.code(), &*error.to_string()));
    let error = fail(b"panic");
    assert_eq!(ErrorKind::Internal, error.kind());
    assert!(error.to_string().contains("panicked: as told"), "{error}");
    let garbage = call(&*module, ADD.name(), &CallContext::none(), b"garbage").expect_err("no message");
    assert_eq!(ErrorKind::Decode, garbage.kind());
}

#[test]
fn a_reply_is_limited_by_its_host() {
    let module = load(&LoadOptions::new());
    let echo = module.function("raw/Echo").expect("there");
    let mut output = Output::with_limit(10);
    output.write(b"123").expect("room");
    let error = echo.call(&CallContext::none(), b"12345678", &mut output).expect_err("over the limit");
    assert_eq!((ErrorKind::Exhausted, &b"123"[..]), (error.kind(), output.as_slice()));
    echo.call(&CallContext::none(), b"4567890", &mut output).expect("exactly the limit");
    assert_eq!(b"1234567890", output.as_slice());
}

#[test]
fn metadata_deadline_and_log_are_those_of_the_call() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let write = lines.clone();
    let log = LogSink::new(move |record| {
        write.lock().expect("no panic").push(format!("{:?} {}: {}", record.level, record.target, record.message));
    });
    let module = load(&LoadOptions::new().log(log));
    let cx = CallContext::none().with_metadata("a", "1").with_metadata("a", "2");
    assert_eq!(r#"[("a", "1"), ("a", "2")] false"#, call(&*module, "raw/Context", &cx, b"").expect("replies"));
    let cx = CallContext::none().with_timeout(Duration::from_secs(3600));
    assert_eq!("[] true", call(&*module, "raw/Context", &cx, b"").expect("replies"));
    call(&*module, "raw/Log", &CallContext::none(), b"a line").expect("logs");
    assert_eq!(["Warn sample: a line"], lines.lock().expect("no panic")[..]);
}

#[test]
fn a_call_is_told_to_stop() {
    let module = load(&LoadOptions::new());
    let spin = |cx: &CallContext| call(&*module, "raw/Spin", cx, b"").expect_err("it was stopped").kind();
    let late = CallContext::none().with_timeout(Duration::from_millis(20));
    assert_eq!(ErrorKind::DeadlineExceeded, spin(&late));
    let token = CancelToken::new();
    let cx = CallContext::none().with_cancel(&token);
    std::thread::scope(|scope| {
        let spinning = scope.spawn(|| spin(&cx));
        token.cancel();
        assert_eq!(ErrorKind::Cancelled, spinning.join().expect("no panic"));
    });
    // Once for each call: the next one is not stopped.
    assert_eq!("hi", call(&*module, "raw/Echo", &CallContext::none(), b"hi").expect("echoes"));
}

#[test]
fn a_library_calls_services_of_its_host_and_itself() {
    let mut services = Services::new();
    let up = function(Export::bytes("up"), |cx, input, output| {
        output.write(&[cx.metadata_value("a").unwrap_or_default().as_bytes(), input].concat())
    });
    services.add(up).expect("the first of its name");
    let down = function(Export::bytes("down"), |_, _, _| Err(Error::status(Code::DataLoss, "the disk is full")));
    services.add(down).expect("the first of its name");
    let inner = load(&LoadOptions::new().services(services.clone()));
    services.add_as("raw/Echo", inner.function("raw/Echo").expect("there")).expect("the first of its name");
    let module = load(&LoadOptions::new().services(services));
    let cx = CallContext::none().with_metadata("a", "1");
    let service = |name: &str| call(&*module, "raw/Service", &cx, name.as_bytes());
    assert_eq!("1up", service("up").expect("replies"));
    assert_eq!("raw/Echo", service("raw/Echo").expect("replies, from the same library"));
    let error = service("down").expect_err("it fails");
    assert!(error.to_string().contains("DATA_LOSS: the disk is full"), "{error}");
    let error = service("missing").expect_err("there is none");
    assert!(error.to_string().contains("no host service missing"), "{error}");
    let error = polyhost_native::guest::service("up").map(drop).expect_err("no library, no call");
    assert_eq!(ErrorKind::Config, error.kind());
}

#[test]
fn a_module_of_a_library_unloads() {
    let module = load(&LoadOptions::new());
    assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::ZERO));
    assert_eq!(ErrorKind::Closed, module.function("raw/Echo").map(drop).expect_err("unloaded").kind());
}
