//! Loading and unloading modules, in one process.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{call, guest, load, start};
use polyhost_bridge::{
    CallContext, CancelReason, Error, ErrorKind, Function, LoadOptions, LogSink, ModuleSource, Output, Runtime,
    Services, UnloadVerdict,
};
use polyhost_testkit::{Meeting, service};
use tempfile::TempDir;

/// The runtime, or the end of the test with its reason.
macro_rules! runtime {
    () => {
        match common::reason_to_skip() {
            Some(reason) => return eprintln!("skipped: {reason}"),
            None => start(),
        }
    };
}

fn refuses(runtime: &dyn Runtime, source: &ModuleSource, kind: ErrorKind, says: &[&str]) -> Error {
    let error = runtime.load(source, &LoadOptions::new()).expect_err("it can't be loaded");
    let report = format!("{error:?}");
    assert_eq!(kind, error.kind(), "{report}");
    for part in says {
        assert!(report.contains(part), "{part:?} is not in: {report}");
    }
    assert_eq!(1, error.to_string().lines().count());
    error
}

fn refuses_file(content: impl AsRef<[u8]>, says: &str) {
    let Some(reason) = common::reason_to_skip() else {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("Some.dll");
        fs::write(&file, content).expect("written");
        refuses(&*start(), &ModuleSource::Path(file.clone()), ErrorKind::Load, &[&file.display().to_string(), says]);
        return;
    };
    eprintln!("skipped: {reason}");
}

fn image() -> Vec<u8> {
    fs::read(guest()).unwrap_or_default()
}

/// Where the PE header of the guest begins.
fn pe(image: &[u8]) -> usize {
    image.get(0x3c..0x40).map_or(0, |at| u32::from_le_bytes(at.try_into().expect("four")) as usize)
}

#[test]
fn a_missing_file_is_named_with_the_folder_it_was_looked_for_in() {
    let runtime = runtime!();
    let folder = std::env::current_dir().expect("a working folder");
    let says = ["no file no/such.dll", &folder.display().to_string()];
    refuses(&*runtime, &ModuleSource::Path("no/such.dll".into()), ErrorKind::Load, &says);
    refuses(&*runtime, &ModuleSource::Path("no/such.cs".into()), ErrorKind::Load, &["no file no/such.cs"]);
}

#[test]
fn a_folder_is_refused() {
    let runtime = runtime!();
    refuses(&*runtime, &ModuleSource::Path(std::env::temp_dir()), ErrorKind::Load, &["is a folder"]);
}

#[test]
fn files_that_are_no_assemblies_are_refused_with_what_they_are() {
    refuses_file("", "is empty");
    refuses_file("text", "no PE header");
    refuses_file("MZ", "cut short");
    refuses_file(b"\x7fELF\x02\x01\x01", "native code");
    refuses_file([0; 4096], "no PE header");
}

#[test]
fn an_assembly_that_is_cut_short_is_refused() {
    let image = image();
    for part in [image.len() / 2, image.len() * 9 / 10, 512, 200, 100, 64].map(|len| len.min(image.len())) {
        refuses_file(&image[..part], if part == 0 { "is empty" } else { "cut short" });
    }
}

#[test]
fn an_assembly_that_is_garbage_inside_is_refused() {
    let mut image = image();
    let at = image.len() / 3;
    let end = image.len() * 2 / 3;
    image.get_mut(at..end).unwrap_or_default().fill(0xa5);
    refuses_file(image, "Some.dll");
}

#[test]
fn an_assembly_for_another_processor_is_refused() {
    for (machine, says) in [(0xaa64_u16, "arm64"), (0x01c4, "arm"), (0x0200, "another processor (PE machine 0x0200)")] {
        let mut image = image();
        let at = pe(&image) + 4;
        if let Some(place) = image.get_mut(at..at + 2) {
            place.copy_from_slice(&machine.to_le_bytes());
            refuses_file(&image, says);
        }
    }
}

#[test]
fn native_windows_code_is_refused() {
    let mut image = image();
    // The data directory of the CLI header, in a PE32 optional header.
    let at = pe(&image) + 4 + 20 + 96 + 14 * 8;
    if let Some(place) = image.get_mut(at..at + 8) {
        place.fill(0);
        refuses_file(&image, "native Windows code");
    }
}

