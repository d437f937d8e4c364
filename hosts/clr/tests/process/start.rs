//! Finding .NET, starting it, starting it again.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use polyhost_bridge::{Error, ErrorKind, LoadOptions, LogSink, ModuleSource, Runtime};
use polyhost_clr::{Aspnet, Clr, ClrConfig};
use tempfile::TempDir;

use crate::common::{call, guest, load, start};
use crate::{Case, case, dies};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("start::a_folder_that_is_no_root_is_named_with_what_it_lacks", || {
            let folder = TempDir::new().expect("a temporary folder");
            let error = fails(&with_root(folder.path()));
            expect(&error, ErrorKind::Load, &[&folder.path().display().to_string(), "host/fxr", "install .NET"]);
        }),
        case("start::a_runtime_that_is_too_old_is_named", || {
            let folder = TempDir::new().expect("a temporary folder");
            put_hostfxr(folder.path(), "6.0.36");
            put_framework(folder.path(), "Microsoft.NETCore.App", "6.0.36");
            let error = fails(&with_root(folder.path()));
            expect(&error, ErrorKind::Load, &["too old", "6.0.36", ".NET runtime 8.0 or newer"]);
        }),
        case("start::a_framework_that_is_required_and_missing_is_named", || {
            let folder = TempDir::new().expect("a temporary folder");
            put_hostfxr(folder.path(), "8.0.1");
            put_framework(folder.path(), "Microsoft.NETCore.App", "8.0.1");
            let mut config = with_root(folder.path());
            config.aspnet = Aspnet::Required;
            expect(&fails(&config), ErrorKind::Load, &["no Microsoft.AspNetCore.App"]);
        }),
        case("start::a_library_that_does_not_load_is_named", || {
            let folder = TempDir::new().expect("a temporary folder");
            let file = put_hostfxr(folder.path(), "8.0.1");
            put_framework(folder.path(), "Microsoft.NETCore.App", "8.0.1");
            let mut library = fs::read(&file).expect("read");
            library[64..].fill(0);
            fs::write(&file, library).expect("written");
            expect(&fails(&with_root(folder.path())), ErrorKind::Load, &["libhostfxr.so", "damaged"]);
        }),
        case("start::what_hostfxr_says_is_in_the_report_and_another_root_may_be_tried", || {
            let folder = TempDir::new().expect("a temporary folder");
            put_hostfxr(folder.path(), "8.0.1");
            put_framework(folder.path(), "Microsoft.NETCore.App", "8.0.1");
            let error = fails(&with_root(folder.path()));
            expect(
                &error,
                ErrorKind::Load,
                &[&folder.path().display().to_string(), "8.0.1", "0x8000", "libhostpolicy.so"],
            );
            load(&*start());
        }),
        case("start::an_equal_configuration_gives_the_same_runtime", || {
            let (one, two) = (start(), start());
            assert!(Arc::ptr_eq(&one, &two));
            // hostfxr stays mapped and .NET running, whoever lets go of what.
            drop((one, two));
            load(&*start());
        }),
        case("start::a_different_configuration_is_refused_with_each_difference", || {
            let _runtime = start();
            let mut config = ClrConfig::default();
            config.gc.server = Some(true);
            config.properties.insert("a".into(), "b".into());
            expect(&fails(&config), ErrorKind::Config, &["gc.server is None, not Some(true)", "properties is"]);
        }),
        case("start::not_again_after_shutdown", || {
            let runtime = start();
            let module = load(&*runtime);
            runtime.shutdown(Duration::ZERO).expect("nobody is inside");
            runtime.shutdown(Duration::ZERO).expect("again does nothing");
            expect(&fails(&ClrConfig::default()), ErrorKind::Closed, &["shut down"]);
            let refused = call(&*module, "raw/Echo", b"hi").expect_err("is shut down");
            assert_eq!(ErrorKind::Closed, refused.kind());
        }),
        case("start::a_thread_of_a_guest_does_not_hold_up_the_end", || {
            let runtime = start();
            let text = "using Polyhost; static class Guest { [Export(\"start\")] static byte[] Start(byte[] input) {\n\
                using var started = new ManualResetEventSlim();\n\
                new Thread(() => { started.Set(); Thread.Sleep(Timeout.Infinite); }) { IsBackground = false }.Start();\n\
                started.Wait(); return input; } }";
            let source = ModuleSource::Text { name: "thread.cs".into(), text: text.into() };
            let module = runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
            call(&*module, "start", b"").expect("starts one");
            runtime.shutdown(Duration::ZERO).expect("no call is inside");
        }),
        case("start::options_reach_the_runtime", || {
            let mut config = ClrConfig::default();
            config.gc.concurrent = Some(false);
            config.gc.heap_hard_limit = Some(200 << 20);
            config.invariant_globalization = Some(true);
            config.base_directory = Some("/tmp".into());
            config.properties.insert("polyhost.test".into(), "a \"b\" €".into());
            let runtime = Clr::start(&config).unwrap_or_else(|error| panic!("{error:?}"));
            let said = describe(&*runtime);
            let expected = "Batch 209715200 /tmp/ a \"b\" € Invariant Language (Invariant Country)";
            assert_eq!(expected, said);
        }),
        dies(
            "start::the_console_can_be_left_alone",
            || {
                let mut config = ClrConfig::default();
                config.properties.insert("Polyhost.Console".into(), "inherit".into());
                let runtime = Clr::start(&config).unwrap_or_else(|error| panic!("{error:?}"));
                let text = "static class Guest { [Polyhost.Export(\"say\")] static byte[] Say(byte[] input)\n\
                    { Console.WriteLine(\"to the host's own\"); return input; } }";
                let source = ModuleSource::Text { name: "say.cs".into(), text: text.into() };
                let log = LogSink::new(|record| panic!("in the log: {record:?}"));
                let module = runtime.load(&source, &LoadOptions::new().log(log));
                call(&*module.unwrap_or_else(|error| panic!("{error:?}")), "say", b"").expect("says");
            },
            |exit| assert_eq!((Some(0), "to the host's own\n"), (exit.code(), &*exit.stdout()), "{exit}"),
        ),
        case("start::a_console_that_is_neither_is_refused", || {
            let mut config = ClrConfig::default();
            config.properties.insert("Polyhost.Console".into(), "loud".into());
            expect(&fails(&config), ErrorKind::Load, &["Polyhost.Console is loud; it has to be log or inherit"]);
        }),
        case("start::a_module_that_needs_a_framework_left_out_is_refused", || {
            let mut config = ClrConfig::default();
            config.aspnet = Aspnet::Never;
            let runtime = Clr::start(&config).unwrap_or_else(|error| panic!("{error:?}"));
            let folder = TempDir::new().expect("a temporary folder");
            let copy = folder.path().join("Conformance.dll");
            fs::copy(guest(), &copy).expect("copied");
            let wants = r#"{"runtimeOptions":{"framework":{"name":"Microsoft.AspNetCore.App","version":"8.0.0"}}}"#;
            fs::write(copy.with_extension("runtimeconfig.json"), wants).expect("written");
            let error = runtime.load(&ModuleSource::Path(copy), &LoadOptions::new()).expect_err("it is left out");
            expect(
                &error,
                ErrorKind::Load,
                &["Microsoft.AspNetCore.App", "Microsoft.NETCore.App", "ClrConfig::aspnet"],
            );
        }),
        case("start::source_without_a_compiler_says_where_it_was_looked_for", || {
            let root = real_root();
            let folder = TempDir::new().expect("a temporary folder");
            for name in ["host", "shared"] {
                symlink(root.join(name), folder.path().join(name)).expect("linked");
            }
            let mut config = with_root(folder.path());
            config.roslyn = Some(folder.path().join("nowhere"));
            // SAFETY: no other thread runs yet.
            unsafe { std::env::remove_var(polyhost_toolchain::dotnet::LOCAL) };
            let runtime = Clr::start(&config).unwrap_or_else(|error| panic!("{error:?}"));
            let source = ModuleSource::Text { name: "guest.cs".into(), text: String::new() };
            let error = runtime.load(&source, &LoadOptions::new()).expect_err("there is no compiler");
            expect(
                &error,
                ErrorKind::Load,
                &["guest.cs is C# source", "nowhere", "POLYHOST_ROSLYN", "install a .NET SDK"],
            );
        }),
    ]
}

