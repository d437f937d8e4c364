//! Google.Protobuf for C# compiled without an SDK: the library itself where NuGet or its offline feed is there, else
//! its sources, which Polyhost compiles with a hosted Roslyn.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{Apt, Archive};
use super::files::{Part, Pin, ending};
use super::{Error, Project, Result, say};
use crate::python;

/// The file of the library.
pub const LIBRARY: &str = "Google.Protobuf.dll";

/// The package that the project builds against, as the offline feed and the package cache name it.
const PACKAGE: &str = "google.protobuf.3.25.1.nupkg";
const CACHED: &str = "google.protobuf/3.25.1/lib/net5.0/Google.Protobuf.dll";
const IN_PACKAGE: &str = "lib/net5.0/Google.Protobuf.dll";

/// Debian's and Ubuntu's source archive, as upstream released it.
const ARCHIVE: &str = "protobuf_3.21.12.orig.tar.gz";
const ARCHIVE_PIN: Pin = Pin::Sha256("930c2c3b5ecc6c9c12615cf5ad93f1cd6e12d0aba862b572e076259970ac3a53");
const IN_ARCHIVE: &str = "protobuf-3.21.12";
const CSHARP: &str = "csharp/src/Google.Protobuf";

/// What there is of Google.Protobuf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protobuf {
    /// The compiled library.
    Library(PathBuf),
    /// The folder of the C# sources, version 3.21.12. To be compiled with `unsafe`, C# 8 or later, nullable off, and
    /// the symbols `GOOGLE_PROTOBUF_SUPPORT_FAST_STRING` and `GOOGLE_PROTOBUF_SIMD`.
    Sources(PathBuf),
}

/// What is there already.
pub fn find(project: &Project) -> Option<Protobuf> {
    let library = [library(project), project.nuget_cache().join(CACHED)];
    let sources = sources(project);
    library
        .into_iter()
        .find(|file| file.is_file())
        .map(Protobuf::Library)
        .or_else(|| sources.is_dir().then_some(Protobuf::Sources(sources)))
}

/// Makes sure of the library, or of its sources.
///
/// # Errors
/// When neither NuGet's offline feed nor apt has them.
pub fn ensure(project: &Project) -> Result<Protobuf> {
    if let Some(found) = find(project) {
        return Ok(found);
    }
    match project.feed() {
        Some(feed) if feed.join(PACKAGE).is_file() => library_from_package(project, &feed.join(PACKAGE)),
        _ => provide_sources(project),
    }
}

fn library(project: &Project) -> PathBuf {
    project.dotnet().join("protobuf").join(LIBRARY)
}

fn sources(project: &Project) -> PathBuf {
    project.dotnet().join("protobuf-src")
}

/// Takes the library out of a NuGet package, which is a zip archive.
fn library_from_package(project: &Project, package: &Path) -> Result<Protobuf> {
    let library = library(project);
    let place = library.parent().unwrap_or(Path::new("."));
    let python = python::search(project.machine())
        .into_result()
        .map_err(|e| Error::about("a NuGet package is unpacked by Python", e))?;
    let part = Part::beside(place)?;
    project.run(
        "protobuf-unpack",
        std::process::Command::new(python.executable).args(["-I", "-m", "zipfile", "-e"]).arg(package).arg(part.path()),
    )?;
    let folder = part.path().join("lib/net5.0");
    let file = part.path().join(IN_PACKAGE);
    if !file.is_file() {
        return Err(Error::new(format!("{} has no {IN_PACKAGE}", package.display())));
    }
    part.replace(&folder, place)?;
    Ok(Protobuf::Library(library))
}

/// Gets the sources from the distribution's source package.
///
/// # Errors
/// When there is no apt, or its source package is of another version.
pub fn provide_sources(project: &Project) -> Result<Protobuf> {
    let place = sources(project);
    say("getting the sources of Google.Protobuf 3.21.12 from Debian's source package (15 MB)");
    let part = Part::beside(&place)?;
    let folder = unpack_sources(project, part.path(), &[CSHARP])?.join(CSHARP);
    adapt(&folder.join("ParseContext.cs"))?;
    part.replace(&folder, &place)?;
    Ok(Protobuf::Sources(place))
}

/// Unpacks folders of the distribution's source package into a folder, by apt with lists and sources of its own, so
/// that neither the machine's configuration nor its package lists are touched; it needs no root. Gives the folder they
/// are in.
///
/// # Errors
/// When there is no apt, or its source package is of another version.
pub(crate) fn unpack_sources(project: &Project, folder: &Path, parts: &[&str]) -> Result<PathBuf> {
    let apt = Apt::update(project, folder, Archive::Sources)?;
    apt.run("source", &["source", "--download-only", "--only-source", "protobuf"])?;
    let archive = apt.folder().join(ARCHIVE);
    if !archive.is_file() {
        let got: Vec<_> = ending(apt.folder(), ".dsc");
        return Err(Error::new(format!("the distribution's protobuf is not 3.21.12 but {got:?}")));
    }
    ARCHIVE_PIN.check(&archive)?;
    let mut tar = project.command("tar")?;
    tar.arg("-xzf").arg(&archive).arg("-C").arg(folder).arg("--no-same-owner");
    tar.args(parts.iter().map(|part| format!("{IN_ARCHIVE}/{part}")));
    project.run("protobuf-unpack", &mut tar)?;
    Ok(folder.join(IN_ARCHIVE))
}

/// One line of the sources does not compile where the runtime itself has `ref` fields and the compiler holds it to
/// C# 11's rules: a `ref` parameter may not be kept in a `ref struct` that is handed out.
fn adapt(file: &Path) -> Result<()> {
    let about = |e| Error::about(file.display(), e);
    let text = fs::read_to_string(file).map_err(about)?;
    let old = "Initialize(buffer, ref state, out ctx);";
    if text.matches(old).count() != 1 {
        return Err(Error::new(format!("{}: `{old}` does not stand in it once", file.display())));
    }
    let text = text.replace(old, "ctx.buffer = buffer;\n            ctx.state = state;");
    fs::write(file, text).map_err(about)
}
