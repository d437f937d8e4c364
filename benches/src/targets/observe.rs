//! What it costs a call to be seen: nothing where nobody looks, and a price where somebody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata as MetricMetadata, Recorder, SharedString, Unit};
use polyhost::{CallContext, Function, Lifecycle, Limits, Output, Registry, Result};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::contenders;
use super::measure::{Contender, Payloads, call_echo, caller};

/// The way of every call with what looks at it, while nobody does, and the same without. Neither goes into a runtime.
pub(crate) fn unseen(size: usize, random: &mut fastrand::Rng) -> [Contender<'static>; 2] {
    let lifecycle = Arc::new(Lifecycle::of("native", "bench", &Limits::new()));
    let callee = lifecycle.callee("bench/Echo");
    let (cx, without) = (CallContext::none(), lifecycle.clone());
    let (mut payloads, mut output) = (Payloads::new(size, random), Output::new());
    let seen: Contender<'_> = Box::new(move |n| {
        for _ in 0..n {
            let payload = payloads.next();
            output.clear();
            lifecycle.call(&callee, &cx, payload, &mut output, |output| output.write(payload))?;
        }
        Ok(())
    });
    let (cx, mut payloads, mut output) = (CallContext::none(), Payloads::new(size, random), Output::new());
    let unseen: Contender<'_> = Box::new(move |n| {
        for _ in 0..n {
            let payload = payloads.next();
            output.clear();
            cx.check()?;
            without.enter()?.within(&mut output, |output| output.write(payload))?;
        }
        Ok(())
    });
    [seen, unseen]
}

/// Calls with spans that somebody wants and drops, and calls without.
pub(crate) fn traced<'a>(echo: &'a dyn Function, size: usize, random: &mut fastrand::Rng) -> [Contender<'a>; 2] {
    let (cx, mut payloads, mut output) = (CallContext::none(), Payloads::new(size, random), Output::new());
    let with: Contender<'_> = Box::new(move |n| {
        let _wanted = Wanted::new();
        for _ in 0..n {
            call_echo(echo, &cx, payloads.next(), &mut output)?;
        }
        Ok(())
    });
    [with, caller(echo, size, random)]
}

/// The echo of a runtime whose calls are counted by a recorder of plain counters, and one that nobody counts.
///
/// # Errors
/// What the host says.
pub(crate) fn counted(registry: &Registry, scheme: &str) -> Result<[Arc<dyn Function>; 2]> {
    let counted = metrics::with_local_recorder(&Counts, || contenders::echo(registry, scheme))?;
    Ok([counted, contenders::echo(registry, scheme)?])
}

/// Spans are wanted until this is dropped.
struct Wanted;

impl Wanted {
    fn new() -> Wanted {
        // A subscriber that was there and is gone leaves every level wanted: so one stays, and says what it wants.
        let _ = tracing::subscriber::set_global_default(Discards);
        Wanted::set(true);
        Wanted
    }

    fn set(wanted: bool) {
        WANTED.store(wanted, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        Wanted::set(false);
    }
}

static WANTED: AtomicBool = AtomicBool::new(false);

/// Keeps nothing of the spans of calls.
struct Discards;

impl Subscriber for Discards {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        WANTED.load(Ordering::Relaxed) && metadata.target() == "polyhost::call"
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(if WANTED.load(Ordering::Relaxed) { LevelFilter::DEBUG } else { LevelFilter::OFF })
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Counts, and shows nobody.
struct Counts;

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &MetricMetadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(AtomicU64::new(0)))
    }

    fn register_gauge(&self, _: &Key, _: &MetricMetadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &MetricMetadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_wanted_as_long_as_they_are_measured() {
        let function = polyhost::native::NativeModule::builder("bench")
            .export(polyhost::Export::bytes("echo"), |_, input, output| output.write(input))
            .build()
            .and_then(|module| polyhost::Module::function(&*module, "echo"))
            .expect("exported");
        let [mut with, mut without] = traced(&*function, 8, &mut fastrand::Rng::with_seed(1));
        for _ in 0..2 {
            with(3).expect("echoes");
            assert_eq!(LevelFilter::OFF, LevelFilter::current());
            without(3).expect("echoes");
        }
        let _wanted = Wanted::new();
        assert_eq!(LevelFilter::DEBUG, LevelFilter::current());
    }
}
