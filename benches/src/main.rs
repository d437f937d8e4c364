//! `polyhost-bench`: what each runtime really costs.

mod alloc;
mod contenders;
mod floors;
mod http;
mod measure;
mod report;
mod start;
mod stats;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::measure::Plan;
use crate::report::{Machine, Report};

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

/// Measures what a call into each runtime costs, against the floor a hand-written caller reaches.
///
/// Ratios are taken round by round within one run, with contenders in random
/// order and a payload that differs at each call. Each number comes with the
/// interval that holds it in 95 % of all runs.
#[derive(Parser)]
#[command(name = "polyhost-bench", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a suite of checks and prints target, number and interval of each
    ///
    /// Exit code 1 where a target is missed, its whole interval on the wrong
    /// side, or where something fails. A check is skipped where its runtime
    /// or the guest for it is not there. Build with --release; other numbers mean nothing.
    Run {
        /// What to run
        #[arg(long, value_enum, default_value_t = Suite::Targets)]
        suite: Suite,
        /// Only the checks whose name begins with this, such as `echo` or `start.clr`
        #[arg(long, value_name = "PREFIX", default_value = "")]
        only: String,
        /// Writes the result as JSON to this file (`-`: to standard output)
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Few and short rounds, to see that everything runs
        #[arg(long)]
        quick: bool,
        /// The seed of payloads, orders and intervals
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Lists the checks of the suites
    List,
    /// Starts one runtime, makes one call, prints the nanoseconds it took
    #[command(hide = true)]
    StartOne {
        /// The scheme of the runtime
        scheme: String,
    },
    /// Serves on a free port, which it prints, until standard input ends
    #[command(hide = true)]
    ServeOne {
        /// What to serve
        what: http::What,
        /// The published application, or what is served instead
        app: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Suite {
    /// One check for each number the project wants to reach
    Targets,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("polyhost-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match command {
        Command::List => {
            for (name, what) in targets::NAMES {
                println!("{name:<24} {what}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::StartOne { scheme } => {
            println!("{}", start::once(&scheme)?.as_nanos());
            Ok(ExitCode::SUCCESS)
        }
        Command::ServeOne { what, app } => {
            http::serve(what, &app)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { suite: Suite::Targets, only, json, quick, seed } => run_targets(&only, json, quick, seed),
    }
}

fn run_targets(
    only: &str,
    json: Option<PathBuf>,
    quick: bool,
    seed: u64,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if !targets::NAMES.iter().any(|(name, _)| name.starts_with(only)) {
        let names: Vec<_> = targets::NAMES.iter().map(|(name, _)| *name).collect();
        return Err(format!("no check begins with {only}; there are: {}", names.join(", ")).into());
    }
    if cfg!(debug_assertions) {
        eprintln!("polyhost-bench: this is a debug build; its numbers mean nothing");
    }
    let machine = Machine::read();
    let plan = if quick { Plan::QUICK } else { Plan::STANDARD };
    let to_stdout = json.as_deref().is_some_and(|path| path.as_os_str() == "-");
    let mut bench = targets::Targets::new(plan, seed);
    let checks = bench.run(only, &mut |check| {
        if to_stdout {
            eprintln!("{}", check.line());
        } else {
            println!("{}", check.line());
        }
    });
    let required = std::env::var("POLYHOST_REQUIRE").is_ok_and(|required| !required.is_empty());
    let bad = checks.iter().any(|check| check.is_bad(required));
    let report = Report { schema: 1, suite: "targets", quick, seed, machine, runtimes: bench.runtimes(), checks };
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report)?;
        if to_stdout {
            println!("{text}");
        } else {
            std::fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        }
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