#[test]
fn a_self_contained_application_is_refused() {
    let runtime = runtime!();
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("App.dll");
    fs::copy(guest(), &file).expect("copied");
    let config = file.with_extension("runtimeconfig.json");
    fs::write(&config, r#"{"runtimeOptions":{"includedFrameworks":[{"name":"Microsoft.NETCore.App"}]}}"#)
        .expect("written");
    refuses(&*runtime, &ModuleSource::Path(file.clone()), ErrorKind::Load, &["self-contained"]);
    fs::write(&config, r#"{"runtimeOptions":{"framework":{"name":"Microsoft.NETCore.App","version":"99.0.0"}}}"#)
        .expect("written");
    refuses(
        &*runtime,
        &ModuleSource::Path(file),
        ErrorKind::Load,
        &["needs Microsoft.NETCore.App 99.0.0", "newer .NET"],
    );
}

#[test]
fn the_programs_that_start_an_assembly_are_refused() {
    let signature = b"\x8b\x12\x02\xb9\x6a\x61\x20\x38\x72\x7b\x93\x02\x14\xd7\xa0\x32\x13\xf5\xb9\xe6\xef\xae\x33\x18\xee\x3b\x2d\xce\x24\xb3\x6a\xae";
    let program =
        |offset: u64| [b"\x7fELF".as_slice(), &[1; 100], &offset.to_le_bytes(), signature, &[2; 100]].concat();
    refuses_file(program(0), "the .dll of the same name");
    refuses_file(program(12345), "single-file");
}

#[test]
fn names_unknown_options_and_instances_are_refused() {
    let runtime = runtime!();
    refuses(&*runtime, &ModuleSource::Name("System.Xml".into()), ErrorKind::Unsupported, &["not a name"]);
    let source = ModuleSource::Path(guest());
    let error = runtime.load(&source, &LoadOptions::new().option("speed", "high")).expect_err("no such option");
    assert!(error.to_string().contains("unknown option speed"), "{error}");
    let error = runtime.load(&source, &LoadOptions::new().instances(2)).expect_err("one is all");
    assert_eq!(ErrorKind::Unsupported, error.kind());
}

#[test]
fn an_assembly_of_bytes_takes_references_from_folders() {
    let runtime = runtime!();
    let source = ModuleSource::Bytes { name: "Conformance".into(), bytes: image() };
    let folder = guest().parent().expect("a folder").display().to_string();
    let options = LoadOptions::new().option("references", folder);
    let module = runtime.load(&source, &options).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(b"hi", &*call(&*module, "raw/Echo", b"hi").expect("echoes"));
    let error = refuses(&*runtime, &source, ErrorKind::Load, &["Google.Protobuf"]);
    assert!(error.to_string().contains("references"), "{error}");
}

#[test]
fn compile_errors_have_file_and_line() {
    let runtime = runtime!();
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("broken.cs");
    fs::write(&file, "class Broken\n{\n    int x = \"text\";\n    void M() { missing(); }\n}\n").expect("written");
    let error = refuses(&*runtime, &ModuleSource::Path(file.clone()), ErrorKind::Load, &["CS0029", "CS0103"]);
    let frames = &error.guest().expect("what the compiler said").frames;
    let lines: Vec<_> = frames.iter().map(|frame| (Path::new(&frame.file).to_owned(), frame.line)).collect();
    let file: PathBuf = file.canonicalize().expect("is there");
    assert_eq!(vec![(file.clone(), 3), (file, 4)], lines);
}

#[test]
fn a_constructor_that_fails_is_told_as_the_guests_own_failure() {
    let runtime = runtime!();
    // As .NET has it, each of these could be about the module's own file.
    for (thrown, says) in [
        ("new FileNotFoundException(\"no settings\", \"my.conf\")", "FileNotFoundException: no settings"),
        ("new DirectoryNotFoundException(\"no folder\")", "DirectoryNotFoundException: no folder"),
        ("new BadImageFormatException(\"no picture\")", "BadImageFormatException: no picture"),
    ] {
        let text = format!(
            "class Guest {{ public Guest() => throw {thrown}; [Polyhost.Export(\"x\")] byte[] X(byte[] input) => input; }}"
        );
        let source = ModuleSource::Text { name: "constructed.cs".into(), text };
        let error = refuses(&*runtime, &source, ErrorKind::Load, &["the constructor of Guest failed", says]);
        let frames = &error.guest().expect("what was thrown").frames;
        assert!(frames.iter().any(|frame| frame.function == "Guest..ctor" && frame.line == 1), "{frames:?}");
    }
}

#[test]
fn lines_of_the_console_are_cut_between_characters() {
    let runtime = runtime!();
    let text = "static class Guest { [Polyhost.Export(\"print\")] static byte[] Print(byte[] input)\n\
        { Console.Write(System.Text.Encoding.UTF8.GetString(input)); return input; } }";
    let source = ModuleSource::Text { name: "print.cs".into(), text: text.into() };
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = lines.clone();
    let log = LogSink::new(move |record| sink.lock().expect("no panic").push(record.message.to_owned()));
    let module = runtime.load(&source, &LoadOptions::new().log(log)).unwrap_or_else(|error| panic!("{error:?}"));
    let check = |printed: &str, expected: &[&str]| {
        call(&*module, "print", printed.as_bytes()).expect("prints");
        assert_eq!(expected, std::mem::take(&mut *lines.lock().expect("no panic")));
    };
    check("a", &[]);
    check("b\r\n\nc\n", &["ab", "", "c"]);
    let full = "x".repeat(16384);
    check(&format!("{full}\n"), &[&full]);
    check(&format!("{full}{full}y"), &[&full, &full]);
    check("\n", &["y"]);
    // Of two units, which stay together.
    let odd = format!("{}🎉", &full[1..]);
    check(&format!("{odd}rest\n"), &[&odd, "rest"]);
}

#[test]
fn the_sources_of_the_examples_load_as_they_are() {
    let runtime = runtime!();
    let folder = guest().parent().expect("a folder").display().to_string();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for file in ["hello/clr/GreeterGuest.cs", "middleware/clr/Middleware/MiddlewareGuest.cs"] {
        let options = LoadOptions::new().option("references", &folder);
        let loaded = runtime.load(&ModuleSource::Path(examples.join(file)), &options);
        assert!(!loaded.unwrap_or_else(|error| panic!("{error:?}")).exports().is_empty(), "{file}");
    }
}

#[test]
fn the_line_of_a_failed_call_tells_what_its_caller_can_act_on() {
    let runtime = runtime!();
    let source = ModuleSource::Text {
        name: "lines.cs".into(),
        text: r#"
            using Polyhost;
            static class Broken { internal static readonly int Value = int.Parse("x"); }
            static class Guest
            {
                [Export("status")]
                static byte[] Status(byte[] input) => throw new StatusException(StatusCode.NotFound, "no such number");

                [Export("initializer")]
                static byte[] Initializer(byte[] input) => [(byte)Broken.Value];

                [Export("stopped")]
                static byte[] Stopped(byte[] input, CallContext context)
                {
                    context.CancellationToken.WaitHandle.WaitOne();
                    context.CancellationToken.ThrowIfCancellationRequested();
                    return input;
                }
            }
            "#
        .into(),
    };
    let module = runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
    let line = |export: &str| call(&*module, export, b"").expect_err(export).to_string();
    assert_eq!("call status: NOT_FOUND: no such number", line("status"));
    let initializer = line("initializer");
    assert!(initializer.contains("TypeInitializationException"), "{initializer}");
    assert!(initializer.contains(": System.FormatException: "), "{initializer}");
    let cx = CallContext::none().with_timeout(Duration::from_millis(20));
    let stopped = module.function("stopped").expect("there").call(&cx, b"", &mut Output::new()).expect_err("stopped");
    assert_eq!(ErrorKind::DeadlineExceeded, stopped.kind());
    let told = CancelReason::DeadlineExceeded.error();
    assert_eq!(format!("call stopped: {}", told.message()), stopped.to_string());
}

#[test]
fn a_service_of_another_guest_does_not_see_the_callers_context() {
    let runtime = runtime!();
    let source = ModuleSource::Text {
        name: "contexts.cs".into(),
        text: r#"
            using Polyhost;
            static class Guest
            {
                [Export("outer")]
                static async Task<byte[]> Outer(byte[] input, CallContext context)
                {
                    var first = context.Call("inner", input);
                    await Task.Yield();
                    var second = context.Call("inner", input);
                    return CallContext.Current == context ? [.. first, .. second] : "lost"u8.ToArray();
                }

                [Export("inner")]
                static void Inner(ReadOnlySpan<byte> input, Output output)
                {
                    var isSeen = CallContext.Current is not null || Task.Run(() => CallContext.Current).Result is not null;
                    output.Write(isSeen ? "seen;"u8 : "none;"u8);
                }
            }
            "#
        .into(),
    };
    let load = |options| runtime.load(&source, &options).unwrap_or_else(|error| panic!("{error:?}"));
    let inner = load(LoadOptions::new());
    let mut services = Services::new();
    services.add(inner.function("inner").expect("is exported")).expect("the first of its name");
    let outer = load(LoadOptions::new().services(services));
    assert_eq!("none;none;", String::from_utf8_lossy(&call(&*outer, "outer", b"").expect("replies")));
}

#[test]
fn the_garbage_collector_does_not_wait_for_services() {
    let runtime = runtime!();
    let text = "using Polyhost; static class Guest {\n\
        [Export(\"wait\")] static byte[] Wait(byte[] input, CallContext context) { context.Call(\"wait\", input); return input; }\n\
        [Export(\"collect\")] static byte[] Collect(byte[] input) { GC.Collect(); return input; } }";
    let gate = Arc::new(Meeting::gate());
    let wait = gate.clone();
    let mut services = Services::new();
    services.add(service("wait", move |_, _, _| wait.arrive())).expect("the only one");
    let source = ModuleSource::Text { name: "waits.cs".into(), text: text.into() };
    let module = runtime.load(&source, &LoadOptions::new().services(services));
    let module = module.unwrap_or_else(|error| panic!("{error:?}"));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| call(&*module, "wait", b""));
        gate.wait_for(1);
        // Where this waited for the service, that would give up first.
        let collected = call(&*module, "collect", b"hi");
        gate.open();
        waiting.join().expect("no panic").expect("was held up by nobody");
        assert_eq!(b"hi", &*collected.expect("collects"));
    });
}

