//! Slow clients, as slowhttptest makes them, against a real ASP.NET Core application: others are answered meanwhile, and
//! the timeouts end them.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::common::{checkout, required};
use crate::running::{PATIENCE, Running, body, muxer, request, serve};

/// As impatient as a test may be.
const CONFIG: &str = "\
[limits]
request_headers_timeout = \"2s\"
min_request_body_data_rate = { bytes_per_second = 1000000, grace_period = \"2s\" }
min_response_data_rate = { bytes_per_second = 1000000, grace_period = \"2s\" }
";
/// How many slow clients there are.
const CLIENTS: u32 = 50;

/// The application, or nothing where it or the tool is missing.
fn application() -> Option<PathBuf> {
    let app = checkout().join("target/guests/HttpContract/HttpContract.dll");
    let missing = if Command::new("slowhttptest").arg("-h").output().is_err() {
        assert!(!required("slowhttptest"), "slowhttptest is required and not on PATH");
        println!("skipped: slowhttptest is not on PATH; Debian has a package of that name");
        return None;
    } else if !app.exists() {
        "target/guests/HttpContract was not built: run `make setup`"
    } else if muxer().is_none() {
        "there is no .NET with ASP.NET Core"
    } else {
        return Some(app);
    };
    assert!(!required("aspnet") && !required("clr"), "{missing}");
    println!("skipped: {missing}");
    None
}

/// Has slow clients come for so many seconds at most, and asks for something else until they are gone.
///
/// Returns the server, and how the tool says that it ended.
fn run(app: &Path, path: &str, way: &[&str], seconds: u32) -> (Running, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("polyhost.toml");
    std::fs::write(&file, CONFIG).expect("written");
    let mut command = serve(app, &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]);
    // The application's wwwroot is in the folder that it starts in.
    command.arg(&file).current_dir(app.parent().expect("a folder"));
    let running = Running::start_silent(command);
    let mut tool = Command::new("slowhttptest");
    tool.args(way).args(["-c", &CLIENTS.to_string(), "-r", &CLIENTS.to_string(), "-l", &seconds.to_string()]);
    tool.args(["-i", "1", "-p", "30", "-u", &format!("http://{}{path}", running.address())]);
    let over = AtomicBool::new(false);
    let (said, answered) = std::thread::scope(|scope| {
        let tool = scope.spawn(|| {
            let output = tool.output();
            over.store(true, Ordering::Relaxed);
            plain(&output.expect("it starts").stdout)
        });
        let mut answered = 0;
        while !over.load(Ordering::Relaxed) {
            assert_eq!("text", body(&running.get("/text")));
            answered += 1;
        }
        (tool.join().expect("it ends"), answered)
    });
    println!("{said}\nothers were answered {answered} times");
    assert!(answered > 0);
    let last = |name: &str| said.lines().rev().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!(Some("YES"), last("service available:"), "{said}");
    assert!(!said.contains("available:   NO"), "{said}");
    let outcome = last("Exit status:").unwrap_or_default().to_owned();
    (running, outcome)
}

/// Text without the commands to a terminal.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    let mut parts = text.split("\u{1b}[");
    out.extend(parts.next());
    for part in parts {
        out += part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or_default();
    }
    out
}

#[test]
fn slow_heads_are_refused() {
    let Some(app) = application() else { return };
    // The tool ends when the server has ended all of its connections.
    let (mut running, outcome) = run(&app, "/text", &["-H"], 100);
    assert_eq!("No open connections left", outcome);
    assert!(metric(&mut running, "polyhost_http_requests_refused_total{code=\"408\"} ") >= CLIENTS);
    running.stop();
}

#[test]
fn slow_bodies_are_refused() {
    let Some(app) = application() else { return };
    let (mut running, outcome) = run(&app, "/body/hash", &["-B", "-s", "100000"], 100);
    assert_eq!("No open connections left", outcome);
    assert!(metric(&mut running, "polyhost_http_requests_total{method=\"POST\",code=\"4xx\"} ") >= CLIENTS);
    running.stop();
}

#[test]
fn slow_readers_are_cut() {
    let Some(app) = application() else { return };
    // More than the buffers of the kernel take. The tool reads what it has received on, and does not see the end.
    let (mut running, _) = run(&app, "/large?size=8000000", &["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "5"], 5);
    let until = Instant::now() + PATIENCE;
    while metric(&mut running, "polyhost_http_requests_aborted_total{by=\"server\"} ") < CLIENTS {
        assert!(Instant::now() < until, "not all of them are cut");
    }
    assert_eq!("text", body(&running.get("/text")));
    running.stop();
}

/// A number that the admin pages tell.
fn metric(running: &mut Running, start: &str) -> u32 {
    let text = request(TcpStream::connect(running.admin()).expect("it listens"), "/metrics");
    let number = text.lines().find_map(|line| line.strip_prefix(start));
    number.map_or(0, |number| number.parse().expect("a number"))
}
