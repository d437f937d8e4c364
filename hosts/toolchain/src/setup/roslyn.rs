//! The C# compiler for a machine without an SDK.

use std::path::PathBuf;

use super::{Project, Result, registry};
use crate::dotnet::DotnetRoot;
use crate::roslyn::search;

/// Makes sure of the C# compiler's libraries, for `runtime` to run; gives their folder.
///
/// # Errors
/// When they are neither there nor to be had from the npm registry.
pub fn ensure(project: &Project, runtime: &DotnetRoot) -> Result<PathBuf> {
    match search(project.machine(), Some(runtime)).found {
        Some(folder) => Ok(folder),
        None => registry::compiler(project),
    }
}
