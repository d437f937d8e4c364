//! One language through all requests.

use std::time::Instant;

use polyhost::{CallContext, Output, Registry, Result};
use polyhost_proto::bench::v1::Reply;
use prost::Message;

use crate::agreement;
use crate::languages::{Language, Loaded, is_required};
use crate::measure::{Stopwatch, resident};
use crate::native::{self, Middleware};
use crate::report::{Figures, Outcome, Row, Start};
use crate::requests::Sample;

/// The requests, and what the functions in Rust reply when they are called directly.
pub(crate) struct Input {
    /// The requests.
    pub(crate) samples: Vec<Sample>,
    /// As bytes.
    pub(crate) encoded: Vec<Vec<u8>>,
    /// The replies of `Handle`, called in this order.
    pub(crate) handled: Vec<Reply>,
    /// The replies of `Rewrite`.
    pub(crate) rewritten: Vec<Reply>,
}

impl Input {
    /// Calls both functions with each request.
    pub(crate) fn new(samples: Vec<Sample>) -> Self {
        let middleware = Middleware::default();
        Input {
            encoded: samples.iter().map(|it| it.request.encode_to_vec()).collect(),
            handled: samples.iter().map(|it| middleware.handle(it.request.clone())).collect(),
            rewritten: samples.iter().map(|it| native::rewrite(it.request.clone())).collect(),
            samples,
        }
    }
}

/// Starts the language's runtime, unless one before it has, compares every reply, and measures.
pub(crate) fn run(language: &Language, registry: &Registry, input: &Input, stopwatch: &mut Stopwatch) -> Row {
    let row = |runtime, outcome| Row { language: language.name, runtime, outcome };
    let location = match (language.locate)() {
        Ok(location) => location,
        Err(reason) => return row(None, skip(language.scheme, reason)),
    };
    let (mut watch, before) = (Lap(Instant::now()), resident());
    let runtime = match registry.runtime(language.scheme) {
        Ok(runtime) => runtime,
        Err(error) => return row(None, skip(language.scheme, error.to_string())),
    };
    let runtime_ms = watch.lap();
    let outcome = start(registry, &location, &mut watch).and_then(|(middleware, load_ms, call_ms)| {
        let start = Start { runtime_ms, load_ms, call_ms };
        measure(&middleware, input, stopwatch, start, before)
    });
    let outcome = outcome.unwrap_or_else(|error| Outcome::Failed(format!("{error:?}")));
    row(Some(format!("{} {}", runtime.info().name, runtime.info().version)), outcome)
}

/// What can't be had is skipped, or wrong where `POLYHOST_REQUIRE` asks for it.
pub(crate) fn skip<T>(scheme: &str, reason: String) -> Outcome<T> {
    if is_required(scheme) {
        Outcome::Failed(format!("{reason} (POLYHOST_REQUIRE asks for it)"))
    } else {
        Outcome::Skipped(reason)
    }
}

/// Times one thing after the other.
struct Lap(Instant);

impl Lap {
    /// Milliseconds since the last lap.
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.0, now)).as_secs_f64() * 1e3
    }
}

/// Loads the middleware and calls it once; with the times of both.
fn start(registry: &Registry, location: &str, watch: &mut Lap) -> Result<(Loaded, f64, f64)> {
    let middleware = Loaded::load(registry, location)?;
    let load_ms = watch.lap();
    // Without a body, key or path; `Handle` refuses it, so that it does not count.
    let first = middleware.handle.as_ref().unwrap_or(&middleware.rewrite);
    first.function().call(&CallContext::none(), b"", &mut Output::new())?;
    Ok((middleware, load_ms, watch.lap()))
}

fn measure(
    middleware: &Loaded,
    input: &Input,
    stopwatch: &mut Stopwatch,
    start: Start,
    before: u64,
) -> Result<Outcome<Figures>> {
    let grown = || resident() as i64 - before as i64;
    let start_bytes = grown();
    let mut agreed = 0;
    let functions = [(middleware.handle.as_ref(), &input.handled), (Some(&middleware.rewrite), &input.rewritten)];
    for (function, expected) in functions {
        let Some(function) = function else { continue };
        if let Some(difference) = agreement::check(function, &input.samples, expected)? {
            return Ok(Outcome::Failed(difference));
        }
        agreed += expected.len();
    }
    let mut speed = |function: &agreement::Middleware| stopwatch.speed(&**function.function(), &input.encoded);
    let handle = middleware.handle.as_ref().map(&mut speed).transpose()?;
    let rewrite = speed(&middleware.rewrite)?;
    Ok(Outcome::Ran(Figures { start, start_bytes, end_bytes: grown(), agreed, handle, rewrite }))
}
