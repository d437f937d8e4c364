//! Packages of the distribution, by apt with lists and sources of its own: neither the machine's configuration nor its
//! package lists are touched, and it needs no root.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::ending;
use super::{Error, Project, Result};

/// How long apt may take, in seconds.
const LIMIT: u32 = 600;

/// Which of the distribution's archives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Archive {
    /// Built packages.
    Packages,
    /// Their sources.
    Sources,
}

/// An apt whose lists are up to date.
#[derive(Debug)]
pub(crate) struct Apt<'a> {
    project: &'a Project,
    folder: PathBuf,
}

impl<'a> Apt<'a> {
    /// Gets the lists of the distribution's main archive into a new folder `apt` in `folder`.
    pub(crate) fn update(project: &'a Project, folder: &Path, archive: Archive) -> Result<Self> {
        let apt = Self { project, folder: folder.join("apt") };
        let about = |e| Error::about(apt.folder.display(), e);
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(apt.folder.join(folder)).map_err(about)?;
        }
        let kind = match archive {
            Archive::Packages => "deb",
            Archive::Sources => "deb-src",
        };
        let entry = format!("{kind} {}\n", main_archive(project)?);
        fs::write(apt.folder.join("sources.list"), entry).map_err(about)?;
        apt.run("update", &["update"])?;
        Ok(apt)
    }

    /// Where apt puts what it is told to download.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Downloads packages, not what they depend on, and unpacks them into a folder.
    pub(crate) fn unpack(&self, packages: &[&str], to: &Path) -> Result<()> {
        self.run("download", &[&["download"], packages].concat())?;
        let archives = ending(&self.folder, ".deb");
        if archives.len() != packages.len() {
            return Err(Error::new(format!("apt has downloaded {archives:?} for {packages:?}")));
        }
        for archive in archives {
            self.project.run("apt-unpack", self.project.command("dpkg-deb")?.arg("--extract").arg(archive).arg(to))?;
        }
        Ok(())
    }

    /// Runs `apt-get`; its output goes to a log `apt-<log>`.
    pub(crate) fn run(&self, log: &str, arguments: &[&str]) -> Result<()> {
        let mut command = self.project.within(LIMIT, &self.project.program("apt-get")?)?;
        command.current_dir(&self.folder).env("LC_ALL", "C");
        for (option, value) in [
            ("Dir::Etc::SourceList", self.folder.join("sources.list")),
            ("Dir::Etc::SourceParts", PathBuf::from("/dev/null")),
            ("Dir::State::Lists", self.folder.join("lists")),
            ("Dir::Cache", self.folder.join("cache")),
            // As root, apt would drop to a user who cannot write here.
            ("APT::Sandbox::User", PathBuf::from("root")),
            ("Acquire::Languages", PathBuf::from("none")),
            ("Acquire::Retries", PathBuf::from("2")),
            ("APT::Update::Error-Mode", PathBuf::from("any")),
        ] {
            command.arg("-o");
            command.arg(format!("{option}={}", value.display()));
        }
        self.project.run(&format!("apt-{log}"), command.arg("-qq").args(arguments))
    }
}

/// The machine's own entry for its distribution's main archive, without the kind that it begins with.
fn main_archive(project: &Project) -> Result<String> {
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
        let fits = is_distribution(uri) && suites.split_whitespace().any(|suite| suite == codename);
        let components = kept(components.split_whitespace())?;
        // A key written out in the stanza itself cannot go on one line.
        let key = field("Signed-By").filter(|key| key.starts_with('/'));
        let key = key.map_or(String::new(), |key| format!("[signed-by={key}] "));
        fits.then(|| format!("{key}{uri} {codename} {components}"))
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
        let fits = is_distribution(uri) && words.next()? == codename;
        let components = kept(words)?;
        let options = if options.is_empty() { String::new() } else { format!("[{options}] ") };
        fits.then(|| format!("{options}{uri} {codename} {components}"))
    })
}

/// The components that have what is asked for here, if they are the whole of the main archive.
fn kept<'a>(components: impl Iterator<Item = &'a str>) -> Option<String> {
    let kept: Vec<&str> = components.filter(|it| ["main", "universe"].contains(it)).collect();
    kept.contains(&"main").then(|| kept.join(" "))
}

fn is_distribution(uri: &str) -> bool {
    let last = uri.trim_end_matches('/').rsplit('/').next();
    matches!(last, Some("debian" | "ubuntu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_distributions_own_entry() {
        let stanzas = "Types: deb\n# a snapshot\nURIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\n\
                       Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
                       Types: deb\nURIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\n\
                       Components: main\n";
        let entry = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
                     http://deb.debian.org/debian bookworm main";
        assert_eq!(from_stanzas(stanzas, "bookworm").as_deref(), Some(entry));
        assert_eq!(from_stanzas(stanzas, "trixie"), None);
        let lines = "# deb http://x/debian bookworm main\n\
                     deb [arch=amd64] https://other.example/linux/debian bookworm stable\n\
                     deb [arch=amd64] http://packages.example/ubuntu/ noble universe restricted main\n";
        let entry = "[arch=amd64] http://packages.example/ubuntu/ noble universe main";
        assert_eq!(from_lines(lines, "noble").as_deref(), Some(entry));
        assert_eq!(from_lines(lines, "bookworm"), None);
    }
}
