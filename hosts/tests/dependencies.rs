//! Who may know whom, and where code may be unsafe.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What knows no language.
const BRIDGE: [&str; 4] = ["polyhost-bridge", "polyhost-http", "polyhost-proto", "polyhost-testkit"];
/// What travels with a host, and finds its runtime.
const COMPANIONS: [&str; 4] = ["polyhost-dotnet", "polyhost-python", "polyhost-lua", "polyhost-toolchain"];
const HOSTS: [&str; 4] = ["polyhost-native", "polyhost-clr", "polyhost-cpython", "polyhost-luajit"];
/// What may know all hosts.
const ABOVE: [&str; 3] = ["polyhost", "polyhost-cli", "polyhost-bench"];

#[test]
fn every_package_has_its_place() {
    for name in packages().into_keys() {
        let places = [&BRIDGE[..], &COMPANIONS, &HOSTS, &ABOVE];
        assert!(places.iter().any(|place| place.contains(&&*name)), "{name}: say here what it may know");
    }
}

#[test]
fn the_bridge_knows_no_host() {
    for name in BRIDGE {
        check_knows_none(name, &[&HOSTS[..], &COMPANIONS, &ABOVE].concat());
    }
}

#[test]
fn a_host_knows_no_other_host() {
    for name in HOSTS {
        let others: Vec<_> = HOSTS.into_iter().filter(|other| *other != name).chain(ABOVE).collect();
        check_knows_none(name, &others);
    }
}

#[test]
fn what_travels_with_a_host_knows_neither_host_nor_bridge() {
    for name in COMPANIONS {
        check_knows_none(name, &[&HOSTS[..], &ABOVE, &["polyhost-bridge", "polyhost-testkit"]].concat());
    }
}

#[test]
fn a_feature_brings_nothing_of_another_host() {
    let lines = include_str!("dependencies/forbidden.txt").lines().filter(|line| !line.starts_with('#'));
    let mut seen = BTreeSet::new();
    for line in lines {
        let (feature, forbidden) = line.split_once(": ").expect("`feature: crate crate …`");
        let tree = match feature {
            "bridge" => tree("polyhost-bridge", ""),
            "none" => tree("polyhost", ""),
            feature => tree("polyhost", feature),
        };
        let found: Vec<_> = forbidden.split_whitespace().filter(|name| tree.contains(*name)).collect();
        assert!(
            found.is_empty(),
            "{feature} brings {}: see `cargo tree -p polyhost -F {feature} -i …`",
            found.join(", ")
        );
        seen.insert(feature.to_owned());
    }
    let features = features_of_the_facade();
    let missing: Vec<_> = features.iter().filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "no line in forbidden.txt for {missing:?}");
}

#[test]
fn unsafe_code_is_where_it_may_be() {
    let root = workspace();
    let mut wrong = Vec::new();
    // The bench compares with hand-written calls, and counts allocations.
    for folder in packages().into_iter().filter(|(name, _)| name != "polyhost-bench").map(|(_, folder)| folder) {
        for file in rust_files(&folder.join("src")) {
            let inside = file.strip_prefix(&root).expect("is in the workspace").to_owned();
            let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let stem = |part: &String| part.trim_end_matches(".rs").to_owned();
            let allowed = parts.iter().map(stem).any(|part| part == "ffi")
                || inside.starts_with("bridge/src")
                    && parts.iter().map(stem).any(|part| ["abi", "output", "boundary"].contains(&&*part));
            let text = std::fs::read_to_string(&file).expect("can be read");
            if !allowed && let Some(line) = text.lines().position(is_unsafe) {
                wrong.push(format!("{}:{}", inside.display(), line + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe outside of abi, output, boundary and ffi: {}", wrong.join(", "));
}

/// Whether a line has unsafe code, and does not only speak of it.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe("].iter().any(|form| code.contains(form))
}

fn check_knows_none(name: &str, forbidden: &[&str]) {
    let mut known = BTreeSet::new();
    let all = dependencies();
    let mut next = vec![name.to_owned()];
    while let Some(name) = next.pop() {
        for dependency in all.get(&name).into_iter().flatten() {
            if known.insert(dependency.clone()) {
                next.push(dependency.clone());
            }
        }
    }
    let found: Vec<_> = forbidden.iter().filter(|it| known.contains(**it)).collect();
    assert!(found.is_empty(), "{name} knows {found:?}");
}

/// The packages of the workspace, with their folders.
fn packages() -> BTreeMap<String, PathBuf> {
    let of = |package: &serde_json::Value| {
        let manifest = PathBuf::from(package["manifest_path"].as_str()?);
        Some((package["name"].as_str()?.to_owned(), manifest.parent()?.to_owned()))
    };
    metadata()["packages"].as_array().expect("lists packages").iter().filter_map(of).collect()
}

/// What each package of the workspace depends on within it, tests and build scripts included; but a host's tests may
/// have Rust closures as services.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let of = |package: &serde_json::Value| {
        let closures = |it: &serde_json::Value| it["kind"] == "dev" && it["name"] == "polyhost-native";
        let local = |it: &serde_json::Value| {
            it["path"].as_str().filter(|_| !closures(it)).and(it["name"].as_str()).map(str::to_owned)
        };
        let list = package["dependencies"].as_array()?.iter().filter_map(local).collect();
        Some((package["name"].as_str()?.to_owned(), list))
    };
    metadata()["packages"].as_array().expect("lists packages").iter().filter_map(of).collect()
}

fn features_of_the_facade() -> Vec<String> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("lists packages");
    let facade = packages.iter().find(|it| it["name"] == "polyhost").expect("is one of them");
    let names = facade["features"].as_object().expect("has features").keys().cloned();
    names.filter(|name| !["default", "full"].contains(&&**name)).collect()
}

/// The crates that a package with a feature is built from, build scripts included.
fn tree(package: &str, feature: &str) -> BTreeSet<String> {
    let arguments = ["tree", "--package", package, "--no-default-features", "--features", feature];
    let text = cargo(&[&arguments[..], &["--edges", "normal,build", "--prefix", "none", "--format", "{p}"]].concat());
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn metadata() -> serde_json::Value {
    serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).expect("is JSON")
}

fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(arguments).arg("--offline").current_dir(workspace()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("is text")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is hosts/").to_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("can be read").map(|entry| entry.expect("can be read").path());
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}
