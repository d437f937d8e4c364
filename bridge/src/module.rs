//! Loaded code with exports.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::function::{Export, Function};

/// A loaded module.
pub trait Module: Debug + Send + Sync + 'static {
    /// The name in errors and logs.
    fn name(&self) -> &str;

    /// What it exports, sorted by name.
    fn exports(&self) -> &[Export];

    /// A serialized `google.protobuf.FileDescriptorSet` with every message type its exports name; `None`
    /// where all of them take raw bytes.
    fn descriptors(&self) -> Option<&[u8]>;

    /// The function that an export names. It keeps the module loaded.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], with the names there are; [`ErrorKind::Closed`] after [`Module::unload`].
    fn function(&self, name: &str) -> Result<Arc<dyn Function>>;

    /// Refuses new calls, waits for those inside for `grace` at most, and unloads.
    ///
    /// Calling it again looks again.
    fn unload(&self, grace: Duration) -> UnloadVerdict;
}

/// What became of an unload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnloadVerdict {
    /// The module's code and state are gone.
    Unloaded,
    /// No call gets in any more, but something still holds the module.
    StillAlive {
        /// What does, a line each.
        what: Vec<String>,
    },
}

/// So many calls, as an unload or a shutdown says that they are still inside. For use by hosts.
#[cold]
pub fn still_inside(calls: usize) -> String {
    format!("{calls} {} still inside", if calls == 1 { "call is" } else { "calls are" })
}

/// The error for an export that is not there: it lists those that are. For use by hosts.
#[cold]
pub fn no_such_export(module: &str, exports: &[Export], name: &str) -> Error {
    let message = if exports.is_empty() {
        format!("no export {name}: the module exports nothing")
    } else {
        let names: Vec<_> = exports.iter().map(Export::name).collect();
        format!("no export {name}; there are: {}", names.join(", "))
    };
    Error::new(ErrorKind::NotFound, message).with("module", module)
}
