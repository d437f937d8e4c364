//! Packages from the npm registry, by exact version and hash.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{Pin, ending};
use super::{Error, Project, Result};

/// How long a download may take, in seconds.
const LIMIT: u32 = 900;

/// One version of a package.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    pub(crate) spec: &'static str,
    pub(crate) pin: Pin,
}

impl Package {
    /// Downloads the package with the user's own `npm` and unpacks it into `folder`; gives the folder of its files.
    pub(crate) fn unpack(self, project: &Project, log: &str, folder: &Path) -> Result<PathBuf> {
        project.run(
            log,
            project
                .command_within(LIMIT, "npm")?
                .args(["pack", "--silent", "--pack-destination"])
                .arg(folder)
                .arg(self.spec),
        )?;
        let Some(archive) = ending(folder, ".tgz").pop() else {
            return Err(Error::new(format!("npm pack {}: no archive", self.spec)));
        };
        self.pin.check(&archive)?;
        project.run(
            &format!("{log}-unpack"),
            project.command("tar")?.arg("-xzf").arg(&archive).arg("-C").arg(folder).arg("--no-same-owner"),
        )?;
        fs::remove_file(&archive).map_err(|e| Error::about(archive.display(), e))?;
        Ok(folder.join("package"))
    }
}
