//! One error for every runtime.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is. Each has a canonical gRPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option, a path or an environment is wrong: `FAILED_PRECONDITION`.
    Config,
    /// A runtime or a module could not be loaded: `FAILED_PRECONDITION`.
    Load,
    /// There is no module, export or service of that name: `NOT_FOUND`.
    NotFound,
    /// Bytes or JSON that are not the message they should be: `INVALID_ARGUMENT`.
    Decode,
    /// A value that can't be written as the message it should be: `INTERNAL`.
    Encode,
    /// Guest code raised; see [`Error::guest`]: `UNKNOWN`, or the status that the guest gave.
    Guest,
    /// A host service that a guest called failed: the code of its cause.
    Service,
    /// The call was cancelled: `CANCELLED`.
    Cancelled,
    /// The call ran out of time: `DEADLINE_EXCEEDED`.
    DeadlineExceeded,
    /// A limit was reached: reply size, memory, depth, instances, workers: `RESOURCE_EXHAUSTED`.
    Exhausted,
    /// This runtime can't do that: `UNIMPLEMENTED`.
    Unsupported,
    /// The module or runtime is unloaded or about to be: `UNAVAILABLE`.
    Closed,
    /// A bug in Polyhost, or a panic in host code: `INTERNAL`.
    Internal,
}

/// A canonical gRPC status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[allow(missing_docs, reason = "the names are the standard's")]
pub enum Code {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    /// Every code, in the order of its number.
    pub const ALL: [Code; 16] = [
        Code::Cancelled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
        Code::Unauthenticated,
    ];

    /// The code with this number; `None` for 0 (`OK`) and for numbers the standard does not know.
    pub fn from_number(number: i32) -> Option<Code> {
        Code::ALL.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }

    /// The code with this standard name, such as `INVALID_ARGUMENT`.
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.name() == name)
    }

    /// The number, 1 to 16.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The standard name, such as `INVALID_ARGUMENT`.
    pub fn name(self) -> &'static str {
        match self {
            Code::Cancelled => "CANCELLED",
            Code::Unknown => "UNKNOWN",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::Aborted => "ABORTED",
            Code::OutOfRange => "OUT_OF_RANGE",
            Code::Unimplemented => "UNIMPLEMENTED",
            Code::Internal => "INTERNAL",
            Code::Unavailable => "UNAVAILABLE",
            Code::DataLoss => "DATA_LOSS",
            Code::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What guest code raised, in the guest's own terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestError {
    /// The language's name of the type: `System.InvalidOperationException`, `ValueError`, `string`.
    pub type_name: String,
    /// The message alone, without the type.
    pub message: String,
    /// The guest's stack, innermost first.
    pub frames: Vec<Frame>,
    /// The exception that led to this one, as the language tells it.
    pub cause: Option<Box<GuestError>>,
    /// The status code, where the guest gave one.
    pub status: Option<Code>,
}

impl GuestError {
    /// An error of the given type and message, without frames.
    pub fn new(type_name: impl Into<String>, message: impl Into<String>) -> Self {
        GuestError { type_name: type_name.into(), message: message.into(), ..GuestError::default() }
    }
}

/// One frame of a guest's stack. Unknown parts are empty or 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The function, in the language's own notation.
    pub function: String,
    /// The source file.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The source line where it is known.
    pub text: String,
}

impl Frame {
    /// A frame of a function at a line of a file.
    pub fn new(function: impl Into<String>, file: impl Into<String>, line: u32) -> Self {
        Frame { function: function.into(), file: file.into(), line, text: String::new() }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = if self.function.is_empty() { "?" } else { &self.function };
        match (self.file.is_empty(), self.line) {
            (true, _) => write!(f, "at {function}"),
            (false, 0) => write!(f, "at {function} ({})", self.file),
            (false, line) => write!(f, "at {function} ({}:{line})", self.file),
        }?;
        if !self.text.is_empty() {
            write!(f, "  {}", self.text.trim())?;
        }
        Ok(())
    }
}

/// What went wrong, where, and what to do about it.
///
/// `Display` is one line. `Debug` is the whole report: context, guest stacks
/// and every cause, through as many runtimes as the call passed.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    operation: Option<String>,
    context: Vec<(String, String)>,
    guest: Option<GuestError>,
    source: Option<Source>,
}

