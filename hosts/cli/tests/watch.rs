//! `polyhost watch` deploys what changes, in every language.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};

use common::{command, is_here, polyhost};

/// The program, its lines, and its end.
struct Watch {
    child: Child,
    notes: Box<dyn Iterator<Item = String>>,
    replies: Box<dyn Iterator<Item = String>>,
}

impl Watch {
    fn start(arguments: &[&str]) -> Watch {
        let mut command = command(["watch"].iter().chain(arguments));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let notes = Box::new(lines(child.stderr.take().expect("piped")));
        let replies = Box::new(lines(child.stdout.take().expect("piped")));
        Watch { child, notes, replies }
    }

    /// The next line on stderr.
    #[track_caller]
    fn note(&mut self, parts: &[&str]) -> String {
        let note = self.notes.next().expect("it goes on");
        parts.iter().for_each(|part| assert!(note.contains(part), "{part:?} is not in {note:?}"));
        note
    }

    #[track_caller]
    fn reply(&mut self, expected: &str) {
        assert_eq!(Some(expected), self.replies.next().as_deref());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + 'static) -> impl Iterator<Item = String> {
    BufReader::new(from).lines().map(|line| line.expect("text"))
}

/// As editors do it: another file takes the place.
fn write(file: &Path, content: &str) {
    let other = file.with_extension("tmp");
    std::fs::write(&other, content).expect("written");
    std::fs::rename(other, file).expect("renamed");
}

/// Watches a module whose `test/Tell` returns what stands in the place of VERSION, and a line end.
fn follows(runtime: &str, scheme: &str, in_build: bool, file: &str, source: &str) {
    if !is_here(runtime, scheme, in_build) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(file);
    let put = |version: &str| write(&path, &source.replace("VERSION", version));
    put("one");
    let location = format!("{scheme}:{}", path.display());
    let mut watch = Watch::start(&[&location, "test/Tell"]);
    watch.note(&["version 1 of", &location, "runs", "loaded in", "watching"]);
    watch.reply("one");
    put("two");
    watch.note(&["version 2 runs", "version 1 is unloaded"]);
    watch.reply("two");

    write(&path, "this is = no program in any of them (");
    watch.note(&["polyhost: load", file]);
    watch.note(&["version 2 goes on"]);
    write(&path, &source.replace("test/Tell", "test/Other"));
    watch.note(&["polyhost: ", "it lacks test/Tell"]);
    watch.note(&["version 2 goes on"]);

    std::fs::remove_file(&path).expect("is there");
    watch.note(&["polyhost: load", file]);
    watch.note(&["version 2 goes on"]);
    put("three");
    watch.note(&["version 3 runs", "version 2 is unloaded"]);
    watch.reply("three");
    // SAFETY: the child is ours and has not been waited for.
    assert_eq!(0, unsafe { libc::kill(watch.child.id().cast_signed(), libc::SIGTERM) });
    assert_eq!(Some(libc::SIGTERM), watch.child.wait().expect("it ends").signal());
}

const LUA: &str = r#"
local polyhost = require "polyhost"

polyhost.export("test/Tell", function()
    return "VERSION\n"
end)
"#;

#[test]
fn a_module_in_lua() {
    follows("luajit", "lua", cfg!(feature = "luajit"), "tell.lua", LUA);
}

#[test]
fn a_module_in_python() {
    let source = r#"
from polyhost import export


@export("test/Tell")
def tell(request: bytes) -> bytes:
    return b"VERSION\n"
"#;
    follows("cpython", "py", cfg!(feature = "cpython"), "tell.py", source);
}

#[test]
fn a_module_in_csharp() {
    let source = r#"
using Polyhost;

public static class Teller
{
    [Export("test/Tell")]
    public static byte[] Tell(byte[] input) => "VERSION\n"u8.ToArray();
}
"#;
    follows("clr", "clr", cfg!(feature = "clr"), "Tell.cs", source);
}

#[test]
#[cfg(feature = "luajit")]
fn what_else_is_named_is_watched_and_told_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let (module, data) = (folder.path().join("tell.lua"), folder.path().join("data.txt"));
    std::fs::write(&module, LUA).expect("written");
    std::fs::write(&data, "a").expect("written");
    let location = format!("lua:{}", module.display());
    let also = data.display().to_string();
    let mut watch = Watch::start(&[&location, "test/Tell", "--json", "--also", &also]);
    let first: serde_json::Value = serde_json::from_str(&watch.note(&[])).expect("JSON");
    assert_eq!(
        (1, 2),
        (first["version"].as_u64().expect("a number"), first["watched"].as_array().expect("a list").len())
    );
    std::fs::write(folder.path().join("other.txt"), "is not meant").expect("written");
    write(&data, "b");
    let second: serde_json::Value = serde_json::from_str(&watch.note(&[])).expect("JSON");
    assert_eq!(serde_json::json!(2), second["version"]);
    assert_eq!(serde_json::json!(true), second["replaced"][0]["unloaded"]);
    write(&module, "(");
    let refused: serde_json::Value = serde_json::from_str(&watch.note(&[])).expect("JSON");
    assert_eq!(serde_json::json!(2), refused["version"]);
    assert_eq!(serde_json::json!("load"), refused["refused"]["kind"]);
}

#[test]
#[cfg(feature = "luajit")]
fn what_does_not_load_at_first_fails() {
    polyhost(["watch", "lua:no/such/file.lua", "x"]).fails(1, &["no/such"]);
    polyhost(["watch", "nothing:file", "x"]).fails(2, &["nothing"]);
}
