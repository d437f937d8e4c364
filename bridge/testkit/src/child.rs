//! Cases in processes of their own.

use std::fmt;
use std::process::{Command, Stdio};

/// Begins the hidden argument that makes a program of the suite run the child of one trial and end.
pub(crate) const ARGUMENT: &str = "--polyhost-child=";

/// The exit code of a child that was skipped; its reason is all it wrote to stdout.
pub(crate) const SKIPPED: u8 = 77;

/// How a child ended, and what it wrote.
#[derive(Debug, Clone)]
pub struct Exit {
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Exit {
    /// Panics unless the child succeeded.
    pub fn expect_success(&self) {
        assert_eq!((Some(0), None), (self.code, self.signal), "the process of its own failed\n{self}");
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}")?,
            (None, Some(signal)) => write!(f, "ended by signal {signal}")?,
            (None, None) => write!(f, "ended")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.trim().is_empty() {
                write!(f, "\n--- its {name} ---\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// Whether this is a process of its own that a case has started.
pub fn is_child() -> bool {
    std::env::args().any(|argument| argument.starts_with(ARGUMENT))
}

/// Runs this program again for the child of a trial.
pub(crate) fn run(trial: &str) -> Exit {
    let program = std::env::current_exe().expect("the program knows where it is");
    let output = Command::new(program)
        .arg(format!("{ARGUMENT}{trial}"))
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started again");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Exit {
        code: output.status.code(),
        signal: signal(&output.status),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

#[cfg(unix)]
fn signal(status: &std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(status)
}

#[cfg(not(unix))]
fn signal(_status: &std::process::ExitStatus) -> Option<i32> {
    None
}
