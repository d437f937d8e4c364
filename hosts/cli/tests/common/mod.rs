//! Runs the real program, over real guests.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    /// The exit code; a signal has none.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Stdout of a run that has to have gone well.
    #[track_caller]
    pub(crate) fn text(self) -> String {
        assert_eq!(Some(0), self.code(), "{}", self.stderr);
        String::from_utf8(self.stdout).expect("text")
    }

    /// Stdout of a run that has to have gone well, as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.text()).expect("JSON")
    }

    /// Checks that the run failed with a code, nothing on stdout, and one line on stderr that has all `parts`.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!((Some(code), ""), (self.code(), &*String::from_utf8_lossy(&self.stdout)), "{}", self.stderr);
        let line = self.stderr.strip_suffix('\n').unwrap_or_default();
        assert!(line.starts_with("polyhost: ") && !line.contains('\n'), "not one line: {:?}", self.stderr);
        for part in parts {
            assert!(line.contains(part), "{part:?} is not in: {line}");
        }
    }
}

/// The program, in the folder of the checkout, with nothing on stdin.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyhost"));
    command.args(arguments).current_dir(checkout()).stdin(Stdio::null()).env_remove("VIRTUAL_ENV");
    command
}

/// Runs the program.
pub(crate) fn polyhost<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    run(&mut command(arguments))
}

/// Runs the program with something on stdin.
pub(crate) fn polyhost_with<S: AsRef<OsStr>>(stdin: &[u8], arguments: impl IntoIterator<Item = S>) -> Run {
    let mut command = command(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Small enough for the pipe, so that nobody waits for anybody.
    assert!(stdin.len() < 4096);
    child.stdin.take().expect("piped").write_all(stdin).expect("the program lives");
    from(child.wait_with_output().expect("the program ends"))
}

/// Runs a command that was made by [`command`].
pub(crate) fn run(command: &mut Command) -> Run {
    from(command.output().expect("the program starts"))
}

fn from(output: std::process::Output) -> Run {
    let stderr = String::from_utf8(output.stderr).expect("text");
    Run { status: output.status, stdout: output.stdout, stderr }
}

/// The top of the checkout.
pub(crate) fn checkout() -> &'static Path {
    static CHECKOUT: OnceLock<PathBuf> = OnceLock::new();
    CHECKOUT.get_or_init(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout"))
}

/// The location of the conformance guest in Rust, behind the C ABI.
pub(crate) fn guest() -> &'static str {
    static GUEST: OnceLock<String> = OnceLock::new();
    GUEST.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "polyhost-native", "--example", "guest"]);
        build.args(["--message-format", "json"]).current_dir(checkout());
        let built = build.stderr(Stdio::inherit()).output().expect("cargo starts");
        assert!(built.status.success(), "the guest does not build");
        let text = String::from_utf8(built.stdout).expect("text");
        let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let files = messages.filter(|it| it["target"]["name"] == "guest").map(|it| it["filenames"][0].clone());
        let file = files.filter_map(|it| it.as_str().map(str::to_owned)).next_back().expect("cargo names the file");
        format!("native:{file}")
    })
}

/// The guest in C, built in a folder of its own.
pub(crate) fn c_guest(folder: &Path) -> String {
    let library = folder.join("libguest.so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut build = Command::new(compiler);
    build.args(["-shared", "-fPIC", "-I", "bridge/include", "hosts/native/samples/c/guest.c", "-o"]).arg(&library);
    assert!(build.current_dir(checkout()).status().expect("there is a C compiler").success());
    format!("native:{}", library.display())
}

/// Whether a runtime is in this build and on this machine; says so where it is not, and fails where it has to be.
pub(crate) fn is_here(runtime: &str, scheme: &str, in_build: bool) -> bool {
    if in_build && doctor_says_ok(scheme) {
        return true;
    }
    assert!(!required(runtime), "{runtime} is required, and is not in this build or not on this machine");
    println!("skipped: {runtime} is not in this build or not on this machine");
    false
}

/// Whether `doctor` finds the runtime of a scheme fine.
pub(crate) fn doctor_says_ok(scheme: &str) -> bool {
    runtime(scheme)["status"] == "ok"
}

/// What `doctor` tells of the runtime of a scheme.
pub(crate) fn runtime(scheme: &str) -> serde_json::Value {
    let doctor = polyhost(["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    let runtimes = report["runtimes"].as_array().expect("a list");
    runtimes.iter().find(|it| it["scheme"] == scheme).expect("every runtime has its place").clone()
}

/// Whether `POLYHOST_REQUIRE` says that a runtime must not be missing.
pub(crate) fn required(runtime: &str) -> bool {
    std::env::var("POLYHOST_REQUIRE").unwrap_or_default().split(',').any(|it| it.trim() == runtime)
}
