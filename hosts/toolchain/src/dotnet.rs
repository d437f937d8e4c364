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
                      folder of one";

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

    /// The folder of the highest SDK.
    pub fn sdk(&self) -> Option<PathBuf> {
        let newest = self.sdks.first()?;
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
        let named = fs::read_to_string(machine.path(file)).ok();
        let folder = named
            .as_deref()
            .and_then(|text| text.lines().next())
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(PathBuf::from);
        list.push((file.to_owned(), folder));
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
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A folder that stands for `/`, filled with roots that hold real files with nothing in them.
    struct Disk(TempDir);

    impl Disk {
        fn new() -> Self {
            Self(TempDir::new().expect("a temporary folder"))
        }

        fn machine(&self) -> Machine {
            Machine::at(self.0.path())
        }

        fn path(&self, inside: &str) -> PathBuf {
            fs::canonicalize(self.0.path()).expect("it exists").join(inside)
        }

        fn write(&self, file: &str, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.path(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(&path, content).expect("written");
            path
        }

        fn root(&self, at: &str, core: &str) -> PathBuf {
            self.hostfxr(at, core, ARCH.elf);
            self.framework(at, CORE, core);
            self.path(at)
        }

        fn hostfxr(&self, at: &str, version: &str, machine: u16) {
            let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
            elf.extend(machine.to_le_bytes());
            self.write(&format!("{at}/host/fxr/{version}/libhostfxr.so"), elf);
        }

        fn framework(&self, at: &str, name: &str, version: &str) {
            self.write(&format!("{at}/shared/{name}/{version}/{name}.deps.json"), "{}");
        }
    }

    fn found(machine: &Machine) -> DotnetRoot {
        search(machine, None, &Wanted::default()).into_result().expect("found")
    }

    #[test]
    fn takes_the_first_place_of_the_order_that_will_do() {
        let disk = Disk::new();
        let mut machine = disk.machine();
        let check = |machine: &Machine, root: PathBuf, by: &str| {
            let found = found(machine);
            assert_eq!((found.root, found.found_by.as_str()), (root, by));
        };
        let local = disk.root("project", "8.0.1");
        machine = machine.with(LOCAL, &local);
        check(&machine, local, LOCAL);
        let home = disk.root("home/.dotnet", "8.0.1");
        machine = machine.with("HOME", disk.path("home"));
        check(&machine, home, "~/.dotnet");
        let lib = disk.root("usr/lib/dotnet", "8.0.1");
        check(&machine, lib, "/usr/lib/dotnet");
        let share = disk.root("usr/share/dotnet", "8.0.1");
        check(&machine, share, "/usr/share/dotnet");
        let anywhere = disk.root("opt/a", "8.0.1");
        disk.write("etc/dotnet/install_location", format!("{}\n", anywhere.display()));
        check(&machine, anywhere, "/etc/dotnet/install_location");
        let arch = disk.root("opt/b", "8.0.1");
        disk.write(ARCH.location.trim_start_matches('/'), format!("{}\n", arch.display()));
        check(&machine, arch, ARCH.location);
        let named = disk.root("opt/c", "8.0.1");
        machine = machine.with("DOTNET_ROOT", &named);
        check(&machine, named, "DOTNET_ROOT");
        let for_arch = disk.root("opt/d", "8.0.1");
        machine = machine.with(ARCH.variable, &for_arch);
        check(&machine, for_arch, ARCH.variable);
    }

    #[cfg(unix)]
    #[test]
    fn resolves_the_link_on_path() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let disk = Disk::new();
        let root = disk.root("usr/lib64/dotnet", "9.0.7");
        let program = disk.write("usr/lib64/dotnet/dotnet", "");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
        fs::create_dir_all(disk.path("usr/bin")).expect("made");
        symlink(&program, disk.path("usr/bin/dotnet")).expect("linked");
        let machine = disk.machine().with("PATH", disk.path("usr/bin"));
        let found = found(&machine);
        assert_eq!((found.root, found.found_by.as_str()), (root, "dotnet on PATH"));
    }

    #[test]
    fn goes_on_after_a_broken_variable_and_keeps_it_on_record() {
        let disk = Disk::new();
        let good = disk.root("usr/lib/dotnet", "8.0.1");
        let machine = disk.machine().with("DOTNET_ROOT", disk.path("gone"));
        let search = search(&machine, None, &Wanted::default());
        assert_eq!(search.found.as_ref().map(|f| &f.root), Some(&good));
        let record = search.looked[1].to_string();
        assert!(record.starts_with("DOTNET_ROOT ("), "{record}");
        assert!(record.ends_with("gone): nothing there"), "{record}");
    }

    #[test]
    fn looks_nowhere_else_when_a_folder_is_given() {
        let disk = Disk::new();
        disk.root("usr/lib/dotnet", "8.0.1");
        let given = disk.path("given");
        let search = search(&disk.machine(), Some(&given), &Wanted::default());
        assert_eq!(search.looked.len(), 1);
        let error = search.into_result().expect_err("nothing there").to_string();
        assert!(error.contains("the given folder ("), "{error}");
    }

    #[test]
    fn one_error_tells_every_place_and_what_was_seen() {
        let disk = Disk::new();
        disk.root("old", "6.0.36");
        disk.hostfxr("usr/lib/dotnet", "9.0.7", ARCH.elf + 1);
        disk.write("usr/share/dotnet/dotnet", "");
        disk.hostfxr("home/.dotnet", "9.0.7", ARCH.elf);
        disk.root("local", "11.0.0-preview.2");
        let machine = disk
            .machine()
            .with("DOTNET_ROOT", disk.path("old"))
            .with("HOME", disk.path("home"))
            .with(LOCAL, disk.path("local"));
        let error = search(&machine, None, &Wanted::default()).into_result().expect_err("none will do").to_string();
        for part in [
            "no .NET runtime 8.0 or newer found",
            "old): too old: Microsoft.NETCore.App 6.0.36",
            "dotnet on PATH: not set",
            "no .NET root: it has no host/fxr",
            "built for another architecture",
            ".dotnet): no Microsoft.NETCore.App",
            "only a preview of Microsoft.NETCore.App",
            "set DOTNET_ROOT",
        ] {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }

    #[test]
    fn asks_for_aspnet_and_an_sdk_where_wanted() {
        let disk = Disk::new();
        disk.root("usr/share/dotnet", "8.0.1");
        let full = disk.root("usr/lib/dotnet", "8.0.1");
        disk.framework("usr/lib/dotnet", ASPNET, "8.0.1");
        disk.write("usr/lib/dotnet/sdk/8.0.100/dotnet.dll", "");
        let wanted = Wanted { aspnet: true, sdk: true, ..Wanted::default() };
        let search = search(&disk.machine(), None, &wanted);
        assert_eq!(search.found.expect("the second").root, full);
    }

    #[test]
    fn prefers_a_root_with_aspnet_for_a_host_but_does_without() {
        let disk = Disk::new();
        let plain = disk.root("usr/share/dotnet", "8.0.1");
        let chosen = || search_for_host(&disk.machine(), None).found.map(|found| found.root);
        assert_eq!(chosen(), Some(plain));
        let web = disk.root("usr/lib/dotnet", "8.0.1");
        disk.framework("usr/lib/dotnet", ASPNET, "8.0.1");
        assert_eq!(chosen(), Some(web));
    }

    #[test]
    fn prefers_the_highest_version_by_number() {
        let disk = Disk::new();
        disk.root("r", "9.0.10");
        disk.root("r", "9.0.9");
        disk.root("r", "10.0.0-rc.1");
        for sdk in ["9.0.100", "10.0.401"] {
            disk.write(&format!("r/sdk/{sdk}/dotnet.dll"), "");
        }
        let found = inspect(&disk.path("r"), "test").expect("a root");
        assert_eq!(found.hostfxr_version.to_string(), "10.0.0-rc.1");
        assert_eq!(found.newest(CORE), Some(&Version::new(9, 0, 10)));
        assert_eq!(found.sdk(), Some(disk.path("r/sdk/10.0.401")));
    }

    #[test]
    fn prefers_a_real_root_over_the_one_from_registries() {
        let disk = Disk::new();
        let registry = disk.root("local/registry", "9.0.7");
        let machine = disk.machine().with(LOCAL, disk.path("local"));
        assert_eq!(found(&machine).root, registry);
        let real = disk.root("local", "8.0.1");
        assert_eq!(found(&machine).root, real);
    }

    #[test]
    fn sees_icu_by_its_versioned_library() {
        let disk = Disk::new();
        assert!(!has_icu(&disk.machine()));
        disk.write("usr/lib/libicuuc.so.72", "");
        assert!(has_icu(&disk.machine()));
    }
}
