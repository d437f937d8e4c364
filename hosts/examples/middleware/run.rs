//! One language through all requests.

use std::time::Instant;

use polyhost::{CallContext, Output, Registry, Result};
use polyhost_proto::bench::v1::Reply;
use prost::Message;

use crate::agreement;
use crate::languages::{Language, Loaded, is_required};
use crate::measure::{Stopwatch, resident};
use crate::native::{self, Middleware};
use crate::report::{Figures, Outcome, Row};
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
    let start = Start { at: Instant::now(), resident: resident() };
    let runtime = match registry.runtime(language.scheme) {
        Ok(runtime) => runtime,
        Err(error) => return row(None, skip(language.scheme, error.to_string())),
    };
    let outcome = measure(registry, &location, input, stopwatch, &start);
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

struct Start {
    at: Instant,
    resident: u64,
}

fn measure(
    registry: &Registry,
    location: &str,
    input: &Input,
    stopwatch: &mut Stopwatch,
    start: &Start,
) -> Result<Outcome<Figures>> {
    let grown = || resident() as i64 - start.resident as i64;
    let middleware = Loaded::load(registry, location)?;
    // Without a body, key or path; `Handle` refuses it, so that it does not count.
    let first = middleware.handle.as_ref().unwrap_or(&middleware.rewrite);
    first.function().call(&CallContext::none(), b"", &mut Output::new())?;
    let (start_ms, start_bytes) = (start.at.elapsed().as_secs_f64() * 1e3, grown());

    let mut agreed = 0;
    for (function, expected) in
        [(middleware.handle.as_ref(), &input.handled), (Some(&middleware.rewrite), &input.rewritten)]
    {
        let Some(function) = function else { continue };
        if let Some(difference) = agreement::check(function, &input.samples, expected)? {
            return Ok(Outcome::Failed(difference));
        }
        agreed += expected.len();
    }
    let mut speed = |function: &agreement::Middleware| stopwatch.speed(&**function.function(), &input.encoded);
    let handle = middleware.handle.as_ref().map(&mut speed).transpose()?;
    let rewrite = speed(&middleware.rewrite)?;
    Ok(Outcome::Ran(Figures { start_ms, start_bytes, end_bytes: grown(), agreed, handle, rewrite }))
}
