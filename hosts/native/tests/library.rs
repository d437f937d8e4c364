//! Shared libraries through the trait: the samples, and files that are no guest.

mod build;

use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use polyhost_bridge::{
    CallContext, CancelToken, Code, Error, ErrorKind, Export, LoadOptions, LogLevel, LogSink, Module, ModuleSource,
    Output, Runtime, Services, UnloadVerdict,
};
use polyhost_native::{Native, NativeConfig, function};

const C_SAMPLE: &str = include_str!("../samples/c/guest.c");
const HEADERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bridge/include");

/// A runtime that loads the libraries of these tests.
fn native() -> Arc<Native> {
    // SAFETY: only what these tests build is loaded, or what does not load.
    unsafe { Native::with_libraries() }
}

fn load(path: &Path, options: &LoadOptions) -> polyhost_bridge::Result<Arc<dyn Module>> {
    native().load(&ModuleSource::Path(path.to_owned()), options)
}

/// The sample in C, in a folder of the test's own.
fn c_sample(options: &LoadOptions) -> (tempfile::TempDir, Arc<dyn Module>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = build::c(folder.path(), "libguest.so", C_SAMPLE, HEADERS);
    let module = load(&path, options).expect("the sample loads");
    (folder, module)
}

fn call(module: &dyn Module, name: &str, cx: &CallContext, input: &[u8]) -> Result<String, Error> {
    let mut output = Output::new();
    module.function(name)?.call(cx, input, &mut output)?;
    Ok(String::from_utf8(output.into_vec()).expect("the sample replies with text"))
}

fn check_load_error(path: &Path, expected: &[&str]) {
    let error = load(path, &LoadOptions::new()).expect_err("it does not load");
    assert_eq!(ErrorKind::Load, error.kind(), "{error}");
    let (line, file) = (error.to_string(), path.file_name().expect("a file").to_string_lossy().into_owned());
    for part in expected.iter().copied().chain([&*file]) {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
}

#[test]
fn a_guest_in_c_does_all_the_abi_has() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let write = lines.clone();
    let log = LogSink::new(move |record| {
        let line = (record.module.to_owned(), record.level, record.target.to_owned(), record.message.to_owned());
        write.lock().expect("no panic").push(line);
    });
    let mut services = Services::new();
    services.add(function(Export::bytes("host/Echo"), |_cx, input, output| output.write(input))).expect("one");
    let (_folder, module) = c_sample(&LoadOptions::new().name("sample").log(log).services(services));
    let cx = CallContext::none().with_metadata("a", "1").with_metadata("b", "2");

    assert_eq!("hello", call(&*module, "raw/Echo", &cx, b"hello").expect("echoes"));
    assert_eq!("hihi", call(&*module, "raw/Service", &cx, b"hi").expect("calls"));
    assert_eq!("a=1\nb=2\n", call(&*module, "raw/Metadata", &cx, b"").expect("lists"));
    assert_eq!(i64::MAX.to_string(), call(&*module, "raw/Remaining", &cx, b"").expect("tells"));
    call(&*module, "raw/Log", &cx, b"a line").expect("logs");
    let expected = ("sample".to_owned(), LogLevel::Warn, "c".to_owned(), "a line".to_owned());
    assert_eq!(vec![expected], *lines.lock().expect("no panic"));

    let error = call(&*module, "raw/Fail", &cx, b"\x07not yours").expect_err("fails");
    assert_eq!((ErrorKind::Guest, Code::PermissionDenied), (error.kind(), error.code()));
    assert_eq!("not yours", error.guest().expect("from the guest").message);
    assert_eq!(Some("call raw/Fail"), error.operation_name());
}

#[test]
fn a_guests_status_and_limit_become_errors() {
    let (_folder, module) = c_sample(&LoadOptions::new());
    let none = CallContext::none();
    let error = call(&*module, "raw/Fail", &none, &[99]).expect_err("no status");
    assert_eq!(ErrorKind::Internal, error.kind());
    assert!(error.to_string().contains("99"), "{error}");

    let mut output = Output::with_limit(8);
    output.write(b"kept").expect("room");
    let echo = module.function("raw/Echo").expect("there");
    let error = echo.call(&none, b"too long", &mut output).expect_err("over the limit");
    assert_eq!(ErrorKind::Exhausted, error.kind());
    assert_eq!(b"kept", output.as_slice());
}

