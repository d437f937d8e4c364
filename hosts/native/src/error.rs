//! What goes wrong here, in words.

use std::path::Path;

use polyhost_bridge::{CallContext, Error, ErrorKind, Export, still_inside};

/// What a call failed with, with the name of its export. A guest that noticed its cancellation may say so with the
/// status alone; callers ask for the kind.
#[cold]
pub(crate) fn in_call(export: &Export, cx: &CallContext, error: Error) -> Error {
    let error = match cx.cancelled().map(|reason| reason.error()) {
        Some(reason) if reason.code() == error.code() => error.with_kind(reason.kind()),
        _ => error,
    };
    error.operation(format!("call {}", export.name()))
}

#[cold]
pub(crate) fn not_the_message(name: &str, cause: prost::DecodeError) -> Error {
    Error::new(ErrorKind::Decode, format!("the input is not a {name}: {cause}")).caused_by(cause)
}

#[cold]
pub(crate) fn twice(name: &str) -> Error {
    Error::new(ErrorKind::Config, format!("two exports have the name {name}; give one of them another"))
}

#[cold]
pub(crate) fn no_such_module<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known: Vec<_> = known.map(String::as_str).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let message = format!("no Rust module {name}; there are: {known}; add it with NativeConfig::module");
    Error::new(ErrorKind::Load, message)
}

#[cold]
pub(crate) fn libraries_not_allowed(path: &Path) -> Error {
    let message = format!(
        "{} would become part of this process, which only the program's author can allow: by \
         adding Native::with_libraries() to the registry as \"native\", or by NativeConfig::allow_libraries",
        path.display()
    );
    Error::new(ErrorKind::Unsupported, message)
}

#[cold]
pub(crate) fn no_such_kind_of_source() -> Error {
    let message = "native modules are shared libraries, by path, or Rust modules, by name; not bytes or source text";
    Error::new(ErrorKind::Unsupported, message)
}

#[cold]
pub(crate) fn one_instance(asked: usize) -> Error {
    let message = format!("a native module is one instance and not {asked}; load it several times instead");
    Error::new(if asked == 0 { ErrorKind::Config } else { ErrorKind::Unsupported }, message)
}

#[cold]
pub(crate) fn shut_down() -> Error {
    Error::new(ErrorKind::Closed, "the native runtime has been shut down; start another")
}

#[cold]
pub(crate) fn busy(module: &str, calls: usize) -> Error {
    let message = format!("{} in module {module}; they go on, shut down again to wait for them", still_inside(calls));
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down native")
}

#[cold]
pub(crate) fn busy_here(module: &str) -> Error {
    let message = format!("the thread that asks is itself inside a call of module {module}; ask again when it is out");
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down native")
}

#[cold]
pub(crate) fn loading(loads: usize) -> Error {
    let what = if loads == 1 { "1 module is" } else { &format!("{loads} modules are") };
    let message = format!("{what} still being loaded; shut down again to wait for that");
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down native")
}

/// A library that can't be loaded: which, why, and what to do.
#[cold]
pub(crate) fn library(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Load, what.to_string()).with("library", path.display().to_string())
}
