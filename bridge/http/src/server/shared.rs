//! What all connections of a server share.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::beat::{Beat, Clock, Fired};
use crate::app::{HttpApp, InlineLimit};
use crate::limits::Limits;
use crate::observe::Observer;

pub(crate) struct Shared {
    pub(crate) app: Arc<dyn HttpApp>,
    pub(crate) limits: Limits,
    pub(crate) name: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) connections: Connections,
    pub(crate) inline: InlineLimit,
    pub(crate) observer: Option<Arc<Observer>>,
    stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        app: Arc<dyn HttpApp>,
        limits: Limits,
        name: Option<String>,
        inline: InlineLimit,
        observer: Option<Arc<Observer>>,
    ) -> Self {
        Shared {
            app,
            limits,
            name,
            inline,
            observer,
            clock: Clock::new(),
            connections: Connections::default(),
            stopping: AtomicBool::new(false),
        }
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Connections end when they are idle.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.connections.fire(Fired::STOP);
    }

    /// One beat: looks at the time, then at every connection.
    pub(crate) fn beat(&self) {
        let before = self.clock.now();
        let now = self.clock.advance();
        self.connections.check(now, now - before);
        if let Some(observer) = &self.observer {
            observer.look(self);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("app", &self.app).finish_non_exhaustive()
    }
}

/// The connections that live.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    list: Mutex<HashMap<u64, Arc<Beat>>>,
    count: AtomicUsize,
    last: AtomicU64,
    /// Somebody waits for a connection to end.
    pub(crate) one_ended: Notify,
}

impl Connections {
    fn list(&self) -> MutexGuard<'_, HashMap<u64, Arc<Beat>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection's number and beat.
    pub(crate) fn add(&self) -> (u64, Arc<Beat>) {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let beat = Arc::new(Beat::new());
        self.list().insert(id, beat.clone());
        self.count.fetch_add(1, Ordering::Relaxed);
        (id, beat)
    }

    pub(crate) fn remove(&self, id: u64) {
        let removed = self.list().remove(&id);
        if removed.is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
            self.one_ended.notify_waiters();
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) async fn all_ended(&self) {
        loop {
            let ended = self.one_ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    pub(crate) fn fire(&self, what: Fired) {
        // Wakers may run code of the runtime: not under the lock.
        let all: Vec<_> = self.list().values().cloned().collect();
        for beat in all {
            beat.fire(what);
        }
    }

    /// Looks at every connection, under the list's lock.
    pub(crate) fn each(&self, mut look: impl FnMut(u64, &Beat)) {
        for (id, beat) in &*self.list() {
            look(*id, beat);
        }
    }

    fn check(&self, now: u64, since: u64) {
        for beat in self.list().values() {
            beat.check(now, since);
        }
    }
}
