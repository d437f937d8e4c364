//! What goes wrong, in words; and what guests raise, as errors.

use std::path::Path;

use polyhost_bridge::{CallContext, Code, Error, ErrorKind, Export, Frame, GuestError, still_inside};
use pyo3::prelude::*;

use crate::config::MemoryLimits;
use crate::ffi::{self, Failure};
use crate::module::Helpers;

/// What a call failed with.
#[cold]
pub(crate) fn in_call(
    py: Python<'_>,
    helpers: &Helpers,
    export: &Export,
    cx: &CallContext,
    failure: Failure<'_>,
) -> Error {
    match failure {
        Failure::Host(error) => error,
        Failure::Raised(exception) => raised(py, helpers, cx, &exception),
        Failure::Decode(exception) => {
            let said = describe(py, helpers, &exception);
            let wanted = export.input_type().unwrap_or("message");
            let message = format!("the input is not a {wanted}: {}", said.guest.message);
            Error::new(ErrorKind::Decode, message).with_guest(said.guest)
        }
        Failure::Encode(exception) => {
            let said = describe(py, helpers, &exception);
            let wanted = export.output_type().unwrap_or("row of bytes");
            let message = format!("the reply can't be written as a {wanted}: {}", said.guest.message);
            Error::new(ErrorKind::Encode, message).with_guest(said.guest)
        }
        Failure::WrongType(class) => {
            let name = class.getattr("__qualname__").and_then(|name| name.extract::<String>());
            let actual = name.unwrap_or_else(|_| "something without a type".to_owned());
            let wanted = export.output_type().unwrap_or("bytes");
            let message = format!("{} returned {actual} instead of {wanted}", export.name());
            Error::new(ErrorKind::Encode, message)
        }
    }
}

/// What guest code raised in a call.
#[cold]
fn raised(py: Python<'_>, helpers: &Helpers, cx: &CallContext, exception: &Bound<'_, PyAny>) -> Error {
    describe(py, helpers, exception).in_context(cx)
}

/// A `MemoryError` says nothing of itself.
#[cold]
fn explain_memory(guest: &mut GuestError) {
    if guest.status != Some(Code::ResourceExhausted) || !guest.message.is_empty() {
        return;
    }
    if let Some((used, soft)) = ffi::used_of() {
        guest.message = format!("Python has {used} bytes of the {soft} that CpythonConfig::memory lets it take");
    }
}

/// What a module failed to load with.
#[cold]
pub(crate) fn in_load(py: Python<'_>, helpers: &Helpers, cx: &CallContext, error: PyErr) -> Error {
    let exception = error.into_value(py).into_bound(py).into_any();
    let said = describe(py, helpers, &exception);
    // Its message was written for the host's user.
    if exception.is_instance(&helpers.load_error.bind(py)).unwrap_or(false) {
        return Error::new(ErrorKind::Load, said.guest.message);
    }
    let place = said.guest.frames.first().filter(|frame| !frame.file.is_empty());
    let mut message = match place {
        Some(frame) => format!("{}:{}: ", frame.file, frame.line),
        None => String::new(),
    };
    let lacks_protobuf = lacks_protobuf(&said.guest);
    let error = said.in_context(cx);
    if error.kind() != ErrorKind::Guest {
        return error;
    }
    message += error.message();
    if lacks_protobuf {
        message += &format!("; {}", how_to_get_protobuf(py));
    }
    error.with_message(message).with_kind(ErrorKind::Load)
}

/// Modules made by protoc import `google.protobuf`; nobody knows `google` as the name of a package to install.
fn lacks_protobuf(guest: &GuestError) -> bool {
    guest.type_name == "ModuleNotFoundError"
        && ["No module named 'google'", "No module named 'google.protobuf"]
            .iter()
            .any(|it| guest.message.starts_with(it))
}

