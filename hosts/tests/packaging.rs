//! A program that is built from the packed crates, as a user of crates.io builds it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first program in it and what that asks for are built here.
const README: &str = include_str!("../../README.md");

#[test]
fn a_program_builds_and_runs_from_the_packed_crates() {
    let target = target();
    let packed = target.join("packaging");
    let mut package = cargo(&workspace());
    // Not verified one by one: the program below builds them together.
    package
        .args(["package", "--workspace", "--no-verify", "--allow-dirty", "--quiet"])
        .arg("--target-dir")
        .arg(&packed);
    run(&mut package);

    let folder = packed.join("program");
    // Left by an earlier run; where there was none, there is nothing to remove.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("src/bin")).expect("the target folder can be written to");
    let patches = unpack(&packed.join("package"), &folder);
    assert!(patches.contains("polyhost-luajit"), "{patches}");
    let manifest = format!(
        "[package]\nname = \"program\"\nedition = \"2024\"\n\n[dependencies]\n\
         polyhost = {{ version = \"0.1\", features = {} }}\n\n[patch.crates-io]\n{patches}\n[workspace]\n",
        features()
    );
    write(&folder.join("Cargo.toml"), &manifest);
    write(&folder.join("src/main.rs"), include_str!("packaging/program.rs"));
    // Built and not run: it takes a .NET and guests.
    write(&folder.join("src/bin/readme.rs"), block("```rust,no_run"));
    // The versions that this workspace was tested with, which are on this machine already.
    std::fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).expect("can be copied");

    // In the folder of this build: what does not come from here is built already.
    run(cargo(&folder).args(["build", "--quiet"]).arg("--target-dir").arg(&target));
    let said = run(&mut Command::new(target.join("debug/program")));
    assert_eq!("HELLO!\n", said);
}

/// The features that the README's dependency has. LuaJIT and native code run; .NET is there to see that what it embeds
/// was packed. Python would have to be linked.
fn features() -> &'static str {
    let dependency = block("```toml\n").lines().find(|line| line.starts_with("polyhost = ")).expect("a dependency");
    let list = dependency.split_once("features = ").expect("with features").1;
    list.trim_end_matches(" }")
}

/// The first block of the README that begins so.
fn block(begin: &str) -> &'static str {
    let rest = README.split_once(begin).unwrap_or_else(|| panic!("the README has no {begin}")).1;
    rest.split_once("```").expect("a block ends").0
}

/// Unpacks every crate and returns the lines that have cargo take them from there.
fn unpack(packages: &Path, folder: &Path) -> String {
    let mut patches = String::new();
    for entry in std::fs::read_dir(packages).expect("cargo has packed them") {
        let file = entry.expect("can be read").path();
        let Some(stem) = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".crate")) else { continue };
        // As of now: all packed files are dated 2006, and cargo would build none of them again.
        run(Command::new("tar").arg("xzmf").arg(&file).arg("-C").arg(folder));
        let (name, _version) = stem.rsplit_once('-').expect("NAME-VERSION.crate");
        writeln!(patches, "{name} = {{ path = \"{stem}\" }}").expect("a text grows");
    }
    patches
}

fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("--offline").current_dir(folder);
    // What cargo has told this test about its own package is about another one there.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG")) {
        cargo.env_remove(name);
    }
    cargo
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("is text")
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// This test is in `TARGET/PROFILE/deps`.
fn target() -> PathBuf {
    let program = std::env::current_exe().expect("the program knows where it is");
    program.ancestors().nth(3).expect("it is in deps").to_owned()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is hosts/").to_owned()
}