#[test]
fn a_service_failure_passes_through_a_guest_in_c() {
    let mut services = Services::new();
    let export = Export::bytes("host/Echo");
    services.add(function(export, |_, _, _| Err(Error::status(Code::DataLoss, "gone")))).expect("one");
    let (_folder, module) = c_sample(&LoadOptions::new().services(services));
    let error = call(&*module, "raw/Service", &CallContext::none(), b"").expect_err("the service fails");
    assert_eq!(Code::DataLoss, error.code());
    assert_eq!("gone", error.chain().last().and_then(Error::guest).expect("the service's own").message);

    let (_folder, module) = c_sample(&LoadOptions::new());
    let error = call(&*module, "raw/Service", &CallContext::none(), b"").expect_err("there is no service");
    assert_eq!(Code::NotFound, error.code());
    assert!(error.to_string().contains("without any"), "{error}");
}

#[test]
fn a_waiting_guest_is_told_of_its_cancellation() {
    let (_folder, module) = c_sample(&LoadOptions::new());
    let cx = CallContext::none().with_deadline(Instant::now() + Duration::from_millis(5));
    let error = call(&*module, "raw/WaitForCancel", &cx, b"").expect_err("out of time");
    assert_eq!(ErrorKind::DeadlineExceeded, error.kind());
    // It hands on what `cancelled` has told it, and nothing else.
    assert_eq!("the deadline has passed", error.message());

    let (token, timer) = (CancelToken::new(), CancelToken::with_deadline(Instant::now() + Duration::from_millis(5)));
    let cx = CallContext::none().with_cancel(&token);
    let _subscription = timer.on_cancel(move |_| token.cancel());
    let error = call(&*module, "raw/WaitForCancel", &cx, b"").expect_err("cancelled");
    assert_eq!((ErrorKind::Cancelled, "the call was cancelled"), (error.kind(), error.message()));

    let error = call(&*module, "raw/WaitForCancel", &CallContext::none(), b"").expect_err("would wait for ever");
    assert_eq!(Code::FailedPrecondition, error.code());
}

#[test]
fn each_load_has_a_state_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = build::c(folder.path(), "libguest.so", C_SAMPLE, HEADERS);
    let one = load(&path, &LoadOptions::new()).expect("loads");
    let two = load(&path, &LoadOptions::new()).expect("loads again");
    let count = |module: &Arc<dyn Module>| call(&**module, "raw/Count", &CallContext::none(), b"").expect("counts");
    assert_eq!(["1", "2", "1"], [count(&one), count(&one), count(&two)].each_ref().map(String::as_str));
}

#[test]
fn a_file_that_was_replaced_is_loaded_beside_the_old_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = build::c(folder.path(), "libguest.so", C_SAMPLE, HEADERS);
    let old = load(&path, &LoadOptions::new()).expect("loads");
    for (i, doc) in ["second", "third"].into_iter().enumerate() {
        let newer = C_SAMPLE.replace("\"%d\"", &format!("\"{doc} %d\""));
        let built = build::c(folder.path(), &format!("new{i}.so"), &newer, HEADERS);
        std::fs::rename(built, &path).expect("replaces");
        let new = load(&path, &LoadOptions::new()).expect("loads");
        let count = call(&*new, "raw/Count", &CallContext::none(), b"").expect("counts");
        assert_eq!(format!("{doc} 1"), count);
    }
    assert_eq!("1", call(&*old, "raw/Count", &CallContext::none(), b"").expect("counts as ever"));
}

#[test]
fn a_file_that_is_written_into_changes_what_runs() {
    // What `allow_libraries` has its caller rule out. Here nobody runs the library's code meanwhile.
    let (folder, module) = c_sample(&LoadOptions::new());
    let fails = || call(&*module, "raw/Fail", &CallContext::none(), b"").expect_err("wants a status").to_string();
    assert!(fails().contains("no status given"), "{}", fails());
    let next = C_SAMPLE.replace("no status given", "no STATUS GIVEN");
    let other = tempfile::tempdir().expect("a folder");
    let next = build::c(other.path(), "libguest.so", &next, HEADERS);
    let next = std::fs::read(next).expect("is built");
    // A file that is cut short first, as cp does, loses its relocations too: then the process ends.
    let file = folder.path().join("libguest.so");
    assert_eq!(next.len() as u64, file.metadata().expect("is there").len());
    let mut file = std::fs::OpenOptions::new().write(true).open(file).expect("is there");
    file.write_all(&next).expect("is written into");
    assert!(fails().contains("no STATUS GIVEN"), "{}", fails());
}