fn how_to_get_protobuf(py: Python<'_>) -> String {
    let program = py.import("sys").and_then(|sys| sys.getattr("executable")?.extract::<String>());
    let program = program.unwrap_or_default();
    format!(
        "the Python in use is {program}, which has no package protobuf; add it with: {program} -m pip install protobuf"
    )
}

/// What went wrong in the guest package itself.
#[cold]
pub(crate) fn in_host_code(py: Python<'_>, error: &PyErr) -> Error {
    let mut text = error.to_string();
    if let Some(Ok(traceback)) = error.traceback(py).map(|traceback| traceback.format()) {
        text = format!("{text}\n{traceback}");
    }
    Error::new(ErrorKind::Internal, format!("the guest package failed: {text}"))
}

/// What went wrong in an event loop itself.
#[cold]
pub(crate) fn in_loop(error: &PyErr) -> Error {
    Python::attach(|py| in_host_code(py, error))
}

/// An exception as the guest package describes it.
struct Said {
    guest: GuestError,
    /// The failure of a host service that led to it.
    cause: Option<Error>,
    /// Whether it, or what led to it, is what a cancelled call is stopped with.
    stopped: bool,
}

impl Said {
    /// What it is where it came out of code that ran in `cx`.
    fn in_context(self, cx: &CallContext) -> Error {
        match cx.cancelled() {
            Some(reason) if self.stopped => reason.error().with_guest(self.guest),
            _ => self.into_error(),
        }
    }

    fn into_error(self) -> Error {
        let error = Error::from_guest(self.guest);
        match self.cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }
}

#[cold]
fn describe(py: Python<'_>, helpers: &Helpers, exception: &Bound<'_, PyAny>) -> Said {
    let described = helpers.describe.bind(py).call1((exception,)).and_then(|described| said(&described));
    described.unwrap_or_else(|_| {
        // Out of memory, or an exception whose own methods raise: its type is all there is.
        let name = exception.get_type().name().and_then(|name| name.extract::<String>());
        let guest = GuestError::new(name.unwrap_or_default(), "an exception that can't be described");
        Said { guest, cause: None, stopped: false }
    })
}

