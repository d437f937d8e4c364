//! Everything unsafe of this host: the interpreter and its threads, calls by vectorcall, what guests call.
//!
//! One rule carries the rest: whoever is attached is counted in a [`Lifecycle`](polyhost_bridge::Lifecycle), that of
//! its module or that of the interpreter, and Python ends only after all of those are closed and drained.

mod attach;
mod call;
mod context;
mod event_loop;
pub(crate) mod floor;
mod interpreter;
mod memory;
mod native;
mod object;
mod record;
mod service;
mod stop;
mod ticket;

#[cfg(Py_GIL_DISABLED)]
compile_error!("polyhost-cpython needs the GIL: point PYO3_PYTHON to a CPython that is not free-threaded");

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("polyhost-cpython is tested on 64-bit Linux alone; this target is not supported");

pub(crate) use call::{Entry, Failure, Reply};
pub(crate) use event_loop::EventLoop;
pub(crate) use interpreter::{Interpreter, Launch, library, version};
pub(crate) use memory::used_of;
pub(crate) use native::{create as native_module, owner_handle};
pub(crate) use object::Object;
pub(crate) use record::{Guest, Voice, inside, within};
pub(crate) use ticket::{Explain, Open};
