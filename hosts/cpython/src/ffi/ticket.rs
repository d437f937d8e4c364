//! A call of an `async def` export on its way through an event loop, and what the loop does with it.

use std::ffi::CStr;
use std::io::{PipeReader, PipeWriter, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polyhost_bridge::cancel::Subscription;
use polyhost_bridge::observe::Work;
use polyhost_bridge::{Bytes, CallContext, Error, Output, Result, Suspended, boundary};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::call::{Entry, Failure};
use super::context;
use super::event_loop::{Letter, Mailbox};
use super::native::{arguments, capsule, content, guarded};
use super::object::Local;
use super::record::{self, Guest, Record};
use super::stop::{Stop, What};
use crate::error;

/// A call on its way through a loop.
pub(crate) struct Ticket {
    number: u64,
    entry: Arc<Entry>,
    guest: Arc<Guest>,
    cx: CallContext,
    input: Bytes,
    work: Work,
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

impl Ticket {
    /// # Errors
    /// [`ErrorKind::Exhausted`](polyhost_bridge::ErrorKind::Exhausted) where too many calls are under way.
    pub(super) fn new(
        guest: &Arc<Guest>,
        mailbox: &Arc<Mailbox>,
        entry: &Arc<Entry>,
        cx: CallContext,
        input: Bytes,
        work: Work,
        open: Open,
    ) -> Result<Arc<Ticket>> {
        Ok(Arc::new(Ticket {
            number: mailbox.count_in()?,
            entry: entry.clone(),
            guest: guest.clone(),
            cx,
            input,
            work,
            mailbox: mailbox.clone(),
            stop: Mutex::default(),
            open: Mutex::new(Some(open)),
        }))
    }

    /// Which of the loop's calls it is.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn cx(&self) -> &CallContext {
        &self.cx
    }

    /// Cancels the task when the call is cancelled, by mail or by a byte to the thread that runs it `alone`, and stops a
    /// step of it that does not end.
    pub(super) fn listen(&self, alone: Option<Arc<(PipeReader, PipeWriter)>>) {
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
    pub(super) fn fail(&self, error: Error) {
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
        self.mailbox.count_out();
        if let Some(open) = self.close() {
            self.guest.interpreter.drop_later(Box::new(Lost(Some(open))));
        }
    }
}

const TICKET: &CStr = c"polyhost.ticket";

/// A ticket for Python.
pub(super) fn handle(py: Python<'_>, ticket: Arc<Ticket>) -> PyResult<Bound<'_, PyAny>> {
    capsule(py, TICKET, ticket, drop)
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
        let run = || unsafe { ffi::PyObject_Vectorcall(run, rest.as_ptr(), rest.len(), std::ptr::null_mut()) };
        let result = ticket.work.run(run);
        if let Some(stop) = &stop {
            // No bytecode runs between the step's last and this: nothing meant for it is raised later.
            stop.end();
        }
        result
    });
    ticket.work.run(|| record.flush_attached());
    result
}
