//! The npm packages of tests and examples, in `.npm`: clients in Node, what drives a browser, and what pages take in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::files::{Part, sha256, write_if_changed};
use super::{Error, Project, Result, say};

/// The folder with `package.json` and `package-lock.json`. The lock names no registry, so that the user's own is asked.
const LIST: &str = "hosts/cli/tests/web";

/// Debian 12 has it.
const OLDEST: u32 = 18;

/// What pages of examples take in, from where in the packages to where in the checkout; git ignores it there.
const TAKEN_IN: [(&str, &str); 1] =
    [("@microsoft/signalr/dist/browser/signalr.min.js", "hosts/examples/chat/clr/wwwroot/lib/signalr.min.js")];

/// How long the installation may take, in seconds.
const LIMIT: u32 = 300;

/// Makes sure of the packages; gives the folder that `NODE_PATH` has to name.
///
/// # Errors
/// Where there is no Node of today, no npm, or no registry.
pub fn ensure(project: &Project) -> Result<PathBuf> {
    check_version(&project.program("node").map_err(advise)?)?;
    let npm = project.program("npm").map_err(advise)?;
    let list = project.root().join(LIST);
    let mut stamp = String::new();
    for name in ["package.json", "package-lock.json"] {
        let path = list.join(name);
        stamp += &format!("{name} {}\n", sha256(&fs::read(&path).map_err(|e| Error::about(path.display(), e))?));
    }
    let place = project.npm();
    if !fs::read_to_string(stamp_file(&place)).is_ok_and(|old| old == stamp) {
        install(project, &npm, &list, &place, &stamp)?;
    }
    let modules = place.join("node_modules");
    for (from, to) in TAKEN_IN {
        let from = modules.join(from);
        let text = fs::read_to_string(&from).map_err(|e| Error::about(from.display(), e))?;
        write_if_changed(&project.root().join(to), &text)?;
    }
    Ok(modules)
}

/// Whether the packages are there, finished.
pub fn is_ready(project: &Project) -> bool {
    stamp_file(&project.npm()).is_file()
}

fn stamp_file(place: &Path) -> PathBuf {
    place.join("polyhost-setup.stamp")
}

fn install(project: &Project, npm: &Path, list: &Path, place: &Path, stamp: &str) -> Result<()> {
    say(format_args!("installing the npm packages of {LIST} into .npm (5 MB)"));
    let part = Part::beside(place)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(list.join(name), part.path().join(name)).map_err(|e| Error::about(name, e))?;
    }
    // Scripts of packages are not run: none of these has one that it needs.
    let quick = ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"];
    let mut command = project.within(LIMIT, npm)?;
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).args(quick).current_dir(part.path());
    project.run("npm-packages", &mut command)?;
    write_if_changed(&stamp_file(part.path()), stamp)?;
    let folder = part.path().to_owned();
    part.replace(&folder, place)
}

/// # Errors
/// Where it is too old, or does not say.
fn check_version(node: &Path) -> Result<()> {
    let about = |error: &dyn std::fmt::Display| Error::about(node.display(), error);
    let output = Command::new(node).arg("--version").output().map_err(|e| about(&e))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match major(&text) {
        Some(major) if major >= OLDEST => Ok(()),
        _ => Err(about(&format!("says it is {text:?}, and Node {OLDEST} or later is needed"))),
    }
}

/// The first number of `v20.1.0`.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn advise(error: Error) -> Error {
    Error::about(error, "clients in JavaScript are tried where Node is (Debian: apt-get install nodejs npm)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_node_says_of_its_version() {
        assert_eq!(Some(20), major("v20.20.2"));
        assert_eq!(None, major("20.20.2"));
        assert_eq!(None, major(""));
    }

    #[test]
    fn the_lock_names_no_registry() {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(LIST).join("package-lock.json");
        let text = fs::read_to_string(lock).expect("it is in git");
        let naming: Vec<&str> = text.lines().filter(|line| line.contains("\"resolved\"")).collect();
        assert!(naming.is_empty(), "npm install --omit-lockfile-registry-resolved leaves these out: {naming:#?}");
    }
}
