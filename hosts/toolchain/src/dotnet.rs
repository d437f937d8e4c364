//! Finding .NET: a root folder with `host/fxr/<version>/libhostfxr.so` and the frameworks under `shared/`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::{Machine, NotFound, Search, Version};

/// The oldest runtime that Polyhost runs on.
pub const MINIMUM: Version = Version::new(8, 0, 0);

/// The framework that every application needs.
pub const CORE: &str = "Microsoft.NETCore.App";

/// The framework of web applications.
pub const ASPNET: &str = "Microsoft.AspNetCore.App";

/// Names a folder that holds a root of the project's own, looked at after every place of the machine's:
/// the folder itself, then `registry/` in it. `make` sets it to the checkout's `.dotnet`.
pub const LOCAL: &str = "POLYHOST_DOTNET";

/// The variables that name a root, in the order in which they are looked at.
pub const VARIABLES: [&str; 2] = [ARCH.variable, "DOTNET_ROOT"];

const ADVICE: &str = "install .NET 8 or newer (https://dotnet.microsoft.com/download), or set DOTNET_ROOT to the \
                      folder of one, or POLYHOST_DOTNET to the .dotnet of a checkout of Polyhost after `make setup`";

#[cfg(target_arch = "x86_64")]
const ARCH: Arch = Arch { variable: "DOTNET_ROOT_X64", location: "/etc/dotnet/install_location_x64", elf: 62 };
#[cfg(target_arch = "aarch64")]
const ARCH: Arch = Arch { variable: "DOTNET_ROOT_ARM64", location: "/etc/dotnet/install_location_arm64", elf: 183 };
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("Polyhost finds .NET on x86-64 and arm64 only");

/// What the names of the search are on this architecture.
struct Arch {
    variable: &'static str,
    location: &'static str,
    /// `e_machine` in the ELF header.
    elf: u16,
}

/// What a root must have to be of use.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The oldest Microsoft.NETCore.App that will do.
    pub runtime: Version,
    /// Whether Microsoft.AspNetCore.App must be there as well.
    pub aspnet: bool,
    /// Whether an SDK must be there as well.
    pub sdk: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { runtime: MINIMUM, aspnet: false, sdk: false }
    }
}

/// A .NET root and what is installed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DotnetRoot {
    /// The folder, absolute (hostfxr refuses a relative one), with symbolic links resolved.
    pub root: PathBuf,
    /// The library that starts the runtime; the one of the highest version.
    pub hostfxr: PathBuf,
    /// The version of `hostfxr`.
    pub hostfxr_version: Version,
    /// Frameworks by name, each with its versions, highest first.
    pub runtimes: BTreeMap<String, Vec<Version>>,
    /// SDK versions, highest first.
    pub sdks: Vec<Version>,
    /// The place that named this root: a variable, `PATH`, a file or a standard folder.
    pub found_by: String,
}

impl DotnetRoot {
    /// The highest release of a framework; a preview is not counted, because hostfxr does not roll forward to one.
    pub fn newest(&self, framework: &str) -> Option<&Version> {
        self.runtimes.get(framework)?.iter().find(|version| !version.is_preview())
    }

    /// The folder of the newest SDK. A preview is taken only where there is nothing else: it may need a preview of the
    /// runtime, which hostfxr does not roll forward to.
    pub fn sdk(&self) -> Option<PathBuf> {
        let newest = self.sdks.iter().find(|version| !version.is_preview()).or(self.sdks.first())?;
        Some(self.root.join("sdk").join(newest.to_string()))
    }

    /// The `dotnet` program; absent from a root that was laid out without it.
    pub fn muxer(&self) -> Option<PathBuf> {
        Some(self.root.join("dotnet")).filter(|file| file.is_file())
    }

    fn satisfies(&self, wanted: &Wanted) -> Result<(), String> {
        self.has(CORE, &wanted.runtime)?;
        if wanted.aspnet {
            self.has(ASPNET, &wanted.runtime)?;
        }
        if wanted.sdk && self.sdks.is_empty() {
            return Err("a runtime without an SDK".to_owned());
        }
        Ok(())
    }