enum Source {
    Ours(Error),
    Other(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// An error of a kind with a message: lower case, no full stop, what and where and what to do.
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            operation: None,
            context: Vec::new(),
            guest: None,
            source: None,
        }))
    }

    /// An error that guest code raised. Its message begins with the status code, or else with the type.
    #[cold]
    pub fn from_guest(guest: GuestError) -> Self {
        let what = guest.status.map_or(&*guest.type_name, |code| code.name());
        let message = match (what.is_empty(), guest.message.is_empty()) {
            (true, _) => guest.message.clone(),
            (false, true) => what.to_owned(),
            (false, false) => format!("{what}: {}", guest.message),
        };
        let mut error = Error::new(ErrorKind::Guest, message);
        error.0.guest = Some(guest);
        error
    }

    /// The failure with a status code that a function of the host reports to its caller.
    #[cold]
    pub fn status(code: Code, message: impl Into<String>) -> Self {
        let mut guest = GuestError::new(code.name(), message);
        guest.status = Some(code);
        Error::from_guest(guest)
    }

    /// The same error of another kind.
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error in other words.
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Says what was being done, such as `call greeter.v1.Greeter/SayHello`. The first one given stays.
    pub fn operation(mut self, operation: impl Into<String>) -> Self {
        self.0.operation.get_or_insert_with(|| operation.into());
        self
    }

    /// Adds a fact.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.context.push((key.into(), value.into()));
        self
    }

    /// Attaches what the guest raised and keeps the kind and the message.
    pub fn with_guest(mut self, guest: GuestError) -> Self {
        self.0.guest = Some(guest);
        self
    }

    /// Names the error that led to this one.
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(match source.into().downcast::<Error>() {
            Ok(ours) => Source::Ours(*ours),
            Err(other) => Source::Other(other),
        });
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without operation and context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What was being done, where that is known.
    pub fn operation_name(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// The facts, in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.context.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What guest code raised, where it did.
    pub fn guest(&self) -> Option<&GuestError> {
        self.0.guest.as_ref()
    }

    /// The error of ours that led to this one.
    pub fn inner_error(&self) -> Option<&Error> {
        match &self.0.source {
            Some(Source::Ours(error)) => Some(error),
            _ => None,
        }
    }

    /// This error and its causes of ours, outermost first.
    pub fn chain(&self) -> impl Iterator<Item = &Error> {
        std::iter::successors(Some(self), |error| error.inner_error())
    }

    /// The canonical gRPC code: the guest's status if it gave one and was not stopped, else that of the kind.
    pub fn code(&self) -> Code {
        // What a guest says about its cancellation is its own guess; the host knows why it stopped it.
        let stopped = matches!(self.0.kind, ErrorKind::Cancelled | ErrorKind::DeadlineExceeded);
        if let Some(code) = self.0.guest.as_ref().and_then(|guest| guest.status).filter(|_| !stopped) {
            return code;
        }
        match self.0.kind {
            ErrorKind::Config | ErrorKind::Load => Code::FailedPrecondition,
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::Decode => Code::InvalidArgument,
            ErrorKind::Encode | ErrorKind::Internal => Code::Internal,
            ErrorKind::Guest => Code::Unknown,
            ErrorKind::Service => self.inner_error().map_or(Code::Unknown, Error::code),
            ErrorKind::Cancelled => Code::Cancelled,
            ErrorKind::DeadlineExceeded => Code::DeadlineExceeded,
            ErrorKind::Exhausted => Code::ResourceExhausted,
            ErrorKind::Unsupported => Code::Unimplemented,
            ErrorKind::Closed => Code::Unavailable,
        }
    }
}

