//! How CPython is started.

use std::path::{Path, PathBuf};
use std::time::Duration;

use polyhost_bridge::{Error, ErrorKind, LogSink, Result};

use crate::error;

/// How CPython is started. It starts once per process, so every part of a program has to ask for the same.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CpythonConfig {
    /// A virtual environment whose packages are used. By default that of the interpreter which this was built with.
    pub venv: Option<PathBuf>,
    /// An interpreter whose packages are used, where it is in no virtual environment. Its program is not run.
    pub executable: Option<PathBuf>,
    /// Folders that all modules import from, before the standard library's and the packages'.
    pub search_path: Vec<PathBuf>,
    /// How long a thread that computes in Python keeps others waiting. 5 ms by default, as CPython has it.
    pub switch_interval: Option<Duration>,
    /// CPython's development mode: more checks and warnings, at a price.
    pub dev_mode: bool,
    /// How much memory Python may take: all of it, as its modules share one heap. By default as much as the process.
    pub memory: Option<MemoryLimits>,
    /// Where lines go that belong to no module: of threads that packages started, say.
    pub log: LogSink,
}

/// How much memory Python may take, all modules together and what it has for itself, some 10 MiB.
///
/// Enforced by CPython's own allocators. What a C extension takes by malloc itself is not seen; google.protobuf's does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// Code of guests that would pass this gets a `MemoryError`, in a call or while a module is loaded.
    pub soft: usize,
    /// What would pass this is refused whoever asks: threads that guests have started, and the host's own part, which
    /// describes errors. CPython ends the process where it can't do without.
    pub hard: Option<usize>,
}

impl MemoryLimits {
    /// A soft limit, in bytes.
    pub fn new(soft: usize) -> Self {
        MemoryLimits { soft, hard: None }
    }

    /// Adds a hard limit, in bytes: at least [`MemoryLimits::RESERVE`] more than the soft one.
    pub fn hard(mut self, bytes: usize) -> Self {
        self.hard = Some(bytes);
        self
    }

    /// What is kept between the limits, for the errors of those who reach the soft one.
    pub const RESERVE: usize = 8 << 20;
}

impl CpythonConfig {
    /// The defaults: isolated from the environment's variables and the user's own packages.
    pub fn new() -> Self {
        CpythonConfig::default()
    }

    /// Sets the virtual environment.
    pub fn venv(mut self, folder: impl Into<PathBuf>) -> Self {
        self.venv = Some(folder.into());
        self
    }

    /// Sets the interpreter.
    pub fn executable(mut self, program: impl Into<PathBuf>) -> Self {
        self.executable = Some(program.into());
        self
    }

    /// Adds a folder that all modules import from.
    pub fn search_path(mut self, folder: impl Into<PathBuf>) -> Self {
        self.search_path.push(folder.into());
        self
    }

    /// Sets how long a thread that computes in Python keeps others waiting.
    pub fn switch_interval(mut self, interval: Duration) -> Self {
        self.switch_interval = Some(interval);
        self
    }

    /// Turns CPython's development mode on.
    pub fn dev_mode(mut self) -> Self {
        self.dev_mode = true;
        self
    }

    /// Limits the memory of Python.
    pub fn memory(mut self, limits: MemoryLimits) -> Self {
        self.memory = Some(limits);
        self
    }

    /// Sets where lines go that belong to no module.
    pub fn log(mut self, log: LogSink) -> Self {
        self.log = log;
        self
    }

    /// The program whose prefix and packages CPython uses. It is not run.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where it is not there, or both `venv` and `executable` are set.
    pub fn program(&self) -> Result<PathBuf> {
        let program = match (&self.venv, &self.executable) {
            (Some(_), Some(_)) => {
                return Err(Error::new(ErrorKind::Config, "both venv and executable are set; set one of them"));
            }
            (Some(folder), None) => folder.join("bin/python"),
            (None, Some(program)) => program.clone(),
            (None, None) => built_with().ok_or_else(error::no_interpreter)?,
        };
        let program = std::path::absolute(&program).unwrap_or(program);
        if program.is_file() {
            return Ok(program);
        }
        let built_with = self.venv.is_none() && self.executable.is_none();
        Err(error::no_such_interpreter(&program, self.venv.as_deref(), built_with))
    }

    /// The limits on memory, where they make sense.
    pub(crate) fn checked_memory(&self) -> Result<Option<MemoryLimits>> {
        match self.memory {
            Some(MemoryLimits { soft, hard: Some(hard) }) if hard < soft.saturating_add(MemoryLimits::RESERVE) => {
                Err(error::no_reserve(soft, hard))
            }
            memory => Ok(memory),
        }
    }

    /// What is set otherwise than in `running`, a line each.
    pub(crate) fn differences(&self, running: &CpythonConfig) -> Vec<String> {
        let mut list = Vec::new();
        let mut compare = |name: &str, asked: String, has: String| {
            if asked != has {
                list.push(format!("{name} is {has} there and {asked} here"));
            }
        };
        compare("venv", path(self.venv.as_deref()), path(running.venv.as_deref()));
        compare("executable", path(self.executable.as_deref()), path(running.executable.as_deref()));
        compare("search_path", format!("{:?}", self.search_path), format!("{:?}", running.search_path));
        compare("switch_interval", time(self.switch_interval), time(running.switch_interval));
        compare("dev_mode", self.dev_mode.to_string(), running.dev_mode.to_string());
        compare("memory", format!("{:?}", self.memory), format!("{:?}", running.memory));
        if !self.log.is_same(&running.log) {
            list.push("log is another sink there than here".to_owned());
        }
        list
    }
}

fn path(path: Option<&Path>) -> String {
    path.map_or_else(|| "the default".to_owned(), |path| path.display().to_string())
}

fn time(time: Option<Duration>) -> String {
    time.map_or_else(|| "the default".to_owned(), |time| format!("{time:?}"))
}

/// The interpreter that this was built with.
fn built_with() -> Option<PathBuf> {
    let program = env!("POLYHOST_CPYTHON_EXECUTABLE");
    (!program.is_empty()).then(|| PathBuf::from(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let running = CpythonConfig::new().venv("/a").search_path("/x");
        let asked = CpythonConfig::new().venv("/b").search_path("/x").dev_mode();
        assert_eq!(
            ["venv is /a there and /b here", "dev_mode is false there and true here"],
            asked.differences(&running)[..]
        );
        assert!(running.differences(&running).is_empty());
        let quiet = running.clone().log(LogSink::new(|_| {}));
        assert_eq!(["log is another sink there than here"], running.differences(&quiet)[..]);
        assert!(quiet.differences(&quiet.clone()).is_empty());
    }

    #[test]
    fn an_interpreter_that_is_not_there_is_named() {
        let error = CpythonConfig::new().venv("/nowhere").program().expect_err("not there");
        assert_eq!(ErrorKind::Config, error.kind());
        assert!(error.to_string().contains("/nowhere/bin/python"), "{error}");
        let both = CpythonConfig::new().venv("/nowhere").executable("/nowhere/python").program();
        assert_eq!(ErrorKind::Config, both.expect_err("both").kind());
    }
}
