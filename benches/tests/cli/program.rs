//! Runs the program.

use std::process::Command;

/// What it did.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program, to be given arguments.
pub(crate) fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_polyhost-bench"))
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    let output = bench().args(arguments).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// The location of a guest of these tests.
pub(crate) fn guest(scheme: &str, file: &str) -> String {
    format!("{scheme}:{}/tests/guests/{file}", env!("CARGO_MANIFEST_DIR"))
}
