//! A Lua library that nobody here wrote, for the demo to host: Niklas Frykholm's Markdown, out of Debian's package.

use std::path::PathBuf;

use super::files::Pin;
use super::library::Library;
use super::{Project, Result};

const MARKDOWN: Library = Library {
    package: "lua-markdown",
    size: "15 kB",
    library: "usr/share/lua/5.1/markdown.lua",
    others: &["usr/share/doc/lua-markdown/copyright"],
    // The same in every release of the package since version 0.32.
    pin: Some(Pin::Sha256("9335e685f90fb695ba77bcb8297638903c5a001902eb2e742718bc918fefce69")),
};

/// Makes sure of the library in `.lua`; gives the folder in which `require` finds it.
///
/// # Errors
/// When there is no apt, or its package has another file in it.
pub fn ensure(project: &Project) -> Result<PathBuf> {
    MARKDOWN.ensure(project, project.lua())
}
