//! Everything of Polyhost that knows no language: runtimes, modules, functions, calls and their errors.
//!
//! A [`Runtime`] loads a [`Module`] from a [`ModuleSource`]; a module exports
//! [`Function`]s; a function is called with bytes, or through [`Method`] with
//! prost messages, under a [`CallContext`], and writes to an [`Output`]. A
//! guest calls back through [`Services`]. Whatever fails is an [`Error`], with
//! the guest's own stack in it.
//!
//! The crate `polyhost` brings the hosts; this one is for their authors, and
//! for code that takes any runtime.
//!
//! # Threads
//! Everything here may be used on any thread. A host never holds a lock of its
//! runtime (the GIL, a Lua state) while it takes a lock of its own, and leaves
//! its runtime before a host service is called.

pub mod abi;
pub mod boundary;
mod call;
pub mod cancel;
mod deployment;
mod error;
mod function;
#[cfg(feature = "json")]
pub mod json;
mod lifecycle;
mod limits;
mod log;
mod method;
#[cfg(feature = "metrics")]
pub mod metrics;
mod module;
pub mod observe;
mod output;
mod registry;
mod report;
mod runtime;
mod service;
#[doc(hidden)]
pub mod sync;
mod trace;
pub mod workers;

pub use bytes::Bytes;
pub use futures_core::future::BoxFuture;

pub use call::{CallContext, Metadata};
pub use cancel::{CancelReason, CancelToken};
pub use deployment::{DeployReport, Deployment, ReplacedVersion};
pub use error::{Code, Error, ErrorKind, Frame, GuestError, Result};
pub use function::{Export, Function};
#[cfg(feature = "json")]
pub use json::JsonFunction;
pub use lifecycle::{Entered, Lifecycle, MAX_DEPTH, Suspended};
pub use limits::Limits;
pub use log::{LogLevel, LogRecord, LogSink};
pub use method::{Method, TypedFunction};
pub use module::{Module, UnloadVerdict, no_such_export, still_inside};
pub use output::Output;
pub use registry::Registry;
pub use runtime::{Capabilities, Heap, LoadOptions, ModuleSource, Runtime, RuntimeInfo};
pub use service::Services;
pub use trace::TraceParent;
