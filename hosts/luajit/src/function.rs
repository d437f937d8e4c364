//! An export of a module.

use std::fmt;
use std::sync::Arc;

use polyhost_bridge::observe::Callee;
use polyhost_bridge::{CallContext, Export, Function, Output, Result, boundary};

use crate::error;
use crate::ffi::{Failed, Vm};
use crate::host::Handler;
use crate::message::{self, Schema};
use crate::module::Loaded;

/// A handler in Lua. It keeps its module loaded.
pub(crate) struct LuaFunction {
    module: Arc<Loaded>,
    /// Which export of the module it is.
    place: usize,
    handler: Handler,
    callee: Callee,
    /// What it takes and returns; `None` for raw bytes.
    types: Option<(Arc<Schema>, Arc<Schema>)>,
}

impl LuaFunction {
    pub(crate) fn new(
        module: Arc<Loaded>,
        place: usize,
        handler: Handler,
        types: Option<(Arc<Schema>, Arc<Schema>)>,
    ) -> Self {
        let callee = module.lifecycle.callee(module.exports[place].name());
        LuaFunction { module, place, handler, callee, types }
    }

    /// Calls with the request as a table, and writes the table that the handler returns.
    fn call_typed(
        &self,
        vm: &Vm,
        (request, reply): &(Arc<Schema>, Arc<Schema>),
        cx: &CallContext,
        input: &[u8],
        output: &mut Output,
    ) -> Result<(), Failed> {
        vm.enter(
            self.handler,
            cx,
            input.len(),
            |stack| {
                let push = || Ok(message::push(stack, request, input));
                boundary::enter(push)?.map_err(|failure| failure.decoding(request.name()))
            },
            |stack| {
                let limit = output.limit() - output.len();
                let take = || {
                    Ok(vm.with_scratch(|bytes| {
                        message::take(stack, reply, bytes, limit)
                            .map_err(|failure| failure.replying(self.export().name(), reply.name()))?;
                        Ok::<_, Failed>(output.write(bytes)?)
                    }))
                };
                boundary::enter(take)?
            },
        )
    }
}

impl Function for LuaFunction {
    fn export(&self) -> &Export {
        &self.module.exports[self.place]
    }

    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        let module = &*self.module;
        module.lifecycle.call(&self.callee, cx, input, output, |output| {
            let vm = module.instances.borrow(self.place, module, cx)?;
            let before = output.len();
            let outcome = match &self.types {
                None => vm.call(self.handler, cx, input, output),
                Some(types) => self.call_typed(&vm, types, cx, input, output),
            };
            outcome.map_err(|failed| {
                output.truncate(before);
                error::in_call(self.export().name(), cx, module.host.settings.memory_limit, failed)
            })
        })
    }
}

impl fmt::Debug for LuaFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LuaFunction").field(&self.export().name()).finish()
    }
}
