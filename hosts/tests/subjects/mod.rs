//! What the suite is run on: each host with its conformance guest.

#[cfg(feature = "clr")]
mod clr;
#[cfg(feature = "cpython")]
mod cpython;
#[cfg(feature = "luajit")]
mod luajit;
mod native;

use std::path::{Path, PathBuf};

use polyhost_testkit::Subject;

/// Every host that this was built with.
pub(crate) fn all() -> Vec<Subject> {
    vec![
        native::closures(),
        native::library(),
        #[cfg(feature = "clr")]
        clr::subject(),
        #[cfg(feature = "cpython")]
        cpython::subject(),
        #[cfg(feature = "luajit")]
        luajit::subject(),
    ]
}

/// A path below the folder of the workspace.
fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is hosts/").join(path)
}
