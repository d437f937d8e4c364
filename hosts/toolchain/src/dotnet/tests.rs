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
        "dotnet on PATH: none",
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
fn takes_the_newest_sdk_that_is_a_release_before_a_preview() {
    let disk = Disk::new();
    disk.root("r", "10.0.12");
    let check = |added: &str, newest: &str| {
        disk.write(&format!("r/sdk/{added}/dotnet.dll"), "");
        let found = inspect(&disk.path("r"), "test").expect("a root");
        assert_eq!(found.sdk(), Some(disk.path("r/sdk").join(newest)));
    };
    check("11.0.100-preview.1", "11.0.100-preview.1");
    check("9.0.300", "9.0.300");
    check("10.0.401", "10.0.401");
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
