//! An export that can be called.

use std::fmt;
use std::sync::Arc;

use polyhost_bridge::{CallContext, Export, Function, Output, Result};

use crate::error;
use crate::module::Loaded;

/// An export of a module. Keeps the module loaded.
pub(crate) struct ClrFunction {
    pub(crate) module: Arc<Loaded>,
    /// Its place among the module's exports.
    pub(crate) at: usize,
    /// What the shim knows it by.
    pub(crate) id: u64,
}

impl Function for ClrFunction {
    fn export(&self) -> &Export {
        &self.module.exports()[self.at]
    }

    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        self.module.call(self.id, cx, input, output).map_err(|error| error::in_call(self.export().name(), cx, error))
    }
}

impl fmt::Debug for ClrFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClrFunction")
            .field("module", &self.module.name())
            .field("export", &self.export().name())
            .finish()
    }
}