fn with_root(root: &Path) -> ClrConfig {
    let mut config = ClrConfig::default();
    config.dotnet_root = Some(root.to_owned());
    config
}

fn fails(config: &ClrConfig) -> Error {
    Clr::start(config).expect_err("it can't start")
}

fn expect(error: &Error, kind: ErrorKind, says: &[&str]) {
    assert_eq!(kind, error.kind(), "{error:?}");
    let report = format!("{error:?}");
    for part in says {
        assert!(report.contains(part), "{part:?} is not in: {report}");
    }
    assert_eq!(1, error.to_string().lines().count());
}

fn real_root() -> std::path::PathBuf {
    polyhost_toolchain::dotnet::find_for_host(None).expect("the parent found one").root
}

/// The real library, as that of another version.
fn put_hostfxr(root: &Path, version: &str) -> std::path::PathBuf {
    let real = polyhost_toolchain::dotnet::find_for_host(None).expect("the parent found one").hostfxr;
    let folder = root.join("host/fxr").join(version);
    fs::create_dir_all(&folder).expect("made");
    let file = folder.join("libhostfxr.so");
    fs::copy(real, &file).expect("copied");
    file
}

/// A framework of which nothing is there but its name.
fn put_framework(root: &Path, name: &str, version: &str) {
    let folder = root.join("shared").join(name).join(version);
    fs::create_dir_all(&folder).expect("made");
    fs::write(folder.join(format!("{name}.deps.json")), "{}").expect("written");
}

/// What .NET says of how it was started.
fn describe(runtime: &dyn Runtime) -> String {
    let text = "using Polyhost; using System.Runtime; using System.Text;\n\
        static class Guest { [Export(\"describe\")] static byte[] Describe(byte[] input) => Encoding.UTF8.GetBytes(\n\
        $\"{GCSettings.LatencyMode} {GC.GetGCMemoryInfo().TotalAvailableMemoryBytes} {AppContext.BaseDirectory} \" +\n\
        $\"{AppContext.GetData(\"polyhost.test\")} {new System.Globalization.CultureInfo(\"\").EnglishName}\"); }";
    let source = ModuleSource::Text { name: "describe.cs".into(), text: text.into() };
    let module = runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
    String::from_utf8(call(&*module, "describe", b"").expect("says")).expect("text")
}
