//! What nobody should type, and what it says then.

mod common;

use common::{Run, guest, polyhost, polyhost_with};

const ADD: &str = "conformance.v1.Conformance/Add";

fn add(arguments: &[&str]) -> Run {
    polyhost(["call", guest(), ADD].iter().chain(arguments))
}

/// Checks that clap refuses a command line, and says why.
fn refused(arguments: &[&str], part: &str) {
    let run = polyhost(arguments);
    assert_eq!((Some(2), 0), (run.code(), run.stdout.len()), "{arguments:?}");
    assert!(run.stderr.contains(part), "{part:?} is not in: {}", run.stderr);
}

#[test]
fn help_and_version_teach() {
    for command in ["inspect", "call", "new", "watch", "doctor", "completions"] {
        let help = polyhost([command, "--help"]).text();
        assert!(help.contains("Examples"), "{help}");
        assert!(help.matches(&format!("  polyhost {command}")).count() >= 2, "{help}");
    }
    let help = polyhost(["--help"]).text();
    for part in ["Exit codes:", "124", "py:package.module", "--json"] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
    let version = polyhost(["--version"]).text();
    assert!(version.starts_with(concat!("polyhost ", env!("CARGO_PKG_VERSION"), "\nruntimes: native")), "{version}");
    assert_eq!(cfg!(feature = "luajit"), version.contains("luajit"));
    refused(&[], "Usage:");
}

#[test]
fn completions_are_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(polyhost(["completions", shell]).text().contains("inspect"));
    }
    refused(&["completions", "csh"], "invalid value 'csh'");
}

#[test]
fn a_location_has_a_scheme_that_is_known() {
    polyhost(["inspect", "file.lua"]).fails(2, &["file.lua is no location", "SCHEME:PATH"]);
    polyhost(["inspect", "native:"]).fails(2, &["native: is no location"]);
    polyhost(["inspect", "cobol:x"]).fails(2, &["no runtime cobol", "native"]);
    add(&["--link", "cobol:x"]).fails(2, &["no runtime cobol"]);
    add(&["--service", "x=cobol:x#y"]).fails(2, &["no runtime cobol"]);
    if !cfg!(feature = "cpython") {
        polyhost(["inspect", "py:x"]).fails(2, &["no runtime py", "build polyhost with --features cpython"]);
    }
}

#[test]
fn a_module_that_is_not_there_is_named() {
    polyhost(["inspect", "native:nowhere/lib.so"]).fails(1, &["load native:nowhere/lib.so", "nowhere/lib.so"]);
    polyhost(["inspect", "native:README.md"]).fails(1, &["README.md"]);
}

#[test]
fn an_export_that_is_not_there_lists_those_that_are() {
    for command in ["inspect", "call"] {
        polyhost([command, guest(), "a.B/C"])
            .fails(1, &["no export a.B/C", "conformance.v1.Conformance/Add", "raw/Echo"]);
    }
    let service = format!("x={}#a.B/C", guest());
    add(&["--service", &service]).fails(1, &["--service x=native:", "#a.B/C: no export a.B/C", "raw/Echo"]);
}

#[test]
fn json_that_is_not_the_message_is_told_with_line_and_column() {
    add(&["--input", "{\"n\": 1,\n \"m\": 2}"]).fails(1, &["conformance.v1.AddRequest", "'m'", "line 2 column 4"]);
    add(&["--input", "{\"m\": 2}"]).fails(1, &["the fields of conformance.v1.AddRequest are: n"]);
    add(&["--input", "{\"n\": \"a\"}"]).fails(1, &["AddRequest: n: ", "line 1 column 9"]);
    assert_eq!("{\"sum\":\"2\"}\n", add(&["--input", "\u{feff}{\"n\": 2}"]).text());
    add(&["--input", "{\"n\": 1"]).fails(1, &["EOF", "line 1 column 7"]);
    add(&["--input", "{} {}"]).fails(1, &["trailing characters at line 1 column 4"]);
    add(&["--input", ""]).fails(1, &["empty"]);
    polyhost_with(b"\xff\xfe", ["call", guest(), ADD, "--input", "-"]).fails(1, &["no JSON", "--binary"]);
}

#[test]
fn bytes_that_are_not_the_message_come_back_from_the_guest() {
    add(&["--binary", "--input", "garbage"]).fails(1, &["call conformance.v1.Conformance/Add", "AddRequest"]);
    add(&["--hex", "--input", "08 0"]).fails(1, &["not hex", "3 digits"]);
    add(&["--hex", "--input", "zz"]).fails(1, &["`z` at byte 1"]);
}

