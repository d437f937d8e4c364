//! `polyhost-bench list`.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;

use super::{Failure, show, signals};
use crate::run::{Entrant, missing};
use crate::{contenders, targets, workloads};

/// Lists workloads, contenders, what is missing of these on this machine, and the checks of the suite `targets`.
#[derive(Debug, Args)]
pub(super) struct List {}

/// How much longer than it should a contender may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn list(_arguments: &List) -> Result<ExitCode, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    signals::watch(&interrupted)?;
    let line = |name: &str, what: &str| format!("  {name:<24} {what}\n");
    let ours: String = workloads::all().iter().map(|it| line(it.name(), it.what())).collect();
    let entrants: Vec<_> = contenders::all().into_iter().map(Entrant::of).collect();
    let missing = missing(&entrants, PATIENCE, &interrupted);
    let those = entrants.iter().zip(missing).map(|(entrant, missing)| {
        let missing = missing.map(|reason| line("", &format!("not here: {reason}")));
        line(&entrant.name, &entrant.what) + &missing.unwrap_or_default()
    });
    let those: String = those.collect();
    let checks: String = targets::NAMES.iter().map(|(name, what)| line(name, what)).collect();
    show(&format!(
        "Workloads (run --workload NAME):\n{ours}\n\
         Contenders (run --contender NAME); `http` is for those that serve it, all else for the others:\n{those}\n\
         Checks (run --suite targets --only NAME):\n{checks}"
    ))?;
    Ok(ExitCode::SUCCESS)
}
