//! `polyhost-bench self-check`.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;

use super::{Failure, progress, signals};
use crate::selfcheck;

/// Proves the method on itself: contenders with a known delay, the same contender twice, a stall.
///
/// They run through the same harness as all others. Exit code 1 where a check does not hold: then this machine is too
/// noisy to be measured on, or the program is wrong. An interval of 95 % misses in one of twenty runs.
#[derive(Debug, Args)]
pub(super) struct SelfCheck {
    /// The seed of payloads, orders and intervals
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn check(arguments: &SelfCheck) -> Result<ExitCode, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    signals::watch(&interrupted)?;
    let checked = selfcheck::run(arguments.seed, &interrupted, &mut *progress::for_stderr());
    for check in &checked.checks {
        println!("{} {}: {}", if check.holds { "holds " } else { "FAILED" }, check.what, check.detail);
    }
    for warning in &checked.warnings {
        println!("warning: {warning}");
    }
    if checked.interrupted {
        println!("interrupted: not all was checked");
        return Ok(ExitCode::from(130));
    }
    Ok(if checked.checks.iter().all(|it| it.holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
