//! Warnings and errors of the server, as lines on stderr.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::screen::{self, Paint};

/// Writes warnings and errors; wants no spans.
struct Warnings {
    paint: Paint,
}

/// Has them written from now on.
pub(super) fn show() {
    // Somebody else's subscriber may stay.
    let _ = tracing::subscriber::set_global_default(Warnings { paint: Paint::stderr() });
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::WARN
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = match *event.metadata().level() {
            Level::ERROR => self.paint.error("ERROR"),
            _ => self.paint.warning("WARN "),
        };
        let source = self.paint.faint(format!("{}:", event.metadata().target()));
        screen::note(&format!("{level} {source} {}", screen::guarded(&(line.message + &line.fields))));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let (to, name) = match field.name() {
            "message" => (&mut self.message, None),
            name => (&mut self.fields, Some(name)),
        };
        let written = match name {
            Some(name) => write!(to, " {name}={value:?}"),
            None => write!(to, "{value:?}"),
        };
        written.expect("a string takes everything");
    }
}
