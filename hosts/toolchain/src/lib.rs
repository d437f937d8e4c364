//! Finds the language runtimes that Polyhost hosts, and sets them up for a checkout of the project.
//!
//! Finding ([`dotnet::find`], [`roslyn::find`], [`python::find`]) reads files and variables only, and needs nothing
//! but the standard library: hosts and `polyhost doctor` use it. Every search keeps a record ([`Search`]) of the
//! places it looked at and what it saw there, so that one error can tell all of it.
//!
//! The feature `setup` adds what `make` and CI run: the ladder that gets a missing runtime onto the machine, and the
//! program `polyhost-setup` that climbs it.
#![forbid(unsafe_code)]

pub mod dotnet;
pub mod python;
pub mod roslyn;

mod machine;
mod search;
mod version;

pub use machine::Machine;
pub use search::{Looked, NotFound, Outcome, Search};
pub use version::{NotAVersion, Version};

#[cfg(feature = "setup")]
pub mod setup;
