//! An export that can be called.

use std::fmt;
use std::sync::{Arc, mpsc};

use polyhost_bridge::observe::{Awaited, Callee, Work};
use polyhost_bridge::workers::{self, Answer, Reply};
use polyhost_bridge::{BoxFuture, Bytes, CallContext, Export, Function, Lifecycle, Output, Result};

use crate::error;
use crate::ffi::{Entry, Explain, Guest, Open};
use crate::module::Loaded;

/// An export of a module. Keeps the module loaded.
pub(crate) struct CpythonFunction {
    pub(crate) module: Arc<Loaded>,
    /// Its place among the module's exports.
    pub(crate) at: usize,
    // These are the module's; here they are one step nearer for each call.
    pub(crate) guest: Arc<Guest>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) callee: Callee,
    pub(crate) entry: Arc<Entry>,
}

impl CpythonFunction {
    pub(crate) fn new(module: Arc<Loaded>, at: usize) -> CpythonFunction {
        let (guest, entry) = (module.guest().clone(), module.entry(at).clone());
        let (lifecycle, callee) = (guest.lifecycle.clone(), guest.lifecycle.callee(module.export(at).name()));
        CpythonFunction { at, lifecycle, callee, guest, entry, module }
    }

    /// Calls an `async def` and waits. This thread may do the first step.
    // Within `call` it would make the stack frame of every call a large one.
    #[inline(never)]
    fn call_on_loop(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        let event_loop = self.module.event_loop()?;
        let (sender, outcome) = mpsc::channel();
        let done = move |outcome| {
            // We wait for it.
            let _ = sender.send(outcome);
        };
        let open = Open::new(done, self.explain(cx), output.limit(), None);
        let ticket = event_loop.ticket(&self.entry, cx.clone(), Bytes::copy_from_slice(input), Work::here(), open)?;
        event_loop.start_here(ticket);
        let outcome = outcome.recv();
        output.write(&outcome.unwrap_or_else(|_| Err(error::lost()))?)
    }

    /// Sends a call of an `async def` to the event loop. No thread waits for it.
    fn send_to_loop(&self, mut cx: CallContext, input: Bytes, seen: &Arc<Awaited>) -> Result<Reply> {
        cx.check()?;
        let suspended = self.lifecycle.suspend()?;
        let limit = Output::DEFAULT_LIMIT.min(self.lifecycle.reply_limit());
        let event_loop = self.module.event_loop()?;
        // A token of this call's own: dropping the future must not cancel others that share the context.
        let token = cx.detach_token();
        let (answer, mut reply) = Answer::new(token.clone());
        let (in_time, ended) = (answer.clone(), seen.clone());
        let done = move |outcome: Result<Vec<u8>>| answer.send(ended.end(outcome.map(Bytes::from)));
        let open = Open::new(done, self.explain(&cx), limit, Some(suspended));
        let ticket = event_loop.ticket(&self.entry, cx, input, seen.work(), open)?;
        event_loop.send(ticket);
        let operation = format!("call {}", self.export().name());
        reply.cancelled = Some(token.on_cancel(move |reason| {
            in_time.send(Err(reason.error().operation(operation.clone())));
        }));
        Ok(reply)
    }

    fn explain(&self, cx: &CallContext) -> Explain {
        let (module, at, cx) = (self.module.clone(), self.at, cx.clone());
        Box::new(move |py, failure| {
            error::in_call(py, module.guest().interpreter.helpers(), module.export(at), &cx, failure)
        })
    }
}

impl Function for CpythonFunction {
    fn export(&self) -> &Export {
        self.module.export(self.at)
    }

    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        self.lifecycle.call(&self.callee, cx, input, output, |output| {
            if self.entry.is_async {
                return self.call_on_loop(cx, input, output);
            }
            self.entry.call(&self.guest, cx, input, output, |py, failure| {
                error::in_call(py, self.guest.interpreter.helpers(), self.export(), cx, failure)
            })
        })
    }

    fn call_async(self: Arc<Self>, cx: CallContext, input: Bytes) -> BoxFuture<'static, Result<Bytes>> {
        if !self.entry.is_async {
            return workers::call_async(workers::shared(), self, cx, input);
        }
        let seen = Arc::new(Awaited::begin(&self.callee, &cx, &input));
        match self.send_to_loop(cx, input, &seen) {
            Ok(reply) => Box::pin(reply),
            Err(error) => Box::pin(std::future::ready(seen.end(Err(error)))),
        }
    }
}

impl fmt::Debug for CpythonFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpythonFunction")
            .field("module", &self.guest.name())
            .field("export", &self.export().name())
            .finish()
    }
}
