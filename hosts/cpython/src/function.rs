//! An export that can be called.

use std::fmt;
use std::sync::Arc;

use polyhost_bridge::{CallContext, Export, Function, Output, Result};

use crate::error;
use crate::module::Loaded;

/// An export of a module. Keeps the module loaded.
pub(crate) struct CpythonFunction {
    pub(crate) module: Arc<Loaded>,
    /// Its place among the module's exports.
    pub(crate) at: usize,
}

impl CpythonFunction {
    #[inline]
    fn call_here(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        cx.check()?;
        let guest = self.module.guest();
        let _inside = guest.lifecycle.enter()?;
        self.module.entry(self.at).call(guest, cx, input, output, |py, failure| {
            error::in_call(py, guest.interpreter.helpers(), self.export(), cx, failure)
        })
    }
}

impl Function for CpythonFunction {
    fn export(&self) -> &Export {
        self.module.export(self.at)
    }

    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        self.call_here(cx, input, output).map_err(|error| error.operation(format!("call {}", self.export().name())))
    }
}

impl fmt::Debug for CpythonFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpythonFunction")
            .field("module", &self.module.guest().name)
            .field("export", &self.export().name())
            .finish()
    }
}
