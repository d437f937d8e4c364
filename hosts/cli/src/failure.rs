//! How a command fails: exit code, and what it says on stderr.

use std::io;
use std::process::ExitCode;

use polyhost::{Error, ErrorKind, GuestError};
use serde_json::{Value, json};

use crate::cli::Global;
use crate::screen::{self, Paint};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// Loading, calling, reading or writing failed.
    Failed(Error),
    /// Whoever read our output has gone away. Nothing to say, and nobody to say it to.
    BrokenPipe,
}

impl Failure {
    /// The failure to read or write something outside of any module.
    pub(crate) fn io(what: impl std::fmt::Display, error: io::Error) -> Self {
        Failure::Failed(Error::new(ErrorKind::Config, format!("{what}: {error}")).caused_by(error))
    }

    /// Says it on stderr and gives the exit code.
    pub(crate) fn report(&self, global: &Global) -> ExitCode {
        let code = self.exit_code();
        if global.json {
            if let Some(error) = self.to_json() {
                screen::note(&json!({ "error": error, "exit": code }).to_string());
            }
        } else if let Some(text) = self.to_text(global.verbose) {
            screen::note(&format!("{} {}", Paint::stderr().error("polyhost:"), screen::guarded(&text)));
        }
        ExitCode::from(code)
    }

    fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(error) if error.kind() == ErrorKind::DeadlineExceeded => 124,
            Failure::Failed(error) if ended_with(error) != 0 => ended_with(error),
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::BrokenPipe => 141,
        }
    }

    fn to_text(&self, verbose: bool) -> Option<String> {
        match self {
            Failure::Usage(message) => Some(format!("{message}; see polyhost --help")),
            Failure::Failed(error) if verbose => Some(format!("{error:?}")),
            Failure::Failed(error) => Some(error.to_string()),
            Failure::BrokenPipe => None,
        }
    }

    fn to_json(&self) -> Option<Value> {
        match self {
            Failure::Usage(message) => Some(json!({ "kind": "usage", "text": message, "message": message })),
            Failure::Failed(error) => Some(describe(error)),
            Failure::BrokenPipe => None,
        }
    }
}

/// What the `Main` of an application has returned, as a parent would see it; 0 where that is not why it failed.
fn ended_with(error: &Error) -> u8 {
    let code = error.context().find_map(|(key, value)| (key == "exit_code").then(|| value.parse::<i32>().ok())?);
    code.map_or(0, |code| code.to_le_bytes()[0])
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Failed(error)
    }
}

/// An error with everything it knows, in the words of `polyhost.v1.Error`, and its one line as `text`.
pub(crate) fn describe(error: &Error) -> Value {
    let facts: Vec<_> = error.context().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let mut object = json!({
        "kind": error.kind().name(),
        "code": error.code().name(),
        "text": error.to_string(),
        "message": error.message(),
    });
    let mut put = |key: &str, value: Value| object[key] = value;
    if let Some(operation) = error.operation_name() {
        put("operation", operation.into());
    }
    if !facts.is_empty() {
        put("context", facts.into());
    }
    if let Some(guest) = error.guest() {
        put("guest", describe_guest(guest));
    }
    match (error.inner_error(), std::error::Error::source(error)) {
        (Some(ours), _) => put("source", describe(ours)),
        (None, Some(other)) => put("source", json!({ "message": other.to_string() })),
        (None, None) => {}
    }
    object
}

fn describe_guest(guest: &GuestError) -> Value {
    let frames: Vec<_> = guest
        .frames
        .iter()
        .map(|f| json!({ "function": f.function, "file": f.file, "line": f.line, "text": f.text }))
        .collect();
    let mut object = json!({ "type_name": guest.type_name, "message": guest.message, "frames": frames });
    if let Some(status) = guest.status {
        object["status"] = status.name().into();
    }
    if let Some(cause) = &guest.cause {
        object["cause"] = describe_guest(cause);
    }
    object
}