    fn has(&self, framework: &str, least: &Version) -> Result<(), String> {
        match self.newest(framework) {
            Some(version) if version >= least => Ok(()),
            Some(version) => Err(format!("too old: {framework} {version}")),
            None if self.runtimes.contains_key(framework) => Err(format!("only a preview of {framework}")),
            None => Err(format!("no {framework}")),
        }
    }
}

/// Searches for a root that has what is wanted.
///
/// An `explicit` folder is the only place looked at when it is given. Otherwise, in this order, until one will do:
/// `DOTNET_ROOT_X64` (or `_ARM64`), `DOTNET_ROOT`, each `dotnet` on `PATH` with symbolic links resolved,
/// `/etc/dotnet/install_location_x64`, `/etc/dotnet/install_location`, `/usr/share/dotnet`, `/usr/lib/dotnet`,
/// `~/.dotnet`, and last the folder that [`LOCAL`] names. It is the order of hostfxr's own
/// resolver (dotnet/runtime `src/native/corehost/fxr_resolver.cpp`) with PATH added. A variable that names a broken
/// root is on record, and the search goes on.
pub fn search(machine: &Machine, explicit: Option<&Path>, wanted: &Wanted) -> Search<DotnetRoot> {
    let mut search = Search::new(describe(wanted), ADVICE);
    let candidates = match explicit {
        Some(root) => vec![("the given folder".to_owned(), Some(root.to_owned()))],
        None => candidates(machine),
    };
    let mut seen = Vec::new();
    for (place, root) in candidates {
        if search.found.is_some() {
            break;
        }
        match root {
            Some(root) if root.exists() => {
                let root = fs::canonicalize(&root).unwrap_or(root);
                if !seen.contains(&root) {
                    let verdict = judge(&root, &place, wanted);
                    seen.push(root.clone());
                    search.judge(&place, root, verdict);
                }
            }
            nothing => search.absent(&place, nothing),
        }
    }
    search
}

/// Searches for the root that a host starts: the first that has ASP.NET Core, which cannot be added to a started
/// runtime, or else the first that will do without. `polyhost-setup` and `polyhost doctor` decide by the same search.
pub fn search_for_host(machine: &Machine, explicit: Option<&Path>) -> Search<DotnetRoot> {
    let with_aspnet = search(machine, explicit, &Wanted { aspnet: true, ..Wanted::default() });
    if with_aspnet.found.is_some() { with_aspnet } else { search(machine, explicit, &Wanted::default()) }
}

/// Like [`search_for_host`] on this machine.
///
/// # Errors
/// [`NotFound`] with every place that was looked at and what was seen there.
pub fn find_for_host(explicit: Option<&Path>) -> Result<DotnetRoot, NotFound> {
    search_for_host(&Machine::current(), explicit).into_result()
}

/// Like [`search`] on this machine, for those who want the root or one error.
///
/// # Errors
/// [`NotFound`] with every place that was looked at and what was seen there.
pub fn find(explicit: Option<&Path>, wanted: &Wanted) -> Result<DotnetRoot, NotFound> {
    search(&Machine::current(), explicit, wanted).into_result()
}

/// Reads what is installed in a root.
///
/// # Errors
/// Says why the folder is no root that this process could start.
pub fn inspect(root: &Path, found_by: &str) -> Result<DotnetRoot, String> {
    let fxr = root.join("host/fxr");
    if !fxr.is_dir() {
        return Err("no .NET root: it has no host/fxr".to_owned());
    }
    let versions = versions_in(&fxr, "libhostfxr.so");
    let Some(hostfxr_version) = versions.into_iter().next() else {
        return Err("host/fxr has no libhostfxr.so".to_owned());
    };
    let hostfxr = fxr.join(hostfxr_version.to_string()).join("libhostfxr.so");
    check_elf(&hostfxr)?;
    let mut runtimes = BTreeMap::new();
    for name in folders_in(&root.join("shared")) {
        // Without its deps.json hostfxr does not see a framework.
        let versions = versions_in(&root.join("shared").join(&name), &format!("{name}.deps.json"));
        if !versions.is_empty() {
            runtimes.insert(name, versions);
        }
    }
    Ok(DotnetRoot {
        root: root.to_owned(),
        hostfxr,
        hostfxr_version,
        runtimes,
        sdks: versions_in(&root.join("sdk"), "dotnet.dll"),
        found_by: found_by.to_owned(),
    })
}

