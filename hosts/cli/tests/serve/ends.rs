//! How a server ends: told to, by itself, or with a failure.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::running::{Running, serve, takeover};

/// A server whose application does something wrong, or ends.
fn start(way: &str, deed: &str) -> Option<Running> {
    let mut command = serve(&takeover()?, &["--listen", "127.0.0.1:0"]);
    command.env("TAKEOVER_WAY", way).env("TAKEOVER_DEED", deed);
    Some(Running::start(command))
}

/// A request that has begun to be answered.
fn begun(running: &Running, path: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(running.address()).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("written");
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"begun ") {
        assert_eq!(1, stream.read(&mut byte).expect("read"), "{}", String::from_utf8_lossy(&read));
        read.push(byte[0]);
    }
    (stream, String::from_utf8(read).expect("text"))
}

/// A stream that ends with the application does not hold the server for the time that requests have.
fn drains(way: &str, signal: i32) {
    let Some(running) = start(way, "") else { return };
    let (mut stream, _) = begun(&running, "/until-stopping");
    running.signal(signal);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("readable");
    assert!(rest.contains("ended") && rest.ends_with("0\r\n\r\n"), "{rest}");
    let (status, said) = running.end();
    assert_eq!(Some(0), status.code(), "{status}:\n{said}");
    assert!(
        said.contains("\nstopping\n") && said.contains("\nstopped\n") && said.contains("\nMain is over\n"),
        "{said}"
    );
}

#[test]
fn sigterm_lets_requests_finish() {
    drains("create", libc::SIGTERM);
}

#[test]
fn sigint_does_too() {
    drains("create", libc::SIGINT);
}

#[test]
fn sigterm_lets_requests_of_the_legacy_host_finish() {
    drains("legacy", libc::SIGTERM);
}

#[test]
fn a_second_signal_ends_at_once() {
    let Some(mut running) = start("create", "") else { return };
    let (_stream, _) = begun(&running, "/for-ever");
    running.signal(libc::SIGTERM);
    running.until("stopping");
    running.signal(libc::SIGTERM);
    let (status, said) = running.end();
    assert_eq!(Some(130), status.code(), "{status}:\n{said}");
}

#[test]
fn requests_that_do_not_finish_are_cut() {
    let Some(app) = takeover() else { return };
    let running = Running::start(serve(&app, &["--listen", "127.0.0.1:0", "--grace", "1ms"]));
    let (mut stream, _) = begun(&running, "/for-ever");
    running.signal(libc::SIGTERM);
    let mut rest = Vec::new();
    // The end of the connection, whichever.
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    let (status, said) = running.end();
    assert!(status.code() == Some(0) && said.contains("1 connections were cut"), "{status}:\n{said}");
}

#[test]
fn an_application_that_stops_ends_the_server() {
    for way in ["create", "legacy", "async"] {
        let Some(running) = start(way, "") else { return };
        assert!(running.get("/stop").starts_with("HTTP/1.1 200 "));
        let (status, said) = running.end();
        assert!(status.code() == Some(0) && said.ends_with("Main is over\n"), "{way}: {status}:\n{said}");
    }
}

#[test]
fn an_application_that_stops_as_it_starts_does_too() {
    let Some(running) = start("create", "stop") else { return };
    let (status, said) = running.end();
    assert_eq!(Some(0), status.code(), "{status}:\n{said}");
}

#[test]
fn a_main_that_throws_at_its_end_fails() {
    let Some(running) = start("create", "throw-at-end") else { return };
    running.signal(libc::SIGTERM);
    let (status, said) = running.end();
    assert_eq!(Some(1), status.code(), "{status}:\n{said}");
    assert!(said.contains("failed: InvalidOperationException: the last words"), "{said}");
}

#[test]
fn a_main_that_returns_a_number_fails() {
    let Some(running) = start("create", "code") else { return };
    running.signal(libc::SIGTERM);
    let (status, said) = running.end();
    assert_eq!(Some(1), status.code(), "{status}:\n{said}");
    assert!(said.contains("its Main returned 3"), "{said}");
}