impl ErrorKind {
    /// One word for people and programs, such as `not_found`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Config => "config",
            ErrorKind::Load => "load",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Decode => "decode",
            ErrorKind::Encode => "encode",
            ErrorKind::Guest => "guest",
            ErrorKind::Service => "service",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::DeadlineExceeded => "deadline_exceeded",
            ErrorKind::Exhausted => "exhausted",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Closed => "closed",
            ErrorKind::Internal => "internal",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = &self.0.operation {
            write!(f, "{operation}: ")?;
        }
        // A guest's message may have many lines; this one has to stay a line.
        let mut lines = self.0.message.lines();
        f.write_str(lines.next().unwrap_or(self.0.kind.name()))?;
        if lines.next().is_some() {
            f.write_str(" …")?;
        }
        for (i, (key, value)) in self.context().enumerate() {
            write!(f, "{}{key}: {value}", if i == 0 { " (" } else { ", " })?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_report(self, f)?;
        let mut next = StdError::source(self);
        while let Some(source) = next {
            f.write_str("\ncaused by: ")?;
            match source.downcast_ref::<Error>() {
                Some(ours) => write_report(ours, f)?,
                None => write!(f, "{source}")?,
            }
            next = source.source();
        }
        Ok(())
    }
}

/// One link of the chain: the line, the rest of a long message, the guest's stack and its own causes.
fn write_report(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error} [{}, {}]", error.kind().name(), error.code())?;
    for line in error.0.message.lines().skip(1) {
        write!(f, "\n    {line}")?;
    }
    let mut guest = error.guest();
    let mut outermost = true;
    while let Some(it) = guest {
        if !outermost {
            write!(f, "\n  raised from {}: {}", it.type_name, it.message.trim_end().replace('\n', "\n    "))?;
        } else if it.status.is_some() && !error.message().contains(&it.type_name) {
            write!(f, "\n  raised as {}", it.type_name)?;
        }
        for frame in &it.frames {
            write!(f, "\n    {frame}")?;
        }
        guest = it.cause.as_deref();
        outermost = false;
    }
    Ok(())
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(Source::Ours(error)) => Some(error),
            Some(Source::Other(error)) => Some(&**error),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: &Error, expected: &str) {
        assert_eq!(expected, error.to_string());
    }

    #[test]
    fn display_is_one_line_with_operation_and_context() {
        let error = Error::new(ErrorKind::NotFound, "no export of that name; see exports()")
            .operation("call a.B/C")
            .operation("later ones do not replace it")
            .with("module", "x.lua");
        check(&error, "call a.B/C: no export of that name; see exports() (module: x.lua)");
        check(&Error::new(ErrorKind::Guest, "first\nsecond"), "first …");
    }

    #[test]
    fn a_service_failure_has_the_code_of_its_cause() {
        let inner = Error::status(Code::PermissionDenied, "not yours");
        let error = Error::new(ErrorKind::Service, "it failed").caused_by(inner);
        assert_eq!(Code::PermissionDenied, error.code());
        assert_eq!(2, error.chain().count());
    }

    #[test]
    fn debug_shows_frames_and_every_cause() {
        let mut guest = GuestError::new("ValueError", "bad");
        guest.frames.push(Frame::new("f", "a.py", 3));
        guest.cause = Some(Box::new(GuestError::new("KeyError", "k")));
        let error = Error::from_guest(guest).caused_by(std::io::Error::other("disk"));
        let report = format!("{error:?}");
        assert_eq!(
            "ValueError: bad [guest, UNKNOWN]\n    at f (a.py:3)\n  raised from KeyError: k\ncaused by: disk",
            report
        );
    }

    #[test]
    fn a_status_stands_for_the_type_that_carried_it() {
        let mut guest = GuestError::new("app.QuotaError", "too many");
        guest.status = Some(Code::ResourceExhausted);
        let error = Error::from_guest(guest);
        check(&error, "RESOURCE_EXHAUSTED: too many");
        let report = "RESOURCE_EXHAUSTED: too many [guest, RESOURCE_EXHAUSTED]\n  raised as app.QuotaError";
        assert_eq!(report, format!("{error:?}"));
    }

    #[test]
    fn code_numbers_and_names_round_trip() {
        for code in Code::ALL {
            assert_eq!(Some(code), Code::from_number(code.number()));
            assert_eq!(Some(code), Code::from_name(code.name()));
        }
        assert_eq!(None, Code::from_number(0));
        assert_eq!(None, Code::from_number(17));
        assert_eq!(None, Code::from_number(i32::MIN));
    }
}
