//! What `doctor` tells; also in a build without any host.

mod common;

use common::{command, polyhost, run};
use serde_json::{Value, json};

fn runtime<'a>(report: &'a Value, scheme: &str) -> &'a Value {
    let runtimes = report["runtimes"].as_array().expect("a list");
    runtimes.iter().find(|it| it["scheme"] == scheme).expect("every runtime has its place")
}

/// The report of a run that may have found something missing; its exit code has to agree with it.
fn report(arguments: &[&str]) -> Value {
    let run = polyhost(["doctor", "--json"].iter().chain(arguments));
    let report: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let fine = |it: &Value| it["in_build"] == false || it["status"] == "ok";
    let all = report["runtimes"].as_array().expect("a list").iter().all(fine);
    assert_eq!(json!(all), report["ok"]);
    assert_eq!(Some(if all { 0 } else { 1 }), run.code(), "{}", run.stderr);
    assert_eq!("", run.stderr);
    report
}

#[test]
fn looks_at_every_runtime_and_starts_none() {
    let report = report(&[]);
    for (scheme, in_build) in [
        ("native", true),
        ("clr", cfg!(feature = "clr")),
        ("py", cfg!(feature = "cpython")),
        ("lua", cfg!(feature = "luajit")),
    ] {
        let it = runtime(&report, scheme);
        assert_eq!((json!(in_build), json!(null)), (it["in_build"].clone(), it["started"].clone()), "{scheme}");
    }
    assert!(runtime(&report, "clr")["looked"].as_array().is_some_and(|list| !list.is_empty()));
    assert!(report["machine"]["memory_total"].as_u64() > Some(0));
    assert!(report["process"]["main_thread"]["alternate"].as_u64() > Some(0));
    let signals = report["signals"].as_array().expect("a list");
    let pipe = signals.iter().find(|it| it["name"] == "SIGPIPE").expect("there");
    assert_eq!((&json!("ignored"), &json!(null)), (&pipe["before"], &pipe["after"]));
}

#[test]
fn says_what_to_do_where_dotnet_is_missing() {
    // A folder without anything, and none of the variables that could name a root.
    let empty = tempfile::tempdir().expect("a folder");
    let mut command = command(["doctor"]);
    command.env_clear().env("HOME", empty.path()).env("PATH", empty.path()).env("DOTNET_ROOT", empty.path());
    let run = run(&mut command);
    let text = String::from_utf8(run.stdout).expect("text");
    if text.contains("framework: Microsoft.NETCore.App") {
        println!("skipped: .NET is in a standard folder of this machine, which no variable can hide");
        return;
    }
    assert_eq!(Some(if cfg!(feature = "clr") { 1 } else { 0 }), run.status.code(), "{text}");
    for part in ["no .NET runtime 8.0 or newer found", "to do: install .NET 8", "looked at: DOTNET_ROOT ("] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn says_which_python_settings_are_passed_over() {
    if !cfg!(feature = "cpython") {
        println!("skipped: Python is not in this build");
        return;
    }
    let empty = tempfile::tempdir().expect("a folder");
    let mut command = command(["doctor"]);
    command.env("VIRTUAL_ENV", empty.path()).env("POLYHOST_PYTHON", "/nowhere/python");
    let text = String::from_utf8(run(&mut command).stdout).expect("text");
    for part in ["passed over: VIRTUAL_ENV=", "passed over: POLYHOST_PYTHON=/nowhere/python: ", "packages of: "] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    // It has all that is looked at, but no interpreter.
    let version = text.split_once("built for: ").expect("a fact").1.lines().next().expect("a line");
    let minor = version.split('.').take(2).collect::<Vec<_>>().join(".");
    std::fs::create_dir_all(empty.path().join(format!("lib/python{minor}"))).expect("made");
    let run = run(command.env_remove("POLYHOST_PYTHON"));
    let text = String::from_utf8(run.stdout).expect("text");
    assert_eq!(Some(1), run.status.code(), "{text}");
    for part in ["it will not start: there is no interpreter ", "python3 -m venv", "VIRTUAL_ENV"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn starts_what_the_build_has_and_shows_what_changed() {
    let report = report(&["--start"]);
    assert!(runtime(&report, "native")["started"]["version"].is_string());
    for scheme in ["clr", "py", "lua"] {
        let it = runtime(&report, scheme);
        assert_eq!(it["in_build"] == true && it["status"] == "ok", it["started"].is_object(), "{it}");
    }
    let signals = report["signals"].as_array().expect("a list");
    assert!(signals.iter().all(|it| it["after"].is_string()));
    let changed = signals.iter().any(|it| it["after"] != it["before"]);
    assert_eq!(runtime(&report, "clr")["started"].is_object(), changed, ".NET handles signals, and no other does");
    if cfg!(feature = "luajit") {
        let lua = runtime(&report, "lua");
        assert_eq!(json!("ok"), lua["status"], "{lua}");
        let facts = lua["facts"].as_array().expect("a list");
        assert!(facts.iter().any(|it| it["name"] == "endless loop"), "{lua}");
    }
}

#[test]
fn is_plain_text_in_a_pipe() {
    let run = polyhost(["doctor", "--verbose"]);
    let text = String::from_utf8(run.stdout).expect("text");
    assert!(!text.contains('\x1b'));
    for part in ["\nruntimes\n", "\nmachine\n", "\nprocess\n", "\nsignals\n", "SIGRTMIN+1", "looked at: "] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
