//! `polyhost-bench self-check`.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;

use super::{Failure, progress, signals};
use crate::selfcheck::{self, Verdict};

/// Neither a success nor a failure: nothing was proven.
const INCONCLUSIVE: u8 = 3;

/// Proves the method on itself: contenders with a known delay, the same contender twice, a stall.
///
/// They run through the same harness as all others. Each check holds, fails, or is inconclusive: then an interval is too
/// wide to tell the delay from none, though there were more rounds, because other programs disturb this machine. It
/// takes half a minute, and one where more rounds are needed.
///
/// Exit codes: 0 where all hold; 1 where one fails: the program is wrong, or this machine too noisy to be measured on,
/// though an interval of 95 % misses in one of twenty runs; 3 where none fails and one is inconclusive; 130 on Ctrl-C.
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
        let verdict = match check.verdict {
            Verdict::Holds => "holds",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Failed => "FAILED",
        };
        println!("{verdict:12} {}: {}", check.what, check.detail);
    }
    for warning in &checked.warnings {
        println!("warning: {warning}");
    }
    if checked.interrupted {
        println!("interrupted: not all was checked");
        return Ok(ExitCode::from(130));
    }
    Ok(match checked.verdict() {
        Verdict::Holds => ExitCode::SUCCESS,
        Verdict::Failed => ExitCode::FAILURE,
        Verdict::Inconclusive => ExitCode::from(INCONCLUSIVE),
    })
}
