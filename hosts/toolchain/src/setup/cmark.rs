//! A C library that nobody here wrote, for the bench: cmark, the reference implementation of CommonMark, out of Debian's
//! package. It is linked into a guest, and nothing is installed.

use std::fs;
use std::path::PathBuf;

use super::apt::{Apt, Archive};
use super::files::Part;
use super::{Error, Project, Result, say};

const PACKAGE: &str = "libcmark-dev";

#[cfg(target_arch = "aarch64")]
const LIBRARY: &str = "usr/lib/aarch64-linux-gnu/libcmark.a";
#[cfg(not(target_arch = "aarch64"))]
const LIBRARY: &str = "usr/lib/x86_64-linux-gnu/libcmark.a";

/// What is taken of the package.
const FILES: [&str; 5] = [
    "usr/include/cmark.h",
    "usr/include/cmark_export.h",
    "usr/include/cmark_version.h",
    LIBRARY,
    "usr/share/doc/libcmark-dev/copyright",
];

/// Makes sure of the library in `.cmark`; gives the folder.
///
/// # Errors
/// When there is no apt, or its package has other files.
pub fn ensure(project: &Project) -> Result<PathBuf> {
    let place = project.cmark();
    if place.join("libcmark.a").is_file() {
        return Ok(place);
    }
    say(format_args!("getting {PACKAGE} from the distribution's packages (130 kB, and 9 MB of package lists)"));
    let part = Part::beside(&place)?;
    let apt = Apt::update(project, part.path(), Archive::Packages)?;
    let (unpacked, taken) = (part.path().join("package"), part.path().join("taken"));
    apt.unpack(&[PACKAGE], &unpacked)?;
    fs::create_dir(&taken).map_err(|e| Error::about(taken.display(), e))?;
    for file in FILES {
        let from = unpacked.join(file);
        let to = taken.join(from.file_name().unwrap_or_default());
        fs::rename(&from, to).map_err(|e| Error::about(from.display(), e))?;
    }
    part.replace(&taken, &place)?;
    Ok(place)
}
