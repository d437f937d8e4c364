//! A library out of a package of the distribution's: its files in a folder of the project, and nothing installed.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{Apt, Archive};
use super::files::{Part, Pin};
use super::{Error, Project, Result, say};

pub(crate) struct Library {
    pub(crate) package: &'static str,
    /// Of the package, for people.
    pub(crate) size: &'static str,
    /// What is taken of it: the library itself, which is there when all is, and what it comes with.
    pub(crate) library: &'static str,
    pub(crate) others: &'static [&'static str],
    /// What the library has to be.
    pub(crate) pin: Option<Pin>,
}

impl Library {
    /// Makes sure of the files in `place`, without the folders they had; gives `place`.
    ///
    /// # Errors
    /// When there is no apt, or its package has other files.
    pub(crate) fn ensure(&self, project: &Project, place: PathBuf) -> Result<PathBuf> {
        if place.join(name(self.library)).is_file() {
            return Ok(place);
        }
        let Library { package, size, .. } = self;
        say(format_args!("getting {package} from the distribution's packages ({size}, and 9 MB of package lists)"));
        let part = Part::beside(&place)?;
        let apt = Apt::update(project, part.path(), Archive::Packages)?;
        let (unpacked, taken) = (part.path().join("package"), part.path().join("taken"));
        apt.unpack(&[package], &unpacked)?;
        if let Some(pin) = &self.pin {
            pin.check(&unpacked.join(self.library))?;
        }
        fs::create_dir(&taken).map_err(|e| Error::about(taken.display(), e))?;
        for file in [self.library].iter().chain(self.others) {
            let from = unpacked.join(file);
            fs::rename(&from, taken.join(name(file))).map_err(|e| Error::about(from.display(), e))?;
        }
        part.replace(&taken, &place)?;
        Ok(place)
    }
}

fn name(file: &str) -> &Path {
    Path::new(file).file_name().map_or(Path::new(file), Path::new)
}
