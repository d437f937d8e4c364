//! The same calls into each language's conformance guest, and a chain through all of them in one process.

mod common;

use common::{Run, checkout, guest, polyhost, polyhost_with, required, run, runtime};
use polyhost_proto::conformance::v1::{CallServiceReply, CallServiceRequest};
use prost::Message;
use serde_json::{Value, json};

/// A language's conformance guest.
struct Guest {
    /// As `POLYHOST_REQUIRE` names its runtime.
    runtime: &'static str,
    scheme: &'static str,
    file: &'static str,
    /// What stands in the frames of its errors.
    source: &'static str,
    in_build: bool,
}

const CLR: Guest = Guest {
    runtime: "clr",
    scheme: "clr",
    file: "target/guests/Conformance/Conformance.dll",
    source: "ConformanceGuest.cs:",
    in_build: cfg!(feature = "clr"),
};
const CPYTHON: Guest = Guest {
    runtime: "cpython",
    scheme: "py",
    file: "python/tests/conformance_guest.py",
    source: "conformance_guest.py:",
    in_build: cfg!(feature = "cpython"),
};
const LUAJIT: Guest = Guest {
    runtime: "luajit",
    scheme: "lua",
    file: "lua/tests/conformance.lua",
    source: "conformance.lua:",
    in_build: cfg!(feature = "luajit"),
};

impl Guest {
    /// Where it is; `None`, with the reason printed, where it can't be had.
    fn location(&self) -> Option<String> {
        let missing = match self.missing() {
            None => return Some(format!("{}:{}", self.scheme, self.file)),
            Some(missing) => missing,
        };
        assert!(!required(self.runtime), "{} is required: {missing}", self.runtime);
        println!("skipped: {}: {missing}", self.runtime);
        None
    }

    /// Why it can't be had.
    fn missing(&self) -> Option<String> {
        if !self.in_build {
            return Some("it is not in this build".to_owned());
        }
        if !checkout().join(self.file).exists() {
            return Some(format!("there is no {}; run `make setup`", self.file));
        }
        let runtime = runtime(self.scheme);
        (runtime["status"] != "ok").then(|| runtime["summary"].to_string())
    }

