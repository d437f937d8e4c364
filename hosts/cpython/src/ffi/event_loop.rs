//! Calls of `async def` exports: what goes to a module's event loop, and what comes back.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::io::{PipeReader, PipeWriter, Write as _};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use polyhost_bridge::cancel::Subscription;
use polyhost_bridge::{Bytes, CallContext, Error, ErrorKind, Output, Result, Suspended, boundary};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::attach::Attached;
use super::call::{Entry, Failure, call_1};
use super::interpreter::Interpreter;
use super::native::{arguments, capsule, guarded};
use super::object::{Local, Object};
use super::record::{self, Guest, Record};
use super::stop::{Stop, What};
use super::{attach, context};
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
struct Mailbox {
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

enum Letter {
    Start(Arc<Ticket>),
    Cancel(u64),
    Stop,
}

/// A call on its way through a loop.
pub(crate) struct Ticket {
    number: u64,
    entry: Arc<Entry>,
    guest: Arc<Guest>,
    cx: CallContext,
    input: Bytes,
    mailbox: Arc<Mailbox>,
    /// What can stop a step that does not end. Dropped outside of Python, when the call is over.
    stop: Mutex<Option<Arc<Stop>>>,
    open: Mutex<Option<Open>>,
}

/// What a call that is not over yet holds.
pub(crate) struct Open {
    /// Takes the outcome, outside of Python.
    pub(crate) done: Box<dyn FnOnce(Result<Vec<u8>>) + Send>,
    pub(crate) explain: Explain,
    /// The most bytes of a reply.
    pub(crate) limit: usize,
    /// Keeps the module loaded where no thread waits for the call.
    pub(crate) suspended: Option<Suspended>,
    cancel: Option<Subscription>,
}

pub(crate) type Explain = Box<dyn FnOnce(Python<'_>, Failure<'_>) -> Error + Send>;

impl Open {
    pub(crate) fn new(
        done: impl FnOnce(Result<Vec<u8>>) + Send + 'static,
        explain: Explain,
        limit: usize,
        suspended: Option<Suspended>,
    ) -> Open {
        Open { done: Box::new(done), explain, limit, suspended, cancel: None }
    }
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
    pub(crate) fn ticket(&self, entry: &Arc<Entry>, cx: CallContext, input: Bytes, open: Open) -> Result<Arc<Ticket>> {
        if self.mailbox.calls.fetch_add(1, Ordering::Relaxed) >= MAX_CALLS {
            self.mailbox.calls.fetch_sub(1, Ordering::Relaxed);
            let message = format!("{MAX_CALLS} calls of async exports are under way in the module; call less");
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        Ok(Arc::new(Ticket {
            number: self.mailbox.next_number(),
            entry: entry.clone(),
            guest: self.guest.clone(),
            cx,
            input,
            mailbox: self.mailbox.clone(),
            stop: Mutex::default(),
            open: Mutex::new(Some(open)),
        }))
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
        let pipe = attach::thread(|thread| thread.on_loop.get()).then(std::io::pipe).transpose();
        let alone = match pipe {
            Ok(pipe) => pipe.map(Arc::new),
            Err(e) => {
                return ticket.fail(Error::new(ErrorKind::Exhausted, "no event loop can be started").caused_by(e));
            }
        };
        ticket.listen(alone.clone());
        // Each step has a record of its own, which can be stopped.
        let record = Record::new(&ticket.cx, guest, None);
        let attached = Attached::enter(guest.interpreter);
        let started = record.enter(|| {
            boundary::enter(|| {
                Ok(Python::attach(|py| {
                    let handle = ticket_handle(py, ticket.clone())?;
                    let descriptor = alone.as_ref().map(|pipe| pipe.0.as_raw_fd());
                    attach::thread(|thread| thread.on_loop.set(true));
                    let started = python.bind(py).call_method1("start", (ticket.number, handle, descriptor));
                    attach::thread(|thread| thread.on_loop.set(alone.is_some()));
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

    fn next_number(&self) -> u64 {
        let mut letters = self.lock();
        letters.last_number += 1;
        letters.last_number
    }

    fn post(&self, letter: Letter) {
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

impl Ticket {
    /// Cancels the task when the call is cancelled, by mail or by a byte to the thread that runs it `alone`, and stops a
    /// step of it that does not end.
    fn listen(&self, alone: Option<Arc<(PipeReader, PipeWriter)>>) {
        let Some(token) = self.cx.token() else { return };
        let stop = Stop::watch(self.guest.interpreter, token, What::Task);
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(stop));
        let (mailbox, number) = (Arc::downgrade(&self.mailbox), self.number);
        let subscription = token.on_cancel(move |_| match &alone {
            Some(pipe) => {
                let _ = (&pipe.1).write_all(b"!");
            }
            None => {
                if let Some(mailbox) = mailbox.upgrade() {
                    mailbox.post(Letter::Cancel(number));
                }
            }
        });
        // Where the call is over already, it goes here and now.
        if let Some(open) = &mut *self.lock() {
            open.cancel = Some(subscription);
        }
    }

    fn stop(&self) -> Option<Arc<Stop>> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) -> Option<Open> {
        self.lock().take()
    }

    /// Ends the call, outside of Python.
    fn fail(&self, error: Error) {
        if let Some(open) = self.close() {
            drop((open.cancel, self.stop.lock().unwrap_or_else(PoisonError::into_inner).take()));
            (open.done)(Err(error));
        }
    }

    /// Ends the call. The caller is attached.
    fn end(&self, open: Open, outcome: Result<Vec<u8>>) {
        let Open { done, suspended, cancel, .. } = open;
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        record::out_of_python(self.guest.interpreter, move || {
            drop((cancel, stop));
            let _ = boundary::enter(|| {
                done(outcome);
                Ok(())
            });
            // Last: who unloads waits for this.
            drop(suspended);
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        /// Answers a call that the loop has lost, wherever it is dropped.
        struct Lost(Option<Open>);
        impl Drop for Lost {
            fn drop(&mut self) {
                if let Some(open) = self.0.take() {
                    (open.done)(Err(error::lost()));
                }
            }
        }
        self.mailbox.calls.fetch_sub(1, Ordering::Relaxed);
        if let Some(open) = self.close() {
            self.guest.interpreter.drop_later(Box::new(Lost(Some(open))));
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
    attach::thread(|thread| thread.on_loop.set(true));
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
        attach::detached(interpreter, || guest.log(polyhost_bridge::LogLevel::Error, "", &message));
    }
}

const MAILBOX: &CStr = c"polyhost.mailbox";
const TICKET: &CStr = c"polyhost.ticket";

fn ticket_handle(py: Python<'_>, ticket: Arc<Ticket>) -> PyResult<Bound<'_, PyAny>> {
    capsule(py, TICKET, ticket, drop)
}

/// What a capsule of this name holds.
///
/// # Safety
/// This thread is attached, and the capsule of that name holds a `T` and lives for `'a`.
unsafe fn content<'a, T>(py: Python<'_>, object: *mut ffi::PyObject, name: &CStr) -> PyResult<&'a T> {
    // SAFETY: by contract.
    unsafe {
        let pointer = ffi::PyCapsule_GetPointer(object, name.as_ptr()).cast::<T>();
        if pointer.is_null() { Err(PyErr::fetch(py)) } else { Ok(&*pointer) }
    }
}

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
            content(py, mailbox, MAILBOX)?
        };
        let letters = std::mem::take(&mut mailbox.lock().queue);
        let pairs = PyList::empty(py);
        for letter in letters {
            match letter {
                Letter::Stop => pairs.append((0, py.None()))?,
                Letter::Cancel(number) => pairs.append((number, py.None()))?,
                Letter::Start(ticket) => pairs.append((ticket.number, ticket_handle(py, ticket)?))?,
            }
        }
        Ok(pairs.into_any())
    })
}

/// `begin(ticket)`: the coroutine and the call; None where the call is over.
pub(super) unsafe extern "C" fn begin(
    _: *mut ffi::PyObject,
    list: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    guarded(|py| {
        // SAFETY: Python has called us, attached; it keeps the arguments until we return.
        let ticket: &Arc<Ticket> = unsafe {
            let &[ticket] = arguments(list, count) else { return Err(PyTypeError::new_err("begin() takes a ticket")) };
            content(py, ticket, TICKET)?
        };
        let none = || Ok(py.None().into_bound(py));
        if let Err(error) = ticket.cx.check() {
            if let Some(open) = ticket.close() {
                ticket.end(open, Err(error));
            }
            return none();
        }
        // SAFETY: attached, by `py`.
        let begun = unsafe {
            let helpers = ticket.guest.interpreter.helpers();
            let call = context::new(&helpers.call_type, ticket.cx.clone(), ticket.guest.clone());
            let call = Bound::from_owned_ptr_or_err(py, call.map_or(std::ptr::null_mut(), Local::into_ptr))?;
            let coroutine = ticket.entry.begin(ticket.guest.interpreter, call.as_ptr(), &ticket.input);
            coroutine.map(|coroutine| (Bound::from_owned_ptr(py, coroutine.into_ptr()), call))
        };
        match begun {
            Ok((coroutine, call)) => Ok(PyTuple::new(py, [coroutine, call])?.into_any()),
            Err(raw) => {
                if let Some(mut open) = ticket.close() {
                    let explain = std::mem::replace(&mut open.explain, Box::new(|_, _| unreachable!("explained once")));
                    let error = raw.explained(explain);
                    ticket.end(open, Err(error));
                }
                none()
            }
        }
    })
}

/// `finish(ticket, reply, error)`: ends the call.
pub(super) unsafe extern "C" fn finish(
    _: *mut ffi::PyObject,
    list: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    guarded(|py| {
        // SAFETY: Python has called us, attached; it keeps the arguments until we return.
        let (ticket, reply, raised) = unsafe {
            let &[ticket, reply, raised] = arguments(list, count) else {
                return Err(PyTypeError::new_err("finish() takes a ticket, a reply and an error"));
            };
            let ticket: &Arc<Ticket> = content(py, ticket, TICKET)?;
            (ticket, Bound::from_borrowed_ptr(py, reply), Bound::from_borrowed_ptr(py, raised))
        };
        let Some(mut open) = ticket.close() else { return Ok(py.None().into_bound(py)) };
        let explain = std::mem::replace(&mut open.explain, Box::new(|_, _| unreachable!("explained once")));
        let mut output = Output::with_limit(open.limit);
        let outcome = if raised.is_none() {
            // SAFETY: attached, by `py`; the reply is kept by our caller.
            unsafe { ticket.entry.write_borrowed(reply.as_ptr(), &mut output) }.map_err(|raw| raw.explained(explain))
        } else {
            Err(explain(py, Failure::Raised(raised)))
        };
        ticket.end(open, outcome.map(|()| output.into_vec()));
        Ok(py.None().into_bound(py))
    })
}

/// `step(ticket, run, *args)`: runs a step of a task, which can be stopped as long as it lasts.
pub(super) unsafe extern "C" fn step(
    _: *mut ffi::PyObject,
    list: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: Python has called us, attached; it keeps the arguments until we return.
    let (ticket, run, rest) = unsafe {
        let &[ticket, run, ref rest @ ..] = arguments(list, count) else {
            ffi::PyErr_SetString(ffi::PyExc_TypeError, c"step() takes a ticket and a function".as_ptr());
            return std::ptr::null_mut();
        };
        let ticket = ffi::PyCapsule_GetPointer(ticket, TICKET.as_ptr()).cast::<Arc<Ticket>>();
        if ticket.is_null() {
            return std::ptr::null_mut();
        }
        (&*ticket, run, rest)
    };
    let stop = ticket.stop();
    let record = Record::new(&ticket.cx, &ticket.guest, stop.as_deref());
    let result = record.enter(|| {
        if let Some(stop) = &stop {
            stop.begin();
        }
        // SAFETY: as above.
        let result = unsafe { ffi::PyObject_Vectorcall(run, rest.as_ptr(), rest.len(), std::ptr::null_mut()) };
        if let Some(stop) = &stop {
            // No bytecode runs between the step's last and this: nothing meant for it is raised later.
            stop.end();
        }
        result
    });
    record.flush_attached();
    result
}
