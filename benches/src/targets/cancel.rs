//! What a deadline costs a call that has all the time, and how late it comes to one that has none left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use polyhost::{CallContext, ErrorKind, Function, LoadOptions, ModuleSource, Output, Registry, Result};

use super::contenders;
use super::measure::{Contender, Payloads, call_echo, caller};

/// Calls with a far deadline, and calls without one. The deadline is that of a request, which makes one call or many:
/// it is set once.
pub(crate) fn watched<'a>(echo: &'a dyn Function, size: usize, random: &mut fastrand::Rng) -> [Contender<'a>; 2] {
    let cx = CallContext::none().with_timeout(Duration::from_secs(3600));
    let (mut payloads, mut output) = (Payloads::new(size, random), Output::new());
    let with: Contender<'_> = Box::new(move |n| {
        for _ in 0..n {
            call_echo(echo, &cx, payloads.next(), &mut output)?;
        }
        Ok(())
    });
    [with, caller(echo, size, random)]
}

/// A function that runs until it is stopped: a loop in the runtimes that can stop one, and in C# one that looks at its
/// token.
///
/// # Errors
/// What the host says.
pub(crate) fn spin(registry: &Registry, scheme: &str) -> Result<Arc<dyn Function>> {
    let (name, text) = match scheme {
        "py" => ("spin.py", PYTHON),
        "lua" => ("spin.lua", LUA),
        _ => return contenders::load(registry, scheme, 1)?.function(SPIN),
    };
    let source = ModuleSource::Text { name: name.into(), text: text.into() };
    registry.runtime(scheme)?.load(&source, &LoadOptions::new())?.function(SPIN)
}

const SPIN: &str = "bench/Spin";

const PYTHON: &str = r#"
from polyhost import export


@export("bench/Spin")
def spin(request: bytes) -> bytes:
    while True:
        pass
"#;

const LUA: &str = r#"
require("polyhost").export("bench/Spin", function()
    while true do
    end
end)
"#;

/// Microseconds from the deadline of a call to its return.
///
/// # Errors
/// What the call fails with, where that is not the deadline.
pub(crate) fn overshoot(spin: &dyn Function) -> Result<f64> {
    let deadline = Instant::now() + Duration::from_millis(2);
    let cx = CallContext::none().with_deadline(deadline);
    match spin.call(&cx, &[], &mut Output::new()) {
        Err(error) if error.kind() != ErrorKind::DeadlineExceeded => Err(error),
        _ => Ok(deadline.elapsed().as_secs_f64() * 1e6),
    }
}
