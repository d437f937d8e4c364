//! A module of a guest, and its log.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, RwLock};

use super::NEXT_ID;
use crate::log::LogSink;
use crate::service::Services;

/// A module of a guest behind the ABI, as that guest sees it: the services it may call, and its log.
///
/// Its id is good for the log from any thread until this value is dropped.
#[derive(Debug)]
pub struct GuestModule {
    id: u64,
    pub(super) name: String,
    pub(super) services: Services,
    pub(super) late_cancels: bool,
}

/// The logs of all such modules by id. An id of a module that is gone finds nothing, and the line is dropped.
pub(super) static LOGS: RwLock<Option<HashMap<u64, (String, LogSink)>>> = RwLock::new(None);

impl GuestModule {
    /// A module with a name, services and a log.
    pub fn new(name: impl Into<String>, services: Services, log: LogSink) -> Self {
        let (id, name) = (NEXT_ID.fetch_add(1, Ordering::Relaxed), name.into());
        let mut logs = LOGS.write().unwrap_or_else(PoisonError::into_inner);
        logs.get_or_insert_default().insert(id, (name.clone(), log));
        GuestModule { id, name, services, late_cancels: false }
    }

    /// The same for a guest that is never unmapped, and that may be told of a cancel at any time, also after its
    /// `shutdown`. A call does not wait then for a cancel that is on its way when it ends: whoever sends that may have to
    /// wait for a processor.
    pub fn late_cancels(mut self) -> Self {
        self.late_cancels = true;
        self
    }

    /// What to pass as `PolyhostSource.module`.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The name in errors and logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells what a limit has dropped of its log; see [`LogSink::tell_dropped`].
    pub fn tell_dropped(&self) {
        let logs = LOGS.read().unwrap_or_else(PoisonError::into_inner);
        let log = logs.as_ref().and_then(|logs| logs.get(&self.id)).map(|(_, log)| log.clone());
        drop(logs);
        if let Some(log) = log {
            log.tell_dropped();
        }
    }
}

impl Drop for GuestModule {
    fn drop(&mut self) {
        let mut logs = LOGS.write().unwrap_or_else(PoisonError::into_inner);
        let removed = logs.as_mut().and_then(|logs| logs.remove(&self.id));
        drop(logs);
        drop(removed);
    }
}
