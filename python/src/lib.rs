//! The guest package `polyhost` for Python, as source text: what a host gives its guests to import.
//!
//! It travels inside this crate so that a host and its guest package always fit. For editors, type checkers and tests
//! of guests there is the same package to install: `pip install ./python`.

use std::ffi::CStr;

/// A file of the guest package.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct File {
    /// Its path in the package, such as `_call.py`.
    pub path: &'static str,
    /// What is in it.
    pub text: &'static str,
}

macro_rules! package {
    ($($path:literal),* $(,)?) => {
        &[$(File { path: $path, text: include_str!(concat!("polyhost/", $path)) }),*]
    };
}

/// The files of the guest package.
pub const PACKAGE: &[File] = package![
    "__init__.py",
    "_call.py",
    "_errors.py",
    "_export.py",
    "_log.py",
    "_logging.py",
    "_loop.py",
    "_module.py",
    "_report.py",
    "_service.py",
    "_start.py",
];

/// What completes [`PACKAGE`] for type checkers and editors. Hosts need none of it.
pub const TYPES: &[File] = package!["_native.pyi", "py.typed"];

/// What makes the package importable from its sources; run once, before anything else of it.
pub const BOOTSTRAP: &CStr =
    match CStr::from_bytes_with_nul(concat!(include_str!("polyhost/_bootstrap.py"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("_bootstrap.py has a null in it"),
    };
