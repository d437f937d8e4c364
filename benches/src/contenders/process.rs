//! Processes that contenders are in, for as long as they are needed.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use polyhost::ModuleSource;

use crate::facts::{self, Fact};
use crate::targets::report::Unmeasured;
use crate::workloads::Guest;
use crate::workloads::guests::files::root;

/// What a contender is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Python,
}

impl Language {
    /// The program that serves the workloads, ready for its arguments.
    ///
    /// # Errors
    /// [`Unmeasured::Skipped`] where it is not there.
    pub(super) fn peer(self) -> Result<Command, Unmeasured> {
        let needed = |path: PathBuf, how: &str| match path.is_file() {
            true => Ok(path),
            false => Err(Unmeasured::Skipped(format!("{} is not there; {how}", path.display()))),
        };
        match self {
            Language::Rust => {
                let how = "`cargo build --package polyhost-bench --bins`, with --release where this is, builds it";
                Ok(Command::new(needed(beside("polyhost-bench-peer")?, how)?))
            }
            Language::Python => {
                let mut command = Command::new(needed(root().join(".venv/bin/python"), "`make setup` makes it")?);
                command.arg(root().join("benches/guests/python/peer.py"));
                Ok(command)
            }
        }
    }

    /// What the program tells of itself, as it is used for `how`: `grpc` or `child`.
    pub(super) fn facts(self, how: &str) -> Vec<Fact> {
        let Ok(mut command) = self.peer() else { return Vec::new() };
        command.args(["facts", how]);
        facts::of_program(command)
    }
}

/// A program beside this one, or, for a test, beside the folder that this one is in.
fn beside(name: &str) -> Result<PathBuf, Unmeasured> {
    let this = std::env::current_exe().map_err(|e| Unmeasured::Failed(format!("this program: {e}")))?;
    let folder = this.parent().unwrap_or(&this);
    let folder =
        if folder.file_name() == Some(OsStr::new("deps")) { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.join(name))
}

/// The file of a guest in Python.
pub(super) fn file_of(guest: &Guest) -> Result<&PathBuf, Unmeasured> {
    match &guest.source {
        ModuleSource::Path(path) => Ok(path),
        other => Err(Unmeasured::Failed(format!("a guest in a process of its own has to be a file, not {other:?}"))),
    }
}

/// A process that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Process(pub(super) Child);

impl Process {
    /// Starts it with pipes for its standard input and output; what it says beside goes where this program's does.
    pub(super) fn start(mut command: Command) -> Result<Process, Unmeasured> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn();
        child.map(Process).map_err(|e| Unmeasured::Failed(format!("{}: {e}", command.get_program().display())))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for one that is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
