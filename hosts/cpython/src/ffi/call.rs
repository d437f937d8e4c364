//! The way of a call: bytes in, a vectorcall, bytes out. Everything it needs was found when the module was loaded.

use std::ptr;
use std::sync::Arc;

use polyhost_bridge::{CallContext, CancelToken, Error, Output, Result, boundary};
use pyo3::ffi;
use pyo3::prelude::*;

use super::attach::{self, Attached};
use super::context;
use super::event_loop::Aside;
use super::interpreter::Interpreter;
use super::memory;
use super::object::{Local, Object};
use super::record::{Guest, Record};
use super::stop::Stop;
use crate::gate::Habit;

/// An exported function with all that its calls need.
pub(crate) struct Entry {
    pub(crate) function: Object,
    /// `Request.FromString`; `None` for raw bytes.
    pub(crate) decode: Option<Object>,
    /// `None` for raw bytes.
    pub(crate) reply: Option<Reply>,
    pub(crate) takes_context: bool,
    /// `async def`: calling it gives a coroutine, for the module's event loop.
    pub(crate) is_async: bool,
    pub(crate) habit: Habit,
}

/// The type of a reply that is a message.
pub(crate) struct Reply {
    pub(crate) class: Object,
    /// `Reply.SerializeToString`, unbound.
    pub(crate) encode: Object,
}