    /// Runs every check on it.
    fn check(&self) {
        let Some(location) = self.location() else { return };
        let call = |method: &str, arguments: &[&str]| {
            let export = format!("conformance.v1.Conformance/{method}");
            polyhost(["call", &location, &export].iter().chain(arguments))
        };
        inspects(&location);
        assert_eq!("{\"sum\":\"7\"}\n", call("Add", &["--input", r#"{"n":7}"#]).text());
        assert_eq!("{\"sum\":\"7\"}\n", call("Add", &["--input", r#"{"n":7}"#, "--async"]).text());
        let times = call("Add", &["--input", r#"{"n":1}"#, "--times", "100"]);
        assert!(times.stderr.starts_with("100 calls: p50 "), "{}", times.stderr);
        assert_eq!("{\"sum\":\"100\"}\n", times.text());
        assert_eq!("hi", polyhost(["call", &*location, "raw/Echo", "--input", "hi"]).text());
        let request =
            json!({"fInt64": "-5", "fString": "Grüße", "rDouble": [1.5, "NaN"], "mBoolBytes": {"true": "AA=="}});
        assert_eq!(request, call("Echo", &["--input", &request.to_string()]).json());
        let context = call("Context", &["--metadata", "a=1", "--deadline", "1h"]).json();
        assert_eq!((&json!({"a": "1"}), &json!(true)), (&context["metadata"], &context["hasDeadline"]));
        let log = call("Log", &["--input", r#"{"level":"warn","message":"a line"}"#]).stderr;
        assert!(log.starts_with("WARN  ") && log.ends_with(": a line\n"), "{log}");
        self.fails(&call);
        call("Spin", &["--deadline", "50ms"]).fails(124, &["call conformance.v1.Conformance/Spin"]);
        polyhost(["call", &*location, "a.B/C"]).fails(1, &["no export a.B/C", "conformance.v1.Conformance/Add"]);
        polyhost(["inspect", &format!("{}:nowhere/{}", self.scheme, self.file)]).fails(1, &["nowhere"]);
        polyhost(["inspect", &location, "--option", "colour=red"]).fails(1, &["unknown option colour"]);
        let garbage = call("Add", &["--binary", "--input", "garbage"]);
        garbage.fails(1, &["call conformance.v1.Conformance/Add", "AddRequest"]);
    }

    fn fails(&self, call: &dyn Fn(&str, &[&str]) -> Run) {
        let input = r#"{"message":"boo","code":7,"depth":3}"#;
        call("Fail", &["--input", input]).fails(1, &["call conformance.v1.Conformance/Fail", "boo"]);
        let report = call("Fail", &["--input", input, "--verbose"]).stderr;
        assert!(report.contains("PERMISSION_DENIED") && report.contains(self.source), "{report}");
        let run = call("Fail", &["--input", input, "--json"]);
        let error: Value = serde_json::from_str(&run.stderr).expect("one line of JSON");
        assert_eq!(json!("PERMISSION_DENIED"), error["error"]["code"]);
    }
}

fn inspects(location: &str) {
    let it = polyhost(["inspect", location, "--json"]).json();
    let exports: Vec<_> = it["exports"].as_array().expect("a list").iter().filter_map(|e| e["name"].as_str()).collect();
    assert!(exports.contains(&"conformance.v1.Conformance/Echo") && exports.contains(&"raw/Echo"), "{exports:?}");
    let messages = it["messages"].as_array().expect("a list");
    let all = messages.iter().find(|m| m["name"] == "conformance.v1.AllTypes").expect("it is described");
    assert!(all["fields"].as_array().is_some_and(|fields| fields.len() > 40));
}

#[test]
fn csharp_does_all_of_it() {
    CLR.check();
}

#[test]
fn python_does_all_of_it() {
    CPYTHON.check();
}

#[test]
fn lua_does_all_of_it() {
    LUAJIT.check();
}

#[test]
fn a_load_without_end_is_stopped_by_its_deadline() {
    if LUAJIT.location().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("endless.lua");
    std::fs::write(&file, "while true do end").expect("writes");
    let location = format!("lua:{}", file.display());
    polyhost(["inspect", &*location, "--load-deadline", "20ms"]).fails(124, &["the deadline has passed"]);
}

/// A request to call `service` with `input`.
fn request(service: &str, input: impl Into<Vec<u8>>) -> Vec<u8> {
    CallServiceRequest { service: service.into(), input: input.into(), ..CallServiceRequest::default() }.encode_to_vec()
}

#[test]
fn all_languages_call_each_other_in_one_process() {
    const CALL: &str = "conformance.v1.Conformance/CallService";
    let guests: Vec<_> = [LUAJIT, CPYTHON, CLR].iter().filter_map(Guest::location).collect();
    if guests.len() < 2 {
        println!("skipped: there are no two languages to call each other");
        return;
    }
    // Each guest is told to call the one before it, the first of them Rust.
    let mut services = vec![format!("s0={}#raw/Echo", guest())];
    let mut input = request("s0", "hi");
    let (outermost, others) = guests.split_last().expect("two at least");
    for (at, location) in others.iter().enumerate() {
        services.push(format!("s{}={location}#{CALL}", at + 1));
        input = request(&format!("s{}", at + 1), input);
    }
    let linked = services.iter().flat_map(|service| ["--service", service]);
    let arguments = ["call", outermost, CALL, "--binary", "--input", "-", "--output", "binary"];
    let run = polyhost_with(&input, arguments.into_iter().chain(linked));
    assert_eq!(Some(0), run.code(), "{}", run.stderr);
    // One envelope for each guest.
    let mut reply = run.stdout;
    for _ in &guests {
        reply = CallServiceReply::decode(&*reply).expect("a reply").output;
    }
    assert_eq!(b"hi"[..], reply);
}

#[test]
fn a_failure_at_the_end_of_the_chain_shows_every_language() {
    const CALL: &str = "conformance.v1.Conformance/CallService";
    let guests: Vec<_> =
        [LUAJIT, CPYTHON, CLR].into_iter().filter_map(|guest| guest.location().map(|at| (guest, at))).collect();
    let Some(((_, outermost), others)) = guests.split_last() else {
        println!("skipped: there is no language to fail in");
        return;
    };
    let mut services = vec![format!("s0={}#conformance.v1.Conformance/Fail", guest())];
    let mut input = request("s0", b"\x0a\x02no\x10\x07");
    for (at, (_, location)) in others.iter().enumerate() {
        services.push(format!("s{}={location}#{CALL}", at + 1));
        input = request(&format!("s{}", at + 1), input);
    }
    let linked = services.iter().flat_map(|service| ["--service", service]);
    let arguments = ["call", outermost, CALL, "--binary", "--input", "-", "--verbose"];
    let run = polyhost_with(&input, arguments.into_iter().chain(linked));
    assert_eq!(Some(1), run.code());
    for part in guests.iter().map(|(guest, _)| guest.source).chain(["conformance.rs:", "PERMISSION_DENIED"]) {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
}

#[test]
fn the_examples_of_the_help_work() {
    if [CLR, CPYTHON, LUAJIT].iter().any(|guest| guest.location().is_none()) {
        return;
    }
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_polyhost")).parent().expect("a folder");
    let others = std::env::var("PATH").expect("there is one");
    for command in ["inspect", "call"] {
        let help = polyhost([command, "--help"]).text();
        let (_, examples) = help.split_once("Examples").expect("there are examples");
        // A line that goes on ends in `\\` or `|`, and what goes on is indented further.
        let joined = examples.replace("\\\n    ", " ").replace("|\n    ", "| ");
        let lines: Vec<_> =
            joined.lines().filter(|line| line.starts_with("  ") && line.contains("polyhost ")).collect();
        assert!(lines.len() >= 3, "{examples}");
        for line in lines {
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", line]).current_dir(checkout()).env_remove("VIRTUAL_ENV");
            let run = run(shell.env("PATH", format!("{}:{others}", program.display())));
            let expected = if line.contains("--deadline") { 124 } else { 0 };
            assert_eq!(Some(expected), run.code(), "{line}\n{}", run.stderr);
        }
    }
}
