//! Calls into shared libraries: what goes in, what comes out, and where.

mod common;

use common::{Run, c_guest, checkout, command, guest, polyhost, polyhost_with, run};
use serde_json::json;

fn conformance(method: &str, arguments: &[&str]) -> Run {
    let export = format!("conformance.v1.Conformance/{method}");
    polyhost(["call", guest(), &export].iter().chain(arguments))
}

#[test]
fn inspect_tells_exports_and_their_messages() {
    let text = polyhost(["inspect", guest()]).text();
    for part in [
        "\nconformance.v1.Conformance/Add\n    conformance.v1.AddRequest -> conformance.v1.AddReply\n",
        "\nraw/Echo\n    bytes -> bytes\n    Returns its input.\n",
        "\nmessage conformance.v1.AddRequest {\n  int64 n = 1;\n}\n",
        "\nenum conformance.v1.Colour {\n",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains('\x1b'), "colours in a pipe");
}

#[test]
fn inspect_of_one_export_shows_a_command_that_works() {
    let text = polyhost(["inspect", guest(), "conformance.v1.Conformance/Echo"]).text();
    assert!(!text.contains("AddRequest"), "{text}");
    let line = text.lines().last().expect("a line");
    assert!(line.starts_with("polyhost call native:"), "{line}");
    let mut shell = std::process::Command::new("sh");
    let line = line.replacen("polyhost", env!("CARGO_BIN_EXE_polyhost"), 1);
    assert_eq!("{}\n", run(shell.args(["-c", &line])).text());
}

#[test]
fn inspect_is_json_where_asked_for() {
    let it = polyhost(["inspect", guest(), "--json"]).json();
    assert_eq!(json!("native"), it["runtime"]["scheme"]);
    let add = it["exports"].as_array().expect("a list").iter().find(|e| e["name"] == "conformance.v1.Conformance/Add");
    assert_eq!(json!("conformance.v1.AddRequest"), add.expect("there")["input_type"]);
    let messages = it["messages"].as_array().expect("a list");
    let all = messages.iter().find(|m| m["name"] == "conformance.v1.AllTypes").expect("there");
    let field = |name: &str| {
        let mut field =
            all["fields"].as_array().expect("a list").iter().find(|f| f["name"] == name).expect(name).clone();
        field.as_object_mut().expect("an object").remove("doc");
        field
    };
    let expected = json!({"name": "m_int32_int64", "json_name": "mInt32Int64", "number": 52, "type": "map<int32, int64>",
        "label": "map"});
    assert_eq!(expected, field("m_int32_int64"));
    let expected = json!({"name": "c_bool", "json_name": "cBool", "number": 64, "type": "bool", "label": "singular",
        "oneof": "choice"});
    assert_eq!(expected, field("c_bool"));
    assert_eq!(json!("optional"), field("o_bool")["label"]);
    assert_eq!(json!("repeated"), field("r_message")["label"]);
}

