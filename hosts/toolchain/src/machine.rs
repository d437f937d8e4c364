//! What a search can see of the machine.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The variables and the file system that a search looks at.
///
/// Searches read the process only through this, so they can be asked about another set of variables or another
/// root folder than the ones of this process.
#[derive(Clone, Debug)]
pub struct Machine {
    vars: BTreeMap<OsString, OsString>,
    root: PathBuf,
}

impl Machine {
    /// This process: its environment, and `/`.
    pub fn current() -> Self {
        Self { vars: std::env::vars_os().collect(), root: PathBuf::from("/") }
    }

    /// A machine whose `/` is the folder `root`, without any variables.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { vars: BTreeMap::new(), root: root.into() }
    }

    /// The same machine with one variable set.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    /// The same machine with one variable removed.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.vars.remove(OsStr::new(name));
        self
    }

    /// A variable's value; one that is set to nothing counts as not set.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable that holds a path.
    pub fn var_path(&self, name: &str) -> Option<PathBuf> {
        self.var(name).map(PathBuf::from)
    }

    /// The place of a path that starts at `/`, on this machine.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// Every executable file of this name on `PATH`, in order.
    pub fn on_path(&self, name: &str) -> Vec<PathBuf> {
        let Some(path) = self.var("PATH") else {
            return Vec::new();
        };
        std::env::split_paths(path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .filter(|file| is_executable(file))
            .collect()
    }
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}
