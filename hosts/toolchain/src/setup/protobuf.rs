//! Google.Protobuf for C# compiled without an SDK: the library itself where NuGet or its offline feed is there, else
//! its sources, which Polyhost compiles with a hosted Roslyn.

use std::fs;
use std::path::{Path, PathBuf};

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
const IN_ARCHIVE: &str = "protobuf-3.21.12/csharp/src/Google.Protobuf";

/// How long apt may take, in seconds.
const LIMIT: u32 = 600;

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

/// Gets the sources from the distribution's source package, by apt with lists and sources of its own, so that neither
/// the machine's configuration nor its package lists are touched; it needs no root.
///
/// # Errors
/// When there is no apt, or its source package is of another version.
pub fn provide_sources(project: &Project) -> Result<Protobuf> {
    let place = sources(project);
    say("getting the sources of Google.Protobuf 3.21.12 from Debian's source package (15 MB)");
    let part = Part::beside(&place)?;
    let apt = part.path().join("apt");
    let about = |e| Error::about(apt.display(), e);
    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(folder)).map_err(about)?;
    }
    fs::write(apt.join("sources.list"), source_entry(project)?).map_err(about)?;
    apt_get(project, &apt, "protobuf-apt-update", &["update"])?;
    let source = ["source", "--download-only", "--only-source", "protobuf"];
    apt_get(project, &apt, "protobuf-apt-source", &source)?;
    let archive = apt.join(ARCHIVE);
    if !archive.is_file() {
        let got: Vec<_> = ending(&apt, ".dsc");
        return Err(Error::new(format!("the distribution's protobuf is not 3.21.12 but {got:?}")));
    }
    ARCHIVE_PIN.check(&archive)?;
    project.run(
        "protobuf-unpack",
        project
            .command("tar")?
            .arg("-xzf")
            .arg(&archive)
            .arg("-C")
            .arg(part.path())
            .arg("--no-same-owner")
            .arg(IN_ARCHIVE),
    )?;
    let folder = part.path().join(IN_ARCHIVE);
    adapt(&folder.join("ParseContext.cs"))?;
    part.replace(&folder, &place)?;
    Ok(Protobuf::Sources(place))
}

fn apt_get(project: &Project, apt: &Path, log: &str, arguments: &[&str]) -> Result<()> {
    let mut command = project.within(LIMIT, &project.program("apt-get")?)?;
    command.current_dir(apt).env("LC_ALL", "C");
    for (option, value) in [
        ("Dir::Etc::SourceList", apt.join("sources.list")),
        ("Dir::Etc::SourceParts", PathBuf::from("/dev/null")),
        ("Dir::State::Lists", apt.join("lists")),
        ("Dir::Cache", apt.join("cache")),
        // As root, apt would drop to a user who cannot write here.
        ("APT::Sandbox::User", PathBuf::from("root")),
        ("Acquire::Languages", PathBuf::from("none")),
        ("Acquire::Retries", PathBuf::from("2")),
        ("APT::Update::Error-Mode", PathBuf::from("any")),
    ] {
        command.arg("-o");
        command.arg(format!("{option}={}", value.display()));
    }
    project.run(log, command.arg("-qq").args(arguments))
}

/// The machine's own entry for its distribution's main archive, turned into one for sources.
fn source_entry(project: &Project) -> Result<String> {
    let machine = project.machine();
    let os = fs::read_to_string(machine.path("/etc/os-release")).unwrap_or_default();
    let codename =
        os.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or_default().trim_matches('"');
    let folder = machine.path("/etc/apt/sources.list.d");
    let stanzas = ending(&folder, ".sources");
    let mut lines = vec![machine.path("/etc/apt/sources.list")];
    lines.extend(ending(&folder, ".list"));
    let read = |file: &PathBuf| fs::read_to_string(file).unwrap_or_default();
    stanzas
        .iter()
        .find_map(|file| from_stanzas(&read(file), codename))
        .or_else(|| lines.iter().find_map(|file| from_lines(&read(file), codename)))
        .ok_or_else(|| Error::new("this is no Debian or Ubuntu with its main archive in apt's sources"))
}

/// The first archive among deb822 stanzas.
fn from_stanzas(text: &str, codename: &str) -> Option<String> {
    let without_comments: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
    without_comments.join("\n").split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then_some(value.trim())
            })
        };
        let uri = field("URIs")?.split_whitespace().next()?;
        let suites = field("Suites")?;
        let components = field("Components")?;
        let has = |list: &str, word| list.split_whitespace().any(|w| w == word);
        let fits = is_distribution(uri) && has(suites, codename) && has(components, "main");
        // A key written out in the stanza itself cannot go on one line.
        let key = field("Signed-By").filter(|key| key.starts_with('/'));
        let key = key.map_or(String::new(), |key| format!("[signed-by={key}] "));
        fits.then(|| format!("deb-src {key}{uri} {codename} main\n"))
    })
}

/// The first archive among one-line entries.
fn from_lines(text: &str, codename: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let uri = words.next()?;
        let fits = is_distribution(uri) && words.next()? == codename && words.any(|w| w == "main");
        let options = if options.is_empty() { String::new() } else { format!("[{options}] ") };
        fits.then(|| format!("deb-src {options}{uri} {codename} main\n"))
    })
}

fn is_distribution(uri: &str) -> bool {
    let last = uri.trim_end_matches('/').rsplit('/').next();
    matches!(last, Some("debian" | "ubuntu"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_a_source_entry_of_the_distributions_own() {
        let stanzas = "Types: deb\n# a snapshot\nURIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\n\
                       Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
                       Types: deb\nURIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\n\
                       Components: main\n";
        let entry = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
                     http://deb.debian.org/debian bookworm main\n";
        assert_eq!(from_stanzas(stanzas, "bookworm").as_deref(), Some(entry));
        assert_eq!(from_stanzas(stanzas, "trixie"), None);
        let lines = "# deb http://x/debian bookworm main\n\
                     deb [arch=amd64] https://other.example/linux/debian bookworm stable\n\
                     deb [arch=amd64] http://mirror.example/ubuntu/ noble universe main\n";
        let entry = "deb-src [arch=amd64] http://mirror.example/ubuntu/ noble main\n";
        assert_eq!(from_lines(lines, "noble").as_deref(), Some(entry));
        assert_eq!(from_lines(lines, "bookworm"), None);
    }
}
