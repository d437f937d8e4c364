//! An export of a module.

use std::fmt;
use std::sync::Arc;

use polyhost_bridge::{CallContext, Export, Function, Output, Result};

use crate::error;
use crate::module::Loaded;

/// A handler in Lua. It keeps its module loaded.
pub(crate) struct LuaFunction {
    module: Arc<Loaded>,
    /// Which export of the module it is.
    place: usize,
    /// The handler's number in each VM.
    number: usize,
}

impl LuaFunction {
    pub(crate) fn new(module: Arc<Loaded>, place: usize, number: usize) -> Self {
        LuaFunction { module, place, number }
    }
}

impl Function for LuaFunction {
    fn export(&self) -> &Export {
        &self.module.exports[self.place]
    }

    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        cx.check()?;
        let module = &*self.module;
        let _inside = module.lifecycle.enter()?;
        let vm = module.instances.borrow(self.place, module, cx)?;
        let before = output.len();
        vm.call(self.number, cx, input, output).map_err(|failed| {
            output.truncate(before);
            error::in_call(self.export().name(), cx, module.host.settings.memory_limit, failed)
        })
    }
}

impl fmt::Debug for LuaFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LuaFunction").field(&self.export().name()).finish()
    }
}
