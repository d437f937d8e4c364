//! The least that a call into CPython takes, by hand: what the bench compares [`Function::call`] with.
//!
//! [`Function::call`]: polyhost_bridge::Function::call

use std::marker::PhantomData;
use std::ptr;

use polyhost_bridge::{Error, ErrorKind, Result};
use pyo3::ffi;
use pyo3::types::{PyAnyMethods, PyModule};

use super::attach;
use super::interpreter::Interpreter;
use super::object::Object;

/// A Python function, called with nothing in between: the kept state of this thread, bytes, a vectorcall, a copy.
///
/// No gate, no context, no deadline, no errors beyond failure. Stays on its thread.
pub struct Floor {
    function: Object,
    state: *mut ffi::PyThreadState,
    _thread: PhantomData<*const ()>,
}

impl Floor {
    /// Defines the function `name` by `source`. Python has been started.
    ///
    /// # Errors
    /// [`ErrorKind::Load`] where that fails.
    pub fn new(source: &str, name: &str) -> Result<Floor> {
        let failed = |what: String| Error::new(ErrorKind::Load, what);
        let interpreter = Interpreter::get().ok_or_else(|| failed("start Python first".to_owned()))?;
        let source = std::ffi::CString::new(source).map_err(|e| failed(e.to_string()))?;
        let function = interpreter.with(|py| {
            let module = PyModule::from_code(py, &source, c"floor.py", c"floor");
            let function = module.and_then(|module| module.getattr(name));
            function.map(Object::new).map_err(|e| failed(e.to_string()))
        })?;
        Ok(Floor { function, state: attach::thread_state(), _thread: PhantomData })
    }

    /// Calls the function with bytes and copies the bytes it returns; `None` where anything is not as it should be.
    #[inline]
    pub fn call(&self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        // SAFETY: the state is this thread's own, kept by it, and not attached; Python is not shut down in a bench.
        unsafe {
            ffi::PyEval_RestoreThread(self.state);
            let length = self.call_attached(input, output);
            ffi::PyEval_SaveThread();
            length
        }
    }

    /// # Safety
    /// This thread is attached.
    #[inline]
    unsafe fn call_attached(&self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        // SAFETY: attached, by contract; every object is used before its reference is given back.
        unsafe {
            let bytes = ffi::PyBytes_FromStringAndSize(input.as_ptr().cast(), input.len() as ffi::Py_ssize_t);
            let arguments = [ptr::null_mut(), bytes];
            let flags = 1 | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
            let reply =
                ffi::PyObject_Vectorcall(self.function.as_ptr(), arguments.as_ptr().add(1), flags, ptr::null_mut());
            ffi::Py_DECREF(bytes);
            if reply.is_null() || ffi::PyBytes_Check(reply) == 0 {
                ffi::PyErr_Clear();
                return None;
            }
            let length = ffi::Py_SIZE(reply) as usize;
            let fits = length <= output.len();
            if fits {
                ptr::copy_nonoverlapping(ffi::PyBytes_AS_STRING(reply).cast::<u8>(), output.as_mut_ptr(), length);
            }
            ffi::Py_DECREF(reply);
            fits.then_some(length)
        }
    }
}

impl std::fmt::Debug for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Floor").finish_non_exhaustive()
    }
}