/// Reads what `polyhost._report.describe` returns.
fn said(described: &Bound<'_, PyAny>) -> PyResult<Said> {
    let (chain, report, stopped): (Vec<Bound<'_, PyAny>>, Option<Vec<u8>>, bool) = described.extract()?;
    let mut guest = None;
    for link in chain.iter().rev() {
        let mut error = one(link)?;
        error.cause = guest.map(Box::new);
        guest = Some(error);
    }
    let cause = report.map(|report| Error::from_report(&report).unwrap_or_else(|undecodable| undecodable));
    let mut guest = guest.unwrap_or_default();
    explain_memory(&mut guest);
    Ok(Said { guest, cause, stopped })
}

fn one(link: &Bound<'_, PyAny>) -> PyResult<GuestError> {
    type Frames = Vec<(String, String, u32, String)>;
    let (type_name, message, status, frames): (String, String, i32, Frames) = link.extract()?;
    let mut error = GuestError::new(type_name, message);
    error.status = Code::from_number(status);
    error.frames = frames
        .into_iter()
        .map(|(function, file, line, text)| {
            let mut frame = Frame::new(function, file, line);
            frame.text = text;
            frame
        })
        .collect();
    Ok(error)
}

#[cold]
pub(crate) fn other_version(found: &str, built: &str, library: Option<&Path>) -> Error {
    let library = library.map_or_else(|| "libpython".to_owned(), |path| path.display().to_string());
    let message = format!(
        "this program was built with CPython {built}, but {library} is CPython {found}; give the program an rpath \
         (a build.rs with pyo3_build_config::add_libpython_rpath_link_args()) or set LD_LIBRARY_PATH, \
         or build it with PYO3_PYTHON pointing to CPython {found}"
    );
    Error::new(ErrorKind::Load, message)
}

#[cold]
pub(crate) fn no_reserve(soft: usize, hard: usize) -> Error {
    let message = format!(
        "memory has a soft limit of {soft} bytes and a hard one of {hard}; leave {} bytes between them, or leave the hard one out",
        MemoryLimits::RESERVE
    );
    Error::new(ErrorKind::Config, message)
}

#[cold]
pub(crate) fn not_started(status: &str, program: &Path) -> Error {
    let message =
        format!("CPython did not start: {status}; check the installation that {} belongs to", program.display());
    Error::new(ErrorKind::Load, message)
}

#[cold]
pub(crate) fn started_elsewhere() -> Error {
    let message = "CPython runs in this process already, started by something else; start it through Polyhost first";
    Error::new(ErrorKind::Config, message)
}

#[cold]
pub(crate) fn failed_before() -> Error {
    let message = "CPython failed to start in this process before, and can't be started again; start a new process";
    Error::new(ErrorKind::Closed, message)
}

#[cold]
pub(crate) fn started_otherwise(differences: &[String]) -> Error {
    let message = format!(
        "CPython runs in this process already, with another configuration: {}; it starts once, so start it with one configuration everywhere",
        differences.join(", ")
    );
    Error::new(ErrorKind::Config, message)
}

#[cold]
pub(crate) fn no_interpreter() -> Error {
    let message = "the build knew of no interpreter; set CpythonConfig::venv or CpythonConfig::executable";
    Error::new(ErrorKind::Config, message)
}

#[cold]
pub(crate) fn no_such_interpreter(program: &Path, venv: Option<&Path>, built_with: bool) -> Error {
    let other = "or use another: VIRTUAL_ENV for the program polyhost, CpythonConfig::venv or executable in a program \
                 of your own";
    let advice = match venv {
        Some(folder) => format!("make the environment with: python3 -m venv {}, {other}", folder.display()),
        None if built_with => format!(
            "this was built with it, and uses its packages: put it back, build again with POLYHOST_PYTHON (make) or \
             PYO3_PYTHON (cargo) set, {other}"
        ),
        None => "set CpythonConfig::venv or CpythonConfig::executable to one that is there".to_owned(),
    };
    Error::new(ErrorKind::Config, format!("there is no interpreter {}; {advice}", program.display()))
}

#[cold]
pub(crate) fn shut_down() -> Error {
    Error::new(ErrorKind::Closed, "CPython was shut down; it can't be started twice in one process")
}

#[cold]
pub(crate) fn one_instance(asked: usize) -> Error {
    let message = format!("a Python module is one instance and not {asked}; load it several times instead");
    Error::new(if asked == 0 { ErrorKind::Config } else { ErrorKind::Unsupported }, message)
}

#[cold]
pub(crate) fn busy(module: &str, calls: usize) -> Error {
    let message = format!("{} of module {module}; they go on, shut down again to wait for them", still_inside(calls));
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down CPython")
}

#[cold]
pub(crate) fn busy_here() -> Error {
    let message = "the thread that asks is itself inside Python, in a host service or a log; ask again when it is out";
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down CPython")
}

#[cold]
pub(crate) fn no_such_kind_of_source() -> Error {
    let message = "a Python module is a file or a package's folder by path, a dotted name, or source text; not bytes";
    Error::new(ErrorKind::Unsupported, message)
}

#[cold]
pub(crate) fn threads_inside(count: usize) -> Error {
    let what = if count == 1 { "1 thread is" } else { &format!("{count} threads are") };
    let message = format!(
        "{what} still in Python: loading a module, in an event loop, or in a host service; shut down again to wait for them"
    );
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down CPython")
}

#[cold]
pub(crate) fn still_ending() -> Error {
    let message = "Python still waits for threads that guests have started and that are no daemons; it refuses calls and ends with them";
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down CPython")
}

#[cold]
pub(crate) fn lost() -> Error {
    Error::new(ErrorKind::Closed, "the module's event loop ended before the call")
}
