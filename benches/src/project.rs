//! What `make setup` has got for this checkout, found without cargo's help too.

use std::path::{Path, PathBuf};

use polyhost::Registry;
use polyhost::clr::{Clr, ClrConfig};
use polyhost::cpython::{Cpython, CpythonConfig};
use polyhost::native::Native;
use polyhost_toolchain::dotnet::{DotnetRoot, LOCAL, search_for_host};
use polyhost_toolchain::{Machine, NotFound};

use crate::workloads::guests::files::root;

/// Whose modules are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The bench's own, which need the packages of the project's environment.
    Ours,
    /// A user's, which are at home in the environment that is active.
    Users,
}

/// All runtimes, none started as yet, with leave to load shared libraries.
pub(crate) fn registry(whose: Whose) -> Registry {
    let mut registry = polyhost::registry();
    // SAFETY: the library of this package keeps the contract of polyhost.h; one that the user names is the user's to
    // vouch for, as the help of `--module` says, and lives in a worker process that nothing else depends on.
    registry.add("native", || Ok(unsafe { Native::with_libraries() }));
    registry.add("clr", || {
        let mut config = ClrConfig::default();
        // Where there is none, the host says where it has looked.
        config.dotnet_root = dotnet().ok().map(|found| found.root);
        Clr::start(&config)
    });
    registry.add("py", move || {
        let config = CpythonConfig::new();
        Cpython::start(&match python(whose) {
            Some(folder) => config.venv(folder),
            None => config,
        })
    });
    registry
}

/// The .NET of guests and of servers alike: the one that every host finds, or else this checkout's own.
///
/// # Errors
/// With every place that was looked at.
pub(crate) fn dotnet() -> Result<DotnetRoot, NotFound> {
    let (machine, local) = (Machine::current(), root().join(".dotnet"));
    let machine = if machine.var(LOCAL).is_none() && local.is_dir() { machine.with(LOCAL, local) } else { machine };
    search_for_host(&machine, None).into_result()
}

/// The environment whose packages Python imports; `None` for that of the interpreter which this was built with.
fn python(whose: Whose) -> Option<PathBuf> {
    let own = root().join(".venv");
    let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let candidates = match whose {
        Whose::Ours => [Some(own), active],
        Whose::Users => [active, Some(own)],
    };
    candidates.into_iter().flatten().find(|folder| fits(folder))
}

/// Whether an environment is of the Python that this was built with: only then are its packages of any use.
fn fits(folder: &Path) -> bool {
    folder.join("bin/python").is_file() && folder.join("lib").join(env!("POLYHOST_BENCH_PYTHON")).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_of_another_python_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!fits(folder.path()));
        std::fs::create_dir_all(folder.path().join("bin")).expect("made");
        std::fs::write(folder.path().join("bin/python"), "").expect("written");
        std::fs::create_dir_all(folder.path().join("lib/python2.7")).expect("made");
        assert!(!fits(folder.path()));
        std::fs::create_dir_all(folder.path().join("lib").join(env!("POLYHOST_BENCH_PYTHON"))).expect("made");
        assert!(fits(folder.path()));
    }
}
