//! `.cargo/config.toml`, not in git: what a plain `cargo run` or `cargo test` must know of this checkout.

use std::fs;

use super::files::write_if_changed;
use super::{Project, Result, python, say};
use crate::dotnet::{LOCAL, has_icu};

/// The first line of a file that is ours to write.
const MARKER: &str = "# Written by polyhost-setup; not in git. Remove this line to keep your own changes.";

/// Writes the file, or says what to add where the user has one of their own.
///
/// Nothing in it overrides a variable that is set: cargo's `[env]` does not without `force`.
///
/// # Errors
/// When it cannot be written.
pub fn write(project: &Project) -> Result<()> {
    let path = project.root().join(".cargo/config.toml");
    let old = fs::read_to_string(&path).ok();
    let env = env(project);
    if let Some(old) = old.filter(|text| !text.starts_with(MARKER)) {
        let missing = env.lines().filter(|line| !old.contains(line));
        for line in missing {
            say(format_args!(".cargo/config.toml is your own; it needs, under [env]: {line}"));
        }
        return Ok(());
    }
    write_if_changed(&path, &format!("{MARKER}\n[env]\n{env}"))?;
    Ok(())
}

fn env(project: &Project) -> String {
    let mut lines = format!("{LOCAL} = {{ value = \".dotnet\", relative = true }}\n");
    if python::is_ready(project) {
        lines += "PYO3_PYTHON = { value = \".venv/bin/python\", relative = true }\n";
    }
    if !has_icu(project.machine()) {
        lines += "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT = \"1\"\n";
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Machine;
    use tempfile::TempDir;

    fn checkout() -> (TempDir, Project) {
        let disk = TempDir::new().expect("a temporary folder");
        let crate_folder = disk.path().join("hosts/toolchain");
        fs::create_dir_all(&crate_folder).expect("made");
        fs::write(crate_folder.join("Cargo.toml"), "").expect("written");
        let machine = Machine::at(disk.path());
        let project = Project::around(disk.path(), machine).expect("a checkout");
        (disk, project)
    }

    #[test]
    fn writes_its_own_file_and_leaves_the_users() {
        let (disk, project) = checkout();
        let path = disk.path().join(".cargo/config.toml");
        write(&project).expect("written");
        let ours = fs::read_to_string(&path).expect("there");
        assert!(ours.contains("[env]\nPOLYHOST_DOTNET = { value = \".dotnet\", relative = true }\n"));
        assert!(!ours.contains("PYO3_PYTHON"), "there is no .venv");
        assert!(ours.contains("INVARIANT"), "there is no ICU on this disk");
        fs::create_dir_all(disk.path().join("usr/lib")).expect("made");
        fs::write(disk.path().join("usr/lib/libicuuc.so.72"), "").expect("written");
        write(&project).expect("written again");
        assert!(!fs::read_to_string(&path).expect("there").contains("INVARIANT"));
        let users = "[net]\noffline = true\n";
        fs::write(&path, users).expect("written");
        write(&project).expect("left alone");
        assert_eq!(fs::read_to_string(&path).expect("there"), users);
    }
}
