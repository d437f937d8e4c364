//! The `polyhost` program.

mod call;
mod cli;
mod completions;
mod doctor;
mod failure;
mod ffi;
mod input;
mod inspect;
mod load;
mod log;
mod message;
mod new;
mod registry;
mod reply;
mod schema;
mod screen;
#[cfg(feature = "aspnet")]
mod serve;
mod timing;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let outcome = match command {
        Command::Inspect(arguments) => screen::keep_stdout().and_then(|()| inspect::run(&global, &arguments)),
        Command::Call(arguments) => screen::keep_stdout().and_then(|()| call::run(&global, &arguments)),
        #[cfg(feature = "aspnet")]
        Command::Serve(arguments) => serve::run(&global, &arguments),
        Command::New(arguments) => new::run(&global, &arguments),
        Command::Watch(arguments) => screen::keep_stdout().and_then(|()| watch::run(&global, &arguments)),
        Command::Doctor(arguments) => doctor::run(&global, &arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    };
    outcome.unwrap_or_else(|failure| failure.report(&global))
}
