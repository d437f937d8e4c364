//! The command line.

use clap::{Args, Parser, Subcommand};

#[cfg(feature = "aspnet")]
use crate::serve;
use crate::{call, completions, doctor, inspect, new, watch};

const ABOUT: &str = "\
Calls and inspects modules of .NET, Python, Lua and native code, all hosted in this one process.

A module is named by its LOCATION, a scheme and what that runtime is to load:
  clr:path/App.dll     clr:guest.cs          .NET: an assembly, or C# source
  py:package.module    py:path/file.py       CPython
  lua:path/file.lua                          LuaJIT
  native:path/lib.so                         a shared library that implements polyhost.h";

const AFTER: &str = "\
Exit codes:
  0    done; for `doctor`: every runtime of this build is fine
  1    the module did not load, the call failed, or the input is not what the export takes
  2    the command line is not understood
  124  the deadline passed, as with timeout(1)
  130  `serve` was ended by a second signal
  141  whoever read the output went away, as with SIGPIPE

An error is one line on stderr, with -v followed by every guest's stack, with --json one JSON object instead.
The results alone go to stdout.

Start with `polyhost doctor`, and `polyhost help COMMAND`. In a checkout `polyhost` is
`cargo run --quiet --package polyhost-cli --features cpython --`.";

/// The runtimes of this build, by the features of cargo.
pub(crate) const RUNTIMES: &str = env!("POLYHOST_RUNTIMES");

/// What was asked for.
#[derive(Debug, Parser)]
#[command(
    name = "polyhost",
    version,
    long_version = concat!(env!("CARGO_PKG_VERSION"), "\nruntimes: ", env!("POLYHOST_RUNTIMES")),
    about = "Calls and inspects modules of .NET, Python, Lua and native code",
    long_about = ABOUT,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 124 deadline, 141 broken pipe; see --help.",
    after_long_help = AFTER,
    propagate_version = true,
    max_term_width = 120
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Writes for programs: results as JSON to stdout, errors and timings as a JSON line each to stderr.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Tells everything about an error: its facts, every guest's stack, and each cause.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// One for each file of the same name.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inspect(inspect::Inspect),
    Call(call::Call),
    #[cfg(feature = "aspnet")]
    Serve(serve::Serve),
    New(new::New),
    Watch(watch::Watch),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }
}
