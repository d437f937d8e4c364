//! Spans of calls, a line each when it ends.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::screen::{self, Paint};

/// Writes calls, and wants nothing else.
struct Calls {
    paint: Paint,
    last: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
}

/// A span that is not over.
struct Open {
    handles: usize,
    fields: Fields,
}

/// Has them written from now on.
pub(super) fn show() {
    let calls = Calls { paint: Paint::stderr(), last: AtomicU64::new(0), open: Mutex::default() };
    // Somebody else's subscriber may stay.
    let _ = tracing::subscriber::set_global_default(calls);
}

impl Calls {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Calls {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == "polyhost::call"
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.open().insert(id, Open { handles: 1, fields });
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        if let Some(open) = self.open().get_mut(&id.into_u64()) {
            values.record(&mut open.fields);
        }
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(open) = self.open().get_mut(&id.into_u64()) {
            open.handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut open = self.open();
        let Some(span) = open.get_mut(&id.into_u64()) else { return false };
        span.handles -= 1;
        if span.handles > 0 {
            return false;
        }
        let fields = open.remove(&id.into_u64()).map(|span| span.fields.0).unwrap_or_default();
        drop(open);
        let (level, source) = (self.paint.faint("DEBUG"), self.paint.faint("polyhost call:"));
        screen::note(&format!("{level} {source}{}", screen::guarded(&fields)));
        true
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// As ` name=value` each.
#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {field}={value}").expect("a string takes everything");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").expect("a string takes everything");
    }
}
