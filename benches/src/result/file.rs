//! Files of results.

use std::path::Path;

use serde::Deserialize;

use super::schema::{RunResult, SCHEMA};

/// Writes a result as JSON.
///
/// # Errors
/// Where the file can't be written.
pub fn write(result: &RunResult, path: &Path) -> Result<(), String> {
    let text = serde_json::to_string(result).map_err(|e| format!("the result has no JSON: {e}"))?;
    std::fs::write(path, text + "\n").map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Reads a result; `-` stands for standard input.
///
/// # Errors
/// Where the file can't be read, is none, or is of another version; with its name.
pub fn read(path: &Path) -> Result<RunResult, String> {
    let is_input = path == Path::new("-");
    let name = if is_input { "standard input".to_owned() } else { path.display().to_string() };
    let text = if is_input { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    parse(&text.map_err(|e| format!("cannot read {name}: {e}"))?).map_err(|e| format!("{name}: {e}"))
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    schema: serde_json::Value,
    /// The checks that it is of, in place of a matrix.
    suite: Option<String>,
}

/// Reads a result from text.
///
/// # Errors
/// Where it is none, or of another version.
pub fn parse(text: &str) -> Result<RunResult, String> {
    let version: Version =
        serde_json::from_str(text).map_err(|e| format!("this is no result of polyhost-bench: {e}"))?;
    match version.schema {
        serde_json::Value::String(schema) if schema == SCHEMA => {
            serde_json::from_str(text).map_err(|e| format!("this says to be {SCHEMA} and is not: {e}"))
        }
        other => {
            let other = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            let advice = match version.suite {
                Some(suite) => format!("it is of `run --suite {suite}`, which is neither reported nor compared"),
                None => "measure again, or use the program that wrote it".to_owned(),
            };
            Err(format!("its schema is {other}, this program reads {SCHEMA}; {advice}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::result::schema::Environment;

    fn empty() -> RunResult {
        RunResult {
            schema: SCHEMA.to_owned(),
            started: "2026-11-21T17:00:00Z".to_owned(),
            seconds: 1.5,
            plan: "quick".to_owned(),
            seed: 1,
            partial: false,
            environment: Environment::default(),
            warnings: Vec::new(),
            contenders: Vec::new(),
            cells: Vec::new(),
            starts: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        write(&empty(), &path).expect("it can be written");
        assert_eq!("2026-11-21T17:00:00Z", read(&path).expect("it is one").started);
        let error = write(&empty(), &folder.path().join("none/a.json")).expect_err("no such folder");
        assert!(error.contains("none/a.json"), "{error}");
    }

    #[test]
    fn a_standard_run_makes_a_file_of_less_than_300_kb() {
        let folder = tempfile::tempdir().expect("a folder");
        for result in [sample::standard(), sample::open_loop()] {
            let path = folder.path().join("a.json");
            write(&result, &path).expect("it can be written");
            let bytes = std::fs::metadata(&path).expect("it is there").len();
            assert!(bytes < 300_000, "{bytes}");
        }
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let error = parse(r#"{"schema": "polyhost-bench/3", "cells": 7}"#).expect_err("another");
        assert!(error.contains("polyhost-bench/3") && error.contains(SCHEMA), "{error}");
        let error = parse(r#"{"schema": 1, "suite": "targets"}"#).expect_err("another");
        assert!(error.contains("its schema is 1,") && error.contains("it is of `run --suite targets`"), "{error}");
        for (text, says) in [("{}", "no result"), ("", "no result"), (r#"{"schema": "polyhost-bench/2"}"#, "is not:")] {
            assert!(parse(text).is_err_and(|error| error.contains(says)), "{text}");
        }
    }
}