#[test]
fn the_file_of_a_module_can_be_replaced_while_it_runs() {
    let runtime = runtime!();
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("guest.cs");
    let version = |number: u8| {
        let text = format!(
            "using Polyhost; static class Guest {{ [Export(\"version\")] static byte[] Version(byte[] input) => [{number}]; }}"
        );
        fs::write(&file, text).expect("written");
        let source = ModuleSource::Path(file.clone());
        runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"))
    };
    let (one, two) = (version(1), version(2));
    assert_eq!([1], *call(&*one, "version", b"").expect("the old one"));
    assert_eq!([2], *call(&*two, "version", b"").expect("the new one"));
    assert_eq!(UnloadVerdict::Unloaded, one.unload(Duration::ZERO));
    assert_eq!([2], *call(&*two, "version", b"").expect("the new one"));
}

#[test]
fn modules_come_and_go_without_an_end() {
    let runtime = runtime!();
    for round in 0..50 {
        let module = load(&*runtime);
        assert_eq!(b"hi", &*call(&*module, "raw/Echo", b"hi").expect("echoes"));
        assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::ZERO), "round {round}");
        assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::ZERO), "a second look, round {round}");
    }
}

#[test]
fn modules_that_are_dropped_go_as_well() {
    let runtime = runtime!();
    for _ in 0..10 {
        drop(load(&*runtime));
    }
    let (module, held) = (load(&*runtime), load(&*runtime));
    let echo = held.function("raw/Echo").expect("is exported");
    drop(held);
    let mut output = Output::new();
    echo.call(&CallContext::none(), b"hi", &mut output).expect("a function keeps its module");
    assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::ZERO));
}

