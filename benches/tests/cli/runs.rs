//! Runs, with guests that behave and others.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use crate::program::{Ran, bench, guest, run};
use polyhost_bench::result;
use polyhost_bench::result::schema::{ACCOUNT, Outcome, RunResult, StartOutcome};

/// A run of modules of ours with one request.
fn modules(folder: &Path, modules: &[(&str, &str)], request: impl AsRef<[u8]>, more: &[&str]) -> Ran {
    let input = folder.join("input");
    std::fs::write(&input, request).expect("the folder can be written to");
    let mut arguments = vec!["run", "--quick", "--input", input.to_str().expect("a name in UTF-8")];
    for (module, export) in modules {
        arguments.extend(["--module", module, "--export", export]);
    }
    arguments.extend(more);
    run(&arguments)
}

fn read(path: &Path) -> RunResult {
    result::read(path).expect("it is a result")
}

/// Why the cell of this contender has no number.
fn failure<'a>(result: &'a RunResult, contender: &str) -> &'a str {
    let cell = result.cells.iter().find(|cell| cell.contender == contender).expect("it has a cell");
    match &cell.outcome {
        Outcome::Failed(reason) => reason,
        other => panic!("{contender}: {other:?}"),
    }
}

fn is_measured(result: &RunResult, contender: &str) -> bool {
    let cell = result.cells.iter().find(|cell| cell.contender == contender).expect("it has a cell");
    matches!(cell.outcome, Outcome::Measured(_))
}

#[test]
fn the_list_names_workloads_contenders_and_checks() {
    let listed = run(&["list"]);
    assert_eq!(Some(0), listed.code);
    for name in
        ["echo", "http", "native", "clib", "luajit", "cpython", "clr", "nginx-kestrel", "start.clr", "http.memory"]
    {
        assert!(listed.out.contains(&format!("  {name} ")), "{name}: {}", listed.out);
    }
}

