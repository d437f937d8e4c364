//! References to Python objects.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

use super::interpreter::Interpreter;

/// A reference that this thread owns while it is attached, such as a result on its way.
pub(super) struct Local(NonNull<ffi::PyObject>);

impl Local {
    /// Takes over a new reference; `None` for null, with an exception set.
    ///
    /// # Safety
    /// This thread is attached until the value is dropped, and `object` is null or a reference that nobody else
    /// gives back.
    #[inline]
    pub(super) unsafe fn own(object: *mut ffi::PyObject) -> Option<Local> {
        NonNull::new(object).map(Local)
    }

    /// A new reference to an object that somebody else keeps.
    ///
    /// # Safety
    /// This thread is attached until the value is dropped, and `object` is one.
    #[inline]
    pub(super) unsafe fn share(object: *mut ffi::PyObject) -> Local {
        // SAFETY: by contract. `Py_NewRef` is newer than Python 3.9.
        unsafe {
            ffi::Py_INCREF(object);
            Local(NonNull::new_unchecked(object))
        }
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }

    /// The reference, for who gives it back or hands it on to Python.
    #[inline]
    pub(super) fn into_ptr(self) -> *mut ffi::PyObject {
        ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for Local {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the reference is ours and the thread is attached, by `own`.
        unsafe { ffi::Py_DECREF(self.0.as_ptr()) }
    }
}

/// A reference kept from call to call.
///
/// It may be dropped on any thread and after the end of Python: Python's own thread gives the reference back when it
/// comes to it. pyo3's `Py` would need its reference pool for that.
pub(crate) struct Object(AtomicPtr<ffi::PyObject>);

impl Object {
    pub(crate) fn new<T>(object: Bound<'_, T>) -> Object {
        Object(AtomicPtr::new(object.into_any().into_ptr()))
    }

    /// Takes over a reference.
    ///
    /// # Safety
    /// This thread is attached, and nobody else gives the reference back.
    pub(super) unsafe fn owned(object: *mut ffi::PyObject) -> Object {
        Object(AtomicPtr::new(object))
    }

    /// The object, for as long as this thread is attached and `self` is not cleared.
    #[inline]
    pub(super) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.load(Ordering::Relaxed)
    }

    /// The object for pyo3.
    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        // SAFETY: `py` proves that this thread is attached; our own reference keeps the object while it is borrowed.
        unsafe { Bound::from_borrowed_ptr(py, self.as_ptr()) }
    }

    /// Gives the reference back and refers to None.
    pub(crate) fn clear(&self, py: Python<'_>) {
        let object = self.0.swap(py.None().into_ptr(), Ordering::Relaxed);
        // SAFETY: attached, by `py`; the reference was ours and is forgotten.
        unsafe { ffi::Py_DECREF(object) }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        struct Orphan(*mut ffi::PyObject);
        // SAFETY: given back by an attached thread, or by nobody.
        unsafe impl Send for Orphan {}

        let orphan = Orphan(self.as_ptr());
        if let Some(interpreter) = Interpreter::get() {
            interpreter.later(move |_py| {
                let orphan = orphan;
                // SAFETY: attached, by `_py`; the reference was the dropped object's.
                unsafe { ffi::Py_DECREF(orphan.0) }
            });
        }
    }
}
