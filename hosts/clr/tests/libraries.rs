//! What modules bring besides themselves: libraries in two versions, native ones, and such as keep what they have seen.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{call, guest, start};
use polyhost_bridge::{LoadOptions, Module, ModuleSource, Runtime, UnloadVerdict};
use polyhost_toolchain::dotnet;
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

#[test]
fn two_modules_bring_two_versions_of_one_library() {
    let runtime = runtime!();
    let text = "using Google.Protobuf; using Polyhost; static class Guest { static ByteString s_last = ByteString.Empty;\n\
        [Export(\"revision\")] static byte[] Revision(byte[] input) => [(byte)typeof(ByteString).Assembly.GetName().Version!.Revision];\n\
        [Export(\"last\")] static byte[] Last(byte[] input) { var last = s_last; s_last = ByteString.CopyFrom(input); return last.ToByteArray(); } }";
    let folders = [1, 2].map(protobuf_of_revision);
    let modules = [0, 1, 0].map(|at: usize| load(&*runtime, text, folders[at].path()));
    let revisions = || modules.each_ref().map(|module| call(&**module, "revision", b"").expect("tells")[0]);
    assert_eq!([1, 2, 1], revisions());
    for (number, module) in modules.iter().enumerate() {
        assert_eq!(b"", &*call(&**module, "last", &[number as u8]).expect("has none"));
    }
    assert_eq!(UnloadVerdict::Unloaded, modules[0].unload(Duration::ZERO));
    for (number, module) in modules.iter().enumerate().skip(1) {
        assert_eq!([number as u8], *call(&**module, "last", b"").expect("has its own"));
    }
}

/// Google.Protobuf as another build of it would be, in a folder of its own.
fn protobuf_of_revision(revision: u8) -> TempDir {
    let mut image = fs::read(guest().with_file_name("Google.Protobuf.dll")).expect("lies beside the guest");
    // The row of the assembly in its metadata: the hash algorithm (SHA-1), then four numbers of two bytes.
    let row = image.windows(6).position(|bytes| bytes == [0x04, 0x80, 0, 0, 3, 0]).expect("is version 3");
    image[row + 10] = revision;
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("Google.Protobuf.dll"), image).expect("written");
    folder
}

#[test]
fn a_native_library_that_was_replaced_is_loaded_beside_the_old_one() {
    let runtime = runtime!();
    let folder = TempDir::new().expect("a temporary folder");
    let text = "using Polyhost; using System.Runtime.InteropServices; static class Guest {\n\
        [DllImport(\"sample\")] static extern int number();\n\
        [Export(\"number\")] static byte[] Number(byte[] input) => [(byte)number()]; }";
    let version = |number: u8| {
        let (source, built) = (folder.path().join("sample.c"), folder.path().join("built"));
        fs::write(&source, format!("int number(void) {{ return {number}; }}\n")).expect("written");
        let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&built).arg(&source);
        assert!(compiler.status().expect("there is a C compiler").success());
        fs::rename(&built, folder.path().join("libsample.so")).expect("renamed");
        let module = load(&*runtime, text, folder.path());
        assert_eq!([number], *call(&*module, "number", b"").expect("is the one that is there"));
        module
    };
    let (one, two, three) = (version(1), version(2), version(3));
    assert_eq!(UnloadVerdict::Unloaded, two.unload(Duration::ZERO));
    for (number, module) in [(1, one), (3, three), (3, load(&*runtime, text, folder.path()))] {
        assert_eq!([number], *call(&*module, "number", b"").expect("keeps its own"));
    }
}

#[test]
fn what_type_descriptors_keep_lets_a_module_go_or_is_named() {
    let runtime = runtime!();
    let text = "using Polyhost; using System.ComponentModel; sealed class Point { public int X { get; set; } }\n\
        static class Guest { [Export(\"look\")] static byte[] Look(byte[] input) =>\n\
        [(byte)TypeDescriptor.GetProperties(new Point()).Count, (byte)(TypeDescriptor.GetConverter(typeof(Point)) is null ? 0 : 1)]; }";
    let module = load(&*runtime, text, Path::new("/"));
    assert_eq!([1, 1], *call(&*module, "look", b"").expect("looks"));
    goes_or_is_named(&*module, "System.ComponentModel.TypeConverter");
}

#[test]
fn what_newtonsoft_json_keeps_lets_a_module_go_or_is_named() {
    let runtime = runtime!();
    let root = dotnet::find_for_host(None).expect("it runs");
    let sdks = fs::read_dir(root.root.join("sdk")).into_iter().flatten().flatten();
    let Some(folder) = sdks.map(|sdk| sdk.path()).find(|sdk| sdk.join("Newtonsoft.Json.dll").is_file()) else {
        return eprintln!("skipped: no SDK in {}, whose Newtonsoft.Json this takes", root.root.display());
    };
    let text = "using Newtonsoft.Json; using Polyhost; using System.Text; public sealed record Point(int X, int Y);\n\
        static class Guest { [Export(\"json\")] static byte[] Json(byte[] input) =>\n\
        Encoding.UTF8.GetBytes(JsonConvert.SerializeObject(JsonConvert.DeserializeObject<Point>(Encoding.UTF8.GetString(input)))); }";
    let module = load(&*runtime, text, &folder);
    let json = br#"{"X":1,"Y":2}"#;
    assert_eq!(json, &*call(&*module, "json", json).expect("reads and writes"));
    goes_or_is_named(&*module, "Newtonsoft.Json");
}

/// Versions of .NET and of libraries differ in what they keep; the verdict says.
fn goes_or_is_named(module: &dyn Module, library: &str) {
    match module.unload(Duration::ZERO) {
        UnloadVerdict::Unloaded => {}
        UnloadVerdict::StillAlive { what } => {
            assert!(what.iter().any(|line| line.contains(&format!("perhaps {library}"))), "{what:?}");
        }
        verdict => panic!("{verdict:?}"),
    }
}

fn load(runtime: &dyn Runtime, text: &str, references: &Path) -> Arc<dyn Module> {
    let source = ModuleSource::Text { name: "guest.cs".into(), text: text.into() };
    let options = LoadOptions::new().option("references", references.display().to_string());
    runtime.load(&source, &options).unwrap_or_else(|error| panic!("{error:?}"))
}
