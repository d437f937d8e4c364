//! `polyhost-bench list`.

use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::{contenders, targets, workloads};

/// Lists workloads, contenders and the checks of the suite `targets`.
#[derive(Debug, Args)]
pub(super) struct List {}

pub(super) fn list(_arguments: &List) -> Result<ExitCode, Failure> {
    println!("Workloads (run --workload NAME):");
    for workload in workloads::all() {
        println!("  {:<24} {}", workload.name(), workload.what());
    }
    println!("\nContenders (run --contender NAME):");
    for known in contenders::all() {
        println!("  {:<24} {}", known.name, known.what);
    }
    println!("\nChecks (run --suite targets --only NAME):");
    for (name, what) in targets::NAMES {
        println!("  {name:<24} {what}");
    }
    Ok(ExitCode::SUCCESS)
}
