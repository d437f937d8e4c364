//! The command line.

mod check;
mod compare;
mod list;
mod progress;
mod report;
mod run;
mod signals;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{http, targets, worker};

const ABOUT: &str = "\
Measures what a call into each runtime costs, and compares.

Contenders run side by side in one run, each in a process of its own, round by round in random order and with a
request that differs at each call, so that what slows the machine slows all alike. Replies are compared with a
reference before anything is timed. Each number comes with its 95 % interval; where two intervals overlap, the two can't
be told apart. An interval tells how rounds vary, in one process each: another process of the same program, or another
day, may differ by some percent more.";

const AFTER: &str = "\
Start with:
  polyhost-bench list
  polyhost-bench run --quick
  polyhost-bench run --label laptop --out results/
  polyhost-bench report results/2026-11-21-laptop.json --out laptop.html
  polyhost-bench compare before.json after.json --fail-over 10%
  polyhost-bench run --module clr:path/My.dll --export pkg.Svc/Method --input request.json

Exit codes:
  0    done; and nothing is worse than allowed
  1    a contender failed, or nothing could be measured; a target is missed; a call got slower than allowed; the
       self-check does not hold
  2    the command line is not understood, or a file can't be read or written
  3    the self-check is inconclusive: this machine is too noisy for it
  130  ended by Ctrl-C; what was measured until then is printed and written, marked as partial

Build with --release; other numbers mean nothing.";

#[derive(Parser)]
#[command(
    name = "polyhost-bench",
    version,
    about = "Measures what a call into each runtime costs, and compares",
    long_about = ABOUT,
    after_help = "See --help for examples and exit codes.",
    after_long_help = AFTER,
    arg_required_else_help = true,
    max_term_width = 120
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(list::List),
    Run(Box<run::Run>),
    Compare(compare::Compare),
    Report(report::Report),
    SelfCheck(check::SelfCheck),
    /// Answers a harness: one contender in a process of its own
    #[command(hide = true)]
    Worker,
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

/// What went wrong, for people.
type Failure = Box<dyn std::error::Error>;

/// Prints to standard output; whoever reads it may have read enough, and closed it.
fn show(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("standard output: {error}").into()),
        _ => Ok(()),
    }
}

/// The program.
pub fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("polyhost-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::List(arguments) => list::list(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::SelfCheck(arguments) => check::check(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Worker => {
            worker::serve()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::StartOne { scheme } => {
            println!("{}", targets::start::once(&scheme)?.as_nanos());
            Ok(ExitCode::SUCCESS)
        }
        Command::ServeOne { what, app } => {
            http::serve(what, &app)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }
}
