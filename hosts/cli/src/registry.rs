//! The runtimes of this build, as this program starts them.

use polyhost::{LogSink, Registry};

use crate::ffi;

/// All of them, none started yet. Shared libraries are allowed here, which the library leaves to its users. What
/// belongs to no module is logged to `log`.
pub(crate) fn registry(log: LogSink) -> Registry {
    let mut registry = polyhost::registry();
    registry.add("native", || Ok(ffi::native()));
    #[cfg(feature = "cpython")]
    registry.add("py", move || polyhost::cpython::Cpython::start(&python(log.clone())));
    #[cfg(not(feature = "cpython"))]
    drop(log);
    registry
}

/// The version of Python that this was built for, such as `3.11.7`.
#[cfg(feature = "cpython")]
pub(crate) const BUILT_FOR_PYTHON: &str = env!("POLYHOST_BUILT_FOR_PYTHON");

#[cfg(feature = "cpython")]
fn python(log: LogSink) -> polyhost::cpython::CpythonConfig {
    let config = polyhost::cpython::CpythonConfig::new().log(log);
    match active_environment() {
        Some((folder, true)) => config.venv(folder),
        _ => config,
    }
}

/// The virtual environment that is active in the shell, and whether it was made by the Python that this was built for:
/// only then are its packages of any use.
#[cfg(feature = "cpython")]
pub(crate) fn active_environment() -> Option<(std::path::PathBuf, bool)> {
    let folder = std::path::PathBuf::from(std::env::var_os("VIRTUAL_ENV").filter(|value| !value.is_empty())?);
    let minor: Vec<_> = BUILT_FOR_PYTHON.split('.').take(2).collect();
    let fits = folder.join("lib").join(format!("python{}", minor.join("."))).is_dir();
    Some((folder, fits))
}