#[test]
fn a_request_that_no_span_can_hold_is_refused() {
    let runtime = runtime!();
    let module = load(&*runtime);
    // Of zero pages, which nobody reads.
    let input = vec![0; i32::MAX as usize + 1];
    for export in ["raw/Echo", "conformance.v1.Conformance/Echo"] {
        let error = call(&*module, export, &input).expect_err("is too long");
        assert_eq!(ErrorKind::Exhausted, error.kind(), "{error:?}");
        assert!(error.to_string().contains("2147483648 bytes"), "{error}");
    }
    assert_eq!(b"hi", &*call(&*module, "raw/Echo", b"hi").expect("echoes"));
}

#[test]
fn functions_of_an_unloaded_module_are_closed() {
    let runtime = runtime!();
    let module = load(&*runtime);
    let functions: Vec<Arc<dyn Function>> =
        module.exports().iter().map(|export| module.function(export.name()).expect("is exported")).collect();
    module.unload(Duration::ZERO);
    // Another one takes the places of the first in the shim's table.
    let other = load(&*runtime);
    for function in functions {
        let mut output = Output::new();
        let error = function.call(&CallContext::none(), b"", &mut output).expect_err("is unloaded");
        assert_eq!(ErrorKind::Closed, error.kind(), "{error:?}");
    }
    assert_eq!(b"hi", &*call(&*other, "raw/Echo", b"hi").expect("echoes"));
}

