//! The call context as guests see it: an object that holds what it needs, so that it may be kept after the call.

use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

use polyhost_bridge::{CallContext, boundary};
use pyo3::ffi;
use pyo3::prelude::*;

use super::call::call_1;
use super::interpreter::Interpreter;
use super::native::{Method, method};
use super::object::{Local, Object};
use super::record::{self, Guest, Record};

/// An instance of `polyhost._native.Call`.
#[repr(C)]
struct CallObject {
    head: ffi::PyObject,
    cx: ManuallyDrop<CallContext>,
    guest: ManuallyDrop<Arc<Guest>>,
}

/// A `polyhost.CallContext` for the call of `record`; `None` with an exception set.
///
/// # Safety
/// This thread is attached.
pub(super) unsafe fn of(interpreter: &'static Interpreter, record: &Record<'_>) -> Option<Local> {
    let helpers = interpreter.helpers();
    // SAFETY: attached, by contract; the helpers live as long as Python does.
    unsafe {
        let call = new(&helpers.call_type, record.cx.clone(), record.guest.clone())?;
        call_1(helpers.wrap_call.as_ptr(), call.as_ptr())
    }
}

/// # Safety
/// This thread is attached; `class` is what `class` made.
pub(super) unsafe fn new(class: &Object, cx: CallContext, guest: Arc<Guest>) -> Option<Local> {
    // SAFETY: attached and the type is right, by contract; the new object has room for a CallObject, which `dealloc`
    // takes to be initialised.
    unsafe {
        let object = Local::own(ffi::PyType_GenericAlloc(class.as_ptr().cast(), 0))?;
        let call = object.as_ptr().cast::<CallObject>();
        ptr::write(&raw mut (*call).cx, ManuallyDrop::new(cx));
        ptr::write(&raw mut (*call).guest, ManuallyDrop::new(guest));
        Some(object)
    }
}

/// Gives `run` the call that this thread runs for, if it runs for one: the innermost on its stack, or the one whose
/// task an event loop is at.
///
/// # Safety
/// This thread is attached, and stays so but for [`super::attach::detached`].
pub(super) unsafe fn current<R>(
    interpreter: &Interpreter,
    run: impl FnOnce(Option<(&CallContext, &Arc<Guest>)>) -> R,
) -> R {
    record::current(|record| {
        if let Some(record) = record {
            return run(Some((record.cx, record.guest)));
        }
        // SAFETY: attached, by contract.
        let call = unsafe { of_task(interpreter) };
        // SAFETY: the object lives while `call` does.
        run(call.as_ref().map(|call| unsafe { parts(call) }))
    })
}

/// The `Call` in the context variable that event loops set.
///
/// # Safety
/// This thread is attached.
unsafe fn of_task(interpreter: &Interpreter) -> Option<Local> {
    // While the guest package is imported there are no helpers yet, and no tasks.
    let helpers = interpreter.try_helpers()?;
    let mut value = ptr::null_mut();
    // SAFETY: attached, by contract.
    unsafe {
        let got = ffi::PyContextVar_Get(helpers.current_call.as_ptr(), ptr::null_mut(), &raw mut value);
        if got < 0 {
            ffi::PyErr_Clear();
            return None;
        }
        Local::own(value).filter(|call| is_call(helpers, call))
    }
}

/// # Safety
/// This thread is attached.
unsafe fn is_call(helpers: &crate::module::Helpers, object: &Local) -> bool {
    // SAFETY: attached, by contract.
    unsafe { ffi::Py_TYPE(object.as_ptr()).cast() == helpers.call_type.as_ptr() }
}

/// # Safety
/// `call` is a `Call`.
unsafe fn parts(call: &Local) -> (&CallContext, &Arc<Guest>) {
    // SAFETY: by contract; the fields are written once, before the object is seen by anybody.
    let call = unsafe { &*call.as_ptr().cast::<CallObject>() };
    (&call.cx, &call.guest)
}

/// Makes the type `polyhost._native.Call`.
pub(super) fn class(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static METHODS: Method<5> = Method([
        method(c"remaining", remaining, c"Seconds left, or None without a deadline."),
        method(c"cancelled", cancelled, c"0 to go on, 1 if the call was cancelled, 2 if it is out of time."),
        method(c"metadata", metadata, c"The names and values that came with the call, in order."),
        method(c"module", module, c"The name of the module."),
        Method::END,
    ]);
    let mut slots = [
        ffi::PyType_Slot { slot: ffi::Py_tp_dealloc, pfunc: dealloc as *mut _ },
        ffi::PyType_Slot { slot: ffi::Py_tp_methods, pfunc: METHODS.0.as_ptr().cast_mut().cast() },
        ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"polyhost._native.Call".as_ptr(),
        basicsize: size_of::<CallObject>() as c_int,
        itemsize: 0,
        flags: ffi::Py_TPFLAGS_DEFAULT as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: attached, by `py`; the slots end with a zero, and what they point to is static.
    unsafe {
        let class = Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec))?;
        // Only the host makes these. The flag for it is newer than Python 3.9.
        (*class.as_ptr().cast::<ffi::PyTypeObject>()).tp_new = None;
        ffi::PyType_Modified(class.as_ptr().cast());
        Ok(class)
    }
}

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: Python calls this once for an object that `new` made, on an attached thread.
    unsafe {
        let call = object.cast::<CallObject>();
        let cx = ManuallyDrop::take(&mut (*call).cx);
        let guest = ManuallyDrop::take(&mut (*call).guest);
        let class = ffi::Py_TYPE(object);
        if let Some(free) = (*class).tp_free {
            free(object.cast());
        }
        ffi::Py_DECREF(class.cast());
        let _ = boundary::enter(|| {
            drop(cx);
            guest.let_go();
            Ok(())
        });
    }
}

/// # Safety
/// `object` is a `Call` that lives for `'a`.
unsafe fn context<'a>(object: *mut ffi::PyObject) -> &'a CallContext {
    // SAFETY: by contract: these are methods of that type.
    unsafe { &(*object.cast::<CallObject>()).cx }
}

unsafe extern "C" fn remaining(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: Python calls this as a method, attached.
    unsafe {
        match context(this).remaining() {
            Some(time) => ffi::PyFloat_FromDouble(time.as_secs_f64()),
            None => Local::share(ffi::Py_None()).into_ptr(),
        }
    }
}

unsafe extern "C" fn cancelled(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: Python calls this as a method, attached.
    unsafe {
        let reason = match context(this).cancelled() {
            None => 0,
            Some(polyhost_bridge::CancelReason::Cancelled) => 1,
            Some(polyhost_bridge::CancelReason::DeadlineExceeded) => 2,
        };
        ffi::PyLong_FromLong(reason)
    }
}

unsafe extern "C" fn metadata(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: Python calls this as a method, attached.
    let cx = unsafe { context(this) };
    super::native::guarded(|py| Ok(pyo3::types::PyTuple::new(py, cx.metadata())?.into_any()))
}

unsafe extern "C" fn module(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: Python calls this as a method, attached.
    let guest = unsafe { &(*this.cast::<CallObject>()).guest };
    super::native::guarded(|py| Ok(pyo3::types::PyString::new(py, guest.name()).into_any()))
}
