//! Getting what a checkout needs onto the machine, one rung after the other.
//!
//! Every step can be repeated and may be killed at any time: a folder is built beside its place and renamed, and what
//! is there is not made again. Progress goes to standard error, the output of other programs to `target/setup/*.log`.

pub mod cargo_config;
pub mod cmark;
pub mod conformance;
pub mod dotnet;
pub mod guests;
pub mod lua;
pub mod node;
pub mod nuget;
pub mod protobuf;
pub mod protoc;
pub mod python;
pub mod report;
pub mod roslyn;

mod apt;
mod compile;
mod files;
mod library;
mod npm;
mod project;
mod registry;
mod run;

pub use project::{OFFLINE, Project};

use std::fmt;

use crate::{Outcome, Search};

/// Why a step could not be done: what, where, and what to do next, on one line where it can be.
#[derive(Clone, Debug)]
pub struct Error(String);

impl Error {
    /// An error that says this.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The same error behind what was tried: `what: error`.
    pub fn about(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// The result of a step.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says which of the user's own settings the search has passed over, and why.
fn say_passed_over<T>(search: &Search<T>, variables: &[&str]) {
    for looked in &search.looked {
        let named = variables.contains(&looked.place.as_str()) && looked.path.is_some();
        if named && looked.outcome != Outcome::Used {
            say(format_args!("passing over {looked}"));
        }
    }
}

/// Prints a line of progress.
pub(crate) fn say(line: impl fmt::Display) {
    eprintln!("setup: {line}");
}
