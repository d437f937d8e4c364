//! How a server ends: told to, by itself, or with a failure.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;

use crate::running::{Running, body, dotnet, request, serve, takeover};

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

/// The service manager hears that it is ready once it answers, and that it stops.
#[test]
fn systemd_is_told_by_the_application() {
    let Some(app) = takeover() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let mut command = serve(&app, &["--listen", "127.0.0.1:0"]);
    command.env("TAKEOVER_DEED", "systemd").env("NOTIFY_SOCKET", &path);
    let running = Running::start(command);
    let heard = || {
        let mut state = [0; 64];
        let length = socket.recv(&mut state).expect("a message");
        String::from_utf8_lossy(&state[..length]).into_owned()
    };
    assert_eq!("READY=1", heard());
    assert_eq!("Hello", body(&running.get("/hello")));
    running.stop();
    assert_eq!("STOPPING=1", heard());
}

#[test]
fn it_is_live_and_not_ready_while_requests_finish() {
    let Some(app) = takeover() else { return };
    let mut running = Running::start(serve(&app, &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]));
    let admin = running.admin();
    let ask = |path| request(TcpStream::connect(admin).expect("it listens"), path);
    assert!(ask("/readyz").starts_with("HTTP/1.1 200 "));
    let (_stream, _) = begun(&running, "/for-ever");
    running.signal(libc::SIGTERM);
    running.until("stopping");
    let answer = ask("/readyz");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("the application is stopping\n"), "{answer}");
    assert!(ask("/healthz").starts_with("HTTP/1.1 200 "));
    running.signal(libc::SIGTERM);
    assert_eq!(Some(130), running.end().0.code());
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
    assert!(status.code() == Some(0) && said.contains("1 connection was cut"), "{status}:\n{said}");
}

#[test]
fn an_application_that_stops_ends_the_server() {
    for way in ["create", "legacy", "async", "both"] {
        let Some(running) = start(way, "") else { return };
        assert!(running.get("/stop").starts_with("HTTP/1.1 200 "));
        let (status, said) = running.end();
        assert!(status.code() == Some(0) && said.contains("\nMain is over\n"), "{way}: {status}:\n{said}");
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
fn what_main_returns_is_the_exit_code() {
    for way in ["create", "async", "legacy"] {
        let Some(running) = start(way, "code") else { return };
        running.signal(libc::SIGTERM);
        let (status, said) = running.end();
        assert_eq!(Some(3), status.code(), "{way}: {status}:\n{said}");
        assert!(said.contains("its Main returned 3"), "{said}");
    }
}

#[test]
fn so_is_what_it_exits_with() {
    let Some(app) = takeover() else { return };
    for mut command in [dotnet(&app), serve(&app, &["--listen", "127.0.0.1:0"])] {
        let output = command.env("TAKEOVER_DEED", "exit").output().expect("it starts");
        assert_eq!(Some(9), output.status.code(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn and_what_a_main_without_a_host_returns() {
    let Some(app) = takeover() else { return };
    for (deed, code) in [("return", 7), ("", 1)] {
        let mut command = serve(&app, &[]);
        command.env("TAKEOVER_WAY", "none").env("TAKEOVER_DEED", deed);
        let output = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(Some(code), output.status.code(), "{said}");
        assert!(said.contains("is no web application"), "{said}");
    }
}
