//! An export that can be called.

use std::fmt;
use std::sync::Arc;

use polyhost_bridge::observe::Callee;
use polyhost_bridge::{CallContext, Export, Function, Output, Result};

use crate::module::Loaded;

/// An export of a module. Keeps the module loaded.
pub(crate) struct ClrFunction {
    pub(crate) module: Arc<Loaded>,
    /// Its place among the module's exports.
    pub(crate) at: usize,
    /// What the shim knows it by.
    pub(crate) id: u64,
    pub(crate) callee: Callee,
}

impl Function for ClrFunction {
    fn export(&self) -> &Export {
        &self.module.exports()[self.at]
    }

    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        self.module.call(&self.callee, self.id, cx, input, output)
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
