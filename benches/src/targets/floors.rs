//! The least that a caller of each runtime has to do, written by hand: what the trait is measured against.

use std::sync::Arc;

use polyhost::{CallContext, Error, ErrorKind, Function, Output, Registry, Result};

use super::contenders;

/// A call by hand: the request, and where the reply goes; returns how many bytes that are.
pub(crate) type Floor = Box<dyn FnMut(&[u8], &mut [u8]) -> usize>;

/// The floor of a runtime that has been started; `echo` is an export of it.
///
/// # Errors
/// What the host says.
pub(crate) fn of(registry: &Registry, scheme: &str, echo: &Arc<dyn Function>) -> Result<Floor> {
    match scheme {
        "clr" => clr(registry),
        "py" => cpython(),
        _ => polyhost::luajit::floor::echo(echo),
    }
}

/// CPython: the kept state of this thread, a bytes object, a vectorcall, a copy.
fn cpython() -> Result<Floor> {
    let floor = polyhost::cpython::floor::Floor::new("def echo(request):\n    return request\n", "echo")?;
    Ok(Box::new(move |request, reply| floor.call(request, reply).expect("the floor echoes")))
}

/// The CLR: one entry for unmanaged callers, an id, a table of span functions, a try.
fn clr(registry: &Registry) -> Result<Floor> {
    type Entry = unsafe extern "C" fn(i32, *const u8, isize, *mut u8, isize) -> isize;
    let module = contenders::load(registry, "clr", 1)?;
    let mut address = Output::new();
    module.function("bench/Floor")?.call(&CallContext::none(), &[], &mut address)?;
    let address: [u8; 8] = address.as_slice().try_into().map_err(|_| {
        Error::new(ErrorKind::Encode, "bench/Floor returns no address").with("bytes", address.len().to_string())
    })?;
    let address = usize::from_ne_bytes(address);
    // SAFETY: BenchGuest.FloorAddress returns the address of Floor.Call, which has this signature.
    let entry = unsafe { std::mem::transmute::<usize, Entry>(address) };
    Ok(Box::new(move |request, reply| {
        let _keeps_the_code_loaded = &module;
        let (input, output) = (request.as_ptr(), reply.as_mut_ptr());
        // SAFETY: both buffers are as long as said and outlive the call; this thread has called the runtime before,
        // so it has an alternate signal stack.
        let length = unsafe { entry(0, input, request.len() as isize, output, reply.len() as isize) };
        usize::try_from(length).expect("the floor echoes")
    }))
}
