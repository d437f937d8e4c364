//! An entry of a module that can be called.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use crate::call::CallContext;
use crate::error::Result;
use crate::output::Output;
use crate::workers;

/// A function that a module exports.
///
/// Object-safe; used as `Arc<dyn Function>`. Bytes go in and bytes come out;
/// [`crate::TypedFunction`] puts prost messages on top.
pub trait Function: Debug + Send + Sync + 'static {
    /// Name and types.
    fn export(&self) -> &Export;

    /// Calls the function on this thread and waits for the guest to return.
    ///
    /// `input` is borrowed until the call ends. The reply is appended to
    /// `output`; after an error `output` holds what it did before.
    ///
    /// The deadline of `cx` is checked before entry, and cancels the guest
    /// where its runtime can ([`crate::Capabilities::INTERRUPT`]); this method
    /// returns when the guest does.
    ///
    /// # Errors
    /// - [`ErrorKind::Guest`](crate::ErrorKind::Guest) when guest code raised;
    ///   see [`Error::guest`](crate::Error::guest) for its stack.
    /// - [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled),
    ///   [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) by `cx`.
    /// - [`ErrorKind::Decode`](crate::ErrorKind::Decode) when `input` is not the message the export takes.
    /// - [`ErrorKind::Exhausted`](crate::ErrorKind::Exhausted) at a limit: reply, memory, depth, instances.
    /// - [`ErrorKind::Closed`](crate::ErrorKind::Closed) once the module is unloaded.
    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()>;

    /// Calls the function without blocking the caller's thread.
    ///
    /// By default [`Function::call`] runs on a worker thread of
    /// [`workers::shared`]; a runtime that can await suspends instead. Dropping
    /// the future cancels the call. It answers at the deadline even where the
    /// guest can't be stopped; the worker counts as busy until the guest is out.
    ///
    /// # Errors
    /// As [`Function::call`], and [`ErrorKind::Exhausted`](crate::ErrorKind::Exhausted) when every worker is
    /// busy and the queue is full.
    fn call_async(self: Arc<Self>, cx: CallContext, input: Bytes) -> BoxFuture<'static, Result<Bytes>> {
        workers::call_async(workers::shared(), self, cx, input)
    }
}

/// Name, types and description of an export.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Export {
    name: String,
    input_type: Option<String>,
    output_type: Option<String>,
    doc: String,
}

impl Export {
    /// An export that takes and returns raw bytes.
    pub fn bytes(name: impl Into<String>) -> Self {
        Export { name: name.into(), ..Export::default() }
    }

    /// An export that takes and returns the protobuf messages of these full names, such as `greeter.v1.HelloRequest`.
    pub fn messages(name: impl Into<String>, input: impl Into<String>, output: impl Into<String>) -> Self {
        Export { input_type: Some(input.into()), output_type: Some(output.into()), ..Export::bytes(name) }
    }

    /// Sets the two types, each `None` for raw bytes.
    pub fn with_types(mut self, input: Option<String>, output: Option<String>) -> Self {
        self.input_type = input;
        self.output_type = output;
        self
    }

    /// Sets the description.
    pub fn with_doc(mut self, doc: impl Into<String>) -> Self {
        self.doc = doc.into();
        self
    }

    /// `pkg.Service/Method`, or any other name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The full name of the message it takes; `None` for raw bytes.
    pub fn input_type(&self) -> Option<&str> {
        self.input_type.as_deref()
    }

    /// The full name of the message it returns; `None` for raw bytes.
    pub fn output_type(&self) -> Option<&str> {
        self.output_type.as_deref()
    }

    /// For people: what it does. May be empty.
    pub fn doc(&self) -> &str {
        &self.doc
    }
}
