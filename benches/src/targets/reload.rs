//! From one version of a module to the next, under one name.

use std::time::{Duration, Instant};

use polyhost::{CallContext, Deployment, Error, ErrorKind, Output, Registry, Result, UnloadVerdict};

use super::contenders::{self, ECHO};
use super::measure::call_echo;

/// Versions that do not count: what a runtime keeps from one to the next is there after them.
const FIRST: usize = 10;

/// Milliseconds of each of `times` reloads: load, switch, the first call, and the unload of the version before.
pub(crate) struct Reloads {
    pub(crate) whole: Vec<f64>,
    pub(crate) load: Vec<f64>,
    pub(crate) unload: Vec<f64>,
}

/// Deploys the guest of a runtime again and again; nobody else calls it.
///
/// # Errors
/// What the host says, and that a version does not go.
pub(crate) fn measure(registry: &Registry, scheme: &str, times: usize) -> Result<Reloads> {
    let deployment = Deployment::new(contenders::load(registry, scheme, 1)?)?;
    let echo = deployment.function(ECHO)?;
    let (cx, mut output) = (CallContext::none(), Output::new());
    let mut reloads = Reloads { whole: Vec::new(), load: Vec::new(), unload: Vec::new() };
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    for version in 0..FIRST + times {
        let started = Instant::now();
        let report = deployment.deploy(Duration::from_secs(10), || contenders::load(registry, scheme, 1))?;
        call_echo(&*echo, &cx, b"first", &mut output)?;
        let whole = started.elapsed();
        let Some(replaced) = report.replaced.first().filter(|it| it.verdict == UnloadVerdict::Unloaded) else {
            return Err(Error::new(ErrorKind::Internal, format!("a version does not go: {:?}", report.replaced)));
        };
        if version >= FIRST {
            reloads.whole.push(ms(whole));
            reloads.load.push(ms(report.load));
            reloads.unload.push(ms(replaced.unload));
        }
    }
    Ok(reloads)
}
