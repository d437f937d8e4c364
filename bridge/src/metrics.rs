//! What is counted and measured of calls, by the facade of the crate `metrics`.
//!
//! What is counted on a call's way goes to the recorder that is there when the function is taken from its module, and
//! waits to that which is there when their module is loaded: install it before. What nobody counts is read by
//! [`collect`], before each scrape. All names are in [observability.md].
//!
//! [observability.md]: https://github.com/polyhost/polyhost/blob/main/bridge/docs/observability.md

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Histogram, Label, Unit};

use crate::error::Error;
use crate::lifecycle;
use crate::runtime::Runtime;

/// Calls that have ended, those that were refused included.
pub const CALLS: &str = "polyhost_calls_total";
/// Those that have failed.
pub const CALL_ERRORS: &str = "polyhost_call_errors_total";
/// Calls that are inside.
pub const CALLS_IN_FLIGHT: &str = "polyhost_calls_in_flight";
/// How long those calls have waited for their turn that had to.
pub const WAIT: &str = "polyhost_wait_seconds";
/// What the heap of a guest takes, or of all guests of a runtime.
pub const HEAP: &str = "polyhost_heap_bytes";

/// Tells the recorder the units, and what each is.
pub fn describe() {
    metrics::describe_counter!(CALLS, Unit::Count, "Calls that have ended, those that were refused included.");
    metrics::describe_counter!(CALL_ERRORS, Unit::Count, "Calls that have failed, by the kind of error.");
    metrics::describe_gauge!(CALLS_IN_FLIGHT, Unit::Count, "Calls that are inside a module.");
    metrics::describe_histogram!(WAIT, Unit::Seconds, "Waits of calls for their turn, of those that had to.");
    metrics::describe_gauge!(HEAP, Unit::Bytes, "Memory of the heap of a module, or of all of a runtime.");
}

/// Reads what nobody counts, the calls in flight and the heaps of `runtimes`, and sets their gauges: to be called before
/// each scrape. What is not there any more is set to 0, once.
///
/// ```
/// let registry = polyhost_bridge::Registry::new();
/// polyhost_bridge::metrics::collect(&registry.started());
/// ```
pub fn collect(runtimes: &[Arc<dyn Runtime>]) {
    /// The gauges that have been set, and not to what is gone.
    static SET: Mutex<BTreeMap<Gauge, f64>> = Mutex::new(BTreeMap::new());

    let mut now: BTreeMap<Gauge, f64> = BTreeMap::new();
    for (runtime, module, calls) in lifecycle::in_flight() {
        *now.entry((CALLS_IN_FLIGHT, runtime, Some(module.to_string()))).or_default() += calls as f64;
    }
    for runtime in runtimes {
        for heap in runtime.heaps() {
            *now.entry((HEAP, runtime.info().name, heap.module)).or_default() += heap.bytes as f64;
        }
    }
    let mut set = SET.lock().unwrap_or_else(PoisonError::into_inner);
    let gone = set.keys().filter(|gauge| !now.contains_key(gauge)).map(|gauge| (gauge, 0.0));
    for ((name, runtime, module), value) in gone.chain(now.iter().map(|(gauge, value)| (gauge, *value))) {
        metrics::gauge!(*name, labels(runtime, module.as_deref())).set(value);
    }
    *set = now;
}

/// Its name, its runtime's and its module's.
type Gauge = (&'static str, &'static str, Option<String>);

fn labels(runtime: &'static str, module: Option<&str>) -> Vec<Label> {
    let module = module.map(|module| Label::new("module", module.to_owned()));
    [Label::new("runtime", runtime)].into_iter().chain(module).collect()
}

/// What is counted of the calls of one export.
pub(crate) struct Counted {
    calls: Counter,
    labels: Vec<Label>,
}

impl Counted {
    pub(crate) fn new(runtime: &'static str, module: &str, export: &str) -> Self {
        let mut labels = labels(runtime, Some(module));
        labels.push(Label::new("export", export.to_owned()));
        Counted { calls: metrics::counter!(CALLS, labels.clone()), labels }
    }

    #[inline]
    pub(crate) fn count(&self, error: Option<&Error>) {
        self.calls.increment(1);
        if let Some(error) = error {
            self.failed(error);
        }
    }

    #[cold]
    fn failed(&self, error: &Error) {
        let mut labels = self.labels.clone();
        labels.push(Label::new("kind", error.kind().name()));
        metrics::counter!(CALL_ERRORS, labels).increment(1);
    }
}

/// The waits for one kind of turn.
pub(crate) fn waits(runtime: &'static str, turn: &'static str, module: Option<&str>) -> Histogram {
    let mut labels = labels(runtime, module);
    labels.push(Label::new("turn", turn));
    metrics::histogram!(WAIT, labels)
}
