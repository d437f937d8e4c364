//! The event loop of a module, and the mail that it gets.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::io::{PipeReader, PipeWriter, Write as _};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use polyhost_bridge::observe::Work;
use polyhost_bridge::{Bytes, CallContext, Error, ErrorKind, LogLevel, Result, boundary};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::attach::Attached;
use super::call::{Entry, call_1};
use super::interpreter::Interpreter;
use super::native::{arguments, capsule, guarded};
use super::object::{Local, Object};
use super::record::{Guest, Record};
use super::ticket::{self, Open, Ticket};
use super::{attach, native};
use crate::error;

/// More calls at a time would be a flood and no load.
const MAX_CALLS: usize = 1 << 16;

/// The event loop of one module, on a thread of its own.
pub(crate) struct EventLoop {
    guest: Arc<Guest>,
    mailbox: Arc<Mailbox>,
    /// The guest package's `Loop`, once its thread has made it.
    python: Arc<OnceLock<Object>>,
    end: Arc<End>,
}

/// Whether the thread of a loop has ended.
#[derive(Default)]
struct End {
    reached: Mutex<bool>,
    changed: Condvar,
}

/// What is sent to a loop by who is not in Python.
pub(super) struct Mailbox {
    letters: Mutex<Letters>,
    /// How many calls are on their way through the loop.
    calls: AtomicUsize,
    /// A byte wakes the loop.
    wake: PipeWriter,
    reader: PipeReader,
}

#[derive(Default)]
struct Letters {
    queue: VecDeque<Letter>,
    last_number: u64,
}

pub(super) enum Letter {
    Start(Arc<Ticket>),
    Cancel(u64),
    Stop,
}

impl EventLoop {
    /// Starts the thread of a loop. It is counted in the interpreter's lifecycle until it ends.
    pub(crate) fn start(guest: &Arc<Guest>) -> Result<EventLoop> {
        let failed = |e| Error::new(ErrorKind::Exhausted, "no event loop can be started").caused_by(e);
        let (reader, wake) = std::io::pipe().map_err(failed)?;
        let mailbox = Arc::new(Mailbox { letters: Mutex::default(), calls: AtomicUsize::new(0), wake, reader });
        let (python, end) = (Arc::new(OnceLock::new()), Arc::new(End::default()));
        let run = {
            let (guest, mailbox, python, end) = (guest.clone(), mailbox.clone(), python.clone(), end.clone());
            move || {
                serve(&guest, &mailbox, &python);
                *end.reached.lock().unwrap_or_else(PoisonError::into_inner) = true;
                end.changed.notify_all();
            }
        };
        let thread = std::thread::Builder::new().name("polyhost-python-loop".into()).stack_size(8 << 20);
        thread.spawn(run).map_err(failed)?;
        Ok(EventLoop { guest: guest.clone(), mailbox, python, end })
    }

    /// A ticket for a call.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] where too many are under way.
    pub(crate) fn ticket(
        &self,
        entry: &Arc<Entry>,
        cx: CallContext,
        input: Bytes,
        work: Work,
        open: Open,
    ) -> Result<Arc<Ticket>> {
        Ticket::new(&self.guest, &self.mailbox, entry, cx, input, work, open)
    }

    /// Sends a call to the loop.
    pub(crate) fn send(&self, ticket: Arc<Ticket>) {
        ticket.listen(None);
        self.mailbox.post(Letter::Start(ticket));
    }

    /// Runs a call's first step on this thread if the loop is idle, and sends it to the loop if not.
    pub(crate) fn start_here(&self, ticket: Arc<Ticket>) {
        let Some(python) = self.python.get() else { return self.send(ticket) };
        let guest = &self.guest;
        // The loop may be waiting for this thread, which is about to wait alone: no mail would be read.
        let pipe = attach::here().on_loop.get().then(std::io::pipe).transpose();
        let alone = match pipe {
            Ok(pipe) => pipe.map(Arc::new),
            Err(e) => {
                return ticket.fail(Error::new(ErrorKind::Exhausted, "no event loop can be started").caused_by(e));
            }
        };
        ticket.listen(alone.clone());
        // Each step has a record of its own, which can be stopped.
        let record = Record::new(ticket.cx(), guest, None);
        let attached = Attached::enter(guest.interpreter);
        let started = record.enter(|| {
            boundary::enter(|| {
                Ok(Python::attach(|py| {
                    let handle = ticket::handle(py, ticket.clone())?;
                    let descriptor = alone.as_ref().map(|pipe| pipe.0.as_raw_fd());
                    attach::here().on_loop.set(true);
                    let started = python.bind(py).call_method1("start", (ticket.number(), handle, descriptor));
                    attach::here().on_loop.set(alone.is_some());
                    started?.extract::<bool>()
                }))
            })
        });
        drop(attached);
        record.flush();
        match started {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => self.mailbox.post(Letter::Start(ticket.clone())),
            Ok(Err(failed)) => ticket.fail(error::in_loop(&failed)),
            Err(panic) => ticket.fail(panic),
        }
    }

