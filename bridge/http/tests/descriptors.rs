//! A server that runs out of file descriptors, in a process of its own that may have few.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use polyhost_http::metrics::Exposition;
use polyhost_http::observe::{Observer, ObserverConfig};
use polyhost_http::{Address, Server};
use support::Probe;

const NAME: &str = "a_server_without_descriptors_waits_and_goes_on";
const CHILD: &str = "POLYHOST_TEST_DESCRIPTORS";
/// Nothing here takes this long; a test that would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_server_without_descriptors_waits_and_goes_on() {
    if std::env::var_os(CHILD).is_some() {
        return serve();
    }
    let mut server = Few::start();
    let mut first = server.connect();
    assert_eq!("hello", get(&mut first));
    // The kernel takes them all; the server, as many as it can.
    let others: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    let mut last = server.connect();
    while server.failures() == 0 {}
    // It is still there for those it has, and does not spin: it tries again when one ends, or once a second.
    for _ in 0..200 {
        assert_eq!("hello", get(&mut first));
    }
    let failures = server.failures();
    assert!(failures < 100, "{failures} attempts");
    drop(others);
    assert_eq!("hello", get(&mut last));
    assert_eq!("hello", get(&mut first));
    server.end();
}

/// The response's body.
fn get(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\nhello") {
        let mut byte = [0];
        assert_eq!(1, stream.read(&mut byte).unwrap(), "{}", String::from_utf8_lossy(&response));
        response.push(byte[0]);
    }
    "hello".to_owned()
}

/// The server's process.
struct Few {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    address: SocketAddr,
}

impl Few {
    fn start() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 24 && exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture"]).env(CHILD, "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut few = Few { child, lines, address: ([127, 0, 0, 1], 0).into() };
        few.address = few.told("address ").parse().unwrap();
        few
    }

    fn told(&mut self, what: &str) -> String {
        let found = self.lines.find_map(|line| line.unwrap().split_once(what).map(|(_, rest)| rest.to_owned()));
        found.unwrap_or_else(|| panic!("the server ended before it told its {what}"))
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// How often it could not accept.
    fn failures(&mut self) -> u64 {
        writeln!(self.child.stdin.as_mut().unwrap(), "?").unwrap();
        self.told("failures ").parse().unwrap()
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Few {
    fn drop(&mut self) {
        // It has ended already where nothing failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until there is no more input, and tells for each line of it how often accepting failed.
fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let observer = Arc::new(Observer::new(ObserverConfig::default()));
    let builder = Server::builder(Arc::new(Probe::default())).observe(observer.clone());
    let server = builder.listen("127.0.0.1:0".parse().unwrap()).start().unwrap();
    let Address::Tcp(address) = server.addresses()[0] else { panic!("it listens on TCP") };
    println!("\naddress {address}");
    for _ in std::io::stdin().lines() {
        let mut out = Exposition::default();
        observer.write_metrics(&mut out);
        let text = out.into_text();
        let count = text.lines().find_map(|line| line.strip_prefix("polyhost_http_accept_failures_total "));
        println!("failures {}", count.unwrap());
    }
}
