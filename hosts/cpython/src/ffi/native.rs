//! `polyhost._native`: what the guest package calls.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::Arc;

use polyhost_bridge::{Error, LogLevel, boundary};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};

use super::call::Buffer;
use super::interpreter::Interpreter;
use super::object::{Local, Object};
use super::record::{Guest, Stream};
use super::{context, event_loop, record, service, ticket};

/// Methods for Python, which wants a pointer to them for as long as it lives.
pub(super) struct Method<const N: usize>(pub(super) [ffi::PyMethodDef; N]);

// SAFETY: constants, with pointers to constants and functions.
unsafe impl<const N: usize> Sync for Method<N> {}

impl Method<0> {
    /// Ends a list.
    pub(super) const END: ffi::PyMethodDef = ffi::PyMethodDef::zeroed();
}

/// A method without arguments.
pub(super) const fn method(name: &'static CStr, run: ffi::PyCFunction, doc: &'static CStr) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: run },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: doc.as_ptr(),
    }
}

pub(super) type Fast =
    unsafe extern "C" fn(*mut ffi::PyObject, *mut *mut ffi::PyObject, ffi::Py_ssize_t) -> *mut ffi::PyObject;

/// A function with positional arguments.
pub(super) const fn function(name: &'static CStr, run: Fast, doc: &'static CStr) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: run },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: doc.as_ptr(),
    }
}

static FUNCTIONS: Method<10> = Method([
    function(c"current", current, c"The Call that this thread runs for, or None."),
    function(c"service", service::find, c"Finds a host service: service(name) gives a function of bytes."),
    function(c"owner", owner, c"A handle of the module that this thread runs for, or None."),
    function(
        c"write",
        write,
        c"write(stream, data, owner): prints to stdout (1) or stderr (2); False without an owner.",
    ),
    function(c"log", log, c"log(level, target, message, owner): logs a record; False without an owner."),
    function(c"step", ticket::step, c"step(ticket, run, *args): runs a step of a task."),
    function(c"take", event_loop::take, c"take(mailbox): what came for an event loop."),
    function(c"begin", ticket::begin, c"begin(ticket): the coroutine and the call, or None."),
    function(c"finish", ticket::finish, c"finish(ticket, reply, error): ends a call."),
    function(c"version", version, c"The version of Polyhost."),
]);

/// Makes the module.
pub(crate) fn create(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let module = PyModule::new(py, "polyhost._native")?;
    for definition in &FUNCTIONS.0 {
        // SAFETY: attached, by `py`; the definition is static.
        let function = unsafe {
            let raw = ffi::PyCFunction_NewEx(ptr::from_ref(definition).cast_mut(), ptr::null_mut(), ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, raw)?
        };
        module.setattr(function.getattr("__name__")?.cast::<pyo3::types::PyString>()?, function)?;
    }
    module.setattr("Call", context::class(py)?)?;
    Ok(module)
}

/// Runs safe code that Python has called, with what is thrown and what panics as Python exceptions.
#[cold]
pub(super) fn guarded(run: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>) -> *mut ffi::PyObject {
    // Nested in Python's own attach: it tells pyo3 that this thread is attached.
    let outcome = boundary::enter(|| {
        Ok(Python::attach(|py| match run(py) {
            Ok(object) => object.into_ptr(),
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        }))
    });
    outcome.unwrap_or_else(|panic| raise_internal(&panic))
}

/// Sets the exception for a bug of ours.
#[cold]
pub(super) fn raise_internal(error: &Error) -> *mut ffi::PyObject {
    let text = std::ffi::CString::new(error.to_string().replace('\0', " ")).unwrap_or_default();
    // SAFETY: the caller is attached; the text is copied.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_SystemError, text.as_ptr()) };
    ptr::null_mut()
}

/// The arguments of a call.
///
/// # Safety
/// They are what Python has passed; they live until the function returns.
pub(super) unsafe fn arguments<'a>(
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> &'a [*mut ffi::PyObject] {
    if count <= 0 {
        return &[];
    }
    // SAFETY: by contract.
    unsafe { std::slice::from_raw_parts(arguments, count as usize) }
}

