//! Metrics, as a recorder sees them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use polyhost::native::function;
use polyhost::{CallContext, Export, LoadOptions, Module, Output, Runtime, Services};
use prost::Message;

use crate::{CALL_SERVICE, ECHO, FAIL, How, call, subjects, wait_in_vain};
use polyhost_proto::conformance::v1::{CallServiceRequest, FailRequest};

static SNAPSHOTTER: OnceLock<Snapshotter> = OnceLock::new();

/// Records everything from here on.
pub(crate) fn watch() -> &'static Snapshotter {
    SNAPSHOTTER.get_or_init(|| {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        recorder.install().expect("nobody else has one");
        polyhost::metrics::describe();
        snapshotter
    })
}

/// What was recorded, by its name and its labels. A snapshot sets all back to 0, so there is one reader: this.
#[derive(Default)]
struct Recorded {
    sums: BTreeMap<(String, BTreeMap<String, String>), f64>,
    units: BTreeMap<String, String>,
}

impl Recorded {
    /// Adds what came since the last time; of a gauge the highest value stays.
    fn read(&mut self) {
        for (key, unit, _, value) in watch().snapshot().into_vec() {
            let (_, key) = key.into_parts();
            let (name, labels) = key.into_parts();
            let name = name.as_str().to_owned();
            let labels = labels.into_iter().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
            self.units.insert(name.clone(), unit.map_or("", |unit| unit.as_str()).to_owned());
            let sum = self.sums.entry((name, labels)).or_default();
            match value {
                DebugValue::Counter(count) => *sum += count as f64,
                DebugValue::Gauge(value) => *sum = sum.max(*value),
                DebugValue::Histogram(values) => *sum += values.len() as f64,
            }
        }
    }

    /// The sum of a metric over all series that have these labels.
    fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |all: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| all.get(*key).is_some_and(|it| it == value))
        };
        self.sums.iter().filter(|((name, all), _)| name == metric && has(all)).map(|(_, sum)| sum).sum()
    }
}

#[test]
fn every_metric_of_the_table_is_emitted() {
    watch();
    let mut recorded = Recorded::default();
    for subject in subjects::all() {
        let Some(runtime) = subject.require() else { continue };
        let name = format!("measured {}", subject.name());
        let module = load(&**runtime, subject.conformance(), &name);
        for how in [How::Here, How::Awaited] {
            use_it(how, &*module);
        }
        recorded.read();
        let of = [("runtime", runtime.info().name), ("module", &*name)];
        let calls = |export| recorded.sum("polyhost_calls_total", &[of[0], of[1], ("export", export)]);
        assert_eq!((2.0, 2.0), (calls(ECHO), calls(FAIL.name())), "{name}");
        let errors = recorded.sum("polyhost_call_errors_total", &[of[0], of[1], ("export", FAIL.name())]);
        assert_eq!(2.0, errors, "{name}");
        assert_eq!(1.0, recorded.sum("polyhost_calls_in_flight", &of), "{name}");
        let turn = match subject.name() {
            "luajit" => {
                wait_in_vain(&**runtime, "measured waits");
                Some("vm")
            }
            "cpython" => {
                crowd(&*module, &mut recorded);
                Some("gate")
            }
            _ => None,
        };
        polyhost::metrics::collect(std::slice::from_ref(runtime));
        recorded.read();
        if let Some(turn) = turn {
            assert!(recorded.sum("polyhost_wait_seconds", &[of[0], ("turn", turn)]) > 0.0, "{name}");
        }
        if ["clr", "luajit"].contains(&subject.name()) {
            assert!(recorded.sum("polyhost_heap_bytes", &[of[0]]) > 100_000.0, "{name}");
        }
    }
    check_table(&recorded);
}

/// The conformance guest, with a service that reads the gauges in the midst of a call.
fn load(runtime: &dyn Runtime, source: &polyhost::ModuleSource, name: &str) -> Arc<dyn Module> {
    let mut services = Services::new();
    let collect = function(Export::bytes("collect"), |_, _, _| {
        polyhost::metrics::collect(&[]);
        Ok(())
    });
    services.add(collect).expect("is the only one");
    let options = LoadOptions::new().name(name).services(services);
    runtime.load(source, &options).unwrap_or_else(|e| panic!("{name}: {e:?}"))
}

fn use_it(how: How, module: &dyn Module) {
    let cx = CallContext::none();
    call(how, module, ECHO, &cx, b"hello").expect("echoes");
    let request = FailRequest { message: "as told".into(), ..FailRequest::default() };
    call(how, module, FAIL.name(), &cx, &request.encode_to_vec()).expect_err("fails");
    let request = CallServiceRequest { service: "collect".into(), ..CallServiceRequest::default() };
    call(how, module, CALL_SERVICE.name(), &cx, &request.encode_to_vec()).expect("calls");
}

/// Has threads call at the same time until one has waited at the gate.
fn crowd(module: &dyn Module, recorded: &mut Recorded) {
    let echo = module.function(ECHO).expect("is exported");
    while recorded.sum("polyhost_wait_seconds", &[("turn", "gate")]) == 0.0 {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut output = Output::new();
                    for _ in 0..1000 {
                        output.clear();
                        echo.call(&CallContext::none(), b"", &mut output).expect("echoes");
                    }
                });
            }
        });
        recorded.read();
    }
}

/// Compares the table of the documentation with what was recorded.
fn check_table(recorded: &Recorded) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bridge/docs/observability.md");
    let text = std::fs::read_to_string(page).expect("is there");
    let rows = text.lines().filter(|line| line.starts_with("| `polyhost_"));
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().replace('`', "")).collect() };
    let documented: BTreeMap<String, String> = rows.map(cells).map(|row| (row[1].clone(), row[3].clone())).collect();
    assert!(!documented.is_empty());
    let ours = recorded.units.iter().filter(|(name, _)| name.starts_with("polyhost_"));
    let emitted: BTreeMap<String, String> = ours.map(|(name, unit)| (name.clone(), unit.clone())).collect();
    assert_eq!(documented, emitted);
}
