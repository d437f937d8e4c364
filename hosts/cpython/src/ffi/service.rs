//! Host services as functions of Python.

use std::cell::Cell;
use std::ffi::CStr;
use std::ptr;
use std::sync::Arc;

use polyhost_bridge::{CallContext, CancelReason, Error, ErrorKind, Output, Result, boundary};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;

use super::call::Buffer;
use super::interpreter::Interpreter;
use super::native::{Method, arguments, capsule, function, guarded};
use super::record::{self, Guest};
use super::{attach, context};

/// A service that was found: the `self` of a Python function.
struct Handle {
    guest: Arc<Guest>,
    id: u32,
}

const HANDLE: &CStr = c"polyhost.service";

static CALL: Method<1> = Method([function(c"service", call, c"Calls a host service with bytes; returns its reply.")]);

/// `service(name)`: a function that calls the service.
pub(super) unsafe extern "C" fn find(
    _: *mut ffi::PyObject,
    list: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    guarded(|py| {
        let interpreter = Interpreter::get().ok_or_else(|| PyRuntimeError::new_err("the host is not there"))?;
        // SAFETY: Python has called us, attached.
        let name: String = unsafe {
            let name = *arguments(list, count).first().ok_or_else(|| PyTypeError::new_err("service() takes a name"))?;
            Bound::from_borrowed_ptr(py, name).extract()?
        };
        // SAFETY: attached, by `py`.
        let guest = unsafe { context::current(interpreter, |current| current.map(|(_, guest)| guest.clone())) };
        let guest = guest.ok_or_else(|| {
            PyRuntimeError::new_err(
                "no module runs on this thread: find services when the module is loaded, or in a call",
            )
        })?;
        let id = match guest.services.find(&name) {
            Ok(id) => id,
            Err(error) => {
                guest.let_go();
                return Err(PyErr::from_value(exception(py, interpreter, &error)?));
            }
        };
        let handle = capsule(py, HANDLE, Handle { guest, id }, |handle| handle.guest.let_go())?;
        // SAFETY: attached, by `py`; the definition is static, and the function keeps the handle.
        unsafe {
            let definition = ptr::from_ref(&CALL.0[0]).cast_mut();
            Bound::from_owned_ptr_or_err(py, ffi::PyCFunction_NewEx(definition, handle.as_ptr(), ptr::null_mut()))
        }
    })
}

/// The exception that tells a guest of a service's failure.
fn exception<'py>(py: Python<'py>, interpreter: &Interpreter, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let report = pyo3::types::PyBytes::new(py, &error.to_report());
    interpreter.helpers().service_error.bind(py).call1((error.code().number(), error.to_string(), report))
}

unsafe extern "C" fn call(
    this: *mut ffi::PyObject,
    list: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: Python has called us, attached, with the capsule that `find` gave this function.
    let (handle, list) = unsafe {
        let handle = ffi::PyCapsule_GetPointer(this, HANDLE.as_ptr()).cast::<Handle>();
        if handle.is_null() {
            return ptr::null_mut();
        }
        (&*handle, arguments(list, count))
    };
    let &[request] = list else {
        // SAFETY: attached.
        unsafe { ffi::PyErr_SetString(ffi::PyExc_TypeError, c"a host service takes one argument, bytes".as_ptr()) };
        return ptr::null_mut();
    };
    // SAFETY: attached; `request` is kept by our caller until we return, and bytes never change. What may change is
    // copied before others run.
    unsafe {
        if ffi::PyBytes_CheckExact(request) != 0 {
            let data = ffi::PyBytes_AS_STRING(request).cast::<u8>();
            return answer(handle, std::slice::from_raw_parts(data, ffi::Py_SIZE(request) as usize));
        }
        match Buffer::of(request).map(|buffer| buffer.bytes().to_vec()) {
            Some(copy) => answer(handle, &copy),
            None => ptr::null_mut(),
        }
    }
}

/// Calls the service and makes the result Python's.
///
/// # Safety
/// This thread is attached.
unsafe fn answer(handle: &Handle, input: &[u8]) -> *mut ffi::PyObject {
    let interpreter = handle.guest.interpreter;
    let mut output = take_buffer();
    // SAFETY: attached, by contract.
    let failure = unsafe {
        context::current(interpreter, |current| {
            let none = CallContext::none();
            let cx = current.map_or(&none, |(cx, _)| cx);
            run(handle, cx, input, &mut output).err().map(|error| (error, cx.cancelled()))
        })
    };
    let reply = match failure {
        // SAFETY: attached; the bytes are copied.
        None => unsafe { ffi::PyBytes_FromStringAndSize(output.as_ptr().cast(), output.len() as ffi::Py_ssize_t) },
        Some((error, stopped)) => guarded(|py| Err(raised(py, interpreter, &error, stopped))),
    };
    give_buffer(output);
    reply
}

/// Runs the service outside of Python.
fn run(handle: &Handle, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
    let Handle { guest, id } = handle;
    // A call is counted already. A thread of the guest's own, or a task, is not: without that, Python could end while
    // it is out.
    let _inside = if record::current(|record| record.is_some()) {
        None
    } else if guest.lifecycle.is_closed() {
        return Err(Error::new(ErrorKind::Closed, "the module is unloaded; its threads can call no services"));
    } else {
        Some(guest.interpreter.lifecycle.enter()?)
    };
    attach::detached(guest.interpreter, || boundary::enter(|| guest.services.call(*id, cx, input, output)))
}

/// What a failed service raises; where the call is to stop, what stops it.
fn raised(py: Python<'_>, interpreter: &Interpreter, error: &Error, stopped: Option<CancelReason>) -> PyErr {
    let Some(reason) = stopped else {
        return exception(py, interpreter, error).map_or_else(|error| error, PyErr::from_value);
    };
    let class = record::current(|record| match record.and_then(|record| record.stop) {
        Some(stop) => {
            // It is raised here, so it need not come a second time from outside.
            stop.take_back();
            stop.class(interpreter, reason).bind(py)
        }
        None => interpreter.helpers().stopped(reason).bind(py),
    });
    class.call0().map_or_else(|error| error, PyErr::from_value)
}

/// A larger buffer is not kept for the next reply: each thread that calls services keeps one.
const KEEP: usize = 64 << 10;

thread_local! { static BUFFER: Cell<Option<Output>> = const { Cell::new(None) } }

/// A buffer for a reply, from the last call of this thread.
fn take_buffer() -> Output {
    let kept = BUFFER.try_with(Cell::take).ok().flatten();
    kept.unwrap_or_default()
}

fn give_buffer(mut output: Output) {
    if output.capacity() <= KEEP {
        output.clear();
        let _ = BUFFER.try_with(|buffer| buffer.set(Some(output)));
    }
}
