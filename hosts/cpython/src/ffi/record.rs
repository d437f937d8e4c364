//! Which call a thread is inside of, and what guests print in it.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::Arc;

use polyhost_bridge::{CallContext, Lifecycle, LogLevel, LogRecord, LogSink, Result, Services};
use pyo3::{Python, ffi};

use super::attach;
use super::interpreter::Interpreter;
use super::stop::{Stop, What};

/// What a module's code may use of the host. It holds no Python object, so it may be dropped anywhere.
pub(crate) struct Guest {
    pub(crate) interpreter: &'static Interpreter,
    pub(crate) voice: Arc<Voice>,
    pub(crate) services: Services,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

/// How a module is heard. What is not said to its end may outlive the module.
pub(crate) struct Voice {
    /// The module's name in errors and logs.
    pub(crate) name: String,
    pub(crate) log: LogSink,
}

impl Voice {
    fn say(&self, level: LogLevel, target: &str, message: &str) {
        self.log.write(&LogRecord::new(&self.name, level, target, message));
    }
}

impl Guest {
    /// Whoever speaks and belongs to no module.
    pub(crate) fn nobody(interpreter: &'static Interpreter, log: LogSink) -> Guest {
        let lifecycle = Arc::new(Lifecycle::new());
        let voice = Arc::new(Voice { name: "python".into(), log });
        Guest { interpreter, voice, services: Services::new(), lifecycle }
    }

    /// The module's name in errors and logs.
    pub(crate) fn name(&self) -> &str {
        &self.voice.name
    }

    pub(crate) fn log(&self, level: LogLevel, target: &str, message: &str) {
        self.voice.say(level, target, message);
    }
}

/// A call into Python, on the stack of the thread that makes it.
pub(super) struct Record<'a> {
    pub(super) cx: &'a CallContext,
    pub(super) guest: &'a Arc<Guest>,
    /// What can interrupt the call.
    pub(super) stop: Option<&'a Stop>,
    /// Made when something is printed, which few calls do.
    printed: Cell<Option<Box<Printed>>>,
    /// The record of the call that this one is nested in.
    outer: Cell<*const Record<'static>>,
}

impl<'a> Record<'a> {
    #[inline]
    pub(super) fn new(cx: &'a CallContext, guest: &'a Arc<Guest>, stop: Option<&'a Stop>) -> Self {
        Record { cx, guest, stop, printed: Cell::new(None), outer: Cell::new(ptr::null()) }
    }

    /// Makes this the thread's innermost call while `run` runs.
    #[inline]
    pub(super) fn enter<R>(&self, run: impl FnOnce() -> R) -> R {
        struct Leave(&'static attach::Thread, *const Record<'static>);
        impl Drop for Leave {
            #[inline]
            fn drop(&mut self) {
                self.0.record.set(self.1);
            }
        }
        // Only this thread finds the pointer, and only until `Leave` is dropped, so the lifetime may be hidden.
        let this = ptr::from_ref(self).cast::<Record<'static>>();
        let thread = attach::here();
        let outer = thread.record.replace(this);
        self.outer.set(outer);
        let _leave = Leave(thread, outer);
        run()
    }

    /// Hands on what was printed without a newline at its end. The thread is detached.
    #[inline]
    pub(super) fn flush(&self) {
        if let Some(printed) = self.printed.take() {
            printed.flush(&self.guest.voice);
        }
    }
}

impl Record<'_> {
    /// The same on a thread that is attached, with an exception set or not.
    pub(super) fn flush_attached(&self) {
        let Some(printed) = self.printed.take() else { return };
        let (mut class, mut value, mut traceback) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: attached, by contract. The exception is put aside: the sink may come back into Python.
        unsafe { ffi::PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback) };
        out_of_python(self.guest.interpreter, || printed.flush(&self.guest.voice));
        // SAFETY: attached again; the references are those from above.
        unsafe { ffi::PyErr_Restore(class, value, traceback) };
    }
}

