//! What the VMs of one module share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polyhost_bridge::{LogLevel, LogRecord, LogSink, Services};

use crate::config::Settings;
use crate::message::Schema;
use crate::types::Types;

/// The host's side of a module: what its guest code may ask for.
#[derive(Debug)]
pub(crate) struct Host {
    /// The module's name in errors and logs.
    pub(crate) name: String,
    /// The folder of the module's file, where it has one.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) settings: Settings,
    pub(crate) services: Services,
    pub(crate) log: LogSink,
    types: Mutex<Types>,
}

/// What a module has exported while it loads, in the order in which it did.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    pub(crate) exports: Vec<Exported>,
}

/// An export as the guest declared it.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) name: String,
    /// The guest wants bytes, whatever the types say.
    pub(crate) raw: bool,
    pub(crate) doc: Option<String>,
    pub(crate) handler: Handler,
}

/// The handler of an export, in every VM of its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handler {
    /// Which one it is.
    pub(crate) number: usize,
    /// Whether it takes a second argument.
    pub(crate) takes_context: bool,
}

/// A host service as a guest has found it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) id: u32,
    /// What it takes and returns; `None` for raw bytes.
    pub(crate) types: Option<(Arc<Schema>, Arc<Schema>)>,
}

impl Host {
    pub(crate) fn new(
        name: String,
        folder: Option<PathBuf>,
        settings: Settings,
        services: Services,
        log: LogSink,
    ) -> Self {
        Host { name, folder, settings, services, log, types: Mutex::default() }
    }

    /// The message types that guest code has asked for so far.
    pub(crate) fn types(&self) -> MutexGuard<'_, Types> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self, level: LogLevel, target: &str, message: &str) {
        self.log.write(&LogRecord::new(&self.name, level, target, message));
    }
}