/// Why a call failed, before it is put in words.
pub(crate) enum Failure<'py> {
    /// Guest code raised.
    Raised(Bound<'py, PyAny>),
    /// The input is not the message.
    Decode(Bound<'py, PyAny>),
    /// The reply could not be written as the message it is.
    Encode(Bound<'py, PyAny>),
    /// The reply is of a type that was not declared.
    WrongType(Bound<'py, PyAny>),
    /// The host said no.
    Host(Error),
}

impl Entry {
    /// Gives the references back. No call is inside, and none comes any more.
    pub(crate) fn clear(&self, py: Python<'_>) {
        let reply = self.reply.iter().flat_map(|reply| [&reply.class, &reply.encode]);
        for object in [&self.function].into_iter().chain(&self.decode).chain(reply) {
            object.clear(py);
        }
    }

    /// Calls the function on this thread. The caller is counted in the module's lifecycle.
    #[inline]
    pub(crate) fn call(
        &self,
        guest: &Arc<Guest>,
        cx: &CallContext,
        input: &[u8],
        output: &mut Output,
        explain: impl FnOnce(Python<'_>, Failure<'_>) -> Error,
    ) -> Result<()> {
        match cx.token() {
            None => self.call_watched(guest, cx, None, input, output, explain),
            Some(token) => self.call_stoppable(guest, cx, token, input, output, explain),
        }
    }

    #[inline(never)]
    fn call_stoppable(
        &self,
        guest: &Arc<Guest>,
        cx: &CallContext,
        token: &CancelToken,
        input: &[u8],
        output: &mut Output,
        explain: impl FnOnce(Python<'_>, Failure<'_>) -> Error,
    ) -> Result<()> {
        let stop = Stop::of_call(guest.interpreter, token);
        let outcome = self.call_watched(guest, cx, Some(&stop), input, output, explain);
        stop.keep();
        outcome
    }

    #[inline(always)]
    fn call_watched(
        &self,
        guest: &Arc<Guest>,
        cx: &CallContext,
        stop: Option<&Stop>,
        input: &[u8],
        output: &mut Output,
        explain: impl FnOnce(Python<'_>, Failure<'_>) -> Error,
    ) -> Result<()> {
        let interpreter = guest.interpreter;
        let before = output.len();
        let record = Record::new(cx, guest, stop);
        let attached = Attached::enter_for(interpreter, &self.habit);
        let outcome = record.enter(|| {
            let _aside = if attach::here().on_loop.get() { Aside::new(interpreter) } else { None };
            let mut run = || self.run(interpreter, &record, input, &mut *output);
            let outcome = match stop {
                None => run(),
                Some(stop) => stop.around(cx, run),
            };
            outcome.map_err(|raw| raw.explained(explain))
        });
        attached.leave_for(&self.habit);
        record.flush();
        if outcome.is_err() {
            output.truncate(before);
        }
        outcome
    }

    /// The caller is attached.
    #[inline]
    fn run(
        &self,
        interpreter: &'static Interpreter,
        record: &Record<'_>,
        input: &[u8],
        output: &mut Output,
    ) -> Result<(), Raw> {
        // SAFETY: attached, by the caller; every object is alive as long as its `Object` or `Local` is.
        unsafe {
            let argument = self.argument(input)?;
            let reply = if self.takes_context {
                let context = context::of(interpreter, record).ok_or(Raw::Raised)?;
                call_2(self.function.as_ptr(), argument.as_ptr(), context.as_ptr())
            } else {
                call_1(self.function.as_ptr(), argument.as_ptr())
            };
            self.write(&reply.ok_or(Raw::Raised)?, output)
        }
    }

    /// Calls an `async def` for its coroutine.
    ///
    /// # Safety
    /// This thread is attached; `call` is a `Call`.
    pub(super) unsafe fn begin(
        &self,
        interpreter: &'static Interpreter,
        call: *mut ffi::PyObject,
        input: &[u8],
    ) -> Result<Local, Raw> {
        // SAFETY: attached, by contract.
        unsafe {
            let argument = self.argument(input)?;
            let coroutine = if self.takes_context {
                let wrap = interpreter.helpers().wrap_call.as_ptr();
                let context = call_1(wrap, call).ok_or(Raw::Raised)?;
                call_2(self.function.as_ptr(), argument.as_ptr(), context.as_ptr())
            } else {
                call_1(self.function.as_ptr(), argument.as_ptr())
            };
            coroutine.ok_or(Raw::Raised)
        }
    }

    /// The input as the function takes it.
    ///
    /// # Safety
    /// This thread is attached.
    #[inline]
    unsafe fn argument(&self, input: &[u8]) -> Result<Local, Raw> {
        // SAFETY: attached, by contract; every object is alive as long as its `Object` or `Local` is.
        unsafe {
            let bytes = ffi::PyBytes_FromStringAndSize(input.as_ptr().cast(), input.len() as ffi::Py_ssize_t);
            let bytes = Local::own(bytes).ok_or(Raw::Raised)?;
            match &self.decode {
                None => Ok(bytes),
                Some(decode) => call_1(decode.as_ptr(), bytes.as_ptr()).ok_or(Raw::Decode),
            }
        }
    }

    /// Writes a reply that our caller keeps.
    ///
    /// # Safety
    /// This thread is attached.
    pub(super) unsafe fn write_borrowed(&self, reply: *mut ffi::PyObject, output: &mut Output) -> Result<(), Raw> {
        // SAFETY: attached, by contract.
        unsafe { self.write(&Local::share(reply), output) }
    }

    /// Writes a reply.
    ///
    /// # Safety
    /// This thread is attached.
    #[inline]
    unsafe fn write(&self, reply: &Local, output: &mut Output) -> Result<(), Raw> {
        // SAFETY: attached, by contract.
        unsafe {
            let Some(message) = &self.reply else {
                return write_bytes(reply, output);
            };
            if ffi::Py_TYPE(reply.as_ptr()).cast() != message.class.as_ptr() {
                match ffi::PyObject_IsInstance(reply.as_ptr(), message.class.as_ptr()) {
                    1 => {}
                    0 => return Err(Raw::wrong_type(reply)),
                    _ => return Err(Raw::Raised),
                }
            }
            let bytes = call_1(message.encode.as_ptr(), reply.as_ptr()).ok_or(Raw::Encode)?;
            write_bytes(&bytes, output)
        }
    }
}

/// A failure whose exception, where there is one, is still set in the thread.
pub(super) enum Raw {
    Raised,
    Decode,
    Encode,
    WrongType(Object),
    Host(Error),
}

impl From<Error> for Raw {
    #[cold]
    fn from(error: Error) -> Self {
        Raw::Host(error)
    }
}

impl Raw {
    /// # Safety
    /// This thread is attached.
    #[cold]
    unsafe fn wrong_type(reply: &Local) -> Raw {
        // SAFETY: attached, by contract; the reference is a borrowed one.
        Raw::WrongType(unsafe { Object::borrowed(ffi::Py_TYPE(reply.as_ptr()).cast()) })
    }

    /// The caller is attached, and nothing was called since the failure.
    #[cold]
    pub(super) fn explained(self, explain: impl FnOnce(Python<'_>, Failure<'_>) -> Error) -> Error {
        // pyo3 panics where an exception carries a panic of another library's; neither may leave.
        let explained = boundary::enter(|| {
            memory::leniently(|| {
                // Nested, so that pyo3 knows that we are attached.
                Python::attach(|py| {
                    let failure = match self {
                        Raw::Raised => Failure::Raised(take_exception(py)),
                        Raw::Decode => Failure::Decode(take_exception(py)),
                        Raw::Encode => Failure::Encode(take_exception(py)),
                        Raw::WrongType(class) => Failure::WrongType(class.bind(py)),
                        Raw::Host(error) => Failure::Host(error),
                    };
                    Ok(explain(py, failure))
                })
            })
        });
        explained.unwrap_or_else(|panic| panic)
    }
}

impl Stop {
    /// Runs what can be stopped. The caller is attached.
    pub(super) fn around<R, E: From<Error>>(
        &self,
        cx: &CallContext,
        run: impl FnOnce() -> Result<R, E>,
    ) -> Result<R, E> {
        self.begin();
        let outcome = match cx.check() {
            Ok(()) => run(),
            Err(error) => Err(error.into()),
        };
        self.end();
        outcome
    }
}

/// Takes the exception that is set in this thread, with its traceback.
fn take_exception(py: Python<'_>) -> Bound<'_, PyAny> {
    // SAFETY: attached, by `py`; each of these hands over references.
    unsafe {
        #[cfg(Py_3_12)]
        let exception = ffi::PyErr_GetRaisedException();
        #[cfg(not(Py_3_12))]
        let exception = {
            let (mut class, mut exception, mut traceback) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
            ffi::PyErr_Fetch(&raw mut class, &raw mut exception, &raw mut traceback);
            ffi::PyErr_NormalizeException(&raw mut class, &raw mut exception, &raw mut traceback);
            if !traceback.is_null() {
                ffi::PyException_SetTraceback(exception, traceback);
            }
            ffi::Py_XDECREF(class);
            ffi::Py_XDECREF(traceback);
            exception
        };
        // Python says that a call failed without an exception: an extension's bug.
        Bound::from_owned_ptr_or_opt(py, exception).unwrap_or_else(|| py.None().into_bound(py))
    }
}

/// Writes what a function of raw bytes returned: bytes, or anything with a buffer.
///
/// # Safety
/// This thread is attached.
#[inline]
unsafe fn write_bytes(reply: &Local, output: &mut Output) -> Result<(), Raw> {
    let reply_ptr = reply.as_ptr();
    // SAFETY: attached, by contract; the bytes stay as they are while we hold the object.
    unsafe {
        if ffi::PyBytes_Check(reply_ptr) != 0 {
            let data = ffi::PyBytes_AS_STRING(reply_ptr).cast::<u8>();
            let bytes = std::slice::from_raw_parts(data, ffi::Py_SIZE(reply_ptr) as usize);
            return output.write(bytes).map_err(Raw::Host);
        }
        write_buffer(reply, output)
    }
}

/// # Safety
/// This thread is attached.
#[cold]
unsafe fn write_buffer(reply: &Local, output: &mut Output) -> Result<(), Raw> {
    // SAFETY: attached, by contract; nobody writes to the buffer while we hold the GIL.
    unsafe {
        if ffi::PyObject_CheckBuffer(reply.as_ptr()) == 0 {
            return Err(Raw::wrong_type(reply));
        }
        let buffer = Buffer::of(reply.as_ptr()).ok_or(Raw::Encode)?;
        output.write(buffer.bytes()).map_err(Raw::Host)
    }
}

/// A view of an object's bytes.
pub(super) struct Buffer(Box<ffi::Py_buffer>);

impl Buffer {
    /// `None` with an exception set, where the object has no bytes in one piece.
    ///
    /// # Safety
    /// This thread is attached until the value is dropped.
    pub(super) unsafe fn of(object: *mut ffi::PyObject) -> Option<Buffer> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: attached, by contract; the view does not move until it is released.
        let got = unsafe { ffi::PyObject_GetBuffer(object, &raw mut *view, ffi::PyBUF_SIMPLE) };
        (got == 0).then_some(Buffer(view))
    }

    /// # Safety
    /// Nobody writes to the object meanwhile.
    pub(super) unsafe fn bytes(&self) -> &[u8] {
        if self.0.len == 0 {
            return &[];
        }
        // SAFETY: a simple buffer is `len` bytes in one piece, kept in place while the view is held.
        unsafe { std::slice::from_raw_parts(self.0.buf.cast::<u8>(), self.0.len as usize) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: got by `of`; attached, by its contract.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.0) }
    }
}

/// Calls with one argument.
///
/// # Safety
/// This thread is attached; both are objects.
#[inline]
pub(super) unsafe fn call_1(function: *mut ffi::PyObject, argument: *mut ffi::PyObject) -> Option<Local> {
    // The place before the arguments is the callee's to use.
    let arguments = [ptr::null_mut(), argument];
    // SAFETY: by contract.
    unsafe { vectorcall(function, arguments.as_ptr(), 1) }
}

/// # Safety
/// As [`call_1`].
#[inline]
unsafe fn call_2(function: *mut ffi::PyObject, first: *mut ffi::PyObject, second: *mut ffi::PyObject) -> Option<Local> {
    let arguments = [ptr::null_mut(), first, second];
    // SAFETY: by contract.
    unsafe { vectorcall(function, arguments.as_ptr(), 2) }
}

/// # Safety
/// This thread is attached; `arguments` are one free place and `count` objects.
#[inline]
unsafe fn vectorcall(
    function: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
) -> Option<Local> {
    let flags = count | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
    // SAFETY: by contract.
    unsafe { Local::own(ffi::PyObject_Vectorcall(function, arguments.add(1), flags, ptr::null_mut())) }
}
