//! Serves a real ASP.NET Core application and looks at it from its admin pages and its access log.
#![cfg(feature = "aspnet")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use common::{checkout, command, doctor_says_ok, required};
use serde_json::Value;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The folder of the application, or nothing where it cannot be served here.
fn application() -> Option<PathBuf> {
    let folder = checkout().join("target/guests/HttpContract");
    let missing = if !folder.join("HttpContract.dll").exists() {
        "target/guests/HttpContract was not built: run `make setup`"
    } else if !doctor_says_ok("clr") {
        "there is no .NET on this machine"
    } else {
        return Some(folder);
    };
    assert!(!required("clr"), "{missing}, and POLYHOST_REQUIRE asks for clr");
    println!("skipped: {missing}");
    None
}

/// The program, serving.
struct Serving {
    child: Child,
    listening: String,
    admin: String,
    /// What it writes to stdout until its end.
    log: JoinHandle<String>,
    /// And to stderr, after it has said where it listens.
    notes: JoinHandle<String>,
}

impl Serving {
    fn start(folder: &Path, more: &[&str]) -> Serving {
        let arguments = ["--json", "serve", "HttpContract.dll", "--listen", "127.0.0.1:0"];
        let mut command = command(arguments.iter().chain(more));
        // The application's wwwroot is in the folder that it starts in.
        let mut child =
            command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut stdout = child.stdout.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).expect("text");
            text
        });
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("text");
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let notes = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("text");
            text
        });
        let address = |name: &str| {
            let url = said[name][0].as_str().unwrap_or_else(|| panic!("{name} is not in {line}"));
            url.trim_start_matches("http://").to_owned()
        };
        Serving { listening: address("listening"), admin: address("admin"), child, log, notes }
    }

    /// Asks it to end; its access log and what it said.
    fn end(mut self) -> (String, String) {
        // SAFETY: the child is ours and has not been waited for.
        assert_eq!(0, unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) });
        let status = self.child.wait().expect("it ends");
        let notes = self.notes.join().expect("text");
        assert!(status.success(), "{status}: {notes}");
        (self.log.join().expect("text"), notes)
    }
}

/// Status and body of a response.
fn get(address: &str, path: &str, headers: &str) -> (u16, String) {
    let mut io = TcpStream::connect(address).expect("it listens");
    write!(io, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n").expect("it reads");
    let mut response = String::new();
    io.read_to_string(&mut response).expect("text");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, body.to_owned())
}

#[test]
fn a_watched_application() {
    let Some(folder) = application() else { return };
    let serving = Serving::start(&folder, &["--admin", "127.0.0.1:0", "--access-log", "json", "--inline", "/text"]);
    let trace = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
    let (status, seen) = get(&serving.listening, "/trace", &trace);
    assert_eq!(200, status);
    // `Content-Length` is not set, so the body is in one chunk; the text is its second line.
    let seen: Vec<_> = seen.lines().nth(1).expect("a chunk").split(' ').collect();
    assert_eq!([TRACE, "00f067aa0ba902b7"], seen[..2]);
    assert_eq!(200, get(&serving.listening, "/text", "").0);
    // What the admin listener serves is not on the application's paths, and the other way round.
    assert!(get(&serving.listening, "/metrics", "").1.contains("path \"/metrics\""));
    assert_eq!(404, get(&serving.admin, "/text", "").0);
    assert_eq!((200, "live\n".to_owned()), get(&serving.admin, "/healthz", ""));
    assert_eq!((200, "ready\n".to_owned()), get(&serving.admin, "/readyz", ""));
    let (_, metrics) = get(&serving.admin, "/metrics", "");
    for part in [
        "\npolyhost_http_requests_total{method=\"GET\",code=\"2xx\"} ",
        "\npolyhost_http_dispatched_total{to=\"inline\"} 1\n",
        "\npolyhost_http_connections_accepted_total 3\n",
        "\ndotnet_gc_collections_total{generation=\"gen2\"} ",
        "\ndotnet_gc_pause_time_seconds_total ",
        "\ndotnet_thread_pool_queue_length ",
    ] {
        assert!(metrics.contains(part), "{part} is not in {metrics}");
    }
    let slow: Value = serde_json::from_str(&get(&serving.admin, "/requests", "").1).expect("JSON");
    assert!(slow["now"].is_array() && slow["before"].is_array(), "{slow}");
    let (log, notes) = serving.end();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let line = |target: &str| lines.iter().find(|it| it["target"] == target).unwrap_or_else(|| panic!("{log} {notes}"));
    let traced = line("/trace");
    assert_eq!((TRACE, seen[2]), (traced["trace_id"].as_str().expect("a trace"), traced["request"].as_str().unwrap()));
    assert_eq!((Some(true), Some(4)), (line("/text")["inline"].as_bool(), line("/text")["bytes"].as_u64()));
    assert_eq!("complete", line("/metrics")["outcome"]);
    assert!(!log.contains("/healthz"), "{log}");
}

#[test]
fn an_admin_address_in_use_is_told_before_the_application_starts() {
    let Some(folder) = application() else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it has one").to_string();
    let mut command = command(["serve", "HttpContract.dll", "--listen", "127.0.0.1:0", "--admin", &address]);
    common::run(command.current_dir(&folder)).fails(1, &["--admin", &address, "in use"]);
}