#[test]
fn a_message_goes_in_and_out_in_every_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("request.json");
    std::fs::write(&file, "{\n  \"n\": 2\n}\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let at_file = format!("@{file}");
    for input in [
        &["--input", r#"{"n":2}"#][..],
        &["-i", r#"{"n":"2"}"#],
        &["--input", &at_file],
        &["--input-file", file],
        &["--hex", "--input", "08 02"],
        &["--binary", "--input", "\x08\x02"],
        &["--input", r#"{"n":2}"#, "--async"],
        &["--input", r#"{"n":2}"#, "--output", "json"],
    ] {
        assert_eq!("{\"sum\":\"2\"}\n", conformance("Add", input).text(), "{input:?}");
    }
    let add = ["call", guest(), "conformance.v1.Conformance/Add", "--input", "-"];
    assert_eq!("{\"sum\":\"7\"}\n", polyhost_with(br#"{"n":7}"#, add).text());
    // No input is an empty message, and JSON leaves out what is 0.
    assert_eq!("{}\n", conformance("Add", &[]).text());
    let out = |format: &str| conformance("Add", &["--input", r#"{"n":300}"#, "--output", format]).text();
    assert_eq!("08ac02\n", out("hex"));
    assert_eq!("sum: 300\n", out("text"));
    let binary = conformance("Add", &["--input", r#"{"n":300}"#, "--output", "binary"]);
    assert_eq!(b"\x08\xac\x02"[..], binary.stdout);
}

#[test]
fn every_kind_of_field_comes_back_as_json() {
    let request = json!({
        "fDouble": "NaN", "fInt64": "-9223372036854775808", "fUint64": "18446744073709551615", "fBytes": "//8=",
        "fString": "Grüße", "fColour": "COLOUR_NEGATIVE", "oInt32": 0, "rInt64": ["9007199254740993"],
        "mBoolBytes": {"true": "AA=="}, "cMessage": {"fBool": true}, "wTimestamp": "2020-01-01T00:00:00Z",
        "wDuration": "1.500s", "wStruct": {"a": [null, 1.0]}, "wInt64": "5",
    });
    let reply = conformance("Echo", &["--input", &request.to_string()]).json();
    assert_eq!(request, reply);
}

#[test]
fn raw_bytes_go_through_a_pipe_untouched() {
    let bytes: Vec<u8> = (0..=255).collect();
    let reply = polyhost_with(&bytes, ["call", guest(), "raw/Echo", "--input", "-"]);
    assert_eq!((Some(0), bytes), (reply.code(), reply.stdout));
    let echo = |arguments: &[&str]| polyhost(["call", guest(), "raw/Echo"].iter().chain(arguments));
    assert_eq!("hi", echo(&["--input", "hi"]).text());
    assert_eq!("", echo(&[]).text());
    assert_eq!("hi\n", echo(&["--input", "hi", "--output", "text"]).text());
    assert_eq!("6869\n", echo(&["--input", "hi", "--output", "hex"]).text());
    echo(&["--input", "hi", "--output", "json"]).fails(1, &["raw bytes, which have no JSON", "hex"]);
}

#[test]
fn metadata_and_deadline_reach_the_guest() {
    let reply = conformance("Context", &["--metadata", "a=1", "-m", "b=x=y", "--deadline", "1h"]).json();
    assert_eq!(json!({"a": "1", "b": "x=y"}), reply["metadata"]);
    assert_eq!(json!(true), reply["hasDeadline"]);
    let left: u64 = reply["remainingNanos"].as_str().and_then(|text| text.parse().ok()).expect("a number");
    assert!(left > 0 && left <= 3_600_000_000_000, "{left}");
    assert_eq!(json!(null), conformance("Context", &[]).json()["hasDeadline"]);
}

#[test]
fn a_deadline_that_passes_has_an_exit_code_of_its_own() {
    for mode in [&[][..], &["--async"]] {
        let run = conformance("Spin", &[&["--deadline", "20ms"], mode].concat());
        run.fails(124, &["call conformance.v1.Conformance/Spin", "deadline"]);
    }
    conformance("Add", &["--deadline", "0s"]).fails(124, &["deadline"]);
}

#[test]
fn a_reply_that_comes_after_the_deadline_is_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let wait = format!("wait={}#raw/WaitForCancel", c_guest(folder.path()));
    // It catches the failure of the service, which ends at the deadline, and replies.
    let input = json!({"service": "wait", "catch": true}).to_string();
    let late = conformance("CallService", &["--service", &wait, "--input", &input, "--deadline", "20ms"]);
    late.fails(124, &["call conformance.v1.Conformance/CallService", "the deadline has passed", "--async"]);
}

#[test]
fn what_a_guest_writes_to_descriptor_1_goes_to_stderr() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = std::fs::read_to_string(checkout().join("hosts/native/samples/c/guest.c")).expect("there");
    let loud = source.replace("return polyhost_write(host, output, input.data, input.len);", LOUD);
    assert_ne!(source, loud);
    std::fs::write(folder.path().join("loud.c"), format!("#include <stdio.h>\n#include <stdlib.h>\n{loud}"))
        .expect("written");
    let library = folder.path().join("libloud.so");
    let mut build = std::process::Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    build.args(["-shared", "-fPIC", "-I", "bridge/include", "-o"]).arg(&library).arg(folder.path().join("loud.c"));
    assert!(build.current_dir(checkout()).status().expect("there is a C compiler").success());
    let run = polyhost(["call", &*format!("native:{}", library.display()), "raw/Echo", "--input", "hi"]);
    assert_eq!((Some(0), &b"hi"[..]), (run.code(), &*run.stdout), "{}", run.stderr);
    assert_eq!("by printf\nby a child\n", run.stderr);
}

const LOUD: &str = r#"
    printf("by printf\n");
    fflush(stdout);
    if (system("echo by a child") != 0) return POLYHOST_INTERNAL;
    return polyhost_write(host, output, input.data, input.len);"#;

#[test]
fn what_the_guest_logs_goes_to_stderr_by_level() {
    let log = |arguments: &[&str]| {
        let input = r#"{"level":"warn","message":"a line"}"#;
        let run = conformance("Log", &[&["--input", input], arguments].concat());
        assert_eq!((Some(0), "{}\n"), (run.code(), &*String::from_utf8_lossy(&run.stdout)));
        run.stderr
    };
    let line = log(&[]);
    assert!(line.starts_with("WARN  ") && line.ends_with(": a line\n"), "{line}");
    let all = log(&["--log", "debug"]);
    let call = all.strip_prefix(&line).expect("the line comes first");
    for part in ["DEBUG polyhost call: runtime=native ", " export=conformance.v1.Conformance/Log ", " guest_ns="] {
        assert!(call.contains(part), "{part} is not in {call}");
    }
    assert_eq!("", log(&["--log", "error"]));
    assert_eq!("", log(&["--log", "off"]));
}

#[test]
fn what_the_guest_raised_is_one_line_or_everything() {
    let input = r#"{"message":"boo\nmore","code":7,"depth":3,"wrapped":true}"#;
    conformance("Fail", &["--input", input]).fails(1, &["call conformance.v1.Conformance/Fail", "wrapped: boo …"]);
    let report = conformance("Fail", &["--input", input, "--verbose"]).stderr;
    for part in ["polyhost: call conformance.v1.Conformance/Fail", "more", "conformance.rs:", "raised from"] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    let run = conformance("Fail", &["--input", r#"{"message":"boo","code":7}"#, "--json"]);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).expect("one line of JSON");
    assert_eq!((Some(1), json!("PERMISSION_DENIED")), (run.code(), error["error"]["code"].clone()));
    assert_eq!(json!("boo"), error["error"]["guest"]["message"]);
    assert!(error["error"]["guest"]["frames"][0]["line"].as_u64() > Some(0), "{error}");
}

#[test]
fn exports_of_other_modules_are_host_services() {
    let (echo, fail) = (format!("e={}#raw/Echo", guest()), format!("f={}#conformance.v1.Conformance/Fail", guest()));
    let call = |service: &str, input: &str, arguments: &[&str]| {
        let input = json!({"service": service, "input": input}).to_string();
        conformance("CallService", &[&["--input", &input], arguments].concat())
    };
    let hi = json!({"output": "aGk="});
    assert_eq!(hi, call("e", "aGk=", &["--service", &echo, "--service", &fail]).json());
    assert_eq!(hi, call("raw/Echo", "aGk=", &["--link", guest()]).json());
    call("e", "aGk=", &[]).fails(1, &["no host service e", "without any"]);
    call("e", "aGk=", &["--service", &echo, "--service", &echo]).fails(1, &["host service e already"]);
    // A FailRequest with message `no` and code 7; the error's way back is through both guests.
    let run = call("f", "CgJubxAH", &["--service", &fail, "--verbose"]);
    assert_eq!(Some(1), run.code());
    assert_eq!(2, run.stderr.matches("caused by: ").count(), "{}", run.stderr);
}

#[test]
fn links_may_call_what_was_given_before_them() {
    // The first CallService calls the linked guest's CallService, and that one `e`.
    let folder = tempfile::tempdir().expect("a folder");
    let echo = format!("e={}#raw/Echo", c_guest(folder.path()));
    let inner = "CgFlEgJoaQ=="; // CallServiceRequest { service: "e", input: "hi" }
    let input = json!({"service": "conformance.v1.Conformance/CallService", "input": inner}).to_string();
    let reply = conformance("CallService", &["--service", &echo, "--link", guest(), "--input", &input]).json();
    // A CallServiceReply { output: "hi" }.
    assert_eq!(json!({"output": "CgJoaQ=="}), reply);
}

#[test]
fn many_calls_are_timed() {
    let run = conformance("Add", &["--input", r#"{"n":1}"#, "--times", "500"]);
    assert_eq!("{\"sum\":\"500\"}\n", String::from_utf8_lossy(&run.stdout));
    assert!(run.stderr.starts_with("500 calls: p50 ") && run.stderr.ends_with("calls/s\n"), "{}", run.stderr);
    let run = conformance("Add", &["--input", r#"{"n":1}"#, "--times", "500", "--async", "--json"]);
    assert_eq!("{\"sum\":\"500\"}\n", String::from_utf8_lossy(&run.stdout));
    let timing: serde_json::Value = serde_json::from_str(&run.stderr).expect("one line of JSON");
    assert_eq!(json!(500), timing["timing"]["calls"]);
    for key in ["min_ns", "p50_ns", "p99_ns", "max_ns", "mean_ns", "first_ns", "calls_per_second"] {
        assert!(timing["timing"][key].as_u64() > Some(0), "{key}: {timing}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    for arguments in [
        &["inspect", guest()][..],
        &["call", guest(), "conformance.v1.Conformance/Grow", "-i", r#"{"size":"1000000"}"#],
        &["doctor"],
        &["completions", "bash"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let run = run(command(arguments).stdout(writer));
        assert_eq!((Some(141), ""), (run.code(), &*run.stderr), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let run = run(command(["inspect", guest()]).stdout(full));
    run.fails(1, &["can't write to stdout", "No space left"]);
}

#[test]
fn a_guest_in_c_is_called_and_passes_failures_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let guest = c_guest(folder.path());
    let call = |export: &str, arguments: &[&str]| polyhost(["call", &*guest, export].iter().chain(arguments));
    assert_eq!("hi", call("raw/Echo", &["--input", "hi"]).text());
    assert_eq!("a=1\nb=2\n", call("raw/Metadata", &["-m", "a=1", "-m", "b=2"]).text());
    call("raw/Fail", &["--binary", "--input", "\x07not yours"]).fails(1, &["call raw/Fail", "not yours"]);
    call("raw/WaitForCancel", &["--deadline", "20ms"]).fails(124, &["call raw/WaitForCancel"]);
    let echo = format!("host/Echo={guest}#raw/Echo");
    assert_eq!("hihi", call("raw/Service", &["--input", "hi", "--service", &echo]).text());
}