#[test]
fn input_that_can_not_be_read_is_named() {
    add(&["--input", "@nowhere.json"]).fails(1, &["can't read nowhere.json", "No such file"]);
    add(&["--input-file", "hosts"]).fails(1, &["can't read hosts", "directory"]);
    add(&["--input", "@/dev/zero"]).fails(1, &["/dev/zero", "67108864", "--limit"]);
    add(&["--input", "@/dev/zero", "--limit", "1K"]).fails(1, &["more than 1024 bytes"]);
    add(&["--input", "{\"n\": 1}", "--limit", "7"]).fails(1, &["--input has more than 7 bytes", "--limit"]);
    add(&["--input", "@/dev/null", "--limit", "18446744073709551615"]).fails(1, &["the input is empty"]);
}

#[test]
fn a_closed_stdin_is_an_empty_one() {
    let closed = format!("exec {} call {} {ADD} --input - <&-", env!("CARGO_BIN_EXE_polyhost"), guest());
    let mut shell = std::process::Command::new("sh");
    common::run(shell.args(["-c", &closed])).fails(1, &["the input is empty", "leave --input out"]);
}

#[test]
fn a_closed_stdout_is_an_error() {
    for command in [&format!("call {} {ADD}", guest()), &format!("inspect {}", guest()), "doctor"] {
        let closed = format!("exec {} {command} >&-", env!("CARGO_BIN_EXE_polyhost"));
        let mut shell = std::process::Command::new("sh");
        common::run(shell.args(["-c", &closed])).fails(1, &["can't write to stdout"]);
    }
    let to_null = format!("exec {} call {} {ADD} 1<>/dev/null", env!("CARGO_BIN_EXE_polyhost"), guest());
    common::run(std::process::Command::new("sh").args(["-c", &to_null])).text();
}

#[test]
fn a_reply_over_the_limit_is_refused() {
    let arguments = ["call", guest(), "conformance.v1.Conformance/Grow", "--input", r#"{"size":"2000"}"#];
    let limited = ["--limit", "1K"];
    polyhost(arguments.iter().chain(&limited)).fails(1, &["limit", "1024"]);
    let also_async = ["--limit", "1K", "--async"];
    polyhost(arguments.iter().chain(&also_async)).fails(1, &["limit", "1024"]);
    polyhost(arguments.iter().chain(&["--limit", "3K", "--output", "hex"])).text();
}

#[test]
fn values_that_make_no_sense_are_refused_with_the_reason() {
    let call = |arguments: &[&str], part: &str| {
        refused(&[&["call", "native:x", "y"], arguments].concat(), part);
    };
    call(&["--metadata", "a"], "there is no `=`");
    call(&["--metadata", "=a"], "no key before `=`");
    call(&["--option", "a"], "there is no `=`");
    call(&["--service", "a=native:b"], "NAME=LOCATION#EXPORT");
    call(&["--deadline", "soon"], "expected number");
    call(&["--deadline", "5"], "time unit needed");
    call(&["--deadline", "-5ms"], "expected number");
    call(&["--deadline", "99999999999999999999s"], "too large");
    call(&["--times", "0"], "0 is not in 1..");
    call(&["--times", "-1"], "-1");
    call(&["--instances", "0"], "0 is not in 1..");
    call(&["--limit", "1.5M"], "a number of bytes");
    call(&["--log", "loud"], "possible values: trace");
    call(&["--output", "xml"], "possible values: json");
    call(&["--hex", "--binary"], "cannot be used with");
    call(&["--input", "a", "--input-file", "b"], "cannot be used with");
    refused(&["call", "native:x"], "<EXPORT>");
    refused(&["cal"], "similar subcommand");
}

#[test]
fn an_option_that_the_runtime_does_not_know_is_named() {
    add(&["--option", "colour=red"]).fails(1, &["unknown option colour"]);
    add(&["--instances", "2"]).fails(1, &["instance"]);
}

#[test]
fn errors_are_json_where_asked_for() {
    let run = add(&["--json", "--input", "{"]);
    assert_eq!((Some(1), 0), (run.code(), run.stdout.len()));
    let error: serde_json::Value = serde_json::from_str(&run.stderr).expect("one line of JSON");
    assert_eq!(1, error["exit"]);
    assert_eq!("decode", error["error"]["kind"]);
    assert_eq!("INVALID_ARGUMENT", error["error"]["code"]);
    let run = polyhost(["inspect", "--json", "nothing"]);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).expect("one line of JSON");
    assert_eq!((2, "usage"), (run.code().expect("a code"), error["error"]["kind"].as_str().expect("a kind")));
}