/// Runs `run` as code of `guest`, outside of any call: its module is loaded. `cx` can stop it.
///
/// # Errors
/// By `cx`; as [`Interpreter::with`].
pub(crate) fn within<R>(guest: &Arc<Guest>, cx: &CallContext, run: impl FnOnce(Python<'_>) -> Result<R>) -> Result<R> {
    let interpreter = guest.interpreter;
    let stop = cx.token().map(|token| Stop::watch(interpreter, token, What::Call));
    interpreter.with(|py| {
        let record = Record::new(cx, guest, stop.as_ref());
        let outcome = record.enter(|| match &stop {
            None => run(py),
            Some(stop) => stop.around(cx, || run(py)),
        });
        record.flush_attached();
        outcome
    })
}

/// Gives `run` the innermost call of this thread.
#[inline]
pub(super) fn current<R>(run: impl FnOnce(Option<&Record<'_>>) -> R) -> R {
    let record = attach::here().record.get();
    // SAFETY: a record that a thread finds here lives on the stack of that very thread, below `run`: see `enter`.
    run(unsafe { record.as_ref() })
}

/// Whether this thread is inside a call of the module, at any depth.
pub(crate) fn inside(guest: &Arc<Guest>) -> bool {
    let mut record = attach::here().record.get();
    // SAFETY: as in `current`; the outer ones lie further down on the same stack.
    while let Some(it) = unsafe { record.as_ref() } {
        if Arc::ptr_eq(it.guest, guest) {
            return true;
        }
        record = it.outer.get();
    }
    false
}

/// What was printed to stdout and stderr and has no newline yet.
#[derive(Default)]
struct Printed {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Printed {
    /// Adds `bytes`, and takes off the lines that are complete.
    fn add(&mut self, stream: Stream, bytes: &[u8]) -> Option<Vec<u8>> {
        let partial = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            partial.extend_from_slice(bytes);
            // A line without end is cut rather than kept.
            return (partial.len() > MAX_LINE).then(|| std::mem::take(partial));
        };
        let mut lines = std::mem::replace(partial, bytes[end + 1..].to_vec());
        lines.extend_from_slice(&bytes[..end]);
        Some(lines)
    }

    fn is_empty(&self) -> bool {
        self.out.is_empty() && self.err.is_empty()
    }

    fn flush(self, voice: &Voice) {
        for (stream, rest) in [(Stream::Out, self.out), (Stream::Err, self.err)] {
            if !rest.is_empty() {
                stream.log(voice, &rest);
            }
        }
    }
}

const MAX_LINE: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

impl Stream {
    /// Logs lines. The thread is detached.
    fn log(self, voice: &Voice, lines: &[u8]) {
        let (level, target) = match self {
            Stream::Out => (LogLevel::Info, "stdout"),
            Stream::Err => (LogLevel::Warn, "stderr"),
        };
        for line in String::from_utf8_lossy(lines).split('\n') {
            voice.say(level, target, line.strip_suffix('\r').unwrap_or(line));
        }
    }
}

thread_local! {
    /// What threads print that are not inside a call: those of guests, and the event loops.
    static LOOSE: RefCell<Loose> = const { RefCell::new(Loose(None)) };
}

/// Lines without an end, and whose they are: of the last that printed here.
struct Loose(Option<Begun>);

impl Loose {
    /// Adds what is printed, and takes off the lines that are complete; and what another had begun, for whoever prints
    /// next to flush.
    fn add(&mut self, voice: &Arc<Voice>, stream: Stream, bytes: &[u8]) -> (Option<Vec<u8>>, Option<Begun>) {
        let (mut printed, other) = match self.0.take() {
            Some((owner, printed)) if Arc::ptr_eq(&owner, voice) => (printed, None),
            other => (Printed::default(), other),
        };
        let lines = printed.add(stream, bytes);
        // Nobody is kept for nothing.
        self.0 = (!printed.is_empty()).then(|| (voice.clone(), printed));
        (lines, other)
    }
}

type Begun = (Arc<Voice>, Printed);

impl Drop for Loose {
    fn drop(&mut self) {
        if let Some((voice, printed)) = self.0.take() {
            printed.flush(&voice);
        }
    }
}

/// Takes what `guest` prints on this thread, which is attached, and logs the lines that are complete.
pub(super) fn print(guest: &Arc<Guest>, stream: Stream, bytes: &[u8]) {
    let in_call = current(|record| match record {
        Some(record) if Arc::ptr_eq(record.guest, guest) => {
            let mut printed = record.printed.take().unwrap_or_default();
            let lines = printed.add(stream, bytes);
            record.printed.set(Some(printed));
            Some(lines)
        }
        _ => None,
    });
    let (lines, other) = match in_call {
        Some(lines) => (lines, None),
        None => LOOSE
            .try_with(|loose| loose.borrow_mut().add(&guest.voice, stream, bytes))
            .unwrap_or_else(|_| (Some(bytes.to_vec()), None)),
    };
    if lines.is_none() && other.is_none() {
        return;
    }
    // The sink may wait for a lock of the host, whose holder may wait for the GIL.
    out_of_python(guest.interpreter, || {
        if let Some((voice, printed)) = other {
            printed.flush(&voice);
        }
        if let Some(lines) = lines {
            stream.log(&guest.voice, &lines);
        }
    });
}

/// Runs `run` detached; where Python is about to end, and nobody may come back in, attached.
pub(super) fn out_of_python(interpreter: &'static Interpreter, run: impl FnOnce()) {
    let counted = current(|record| record.is_some());
    let _inside = if counted { None } else { interpreter.lifecycle.enter().ok() };
    if counted || _inside.is_some() { attach::detached(interpreter, run) } else { run() }
}
