//! `polyhost completions`: for the shell.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::screen;

/// Prints a script that completes this program's commands and options in a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  polyhost completions bash > ~/.local/share/bash-completion/completions/polyhost
  polyhost completions zsh > ~/.zfunc/_polyhost
  polyhost completions fish > ~/.config/fish/completions/polyhost.fish")]
pub(crate) struct Completions {
    /// Which shell.
    shell: Shell,
}

pub(crate) fn run(arguments: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "polyhost", &mut script);
    screen::write(&script)?;
    Ok(ExitCode::SUCCESS)
}
