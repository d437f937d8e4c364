//! On which thread requests run: the pool, or for endpoints declared short the one that has read them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::running::{Running, body, exchange, serve, takeover};

const POOL: &str = "pool";
const INLINE: &str = "I/O thread";

fn start(way: &str, arguments: &[&str]) -> Option<Running> {
    let mut command = serve(&takeover()?, &[&["--listen", "127.0.0.1:0"], arguments].concat());
    command.env("TAKEOVER_WAY", way);
    Some(Running::start(command))
}

#[track_caller]
fn check(running: &Running, request: &str, expected: &str) {
    let stream = TcpStream::connect(running.address()).expect("it listens");
    let length = if request.starts_with("POST") { "Content-Length: 0\r\n" } else { "" };
    let answer = exchange(stream, &format!("{request} HTTP/1.1\r\nHost: a\r\n{length}Connection: close\r\n\r\n"));
    assert_eq!(expected, body(&answer), "{request}: {answer}");
}

#[test]
fn what_the_application_marks_runs_inline_and_nothing_else() {
    for way in ["create", "empty", "generic", "legacy"] {
        let Some(running) = start(way, &[]) else { return };
        for (request, expected) in [
            ("GET /pool", POOL),
            ("GET /marked", INLINE),
            ("GET /MARKED/?a=b", INLINE),
            ("GET /marked/object", INLINE),
            ("GET /marked/3", INLINE),
            ("POST /marked/3", POOL),
            ("GET /marked/slow", POOL),
            ("GET /number/3", INLINE),
        ] {
            check(&running, request, expected);
        }
        running.stop();
    }
}

#[test]
fn what_a_path_does_not_tell_runs_on_the_pool_and_is_told() {
    let Some(running) = start("create", &[]) else { return };
    for request in ["GET /constrained/3", "GET /constrained/three", "GET /file-a"] {
        check(&running, request, POOL);
    }
    let said = running.stop();
    for told in [
        "GET /constrained/{id:int}: a parameter of it has a constraint, and GET /constrained/{name} takes",
        "GET /file-{name}: a part between slashes",
        "GET /host: it is bound to a host",
    ] {
        assert!(said.contains(told), "{told:?} is not in:\n{said}");
    }
    assert!(said.contains("on the I/O threads, as marked: "), "{said}");
}

#[test]
fn actions_of_conventional_routes_may_be_marked() {
    let Some(running) = start("controllers", &[]) else { return };
    for (request, expected) in [
        ("GET /Dispatch/Marked", INLINE),
        ("GET /dispatch/marked/3", INLINE),
        ("GET /Dispatch", POOL),
        ("GET /Dispatch/Index", POOL),
        ("GET /marked", INLINE),
    ] {
        check(&running, request, expected);
    }
    running.stop();
}

#[test]
fn what_the_command_line_or_the_file_names_runs_inline_too() {
    let Some(running) = start("create", &["--inline", "/pool"]) else { return };
    check(&running, "GET /pool", INLINE);
    check(&running, "GET /marked", INLINE);
    running.stop();
    let Some(app) = takeover() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("polyhost.toml"), "[dispatch]\ninline = [\"/pool\"]\n").expect("written");
    let mut command = serve(&app, &["--listen", "127.0.0.1:0"]);
    command.current_dir(folder.path());
    let running = Running::start(command);
    check(&running, "GET /pool", INLINE);
    running.stop();
}

/// Reads that block never wait for the thread that they block: whoever is inline has the whole body.
#[test]
fn a_body_that_has_not_come_whole_is_read_on_the_pool() {
    let Some(running) = start("create", &[]) else { return };
    let head = "POST /body HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n";
    let stream = TcpStream::connect(running.address()).expect("it listens");
    assert_eq!("I/O thread: 3", body(&exchange(stream, &format!("{head}\r\nabc"))));

    let mut stream = TcpStream::connect(running.address()).expect("it listens");
    write!(stream, "{head}Expect: 100-continue\r\n\r\n").expect("written");
    // It is asked for by a read that blocks.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).expect("read");
    assert_eq!(b"HTTP/1.1 100 Continue\r\n\r\n", &interim);
    let answer = exchange(stream, "abc");
    assert_eq!("pool: 3", body(&answer), "{answer}");
    running.stop();
}

/// Who blocks an I/O thread until the client takes more is told, instead of waiting for ever.
#[test]
fn a_write_that_waits_for_its_own_thread_fails() {
    let Some(running) = start("create", &[]) else { return };
    let answer = running.get("/large");
    assert!(answer.len() < 64 << 20, "{} bytes", answer.len());
    check(&running, "GET /marked", INLINE);
    let said = running.stop();
    assert!(said.contains("blocks the thread that would send it"), "{said}");
}
