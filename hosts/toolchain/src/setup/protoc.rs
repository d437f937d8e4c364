//! The protoc that the checked-in C# messages are made by: for the tests that compare the two, and to be run by people.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::{Apt, Archive};
use super::files::{Part, write_if_changed};
use super::{Error, Project, Result, say};

/// What it says of itself. It is the last release whose C# compiles with Google.Protobuf 3.21 as well as with all later
/// ones; Debian 12 has it.
pub const VERSION: &str = "libprotoc 3.21.12";

/// The program, and the libraries that it is linked with.
const PACKAGES: [&str; 3] = ["protobuf-compiler", "libprotoc32", "libprotobuf32"];

/// The compiler, if it is there.
pub fn find(project: &Project) -> Option<Command> {
    let own = place(project).join("bin/protoc");
    std::iter::once(own).chain(project.machine().on_path("protoc")).find_map(|program| {
        let says = command(&program).arg("--version").output().ok()?;
        (String::from_utf8_lossy(&says.stdout).trim() == VERSION).then(|| command(&program))
    })
}

/// Makes sure of the compiler.
///
/// # Errors
/// When the distribution has another version.
pub fn ensure(project: &Project) -> Result<Command> {
    if let Some(found) = find(project) {
        return Ok(found);
    }
    say(format_args!("getting {VERSION} from the distribution's packages (2 MB, and 9 MB of package lists)"));
    let place = place(project);
    let part = Part::beside(&place)?;
    let unpacked = part.path().join("packages");
    Apt::update(project, part.path(), Archive::Packages)?.unpack(&PACKAGES, &unpacked)?;
    part.replace(&unpacked.join("usr"), &place)?;
    find(project).ok_or_else(|| Error::new(format!("the distribution's protoc is not {VERSION}")))
}

/// A program that runs the compiler from any shell.
///
/// # Errors
/// As [`ensure`]; when it can't be written.
pub fn program(project: &Project) -> Result<PathBuf> {
    let found = PathBuf::from(ensure(project)?.get_program());
    if !found.starts_with(place(project)) {
        return Ok(found);
    }
    let libraries = libraries(&found).unwrap_or_default();
    // Quotes, because a checkout's path may have spaces.
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH=\"{}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\" exec \"{}\" \"$@\"\n",
        libraries.display(),
        found.display()
    );
    let wrapper = project.dotnet().join("bin/protoc");
    let about = |error| Error::about(wrapper.display(), error);
    write_if_changed(&wrapper, &script)?;
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).map_err(about)?;
    Ok(wrapper)
}

fn place(project: &Project) -> PathBuf {
    project.dotnet().join("protoc")
}

/// The program, which finds its libraries where it was unpacked beside them.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(libraries) = libraries(program) {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command
}

fn libraries(program: &Path) -> Option<PathBuf> {
    Some(program.ancestors().nth(2)?.join(format!("lib/{}-linux-gnu", std::env::consts::ARCH)))
}