#[test]
fn an_unload_waits_for_the_calls_inside() {
    let (inside, is_inside) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let mut services = Services::new();
    let wait = function(Export::bytes("host/Echo"), move |_, _, _| {
        inside.send(()).expect("the test waits");
        let _ = gone.lock().expect("no panic").recv();
        Ok(())
    });
    services.add(wait).expect("one");
    let (_folder, module) = c_sample(&LoadOptions::new().services(services));
    let service = module.function("raw/Service").expect("there");
    let thread = std::thread::spawn(move || service.call(&CallContext::none(), b"", &mut Output::new()));
    is_inside.recv().expect("it gets there");
    assert_eq!(
        UnloadVerdict::StillAlive { what: vec!["1 call is still inside".into()] },
        module.unload(Duration::ZERO)
    );
    let error = module.function("raw/Echo").expect_err("closed");
    assert_eq!(ErrorKind::Closed, error.kind());
    drop(go);
    assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::MAX));
    thread.join().expect("no panic").expect("the call went on undisturbed");
    assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::ZERO));
}

#[test]
fn what_is_no_guest_is_one_clear_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    check_load_error(&at("missing.so"), &["no file"]);
    std::fs::create_dir(at("folder.so")).expect("a folder");
    check_load_error(&at("folder.so"), &["not a file"]);
    std::fs::write(at("text.so"), "text").expect("writes");
    check_load_error(&at("text.so"), &["not a shared library", "file too short"]);
    std::fs::write(at("long.so"), "text".repeat(1000)).expect("writes");
    check_load_error(&at("long.so"), &["not a shared library", "invalid ELF header"]);
    check_load_error(&build::c(folder.path(), "other.so", "int other;", HEADERS), &["polyhost_guest", "polyhost.h"]);
    let undefined = "void nowhere(void); void f(void) { nowhere(); }";
    check_load_error(&build::c(folder.path(), "undefined.so", undefined, HEADERS), &["undefined symbol: nowhere"]);
    let refuses = C_SAMPLE.replace("table->abi_major != POLYHOST_ABI_MAJOR", "1");
    let refuses = build::c(folder.path(), "refuses.so", &refuses, HEADERS);
    check_load_error(&refuses, &["refuses this host", "built for another major version"]);
    let incomplete = C_SAMPLE.replace("guest->call = call_export;", "");
    check_load_error(&build::c(folder.path(), "incomplete.so", &incomplete, HEADERS), &["no function `call`"]);
    let fails = C_SAMPLE.replace("place < MODULES ?", "0 ?");
    let fails = build::c(folder.path(), "fails.so", &fails, HEADERS);
    check_load_error(&fails, &["no place for another module"]);
    let endless = C_SAMPLE.replace("exports_len = EXPORTS", "exports_len = (size_t)-1");
    let endless = build::c(folder.path(), "endless.so", &endless, HEADERS);
    check_load_error(&endless, &["breaks the ABI", "18446744073709551615 exports"]);
    let twice = C_SAMPLE.replace("{\"raw/Echo\",", "{\"raw/Count\",");
    check_load_error(&build::c(folder.path(), "twice.so", &twice, HEADERS), &["raw/Count"]);
}

#[test]
fn another_version_of_the_abi_is_refused_and_both_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for (field, value, said) in [("major", "2", "2.1"), ("major", "0", "0.1"), ("minor", "2", "1.2")] {
        let set = format!("guest->abi_{field} = POLYHOST_ABI_{};", field.to_uppercase());
        let source = C_SAMPLE.replace(&set, &format!("guest->abi_{field} = {value};"));
        assert_ne!(C_SAMPLE, source, "the sample sets abi_{field}");
        let path = build::c(folder.path(), &format!("{field}{value}.so"), &source, HEADERS);
        check_load_error(&path, &[&format!("version {said} "), "this host 1.1"]);
    }
}

#[test]
fn a_guest_built_against_the_first_header_loads() {
    let first = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/abi/v1_0");
    let folder = tempfile::tempdir().expect("a folder");
    let path = build::c(folder.path(), "libguest.so", include_str!("abi/v1_0/guest.c"), first);
    let module = load(&path, &LoadOptions::new()).expect("loads");
    assert_eq!("hello", call(&*module, "raw/Echo", &CallContext::none(), b"hello").expect("echoes"));
    let error = call(&*module, "raw/Fail", &CallContext::none(), b"\x05nowhere").expect_err("fails");
    assert_eq!((Code::NotFound, "nowhere"), (error.code(), error.message().trim_start_matches("NOT_FOUND: ")));
}

#[test]
fn libraries_are_refused_unless_the_program_allows_them() {
    let (_folder, _module) = c_sample(&LoadOptions::new());
    let source = ModuleSource::Path(_folder.path().join("libguest.so"));
    for native in [Native::new(), Native::start(NativeConfig::new())] {
        let error = native.load(&source, &LoadOptions::new()).expect_err("not allowed");
        assert_eq!(ErrorKind::Unsupported, error.kind());
        assert!(error.to_string().contains("allow_libraries"), "{error}");
    }
}

