//! `polyhost-bench list`.

use std::process::ExitCode;

use clap::Args;

use super::{Failure, show};
use crate::{contenders, targets, workloads};

/// Lists workloads, contenders and the checks of the suite `targets`.
#[derive(Debug, Args)]
pub(super) struct List {}

pub(super) fn list(_arguments: &List) -> Result<ExitCode, Failure> {
    let line = |name: &str, what: &str| format!("  {name:<24} {what}\n");
    let ours: String = workloads::all().iter().map(|it| line(it.name(), it.what())).collect();
    let those: String = contenders::all().iter().map(|it| line(&it.name, &it.what)).collect();
    let checks: String = targets::NAMES.iter().map(|(name, what)| line(name, what)).collect();
    show(&format!(
        "Workloads (run --workload NAME):\n{ours}\n\
         Contenders (run --contender NAME):\n{those}\n\
         Checks (run --suite targets --only NAME):\n{checks}"
    ))?;
    Ok(ExitCode::SUCCESS)
}
