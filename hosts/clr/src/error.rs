//! What can go wrong before a module runs, in words.

use std::fmt::Display;
use std::io;
use std::path::Path;

use polyhost_bridge::{CallContext, Error, ErrorKind, still_inside};
use polyhost_toolchain::dotnet::DotnetRoot;
use polyhost_toolchain::{NotFound, Version};

use crate::config::GuestFailure;

const INSTALL: &str = "install .NET 8 or newer (https://dotnet.microsoft.com/download), or set DOTNET_ROOT to the folder of one, \
     or POLYHOST_DOTNET to the .dotnet of a checkout of Polyhost";

/// What .NET raises where a call is told to stop.
const CANCELLED: [&str; 2] = ["System.OperationCanceledException", "System.Threading.Tasks.TaskCanceledException"];
const TYPE_INITIALIZATION: &str = "System.TypeInitializationException";

// Codes of hostfxr, from dotnet/runtime `docs/design/features/host-error-codes.md`.
const LIBRARY_LOAD: u32 = 0x8000_8082;
const LIBRARY_MISSING: u32 = 0x8000_8083;
const CORECLR_RESOLVE: u32 = 0x8000_8087;
const CORECLR_BIND: u32 = 0x8000_8088;
const CORECLR_INIT: u32 = 0x8000_8089;
const RESOLVER_INIT: u32 = 0x8000_808b;
const RESOLVER_RESOLVE: u32 = 0x8000_808c;
const INVALID_CONFIG: u32 = 0x8000_8093;
const FRAMEWORK_MISSING: u32 = 0x8000_8096;
const INVALID_STATE: u32 = 0x8000_80a3;
const INCOMPATIBLE: u32 = 0x8000_80a5;

/// What a call failed with, in a line that tells what the caller can act on: why it was stopped, the status, and what
/// a type's initializer raised.
#[cold]
pub(crate) fn in_call(cx: &CallContext, error: Error) -> Error {
    match (error.guest(), cx.cancelled()) {
        (Some(guest), Some(reason)) if CANCELLED.contains(&&*guest.type_name) => {
            let reason = reason.error();
            error.with_message(reason.message())
        }
        (Some(guest), _) if guest.status.is_some() && error.kind() == ErrorKind::Guest => {
            let told = Error::from_guest(guest.clone());
            error.with_message(told.message())
        }
        _ => with_initializer(error),
    }
}

/// A failed initializer says of itself only that it has failed.
#[cold]
pub(crate) fn with_initializer(error: Error) -> Error {
    let mut causes = Vec::new();
    let mut at = error.guest();
    while let Some(guest) = at.filter(|guest| guest.type_name == TYPE_INITIALIZATION) {
        at = guest.cause.as_deref();
        causes.extend(at.map(|cause| format!("{}: {}", cause.type_name, cause.message)));
    }
    let Some(cause) = causes.pop() else { return error };
    let message = format!("{}: {cause}", error.message());
    error.with_message(message)
}

/// No .NET: every place that was looked at is in the message.
#[cold]
pub(crate) fn no_dotnet(error: &NotFound) -> Error {
    Error::new(ErrorKind::Load, error.to_string())
}

#[cold]
pub(crate) fn no_compiler(source: &Path, error: &NotFound) -> Error {
    let message = format!("{} is C# source, and there is no compiler for it: {error}", source.display());
    Error::new(ErrorKind::Load, message)
}

#[cold]
pub(crate) fn hostfxr_not_loaded(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = format!("{} can't be loaded: {error}; the installation is damaged, {INSTALL}", path.display());
    Error::new(ErrorKind::Load, message).caused_by(error)
}

#[cold]
pub(crate) fn no_temporary_file(error: io::Error) -> Error {
    let folder = std::env::temp_dir();
    let message = format!(
        "the configuration of .NET can't be written to {}: {error}; set TMPDIR to a folder that can be written to",
        folder.display()
    );
    Error::new(ErrorKind::Config, message).caused_by(error)
}

/// hostfxr returned `code`, and said `said` before.
#[cold]
pub(crate) fn start(root: &DotnetRoot, code: u32, said: &str) -> Error {
    let what = match code {
        FRAMEWORK_MISSING => {
            "it lacks a framework of a version that will do; install it, or set DOTNET_ROOT to a .NET that has it"
        }
        LIBRARY_LOAD | LIBRARY_MISSING | CORECLR_RESOLVE | CORECLR_BIND | RESOLVER_INIT | RESOLVER_RESOLVE => {
            "the installation is damaged or incomplete; install it again, or set DOTNET_ROOT to another"
        }
        CORECLR_INIT => "the runtime itself refused; its options (GC, properties) may not fit together",
        INVALID_CONFIG => "it refused its configuration; see the properties that were set",
        INVALID_STATE | INCOMPATIBLE => {
            "another part of this process has started .NET with frameworks or versions that don't fit; start it through Polyhost first"
        }
        _ => "see what hostfxr said",
    };
    let mut error = Error::new(ErrorKind::Load, format!("the .NET in {} did not start: {what}", root.root.display()))
        .with("found", inventory(root))
        .with("found by", root.found_by.clone())
        .with("hostfxr", format!("{code:#010x}"));
    if !said.is_empty() {
        error = error.caused_by(Error::new(ErrorKind::Load, said.trim_end()).operation("hostfxr"));
    }
    error
}

fn inventory(root: &DotnetRoot) -> String {
    let frameworks = root.runtimes.iter().map(|(name, versions)| {
        let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
        format!("{name} {}", versions.join(" and "))
    });
    let list: Vec<_> = frameworks.collect();
    if list.is_empty() { "no framework".to_owned() } else { list.join(", ") }
}

#[cold]
pub(crate) fn no_bootstrap(error: impl Display) -> Error {
    let message =
        format!("the embedded shim has no bootstrap: {error}; this build of Polyhost is broken, please report");
    Error::new(ErrorKind::Internal, message)
}

#[cold]
pub(crate) fn started_otherwise(differences: &[String]) -> Error {
    let message = format!(
        ".NET runs in this process already, with another configuration: {}; it starts once, so start it with one configuration everywhere",
        differences.join(", ")
    );
    Error::new(ErrorKind::Config, message)
}

#[cold]
pub(crate) fn no_handler(asked: GuestFailure, version: &Version) -> Error {
    let message = format!(
        "guest_failures.unhandled is {asked:?}, and .NET {version} has no way to do that: it ends the process when an \
         exception leaves a thread; install .NET 10 or newer, or ask for Abort"
    );
    Error::new(ErrorKind::Config, message)
}

#[cold]
pub(crate) fn shut_down() -> Error {
    Error::new(ErrorKind::Closed, ".NET was shut down; it can't be started twice in one process")
}

#[cold]
pub(crate) fn one_instance(asked: usize) -> Error {
    let message = format!("a .NET module is one instance and not {asked}; load it several times instead");
    Error::new(if asked == 0 { ErrorKind::Config } else { ErrorKind::Unsupported }, message)
}

#[cold]
pub(crate) fn busy(module: &str, calls: usize) -> Error {
    let message = format!("{} of module {module}; they go on, shut down again to wait for them", still_inside(calls));
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down .NET")
}

#[cold]
pub(crate) fn busy_here(module: &str) -> Error {
    let message = format!("the thread that asks is itself inside a call of module {module}; ask again when it is out");
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down .NET")
}

#[cold]
pub(crate) fn no_such_kind_of_source() -> Error {
    let message = "a .NET module is an assembly by path or bytes, or C# by path or text; not a name";
    Error::new(ErrorKind::Unsupported, message)
}
