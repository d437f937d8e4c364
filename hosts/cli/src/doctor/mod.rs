//! `polyhost doctor`: what is here, what is missing, and what to do about it.

mod machine;
mod print;
mod runtimes;
mod signals;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::Global;
use crate::failure::Failure;
use crate::load;
use crate::log::Threshold;
use crate::registry::registry;
use crate::screen;

use machine::{Machine, Process};
use runtimes::RuntimeReport;
use signals::SignalRow;

/// Tells which runtimes were found where, what is missing, and what to do about it.
///
/// Also how this process stands: signals, stacks, memory. Exit code 0 when every runtime of this build is fine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  polyhost doctor             looks, and starts nothing
  polyhost doctor --start     starts every runtime of this build and shows what that changed
  polyhost doctor --json      the same for programs
  polyhost doctor --verbose   every signal, and every place that was looked at")]
pub(crate) struct Doctor {
    /// Starts every runtime of this build: times it, proves that an endless Lua loop can be stopped, and shows the
    /// signal table before and after.
    #[arg(long)]
    start: bool,
}

/// All of it.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    runtimes: Vec<RuntimeReport>,
    machine: Machine,
    process: Process,
    signals: Vec<SignalRow>,
    /// Whether every runtime of this build is fine.
    ok: bool,
}

pub(crate) fn run(global: &Global, arguments: &Doctor) -> Result<ExitCode, Failure> {
    let registry = registry(Threshold::Info.sink());
    let before = signals::read();
    let mut runtimes = runtimes::look();
    let mut process = Process::read();
    let mut after = None;
    if arguments.start {
        runtimes::start(&registry, &mut runtimes);
        process.note_start();
        after = Some(signals::read());
    }
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        ok: runtimes.iter().all(RuntimeReport::is_fine),
        runtimes,
        machine: Machine::read(),
        process,
        signals: signals::table(before, after),
    };
    let text = if global.json {
        let json = serde_json::to_string_pretty(&report).expect("a report has text keys alone");
        format!("{json}\n")
    } else {
        print::text(&report, arguments.start, global.verbose)
    };
    let written = screen::write(text.as_bytes());
    load::finish(&registry);
    written?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
