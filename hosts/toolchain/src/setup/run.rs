//! Running other programs: their output goes to a log, and its tail into the error.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Error, Project, Result};

/// How many lines of a log an error shows.
const TAIL: usize = 15;

impl Project {
    /// A command for a program on `PATH`, started in the checkout.
    ///
    /// # Errors
    /// When there is no such program.
    pub(crate) fn command(&self, program: &str) -> Result<Command> {
        let path = self.program(program)?;
        let mut command = Command::new(path);
        command.current_dir(self.root());
        Ok(command)
    }

    /// A command that coreutils' `timeout` ends after so many seconds: what talks to a network may hang.
    pub(crate) fn within(&self, seconds: u32, program: &Path) -> Result<Command> {
        let mut command = self.command("timeout")?;
        command.args(["--kill-after=5", &seconds.to_string()]);
        command.arg(program);
        Ok(command)
    }

    /// Runs a command to its end with its output in `target/setup/<log>.log`.
    ///
    /// # Errors
    /// When it does not start or does not succeed; the error shows the end of the log.
    pub(crate) fn run(&self, log: &str, command: &mut Command) -> Result<()> {
        let path = self.log(log);
        let about = |e| Error::about(path.display(), e);
        fs::create_dir_all(self.work()).map_err(about)?;
        let mut file = File::create(&path).map_err(about)?;
        writeln!(file, "$ {command:?}").map_err(about)?;
        let copy = |file: &File| file.try_clone().map(Stdio::from);
        let status = command
            .stdin(Stdio::null())
            .stdout(copy(&file).map_err(about)?)
            .stderr(copy(&file).map_err(about)?)
            .status()
            .map_err(|e| Error::about(command.get_program().to_string_lossy(), e))?;
        if status.success() {
            return Ok(());
        }
        let text = fs::read(&path).map_err(about)?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n  ");
        let name = command.get_program().to_string_lossy().into_owned();
        Err(Error::new(format!("{name} failed ({status}), see {}:\n  {tail}", path.display())))
    }

    /// The C compiler that LuaJIT is built with: `CC`, else `cc`.
    ///
    /// # Errors
    /// When there is none.
    pub fn c_compiler(&self) -> Result<String> {
        let named = self.machine().var("CC").and_then(OsStr::to_str);
        // `CC` may carry arguments, or be a path.
        let name = named.and_then(|cc| cc.split_whitespace().next());
        let name = name.unwrap_or("cc");
        if Path::new(name).is_file() {
            return Ok(format!("C compiler, {name}"));
        }
        let path = self.program(name).map_err(|error| {
            Error::about(error, "LuaJIT is built from source; install a C compiler (Debian: apt-get install gcc make)")
        })?;
        Ok(format!("C compiler, {}", path.display()))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.work().join(format!("{name}.log"))
    }

    /// The first program of this name on `PATH`.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        let found = self.machine().on_path(name).into_iter().next();
        found.ok_or_else(|| Error::new(format!("no {name} on PATH")))
    }
}
