//! Writing to stdout and stderr: nothing here panics when the other end is closed.

use std::borrow::Cow;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use crate::failure::Failure;
use crate::ffi;

/// Stdout as this program was given it, once guests can't write there any more.
static RESULTS: OnceLock<File> = OnceLock::new();

/// Keeps stdout for results: what a guest, a C library or a child process writes to descriptor 1 goes to stderr from
/// now on.
pub(crate) fn keep_stdout() -> Result<(), Failure> {
    if ffi::stdout_was_closed() {
        return Err(closed());
    }
    if RESULTS.get().is_none() {
        let stdout = ffi::take_stdout().map_err(|error| Failure::io("can't keep stdout for the result", error))?;
        // A second caller's copy would do as well.
        let _ = RESULTS.set(stdout);
    }
    Ok(())
}

/// Writes to stdout, all of it.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    if ffi::stdout_was_closed() {
        return Err(closed());
    }
    let written = match RESULTS.get() {
        Some(mut stdout) => stdout.write_all(bytes),
        None => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        }
    };
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
        _ => Failure::io("can't write to stdout", error),
    })
}

/// What a terminal would not take for text: it may be a command to it.
pub(crate) fn is_command(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

/// A guest's text for stderr: where that is a terminal, with its commands written out.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    if io::stderr().is_terminal() { written_out(text) } else { text.into() }
}

fn written_out(text: &str) -> Cow<'_, str> {
    if !text.contains(is_command) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_command(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out.into()
}

fn closed() -> Failure {
    Failure::io("can't write to stdout", io::Error::from_raw_os_error(libc::EBADF))
}

/// Writes a line to stderr. Where that is closed there is nobody to tell.
pub(crate) fn note(line: &str) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Whether a person reads stdout.
pub(crate) fn stdout_is_terminal() -> bool {
    RESULTS.get().map_or_else(|| io::stdout().is_terminal(), File::is_terminal)
}

/// Colours, where a person reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn stdout() -> Self {
        Paint(stdout_is_terminal() && wanted())
    }

    pub(crate) fn stderr() -> Self {
        Paint(io::stderr().is_terminal() && wanted())
    }

    pub(crate) fn title(self, text: impl Display) -> String {
        self.with("1", text)
    }

    pub(crate) fn good(self, text: impl Display) -> String {
        self.with("32", text)
    }

    pub(crate) fn warning(self, text: impl Display) -> String {
        self.with("33", text)
    }

    pub(crate) fn error(self, text: impl Display) -> String {
        self.with("1;31", text)
    }

    pub(crate) fn faint(self, text: impl Display) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: impl Display) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// See <https://no-color.org>.
fn wanted() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}
