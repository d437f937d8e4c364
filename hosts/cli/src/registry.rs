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

/// The feature of cargo that a runtime comes with, by the scheme of its locations.
pub(crate) fn feature_of(scheme: &str) -> Option<&'static str> {
    match scheme {
        "clr" => Some("clr"),
        "py" => Some("cpython"),
        "lua" => Some("luajit"),
        _ => None,
    }
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

/// The interpreter whose packages are used, which is not run.
#[cfg(feature = "cpython")]
pub(crate) fn python_program() -> polyhost::Result<std::path::PathBuf> {
    python(LogSink::default()).program()
}

/// Variables that name a Python to people who set them, and name none to this program: each with its value and why.
#[cfg(feature = "cpython")]
pub(crate) fn passed_over() -> Vec<String> {
    let mut list = Vec::new();
    if let Some((folder, false)) = active_environment() {
        let why = if folder.is_dir() {
            format!("no environment of Python {BUILT_FOR_PYTHON}, which this program was built for")
        } else {
            "there is no such folder".to_owned()
        };
        list.push(format!("VIRTUAL_ENV={}: {why}", folder.display()));
    }
    let built_with = polyhost::cpython::CpythonConfig::new().program().ok();
    for name in ["POLYHOST_PYTHON", "PYO3_PYTHON"] {
        let value = std::env::var_os(name).filter(|value| !value.is_empty()).map(std::path::PathBuf::from);
        if let Some(value) = value.filter(|value| Some(value) != built_with.as_ref()) {
            let value = value.display();
            list.push(format!(
                "{name}={value}: says what to build with, and nothing once it is built; use VIRTUAL_ENV"
            ));
        }
    }
    list
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
