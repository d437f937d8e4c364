//! What goes wrong here, in words.

use std::time::Duration;

use polyhost_bridge::{CallContext, CancelReason, Error, ErrorKind, Frame, GuestError, still_inside};

use crate::ffi::Failed;

/// An error that reached the host from guest code.
pub(crate) struct Raised {
    pub(crate) guest: GuestError,
    /// The report of a failed host service, where it is one, or was caused by one.
    pub(crate) report: Option<Vec<u8>>,
    pub(crate) cause: Cause,
}

/// What raised it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The guest, or a function it called.
    Guest,
    /// The call was cancelled.
    Interrupt,
    /// LuaJIT, for want of memory.
    Memory,
}

impl Raised {
    /// The error as it is told to the caller; the kind is [`ErrorKind::Guest`] unless there is a better one.
    #[cold]
    pub(crate) fn into_error(self, memory_limit: usize) -> Error {
        let Raised { guest, report, cause } = self;
        let error = if cause == Cause::Memory { out_of_memory(memory_limit).with_guest(guest) } else { told(guest) };
        match report.map(|report| Error::from_report(&report)) {
            Some(Ok(cause) | Err(cause)) => error.caused_by(cause),
            None => error,
        }
    }
}

/// An error of guest code. Types of Lua, `string` for most, say nothing in its line.
fn told(guest: GuestError) -> Error {
    let plain = guest.status.is_none() && guest.type_name != SYNTAX_ERROR && !guest.message.is_empty();
    let message = plain.then(|| guest.message.clone());
    let error = Error::from_guest(guest);
    match message {
        Some(message) => error.with_message(message),
        None => error,
    }
}

#[cold]
fn out_of_memory(limit: usize) -> Error {
    let limit = match limit {
        0 => String::new(),
        limit => format!(": the limit is {limit} bytes, see the option memory_limit"),
    };
    Error::new(ErrorKind::Exhausted, format!("the Lua VM is out of memory{limit}"))
}

#[cold]
pub(crate) fn too_small(limit: usize, needed: usize) -> Error {
    let message = format!(
        "a Lua VM needs {needed} bytes before it has loaded anything; the limit is {limit}, raise the option memory_limit"
    );
    Error::new(ErrorKind::Exhausted, message)
}

/// What a call failed with, for its caller.
#[cold]
pub(crate) fn in_call(export: &str, cx: &CallContext, memory_limit: usize, failed: Failed) -> Error {
    match failed {
        Failed::Host(error) => error,
        Failed::Memory => out_of_memory(memory_limit),
        Failed::Interrupted => cx.cancelled().map_or_else(
            || Error::new(ErrorKind::Internal, "the call was interrupted for no reason"),
            CancelReason::error,
        ),
        Failed::NotBytes(kind) => {
            let message = format!("{export} has to return a string, but its handler returned a {}", kind.name());
            Error::new(ErrorKind::Encode, message)
        }
        Failed::Raised(raised) => explained(cx, memory_limit, *raised),
    }
}

/// What guest code raised that ran in `cx`.
#[cold]
fn explained(cx: &CallContext, memory_limit: usize, raised: Raised) -> Error {
    let interrupted = raised.cause == Cause::Interrupt;
    let error = raised.into_error(memory_limit);
    match cx.cancelled().map(CancelReason::error) {
        // A guest that was stopped, or that passed on what a stopped service told it.
        Some(reason) if interrupted || reason.code() == error.code() => {
            let guest = error.guest().cloned().unwrap_or_default();
            match error.inner_error() {
                Some(_) => error.with_kind(reason.kind()),
                None => reason.with_guest(guest),
            }
        }
        _ => error,
    }
}

/// What a module's text failed with while it was loaded.
#[cold]
pub(crate) fn in_load(file: &str, cx: &CallContext, memory_limit: usize, mut raised: Raised) -> Error {
    if raised.guest.frames.is_empty() {
        // A syntax error has no frames; its place is in the message.
        if let Some((line, message)) = syntax_error(&raised.guest.message) {
            raised.guest.frames.push(Frame::new("main chunk", file, line));
            raised.guest.message = message;
            raised.guest.type_name = SYNTAX_ERROR.into();
        }
    }
    let error = explained(cx, memory_limit, raised);
    if error.kind() != ErrorKind::Guest {
        return error;
    }
    let message = match error.guest().and_then(place) {
        Some(place) => format!("{place}: {}", error.message()),
        None => error.message().to_owned(),
    };
    error.with_message(message).with_kind(ErrorKind::Load)
}

const SYNTAX_ERROR: &str = "syntax error";

/// Where guest code raised: the innermost frame of a file that is not the guest library's.
fn place(guest: &GuestError) -> Option<String> {
    let guests = |frame: &&Frame| !frame.file.is_empty() && frame.line > 0 && !frame.file.starts_with("polyhost/");
    let frame = guest.frames.iter().find(guests)?;
    Some(format!("{}:{}", frame.file, frame.line))
}

/// The line and the rest of `file:line: rest`.
fn syntax_error(message: &str) -> Option<(u32, String)> {
    message.match_indices(':').find_map(|(at, _)| {
        let (line, rest) = message[at + 1..].split_once(": ")?;
        Some((line.parse().ok()?, rest.to_owned()))
    })
}

#[cold]
pub(crate) fn waited_in_vain(
    holders: &[String],
    waiter: &str,
    patience: Duration,
    cancelled: Option<CancelReason>,
) -> Error {
    let vms = match holders {
        [one] => format!("the module's only VM is held by {one}"),
        all => format!("all {} VMs of the module are held by {}", all.len(), all.join(", ")),
    };
    match cancelled.map(CancelReason::error) {
        Some(reason) => Error::new(reason.kind(), format!("{reason} while {waiter} waited for a VM: {vms}")),
        None => {
            let message = format!(
                "{vms}; {waiter} waited {patience:?} for it; have calls not wait for one another, or load the module with more instances"
            );
            Error::new(ErrorKind::Exhausted, message)
        }
    }
}

#[cold]
pub(crate) fn shut_down() -> Error {
    Error::new(ErrorKind::Closed, "the LuaJIT runtime has been shut down; start another")
}

#[cold]
pub(crate) fn busy(module: &str, calls: usize) -> Error {
    let message = format!("{} in module {module}; they go on, shut down again to wait for them", still_inside(calls));
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down luajit")
}

#[cold]
pub(crate) fn busy_here(module: &str) -> Error {
    let message = format!("the thread that asks is itself inside a call of module {module}; ask again when it is out");
    Error::new(ErrorKind::DeadlineExceeded, message).operation("shut down luajit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_says_its_line() {
        let (line, rest) = syntax_error("a b:c.lua:12: 'end' expected near '<eof>'").expect("a place");
        assert_eq!((12, "'end' expected near '<eof>'"), (line, rest.as_str()));
        assert!(syntax_error("no place: here").is_none());
    }
}
