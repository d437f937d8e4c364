//! A C library that nobody here wrote, for the bench: cmark, the reference implementation of CommonMark, out of Debian's
//! package. It is linked into a guest.

use std::path::PathBuf;

use super::library::Library;
use super::{Project, Result};

#[cfg(target_arch = "aarch64")]
const LIBRARY: &str = "usr/lib/aarch64-linux-gnu/libcmark.a";
#[cfg(not(target_arch = "aarch64"))]
const LIBRARY: &str = "usr/lib/x86_64-linux-gnu/libcmark.a";

const CMARK: Library = Library {
    package: "libcmark-dev",
    size: "130 kB",
    library: LIBRARY,
    others: &[
        "usr/include/cmark.h",
        "usr/include/cmark_export.h",
        "usr/include/cmark_version.h",
        "usr/share/doc/libcmark-dev/copyright",
    ],
    pin: None,
};

/// Makes sure of the library in `.cmark`; gives the folder.
///
/// # Errors
/// When there is no apt, or its package has other files.
pub fn ensure(project: &Project) -> Result<PathBuf> {
    CMARK.ensure(project, project.cmark())
}
