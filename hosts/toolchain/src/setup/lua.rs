//! A Lua library that nobody here wrote, for the demo to host: Niklas Frykholm's Markdown, out of Debian's package.

use std::fs;
use std::path::PathBuf;

use super::apt::{Apt, Archive};
use super::files::{Part, Pin};
use super::{Error, Project, Result, say};

const PACKAGE: &str = "lua-markdown";

/// The library's one file, and its hash: the same in every release of the package since version 0.32.
const LIBRARY: &str = "usr/share/lua/5.1/markdown.lua";
const PIN: Pin = Pin::Sha256("9335e685f90fb695ba77bcb8297638903c5a001902eb2e742718bc918fefce69");

const LICENCE: &str = "usr/share/doc/lua-markdown/copyright";

/// Makes sure of the library in `.lua`; gives the folder in which `require` finds it.
///
/// # Errors
/// When there is no apt, or its package has another file in it.
pub fn ensure(project: &Project) -> Result<PathBuf> {
    let place = project.lua();
    if place.join("markdown.lua").is_file() {
        return Ok(place);
    }
    say(format_args!("getting {PACKAGE} from the distribution's packages (15 kB, and 9 MB of package lists)"));
    let part = Part::beside(&place)?;
    let apt = Apt::update(project, part.path(), Archive::Packages)?;
    let unpacked = part.path().join("package");
    apt.unpack(&[PACKAGE], &unpacked)?;
    let library = unpacked.join(LIBRARY);
    PIN.check(&library)?;
    let folder = library.parent().unwrap_or(&unpacked);
    let licence = folder.join("copyright");
    fs::rename(unpacked.join(LICENCE), &licence).map_err(|e| Error::about(licence.display(), e))?;
    part.replace(folder, &place)?;
    Ok(place)
}
