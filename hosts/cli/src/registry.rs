//! The runtimes of this build.

use polyhost::Registry;

pub(crate) fn registry() -> Registry {
    Registry::new()
}