/// An argument for pyo3.
///
/// # Safety
/// As [`arguments`].
unsafe fn argument<'py>(py: Python<'py>, list: &[*mut ffi::PyObject], at: usize) -> PyResult<Bound<'py, PyAny>> {
    let object = list.get(at).ok_or_else(|| PyTypeError::new_err("an argument is missing"))?;
    // SAFETY: by contract.
    Ok(unsafe { Bound::from_borrowed_ptr(py, *object) })
}

fn interpreter() -> PyResult<&'static Interpreter> {
    Interpreter::get().ok_or_else(|| PyRuntimeError::new_err("the host is not there"))
}

unsafe extern "C" fn current(
    _: *mut ffi::PyObject,
    _: *mut *mut ffi::PyObject,
    _: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    guarded(|py| {
        let interpreter = interpreter()?;
        // SAFETY: attached, by `py`.
        let call = unsafe {
            context::current(interpreter, |current| {
                current.map(|(cx, guest)| context::new(&interpreter.helpers().call_type, cx.clone(), guest.clone()))
            })
        };
        match call {
            None => Ok(py.None().into_bound(py)),
            // SAFETY: attached, by `py`; the reference is new, or null with an exception.
            Some(call) => unsafe { Bound::from_owned_ptr_or_err(py, call.map_or(ptr::null_mut(), Local::into_ptr)) },
        }
    })
}

const OWNER: &CStr = c"polyhost.owner";

/// A handle of a module for Python: a capsule with an `Arc<Guest>` in it.
pub(crate) fn owner_handle(py: Python<'_>, guest: Arc<Guest>) -> PyResult<Bound<'_, PyAny>> {
    capsule(py, OWNER, guest, |guest| guest.let_go())
}

/// A capsule that owns a value.
pub(super) fn capsule<'py, T: Send + 'static>(
    py: Python<'py>,
    name: &'static CStr,
    value: T,
    let_go: fn(T),
) -> PyResult<Bound<'py, PyAny>> {
    struct Content<T> {
        value: T,
        name: &'static CStr,
        let_go: fn(T),
    }
    unsafe extern "C" fn destroy<T>(capsule: *mut ffi::PyObject) {
        // SAFETY: Python calls this once, attached, for a capsule that was made below.
        let content = unsafe {
            let context = ffi::PyCapsule_GetContext(capsule).cast::<Content<T>>();
            if context.is_null() {
                return;
            }
            *Box::from_raw(context)
        };
        let _ = boundary::enter(|| {
            (content.let_go)(content.value);
            Ok(())
        });
    }
    let content = Box::into_raw(Box::new(Content { value, name, let_go }));
    // SAFETY: attached, by `py`; the content is freed by `destroy`, or here where there is no capsule. The pointer is
    // to the value, the context to all of it.
    unsafe {
        let raw = ffi::PyCapsule_New((&raw mut (*content).value).cast(), (*content).name.as_ptr(), Some(destroy::<T>));
        if raw.is_null() || ffi::PyCapsule_SetContext(raw, content.cast()) != 0 {
            drop(Box::from_raw(content));
            ffi::Py_XDECREF(raw);
            return Err(PyErr::fetch(py));
        }
        Ok(Bound::from_owned_ptr(py, raw))
    }
}

/// What a capsule of this name holds.
///
/// # Safety
/// This thread is attached, and the capsule of that name holds a `T` and lives for `'a`.
pub(super) unsafe fn content<'a, T>(py: Python<'_>, object: *mut ffi::PyObject, name: &CStr) -> PyResult<&'a T> {
    // SAFETY: by contract.
    unsafe {
        let pointer = ffi::PyCapsule_GetPointer(object, name.as_ptr()).cast::<T>();
        if pointer.is_null() { Err(PyErr::fetch(py)) } else { Ok(&*pointer) }
    }
}