/// Whether ICU is there. Without it .NET ends the process at start, unless globalisation is invariant
/// (`DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1`).
pub fn has_icu(machine: &Machine) -> bool {
    let triplet = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let standard =
        [triplet.as_str(), "/usr/lib64", "/usr/lib", "/usr/local/lib", "/lib64"].map(|folder| machine.path(folder));
    let extra = machine.var("LD_LIBRARY_PATH").unwrap_or_default();
    std::env::split_paths(extra).chain(standard).any(|folder| {
        fs::read_dir(folder).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("libicuuc.so.")))
        })
    })
}

fn describe(wanted: &Wanted) -> String {
    let Version { major, minor, .. } = wanted.runtime;
    let aspnet = if wanted.aspnet { " with ASP.NET Core" } else { "" };
    let what = if wanted.sdk { "SDK" } else { "runtime" };
    format!(".NET {what} {major}.{minor} or newer{aspnet}")
}

fn candidates(machine: &Machine) -> Vec<(String, Option<PathBuf>)> {
    let mut list = Vec::new();
    for variable in VARIABLES {
        list.push((variable.to_owned(), machine.var_path(variable)));
    }
    let on_path = machine.on_path("dotnet");
    if on_path.is_empty() {
        list.push(("dotnet on PATH".to_owned(), None));
    }
    for program in on_path {
        // A distribution's /usr/bin/dotnet is a link into the root.
        let real = fs::canonicalize(&program).unwrap_or(program);
        list.push(("dotnet on PATH".to_owned(), real.parent().map(Path::to_owned)));
    }
    for file in [ARCH.location, "/etc/dotnet/install_location"] {
        let path = machine.path(file);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let named = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
        list.push((file.to_owned(), Some(named.map_or(path, PathBuf::from))));
    }
    for folder in ["/usr/share/dotnet", "/usr/lib/dotnet"] {
        list.push((folder.to_owned(), Some(machine.path(folder))));
    }
    let home = machine.var_path("HOME").map(|home| home.join(".dotnet"));
    list.push(("~/.dotnet".to_owned(), home));
    let local = machine.var_path(LOCAL);
    let registry = local.as_ref().map(|folder| folder.join("registry"));
    list.push((LOCAL.to_owned(), local));
    if let Some(registry) = registry {
        list.push((LOCAL.to_owned(), Some(registry)));
    }
    list
}

fn judge(root: &Path, place: &str, wanted: &Wanted) -> Result<DotnetRoot, String> {
    let found = inspect(root, place)?;
    found.satisfies(wanted)?;
    Ok(found)
}

/// The versions among a folder's subfolders that hold `file`, highest first.
fn versions_in(folder: &Path, file: &str) -> Vec<Version> {
    let mut versions: Vec<Version> = folders_in(folder)
        .filter(|name| folder.join(name).join(file).is_file())
        .filter_map(|name| name.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions
}

fn folders_in(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
}

/// A library of another architecture cannot be loaded; `dlopen` would say so much later and less clearly.
fn check_elf(library: &Path) -> Result<(), String> {
    let mut header = [0; 20];
    let read = fs::File::open(library).and_then(|mut file| file.read_exact(&mut header));
    if read.is_err() || !header.starts_with(b"\x7fELF") {
        return Err(format!("{} is no ELF library", library.display()));
    }
    let machine = u16::from_le_bytes([header[18], header[19]]);
    if machine != ARCH.elf {
        return Err(format!("built for another architecture (ELF machine {machine}, not {})", std::env::consts::ARCH));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
