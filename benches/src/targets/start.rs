//! From nothing to the first answer, in a process of its own each time.

use std::process::Command;
use std::time::{Duration, Instant};

use polyhost::{CallContext, Output};

use super::contenders;
use super::measure::no_echo;
use crate::project::{Whose, registry};

/// Starts the runtime of `scheme` in this process, loads a module and calls it once.
///
/// # Errors
/// What the host says.
pub(crate) fn once(scheme: &str) -> polyhost::Result<Duration> {
    let started = Instant::now();
    let registry = registry(Whose::Ours);
    let echo = contenders::echo(&registry, scheme)?;
    let mut output = Output::new();
    echo.call(&CallContext::none(), b"first", &mut output)?;
    let took = started.elapsed();
    if output.as_slice() == b"first" { Ok(took) } else { Err(no_echo(contenders::ECHO)) }
}

/// Milliseconds of `times` starts, each in a new process.
///
/// # Errors
/// The last line that a process printed, where one failed.
pub(crate) fn in_processes(scheme: &str, times: usize) -> Result<Vec<f64>, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    (0..times)
        .map(|_| {
            let output = Command::new(&program).args(["start-one", scheme]).output().map_err(|e| e.to_string())?;
            let text = String::from_utf8_lossy(&output.stdout);
            match text.trim().parse::<f64>() {
                Ok(nanos) if output.status.success() => Ok(nanos / 1e6),
                _ => {
                    let errors = String::from_utf8_lossy(&output.stderr);
                    Err(errors.trim().lines().last().unwrap_or("it printed nothing").to_owned())
                }
            }
        })
        .collect()
}