/// The module behind a handle; `None` for None.
///
/// # Safety
/// `object` is borrowed and lives for `'a`.
unsafe fn owner_of<'a>(object: &'a Bound<'_, PyAny>) -> PyResult<Option<&'a Arc<Guest>>> {
    if object.is_none() {
        return Ok(None);
    }
    // SAFETY: attached; a capsule of that name has that content.
    unsafe { content(object.py(), object.as_ptr(), OWNER).map(Some) }
}

unsafe extern "C" fn owner(
    _: *mut ffi::PyObject,
    _: *mut *mut ffi::PyObject,
    _: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    guarded(|py| {
        let interpreter = interpreter()?;
        // SAFETY: attached, by `py`.
        let guest = unsafe { context::current(interpreter, |current| current.map(|(_, guest)| guest.clone())) };
        match guest {
            Some(guest) => owner_handle(py, guest),
            None => Ok(py.None().into_bound(py)),
        }
    })
}

/// The module that speaks: the one that is given, or the one that this thread runs for.
///
/// # Safety
/// This thread is attached.
unsafe fn speaker(py: Python<'_>, list: &[*mut ffi::PyObject], at: usize) -> PyResult<Option<Arc<Guest>>> {
    // SAFETY: by contract.
    unsafe {
        let given = argument(py, list, at)?;
        if let Some(guest) = owner_of(&given)? {
            return Ok(Some(guest.clone()));
        }
        Ok(context::current(interpreter()?, |current| current.map(|(_, guest)| guest.clone())))
    }
}

unsafe extern "C" fn write(
    _: *mut ffi::PyObject,
    list: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    guarded(|py| {
        // SAFETY: Python has called us, attached; the buffer is copied before anything else runs.
        unsafe {
            let list = arguments(list, count);
            let stream = match argument(py, list, 0)?.extract::<c_int>()? {
                1 => Stream::Out,
                _ => Stream::Err,
            };
            let data = argument(py, list, 1)?;
            let Some(guest) = speaker(py, list, 2)? else {
                return Ok(pyo3::types::PyBool::new(py, false).to_owned().into_any());
            };
            let bytes = match data.cast::<PyBytes>() {
                Ok(bytes) => bytes.as_bytes().to_vec(),
                Err(_) => Buffer::of(data.as_ptr()).ok_or_else(|| PyErr::fetch(py))?.bytes().to_vec(),
            };
            record::print(&guest, stream, &bytes);
            guest.let_go();
            Ok(pyo3::types::PyBool::new(py, true).to_owned().into_any())
        }
    })
}

unsafe extern "C" fn log(
    _: *mut ffi::PyObject,
    list: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    guarded(|py| {
        // SAFETY: Python has called us, attached.
        unsafe {
            let list = arguments(list, count);
            let level = LogLevel::from_number(argument(py, list, 0)?.extract()?);
            let target: String = argument(py, list, 1)?.extract()?;
            let message: String = argument(py, list, 2)?.extract()?;
            let Some(guest) = speaker(py, list, 3)? else {
                return Ok(pyo3::types::PyBool::new(py, false).to_owned().into_any());
            };
            record::out_of_python(guest.interpreter, || guest.log(level, &target, &message));
            guest.let_go();
            Ok(pyo3::types::PyBool::new(py, true).to_owned().into_any())
        }
    })
}

unsafe extern "C" fn version(
    _: *mut ffi::PyObject,
    _: *mut *mut ffi::PyObject,
    _: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    guarded(|py| Ok(pyo3::types::PyString::new(py, env!("CARGO_PKG_VERSION")).into_any()))
}

impl Guest {
    /// Drops a reference while attached. What the last one drops may wait for locks of the host, so that happens on
    /// Python's own thread, detached.
    pub(super) fn let_go(self: Arc<Self>) {
        if let Some(last) = Arc::into_inner(self) {
            let interpreter = last.interpreter;
            interpreter.drop_later(Box::new(last));
        }
    }
}

impl Object {
    /// Takes a reference of its own to a borrowed object.
    ///
    /// # Safety
    /// This thread is attached, and `object` is one.
    pub(super) unsafe fn borrowed(object: *mut ffi::PyObject) -> Object {
        // SAFETY: by contract.
        unsafe { Object::owned(Local::share(object).into_ptr()) }
    }
}