#[test]
fn a_library_is_told_of_the_end_after_its_last_call_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    // It ends the process when it is told within a call, or called or closed after that.
    let checked = "static atomic_int inside, told;\n\
        static void tell(void) { if (inside) abort(); told = 1; }\n\
        static PolyhostStatus checked_call(uint64_t f, PolyhostCall *c, const uint8_t *i, size_t n, PolyhostOutput *o) {\n\
            if (told) abort();\n\
            inside++; PolyhostStatus s = call_export(f, c, i, n, o); inside--; return s; }\n\
        static PolyhostStatus checked_close(PolyhostCall *c, uint64_t m, PolyhostOutput *held) {\n\
            if (inside || told) abort();\n\
            return close_module(c, m, held); }\n\
        PolyhostStatus polyhost_guest(";
    let source = C_SAMPLE
        .replace("PolyhostStatus polyhost_guest(", checked)
        .replace("= call_export;", "= checked_call;")
        .replace("= close_module;", "= checked_close;")
        .replace("guest->cancel = cancel;", "guest->shutdown = tell;");
    let path = ModuleSource::Path(build::c(folder.path(), "checked.so", &source, HEADERS));
    let native = native();
    let late: Arc<Mutex<Option<Arc<dyn Module>>>> = Arc::default();
    let (of_service, module) = (native.clone(), late.clone());
    let mut services = Services::new();
    let end = function(Export::bytes("host/Echo"), move |_, _, _| {
        let module = module.lock().expect("no panic").take();
        if let Some(module) = module {
            let verdict = module.unload(Duration::MAX);
            assert!(matches!(verdict, UnloadVerdict::StillAlive { .. }), "{verdict:?}");
        }
        let error = of_service.shutdown(Duration::MAX).expect_err("a call is inside");
        assert_eq!(ErrorKind::DeadlineExceeded, error.kind());
        Ok(())
    });
    services.add(end).expect("one");
    let module = native.load(&path, &LoadOptions::new().services(services)).expect("loads");
    let service = module.function("raw/Service").expect("there");
    *late.lock().expect("no panic") = Some(module);
    service.call(&CallContext::none(), b"", &mut Output::new()).expect("is left what it stands on");
    // Its module is gone, and the function keeps it open.
    native.shutdown(Duration::MAX).expect("nobody is inside");
    let error = service.call(&CallContext::none(), b"", &mut Output::new()).expect_err("is shut down");
    assert_eq!(ErrorKind::Closed, error.kind());
}

#[test]
fn a_function_whose_module_was_dropped_is_shut_down_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = build::c(folder.path(), "libguest.so", C_SAMPLE, HEADERS);
    let native = native();
    let module = native.load(&ModuleSource::Path(path), &LoadOptions::new()).expect("loads");
    let echo = module.function("raw/Echo").expect("there");
    drop(module);
    echo.call(&CallContext::none(), b"x", &mut Output::new()).expect("keeps it open");
    native.shutdown(Duration::MAX).expect("nobody is inside");
    let error = echo.call(&CallContext::none(), b"x", &mut Output::new()).expect_err("is shut down");
    assert_eq!(ErrorKind::Closed, error.kind());
}

#[test]
fn the_last_runtime_that_shuts_down_tells_the_library() {
    let folder = tempfile::tempdir().expect("a folder");
    // What it does then can be seen from outside: it removes a file.
    let mark = folder.path().join("mark");
    std::fs::write(&mark, "").expect("writes");
    let tells = format!("static void tell(void) {{ remove(\"{}\"); }}\nPolyhostStatus polyhost_guest(", mark.display());
    let source = C_SAMPLE
        .replace("PolyhostStatus polyhost_guest(", &tells)
        .replace("guest->cancel = cancel;", "guest->shutdown = tell;");
    let path = ModuleSource::Path(build::c(folder.path(), "tells.so", &source, HEADERS));
    let (one, two) = (native(), native());
    let module = one.load(&path, &LoadOptions::new()).expect("loads");
    two.load(&path, &LoadOptions::new()).expect("loads");
    one.shutdown(Duration::MAX).expect("nobody inside");
    one.shutdown(Duration::MAX).expect("again");
    assert!(mark.exists(), "the other runtime may still call");
    assert_eq!(ErrorKind::Closed, module.function("raw/Echo").expect_err("shut down").kind());
    two.shutdown(Duration::MAX).expect("nobody inside");
    assert!(!mark.exists());
    let error = native().load(&path, &LoadOptions::new()).expect_err("of no more use");
    assert_eq!(ErrorKind::Closed, error.kind());
}
