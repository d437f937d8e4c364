//! A subscriber that keeps spans and events, and a look at those of one module.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

pub(crate) type Fields = BTreeMap<&'static str, String>;

/// A span of `polyhost::call`, or an event of `polyhost::guest`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) fields: Fields,
    /// Those of the span that it is in.
    pub(crate) outer: Fields,
    /// Of a span: whether it has ended.
    pub(crate) is_closed: bool,
    id: Option<u64>,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A field that is a number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.field(name).parse().unwrap_or_else(|_| panic!("{name} is no number: {self:?}"))
    }
}

static SPANS: Mutex<Vec<Seen>> = Mutex::new(Vec::new());
static EVENTS: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

/// Keeps everything from here on.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = Registry::default().with(Keep);
        tracing::subscriber::set_global_default(subscriber).expect("nobody else has one");
    });
}

/// The spans of calls of a module, in the order in which they began.
pub(crate) fn spans_of(module: &str) -> Vec<Seen> {
    lock(&SPANS).iter().filter(|span| span.field("module") == module).cloned().collect()
}

/// The lines of a module.
pub(crate) fn events_of(module: &str) -> Vec<Seen> {
    lock(&EVENTS).iter().filter(|event| event.field("module") == module).cloned().collect()
}

fn lock(kept: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Keep;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keep {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() != "polyhost::call" {
            return;
        }
        let mut fields = Taken::default();
        attributes.record(&mut fields);
        let outer = context.span(id).and_then(|span| span.parent()).map(|parent| of(parent.id().into_u64()));
        let outer = outer.unwrap_or_default();
        lock(&SPANS).push(Seen { fields: fields.0, outer, is_closed: false, id: Some(id.into_u64()) });
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        let mut fields = Taken::default();
        record.record(&mut fields);
        change(id, |span| span.fields.append(&mut fields.0));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        change(&id, |span| {
            span.is_closed = true;
            // Another span will have it.
            span.id = None;
        });
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == "polyhost::guest" {
            let mut fields = Taken::default();
            event.record(&mut fields);
            let outer = context.event_span(event).map(|span| of(span.id().into_u64())).unwrap_or_default();
            lock(&EVENTS).push(Seen { fields: fields.0, outer, ..Seen::default() });
        }
    }
}

fn of(id: u64) -> Fields {
    lock(&SPANS).iter().find(|span| span.id == Some(id)).map(|span| span.fields.clone()).unwrap_or_default()
}

fn change(id: &Id, change: impl FnOnce(&mut Seen)) {
    if let Some(span) = lock(&SPANS).iter_mut().find(|span| span.id == Some(id.into_u64())) {
        change(span);
    }
}

#[derive(Default)]
struct Taken(Fields);

impl Visit for Taken {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
