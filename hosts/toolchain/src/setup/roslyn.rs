//! The C# compiler, for loading C# from source.

use std::path::PathBuf;

use super::{Error, Project, Result, registry};
use crate::dotnet::search_for_host;
use crate::roslyn::search;

/// Makes sure of the C# compiler's libraries, for the runtime that a host starts here; gives their folder.
///
/// # Errors
/// When they are neither there nor to be had from the npm registry.
pub fn ensure(project: &Project) -> Result<PathBuf> {
    let runtime = search_for_host(project.machine(), None);
    let runtime = runtime.into_result().map_err(|e| Error::new(e.to_string()))?;
    match search(project.machine(), Some(&runtime)).found {
        Some(folder) => Ok(folder),
        None => registry::compiler(project),
    }
}
