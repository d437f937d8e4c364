//! `compare` and `report`, with files that are results and others.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::program::{bench, run};
use polyhost_bench::result;
use polyhost_bench::result::schema::{Outcome, RunResult, SCHEMA};
use tempfile::TempDir;

/// A folder with two results: one of a run, but for its times, and one that is slower by half.
struct Results {
    folder: TempDir,
}

impl Results {
    fn new() -> Results {
        let results = Results { folder: tempfile::tempdir().expect("a folder") };
        let file = results.path("a.json");
        let arguments = ["run", "--quick", "--workload", "echo", "--contender", "native", "--payload", "64", "--out"];
        let ran = run(&[&arguments[..], &[&*text(&file)]].concat());
        assert_eq!(Some(0), ran.code, "{}", ran.err);
        let mut result = result::read(&file).expect("it was written");
        // Whatever the machine is at, these are the numbers.
        for (name, nanos) in [("slower.json", 150.0), ("a.json", 100.0)] {
            set(&mut result, nanos);
            result::write(&result, &results.path(name)).expect("the folder can be written to");
        }
        results
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path of a file, as an argument.
    fn file(&self, name: &str) -> String {
        text(&self.path(name))
    }

    /// A file with this in it.
    fn with(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).expect("the folder can be written to");
        self.file(name)
    }
}

fn set(result: &mut RunResult, nanos: f64) {
    for cell in &mut result.cells {
        let Outcome::Measured(it) = &mut cell.outcome else { panic!("{cell:?}") };
        it.rounds.fill(nanos);
        (it.call.value, it.call.low, it.call.high) = (nanos, nanos, nanos);
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn the_gate_of_compare_is_its_exit_code() {
    let results = Results::new();
    let (a, slower) = (results.file("a.json"), results.file("slower.json"));
    for (files, gate, code, says) in [
        ([&a, &a], None, 0, "indistinguishable"),
        ([&a, &a], Some("10%"), 0, "nothing is slower by more than 10 % with its whole interval"),
        ([&slower, &a], Some("0"), 0, "nothing is slower by more than 0 %"),
        ([&a, &slower], None, 0, "+50 %"),
        ([&a, &slower], Some("60%"), 0, "nothing is slower by more than 60 %"),
        ([&a, &slower], Some("10%"), 1, "slower by more than 10 %: echo, 64 B, 1 caller, native: +"),
    ] {
        let gate: Vec<&str> = gate.iter().flat_map(|share| ["--fail-over", share]).collect();
        let compared = run(&[&["compare", files[0], files[1]], &gate[..]].concat());
        assert_eq!(Some(code), compared.code, "{gate:?}: {}{}", compared.out, compared.err);
        assert!(compared.out.contains(says) && compared.err.is_empty(), "{gate:?}: {}", compared.out);
    }
}

#[test]
fn what_fails_now_and_did_not_before_does_not_pass() {
    let results = Results::new();
    let mut broken = result::read(&results.path("a.json")).expect("a result");
    broken.cells[0].outcome = Outcome::Failed("it crashed with SIGSEGV".to_owned());
    result::write(&broken, &results.path("broken.json")).expect("the folder can be written to");
    let files = [&*results.file("a.json"), &*results.file("broken.json")];
    let compared = run(&["compare", files[0], files[1], "--fail-over", "10%"]);
    assert_eq!(Some(1), compared.code, "{}", compared.err);
    assert!(compared.out.contains("FAILED now: echo, 64 B, 1 caller, native: it crashed"), "{}", compared.out);
}

#[test]
fn files_that_are_no_results_are_refused_by_name() {
    let results = Results::new();
    let good = results.file("a.json");
    let other = format!("its schema is polyhost-bench/3, this program reads {SCHEMA}");
    for (file, says) in [
        (results.with("newer.json", r#"{"schema": "polyhost-bench/3", "cells": 7}"#), other.as_str()),
        (results.with("targets.json", r#"{"schema": 1, "suite": "targets"}"#), "its schema is 1, this program reads"),
        (results.with("broken.json", &format!(r#"{{"schema": "{SCHEMA}"}}"#)), "and is not: missing field"),
        (results.with("notes.txt", "hello"), "this is no result of polyhost-bench"),
        (results.with("empty.json", ""), "this is no result of polyhost-bench"),
        (results.file("none.json"), "cannot read "),
        (results.file(""), "cannot read "),
    ] {
        for arguments in [&["compare", &good, &file][..], &["compare", &file, &good], &["report", &file]] {
            let refused = run(arguments);
            assert_eq!(Some(2), refused.code, "{arguments:?}: {}", refused.out);
            assert!(refused.err.contains(says) && refused.err.contains(&file), "{arguments:?}: {}", refused.err);
            assert!(refused.out.is_empty(), "{arguments:?}: {}", refused.out);
        }
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let results = Results::new();
    let good = results.file("a.json");
    for (arguments, says) in [
        (&["compare", &good, &good, "--fail-over", "ten"][..], "a percentage from 0 on"),
        (&["compare", &good], "<NOW>"),
        (&["report"], "<FILE>"),
        (&["report", &good, "--format", "pdf"], "[possible values: terminal, markdown, readme, csv, html, json]"),
        (&["report", &good, "--out", "/no/such/folder/a.html"], "cannot write /no/such/folder/a.html"),
    ] {
        let refused = run(arguments);
        assert_eq!(Some(2), refused.code, "{arguments:?}: {}", refused.out);
        assert!(refused.err.contains(says) && refused.out.is_empty(), "{arguments:?}: {}", refused.err);
    }
}

#[test]
fn reports_are_made_in_every_format() {
    let results = Results::new();
    let file = results.file("a.json");
    for (format, begins, says) in [
        ("terminal", "polyhost-bench, plan custom", "echo, 64 B, 1 caller"),
        ("markdown", "# polyhost-bench: local\n", "| native |"),
        ("csv", "workload,payload_bytes,concurrency,contender,outcome,", "\necho,64,1,native,measured,"),
        ("html", "<!DOCTYPE html>", "</html>"),
        ("json", "{\"schema\":\"polyhost-bench/2\"", "\"cells\""),
    ] {
        let shown = run(&["report", &file, "--format", format]);
        assert_eq!((Some(0), ""), (shown.code, &*shown.err), "{format}");
        assert!(shown.out.starts_with(begins) && shown.out.contains(says), "{format}: {}", shown.out);
        // What the numbers depend on is in each of them.
        assert!(shown.out.contains("rustc 1."), "{format}: {}", shown.out);
        let out = results.file(&format!("made.{format}"));
        let written = run(&["report", &file, "--format", format, "--out", &out]);
        assert_eq!((Some(0), "", ""), (written.code, &*written.out, &*written.err), "{format}");
        assert_eq!(shown.out, fs::read_to_string(&out).expect("it was written"), "{format}");
    }
}

#[test]
fn a_result_comes_by_standard_input_too() {
    let results = Results::new();
    let file = results.file("a.json");
    for arguments in [&["report", "-"][..], &["compare", "-", &file], &["compare", &file, "-"]] {
        let input = File::open(&file).expect("it was written");
        let output = bench().args(arguments).stdin(input).output().expect("it starts");
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && out.contains("echo, 64 B, 1 caller"), "{arguments:?}: {out}");
    }
    let output = bench().args(["report", "-"]).stdin(Stdio::null()).output().expect("it starts");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(Some(2), output.status.code());
    assert!(err.contains("standard input: this is no result"), "{err}");
}