    /// Has the loop cancel its tasks and end. Calls after this stay unanswered: the module is closed and drained before.
    pub(crate) fn stop(&self) {
        self.mailbox.post(Letter::Stop);
    }

    /// Waits until the loop has ended, after it was told to; false where it has not after `grace`.
    pub(crate) fn wait(&self, grace: Duration) -> bool {
        let reached = self.end.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = self.end.changed.wait_timeout_while(reached, grace, |reached| !*reached);
        *wait.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and gives it a number.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] where too many are under way.
    pub(super) fn count_in(&self) -> Result<u64> {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= MAX_CALLS {
            self.count_out();
            let message = format!("{MAX_CALLS} calls of async exports are under way in the module; call less");
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        let mut letters = self.lock();
        letters.last_number += 1;
        Ok(letters.last_number)
    }

    pub(super) fn count_out(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn post(&self, letter: Letter) {
        let mut letters = self.lock();
        letters.queue.push_back(letter);
        let first = letters.queue.len() == 1;
        drop(letters);
        if first {
            // It has room: the loop reads it before it empties the queue.
            let _ = (&self.wake).write_all(b"!");
        }
    }
}

/// The event loop of this thread is hidden until this is dropped: from a call that is nested in one of its steps, and
/// may run a loop of its own.
pub(super) struct Aside {
    interpreter: &'static Interpreter,
    hidden: Local,
}

impl Aside {
    /// The caller is attached until the value is dropped.
    #[cold]
    pub(super) fn new(interpreter: &'static Interpreter) -> Option<Aside> {
        // SAFETY: attached, by contract.
        unsafe {
            let put_aside = interpreter.helpers().put_aside.as_ptr();
            let hidden = Local::own(ffi::PyObject_CallObject(put_aside, std::ptr::null_mut()));
            if hidden.is_none() {
                ffi::PyErr_Clear();
            }
            hidden.map(|hidden| Aside { interpreter, hidden })
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // SAFETY: attached, as at the beginning. What is raised meanwhile is put back.
        unsafe {
            let (mut class, mut value, mut traceback) =
                (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
            ffi::PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback);
            let take_back = self.interpreter.helpers().take_back.as_ptr();
            if call_1(take_back, self.hidden.as_ptr()).is_none() {
                ffi::PyErr_Clear();
            }
            ffi::PyErr_Restore(class, value, traceback);
        }
    }
}

/// The life of a loop's thread.
fn serve(guest: &Arc<Guest>, mailbox: &Arc<Mailbox>, python: &OnceLock<Object>) {
    let interpreter = guest.interpreter;
    let Ok(_inside) = interpreter.lifecycle.enter() else { return };
    attach::here().on_loop.set(true);
    // Past the gate: it waits for I/O most of its time.
    let _attached = Attached::enter_past(interpreter);
    let outcome = boundary::enter(|| {
        let outcome = Python::attach(|py| -> PyResult<()> {
            interpreter.helpers().find_asyncio(py)?;
            let handle = capsule(py, MAILBOX, mailbox.clone(), drop)?;
            let made = interpreter.helpers().event_loop.bind(py).call1((handle, mailbox.reader.as_raw_fd()))?;
            let _ = python.set(Object::new(made.clone()));
            made.call_method0("run")?;
            Ok(())
        });
        outcome.map_err(|failed| error::in_loop(&failed))
    });
    if let Err(error) = outcome {
        let message = format!("the event loop of the module ended: {error:?}");
        attach::detached(interpreter, || guest.log(LogLevel::Error, "", &message));
    }
}

const MAILBOX: &CStr = c"polyhost.mailbox";

/// `take(mailbox)`: the letters, as pairs of a number and a ticket.
pub(super) unsafe extern "C" fn take(
    _: *mut ffi::PyObject,
    list: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    guarded(|py| {
        // SAFETY: Python has called us, attached; it keeps the arguments until we return.
        let mailbox: &Arc<Mailbox> = unsafe {
            let &[mailbox] = arguments(list, count) else { return Err(PyTypeError::new_err("take() takes a mailbox")) };
            native::content(py, mailbox, MAILBOX)?
        };
        let letters = std::mem::take(&mut mailbox.lock().queue);
        let pairs = PyList::empty(py);
        for letter in letters {
            match letter {
                Letter::Stop => pairs.append((0, py.None()))?,
                Letter::Cancel(number) => pairs.append((number, py.None()))?,
                Letter::Start(ticket) => pairs.append((ticket.number(), ticket::handle(py, ticket)?))?,
            }
        }
        Ok(pairs.into_any())
    })
}