/// Cargo tells its programs where this checkout's .NET is; a program that was built finds it by itself.
#[test]
fn what_is_here_does_not_depend_on_cargo() {
    let by_cargo = run(&["list"]).out;
    let output = bench().arg("list").env_remove("POLYHOST_DOTNET").output().expect("it starts");
    assert_eq!(by_cargo, String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_is_unknown_lists_the_known() {
    for (arguments, says) in [
        (&["run", "--workload", "ecko"][..], "no workload ecko; there are: echo"),
        (&["run", "--runtime", "jvm"], "no contender jvm; there are: native, clib, clr"),
        (&["run", "--workload", "echo", "--contender", "native,kestrel"], "kestrel has no part in echo; "),
        (&["run", "--contender", "clr", "--workload", "http,sum,echp"], "no workload echp; there are: echo"),
        (&["run", "--suite", "targets", "--only", "nope"], "no check begins with nope; there are: start.clr"),
        (&["run", "--module", "jvm:a.jar", "--export", "a", "--input", "Cargo.toml"], "no runtime jvm"),
        (&["run", "--module", "lua:a.lua", "--export", "a", "--input", "/no/such/file"], "cannot read /no/such/file"),
        (&["run", "--module", "lua:a.lua"], "--export"),
        (&["run", "--payload", "1G"], "a number of bytes"),
        (&["run", "--quick", "--full"], "cannot be used with"),
    ] {
        let ran = run(arguments);
        assert_eq!(Some(2), ran.code, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(says) && ran.out.is_empty(), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn contenders_are_measured_side_by_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments =
        ["run", "--quick", "--workload", "echo", "--contender", "native,clib,clr,lua,py", "--payload", "64,64K"];
    let out = folder.path().join("a.json");
    let ran = run(
        &[&arguments[..], &["--rate", "500", "--concurrency", "2", "--out", out.to_str().expect("UTF-8")]].concat()
    );
    assert_eq!(Some(0), ran.code, "{}", ran.err);
    assert!(ran.out.contains("echo, 64 KiB, 2 callers") && ran.out.contains("from the intended send"), "{}", ran.out);
    let result = read(&out);
    // .NET may not be there; then it says so.
    let there = result.contenders.iter().filter(|it| it.skipped.is_none()).count();
    assert!(there == 5 || ran.out.contains("skipped: clr: "), "{}", ran.out);
    assert_eq!(
        ("custom", 2 * there, there, false),
        (result.plan.as_str(), result.cells.len(), result.starts.len(), result.partial)
    );
    for cell in &result.cells {
        let Outcome::Measured(it) = &cell.outcome else { panic!("{cell:?}") };
        assert!(it.call.value > 0.0 && it.call.low <= it.call.value && it.call.value <= it.call.high, "{cell:?}");
        assert_eq!((5, 2), (it.rounds.len(), cell.concurrency));
        let contender = result.contenders.iter().find(|it| it.name == cell.contender).expect("it took part");
        assert!(!contender.facts.is_empty() && it.untold.is_none(), "{cell:?}");
        assert!(it.throughput.value > 0.0 && it.cpu.is_some() && it.switches.is_some() && it.memory.is_some());
        let response = it.response.as_ref().expect("there was a rate");
        // Ten calls each round: 20 ms at 500 a second.
        assert_eq!((500.0, 50), (response.rate, response.latency.count));
        assert!(response.reached < 500.1, "{}: nobody is asked more often", response.reached);
    }
    for start in &result.starts {
        assert!(matches!(start.outcome, StartOutcome::Measured(_)), "{start:?}");
    }
}

/// What a server needs may not be there; then it says so.
fn may_be_missing(contender: &str) -> bool {
    let required = std::env::var("POLYHOST_REQUIRE").unwrap_or_default();
    contender == "nginx-kestrel" || !required.split(',').any(|it| it.trim() == "clr")
}

#[test]
fn servers_are_measured_side_by_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("a.json");
    let arguments = ["run", "--quick", "--workload", "http", "--payload", "0,64K", "--concurrency", "1,3", "--out"];
    let ran = run(&[&arguments[..], &[out.to_str().expect("UTF-8")]].concat());
    assert_eq!(Some(0), ran.code, "{}", ran.err);
    assert!(ran.out.contains("http, 64 KiB, 3 callers"), "{}", ran.out);
    let result = read(&out);
    let names: Vec<_> = result.contenders.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(["polyhost-pool", "polyhost-inline", "kestrel", "nginx-kestrel", "hyper"], names.as_slice());
    for contender in &result.contenders {
        if let Some(reason) = &contender.skipped {
            assert!(may_be_missing(&contender.name) && contender.name != "hyper", "{}: {reason}", contender.name);
            assert!(ran.out.contains(&format!("skipped: {}: {reason}", contender.name)), "{}", ran.out);
            eprintln!("skipped: {}: {reason}", contender.name);
            continue;
        }
        let told =
            |name: &str| contender.facts.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        assert_eq!("of the server alone", told(ACCOUNT));
        match contender.name.as_str() {
            "hyper" => assert!(told("server").starts_with("hyper 1."), "{:?}", contender.facts),
            _ => assert!(
                told("runtime").starts_with(".NET ") && told("garbage collector").starts_with("server"),
                "{:?}",
                contender.facts
            ),
        }
        let cells = result.cells.iter().filter(|it| it.contender == contender.name);
        let measured = cells.filter_map(|it| if let Outcome::Measured(it) = &it.outcome { Some(it) } else { None });
        let measured: Vec<_> = measured.collect();
        assert_eq!(4, measured.len(), "{}: {}", contender.name, ran.out);
        assert!(measured.iter().all(|it| it.call.value > 0.0 && it.cpu.is_some() && it.memory.is_some()));
        let started = result.starts.iter().find(|it| it.contender == contender.name).map(|it| &it.outcome);
        assert!(matches!(started, Some(StartOutcome::Measured(_))), "{started:?}");
    }
}

#[test]
fn modules_of_any_languages_are_compared_on_the_same_requests() {
    let folder = tempfile::tempdir().expect("a folder");
    let (lua, python) = (guest("lua", "shout.lua"), guest("py", "shout.py"));
    let ran = modules(folder.path(), &[(&lua, "test/Shout"), (&python, "test/Shout")], "quiet please", &[]);
    assert_eq!(Some(0), ran.code, "{}", ran.err);
    assert!(ran.out.contains("custom, 12 B, 1 caller"), "{}", ran.out);
    assert!(!ran.out.contains("printed by the guest"), "{}", ran.out);
    let request = r#"[{"a": 1, "b": 2}, {"a": 3}]"#;
    let sum = guest("lua", "sum.lua");
    let out = folder.path().join("sum.json");
    let out = ["--out", out.to_str().expect("UTF-8")];
    let ran = modules(folder.path(), &[(&sum, "test.v1.Sum/Add"), (&sum, "test.v1.Sum/Add")], request, &out);
    assert_eq!(Some(0), ran.code, "{}", ran.err);
    let result = read(Path::new(out[1]));
    assert!(is_measured(&result, &sum) && is_measured(&result, &format!("{sum} #2")));
    let ran = modules(folder.path(), &[(&sum, "test.v1.Sum/Add")], r#"{"c": 1}"#, &[]);
    assert_eq!(Some(1), ran.code);
    assert!(ran.out.contains("the fields of test.v1.AddRequest are: a, b"), "{}", ran.out);
}

#[test]
fn all_requests_of_a_list_are_compared_in_its_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sum, other, out) = (guest("lua", "sum.lua"), folder.path().join("other"), folder.path().join("a.json"));
    let list = |tenth: u32| {
        let requests: Vec<_> = (1..=12).map(|i| format!(r#"{{"a": {}}}"#, if i == 10 { tenth } else { i })).collect();
        format!("[{}]", requests.join(", "))
    };
    std::fs::write(&other, list(77)).expect("the folder can be written to");
    let more = ["--input", other.to_str().expect("UTF-8"), "--out", out.to_str().expect("UTF-8")];
    let ran = modules(folder.path(), &[(&sum, "test.v1.Sum/Add"), (&sum, "test.v1.Sum/Add")], list(10), &more);
    assert_eq!(Some(1), ran.code, "{}", ran.err);
    let expected = r#"its reply to request 10 is {"total":77}, where the first module replies {"total":10}"#;
    let told = failure(&read(&out), &format!("{sum} #2")).to_owned();
    assert_eq!(format!("{expected}; see --unchecked"), told);
    let more = [&more[..], &["--unchecked"]].concat();
    let ran = modules(folder.path(), &[(&sum, "test.v1.Sum/Add"), (&sum, "test.v1.Sum/Add")], list(10), &more);
    assert_eq!(Some(0), ran.code, "{}", ran.out);
    assert!(ran.out.contains("warning: the replies of your modules were not compared"), "{}", ran.out);
}

#[test]
fn an_export_of_raw_bytes_gets_the_file_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let shout = guest("lua", "shout.lua");
    let ran = modules(folder.path(), &[(&shout, "test/Shout")], b"\xff\x00[{\xfe", &[]);
    assert_eq!(Some(0), ran.code, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("custom, 5 B, 1 caller"), "{}", ran.out);
    let ran = modules(folder.path(), &[(&guest("lua", "sum.lua"), "test.v1.Sum/Add")], b"\xff", &[]);
    assert_eq!(Some(1), ran.code, "{}", ran.err);
    assert!(ran.out.contains("the input is no JSON: invalid utf-8"), "{}", ran.out);
}

/// The others go on: each time, the module in Lua is measured.
#[test]
fn a_contender_that_lies_crashes_hangs_or_raises_is_a_row_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("a.json");
    let (lua, python) = (guest("lua", "shout.lua"), guest("py", "shout.py"));
    for (export, says) in [
        (
            "test/Whisper",
            &["its reply to request 1 is", "\"quiet\"", "where the first module replies", "\"QUIET\""][..],
        ),
        ("test/Crash", &["it crashed with SIGSEGV", "its last words: ", "about to crash"]),
        ("test/Hang", &["it hangs: no answer to ", "it was killed"]),
        ("test/Raise", &["ValueError: enough"]),
        ("test/None", &["no export test/None; there are: "]),
    ] {
        let more = ["--patience", "2", "--out", out.to_str().expect("UTF-8")];
        let ran = modules(folder.path(), &[(&lua, "test/Shout"), (&python, export)], "Quiet", &more);
        assert_eq!(Some(1), ran.code, "{export}: {}", ran.err);
        let result = read(&out);
        assert!(is_measured(&result, &lua), "{export}: {}", ran.out);
        for part in says {
            assert!(failure(&result, &python).contains(part), "{export}: {}", failure(&result, &python));
            assert!(ran.out.contains(part), "{export}: {}", ran.out);
        }
    }
}

#[test]
fn ctrl_c_prints_and_writes_what_there_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("a.json");
    let mut command = bench();
    command.args(["run", "--workload", "echo", "--contender", "native", "--payload", "0,64,1K", "--quick", "--out"]);
    command.arg(&out).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    errors.read_line(&mut line).expect("a line for what is to come");
    assert_eq!("3 cells, a minute at most\n", line);
    line.clear();
    errors.read_line(&mut line).expect("a line for the first cell");
    assert!(line.starts_with("echo, 0 B"), "{line}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let mut printed = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut printed).expect("it prints");
    errors.read_to_string(&mut line).expect("it ends");
    assert_eq!(Some(130), child.wait().expect("it ends").code(), "{line}");
    assert!(printed.contains("PARTIAL") && printed.contains("echo, 0 B"), "{printed}");
    let result = read(&out);
    assert!(result.partial && !result.cells.is_empty());
    let file = out.to_str().expect("UTF-8");
    for (format, says) in [
        ("terminal", "PARTIAL: the run was interrupted"),
        ("markdown", "**Partial: the run was interrupted.**"),
        ("html", "The run was interrupted"),
        ("json", "\"partial\":true"),
    ] {
        let shown = run(&["report", file, "--format", format]);
        assert!(shown.code == Some(0) && shown.out.contains(says), "{format}: {}", shown.out);
    }
    let compared = run(&["compare", file, file]);
    assert!(compared.code == Some(0) && compared.out.contains("run was interrupted"), "{}", compared.out);
}
