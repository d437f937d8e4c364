//! The runtimes of this build.

use polyhost::Registry;

use crate::ffi;

/// All of them, none started yet. Shared libraries are allowed here, which the library leaves to its users.
pub(crate) fn registry() -> Registry {
    let mut registry = polyhost::registry();
    registry.add("native", || Ok(ffi::native()));
    registry
}