#[test]
fn what_holds_an_unloaded_module_is_told() {
    let runtime = runtime!();
    let text = "using Polyhost; static class Guest { static readonly ManualResetEventSlim s_go = new();\n\
        [Export(\"start\")] static byte[] Start(byte[] input) { new Thread(() => s_go.Wait()) { IsBackground = true }.Start(); return []; } }";
    let source = ModuleSource::Text { name: "holder.cs".into(), text: text.into() };
    let module = runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
    call(&*module, "start", b"").expect("starts");
    for _ in 0..2 {
        let UnloadVerdict::StillAlive { what } = module.unload(Duration::ZERO) else { panic!("its thread runs") };
        assert!(what.iter().any(|line| line.contains("thread")), "{what:?}");
    }
}

/// Unloads a module whose export `hold` has done this, and expects to be told.
fn tells_what_holds(held: &str, says: &[&str]) {
    let runtime = start();
    let text = format!(
        "using Polyhost; static class Guest {{ static object? s_kept; static void Tick(object? state) {{ }}\n\
         static async Task Wait() {{ await Task.Delay(TimeSpan.FromDays(1)); s_kept = null; }}\n\
         [Export(\"hold\")] static byte[] Hold(byte[] input) {{ {held} return []; }} }}"
    );
    let source = ModuleSource::Text { name: "holder.cs".into(), text };
    let module = runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
    call(&*module, "hold", b"").expect("holds");
    let UnloadVerdict::StillAlive { what } = module.unload(Duration::ZERO) else { panic!("{held} does not hold it") };
    let told = what.join("\n");
    says.iter().for_each(|part| assert!(told.contains(part), "{part:?} is not in: {told}"));
}

#[test]
fn timers_and_handlers_that_hold_a_module_are_named() {
    if let Some(reason) = common::reason_to_skip() {
        return eprintln!("skipped: {reason}");
    }
    tells_what_holds("s_kept = new Timer(Tick, null, 1 << 30, 0);", &["a timer holds Guest"]);
    tells_what_holds("_ = Wait();", &["a timer holds Guest"]);
    tells_what_holds(
        "AppDomain.CurrentDomain.UnhandledException += (_, _) => { };",
        &["a handler of AppContext.UnhandledException holds Guest"],
    );
    tells_what_holds(
        "AppDomain.CurrentDomain.AssemblyResolve += (_, _) => null;",
        &["a handler of AssemblyLoadContext.AssemblyResolve holds Guest"],
    );
}

#[test]
fn a_static_of_another_module_that_holds_a_module_is_named() {
    let runtime = runtime!();
    // Through a slot of the framework, as two modules that share nothing else would.
    let module = |name: &str, body: &str| {
        let text = format!(
            "using Polyhost; sealed class Value {{ }}\n\
             static class {name} {{ static object? s_kept; [Export(\"run\")] static byte[] Run(byte[] input) {{ {body} return [(byte)(s_kept is null ? 0 : 1)]; }} }}"
        );
        let source = ModuleSource::Text { name: format!("{name}.cs"), text };
        runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"))
    };
    let giver = module("Giver", "AppContext.SetData(\"polyhost.test\", new Value());");
    let keeper = module(
        "Keeper",
        "s_kept = AppContext.GetData(\"polyhost.test\"); AppContext.SetData(\"polyhost.test\", null);",
    );
    call(&*giver, "run", b"").expect("gives");
    assert_eq!([1], *call(&*keeper, "run", b"").expect("keeps"));
    let UnloadVerdict::StillAlive { what } = giver.unload(Duration::ZERO) else { panic!("it is kept") };
    assert_eq!(["the field Keeper.s_kept of Keeper.cs holds Value"], *what);
    assert_eq!(UnloadVerdict::Unloaded, keeper.unload(Duration::ZERO));
    assert_eq!(UnloadVerdict::Unloaded, giver.unload(Duration::ZERO));
}

#[test]
fn a_library_that_keeps_types_is_named_where_nothing_else_is_found() {
    let runtime = runtime!();
    let text = "using Polyhost; sealed record Point(int X, int Y); static class Guest {\n\
        [Export(\"json\")] static byte[] Json(byte[] input) => System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(new Point(1, 2)); }";
    let source = ModuleSource::Text { name: "json.cs".into(), text: text.into() };
    let module = runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(br#"{"X":1,"Y":2}"#, &*call(&*module, "json", b"").expect("writes"));
    // dotnet/runtime#65323.
    let UnloadVerdict::StillAlive { what } = module.unload(Duration::ZERO) else { panic!("it keeps types no more") };
    assert!(what.iter().any(|line| line.contains("perhaps System.Text.Json")), "{what:?}");
}
