//! Ctrl-C ends the program while a guest is busy, in every language.

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use common::{checkout, command, is_here};

/// Writes a guest and has it [`end_busy`], where there is the runtime.
fn ends(runtime: &str, scheme: &str, in_build: bool, file: &str, source: &str) {
    if !is_here(runtime, scheme, in_build) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(file);
    std::fs::write(&path, source).expect("written");
    end_busy(&format!("{scheme}:{}", path.display()));
}

/// Starts an endless call of `test/Busy`, waits until the guest has said that it is in, and sends the signal.
fn end_busy(location: &str) {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let mut command = command(["call", location, "test/Busy"]);
        // What ignores these, as a shell's background does, hands that down; the program leaves it so.
        // SAFETY: between fork and exec only signal(2) is called.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_DFL);
                libc::signal(libc::SIGTERM, libc::SIG_DFL);
                Ok(())
            });
        }
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map(|line| line.expect("text"));
        let ready = lines.by_ref().find(|line| line.contains("ready") || line.starts_with("polyhost: "));
        assert!(ready.as_ref().is_some_and(|line| line.contains("ready")), "{ready:?}");
        // SAFETY: the child is ours and has not been waited for.
        assert_eq!(0, unsafe { libc::kill(child.id().cast_signed(), signal) });
        let status = child.wait().expect("it ends");
        let ended_by = status.signal().or(status.code().and_then(|code| code.checked_sub(128)));
        assert_eq!(Some(signal), ended_by, "{status}");
    }
}

#[test]
fn a_busy_guest_in_csharp() {
    let source = r#"
using System;
using Polyhost;

public static class Busy
{
    [Export("test/Busy")]
    public static byte[] Loop(byte[] input)
    {
        Console.WriteLine("ready");
        while (true) { }
    }
}
"#;
    ends("clr", "clr", cfg!(feature = "clr"), "Busy.cs", source);
}

#[test]
fn a_busy_guest_in_python() {
    // asyncio imports signal, which takes SIGINT over where nobody else has.
    let source = r#"
import asyncio
import polyhost

@polyhost.export("test/Busy")
def busy(request: bytes) -> bytes:
    print("ready")
    while True:
        pass
"#;
    ends("cpython", "py", cfg!(feature = "cpython"), "busy.py", source);
}

#[test]
fn a_busy_guest_in_lua() {
    let source = r#"
local polyhost = require "polyhost"

polyhost.export("test/Busy", function()
    print("ready")
    while true do end
end)
"#;
    ends("luajit", "lua", cfg!(feature = "luajit"), "busy.lua", source);
}

#[test]
fn a_busy_guest_in_c() {
    let sample = std::fs::read_to_string(checkout().join("hosts/native/samples/c/guest.c")).expect("is there");
    let echo = "return polyhost_write(host, output, input.data, input.len);";
    let busy = "puts(\"ready\"); fflush(stdout); for (volatile int busy = 1; busy;) {}";
    let source = sample.replacen(echo, &format!("{busy} {echo}"), 1).replace("raw/Echo", "test/Busy");
    let folder = tempfile::tempdir().expect("a folder");
    let (file, library) = (folder.path().join("busy.c"), folder.path().join("libbusy.so"));
    std::fs::write(&file, source).expect("written");
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.args(["-shared", "-fPIC", "-I"]).arg(checkout().join("bridge/include")).arg("-o").arg(&library).arg(&file);
    assert!(compiler.status().expect("there is a C compiler").success());
    end_busy(&format!("native:{}", library.display()));
}
