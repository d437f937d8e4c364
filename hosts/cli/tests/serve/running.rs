//! A server in a process of its own, and requests for it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use polyhost_toolchain::Machine;
use polyhost_toolchain::dotnet::{Wanted, search};
use serde_json::Value;

use crate::common::{checkout, required};

/// Nothing here takes this long; a test that would hang fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The application of dotnet/tests/Takeover, as published. `None`, with the reason told, where it can't be run.
pub(crate) fn takeover() -> Option<PathBuf> {
    let app = checkout().join("target/guests/Takeover/Takeover.dll");
    let missing = if !cfg!(feature = "aspnet") {
        "aspnet is not in this build".to_owned()
    } else if !app.exists() {
        format!("{} was not built; run `make setup`", app.display())
    } else if muxer().is_none() {
        "there is no .NET with ASP.NET Core".to_owned()
    } else {
        return Some(app);
    };
    assert!(!required("clr"), "{missing}, and POLYHOST_REQUIRE asks for clr");
    println!("skipped: {missing}");
    None
}

/// The program `dotnet`.
pub(crate) fn muxer() -> Option<PathBuf> {
    let wanted = Wanted { aspnet: true, ..Wanted::default() };
    search(&Machine::current(), None, &wanted).into_result().ok()?.muxer()
}

/// `dotnet App.dll`.
pub(crate) fn dotnet(app: &Path) -> Command {
    let muxer = muxer().expect("it was there before");
    let mut command = Command::new(&muxer);
    command.env("DOTNET_ROOT", muxer.parent().expect("a folder")).arg(app);
    quiet(command)
}

/// `polyhost serve App`, with more arguments.
pub(crate) fn serve(app: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyhost"));
    command.arg("serve").arg(app).args(arguments);
    quiet(command)
}

/// `polyhost serve App`, which takes the connections of this listener.
pub(crate) fn serve_inherited(app: &Path, listener: &TcpListener) -> Command {
    inheriting(std::slice::from_ref(listener), "", &serve(app, &["--listen", "systemd:"]))
}

/// The same command, started as systemd does that made these sockets for it.
pub(crate) fn inheriting(sockets: &[TcpListener], names: &str, inner: &Command) -> Command {
    // Above the numbers that they are to have, so that none is overwritten before it is copied.
    let copies: Vec<OwnedFd> = sockets
        .iter()
        .map(|socket| {
            // SAFETY: makes a new descriptor, owned from then on.
            unsafe { OwnedFd::from_raw_fd(libc::fcntl(socket.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 30)) }
        })
        .collect();
    // The shell becomes the server, so its number is the server's.
    let mut command = Command::new("sh");
    command.args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
    // SAFETY: dup2 may be called between fork and exec; what it closes is of this process's copy.
    unsafe {
        command.pre_exec(move || {
            for (fd, to) in copies.iter().zip(3..) {
                libc::dup2(fd.as_raw_fd(), to);
            }
            Ok(())
        });
    }
    quiet(command)
}

/// Nothing of this process's own surroundings.
fn quiet(mut command: Command) -> Command {
    for name in ["ASPNETCORE_URLS", "ASPNETCORE_ENVIRONMENT", "DOTNET_ENVIRONMENT", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.env("DOTNET_gcServer", "0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that has started.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    pub(crate) said: String,
    /// What the application says that it is served at.
    pub(crate) urls: Vec<String>,
}

impl Running {
    /// Starts it and waits until the application says that it has started.
    #[track_caller]
    pub(crate) fn start(command: Command) -> Running {
        let mut running = Running::spawn(command);
        let line = running.until("serving at ");
        running.urls = line.trim_start_matches("serving at ").split(' ').map(str::to_owned).collect();
        running
    }

    /// Starts one whose application says nothing, and waits until the server says that it has started.
    #[track_caller]
    pub(crate) fn start_silent(command: Command) -> Running {
        let mut running = Running::spawn(command);
        let line = running.until("listening on ");
        running.urls = line.split(' ').nth(2).map(str::to_owned).into_iter().collect();
        running.until("started in ");
        running
    }

    #[track_caller]
    fn spawn(mut command: Command) -> Running {
        let mut child = command.spawn().expect("the program starts");
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take().expect("piped"), sender.clone());
        forward(child.stderr.take().expect("piped"), sender);
        Running { child, lines, said: String::new(), urls: Vec::new() }
    }

    /// Waits for a line that begins so.
    #[track_caller]
    pub(crate) fn until(&mut self, start: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.said += &format!("{line}\n");
                    if line.starts_with(start) {
                        return line;
                    }
                }
                Err(e) => panic!("no line {start:?} ({e}), status {:?}:\n{}", self.child.try_wait(), self.said),
            }
        }
    }

    /// Where its admin pages are.
    #[track_caller]
    pub(crate) fn admin(&mut self) -> SocketAddr {
        const START: &str = "health and metrics on http://";
        // It may have said so before the application did.
        let said = self.said.lines().find(|line| line.starts_with(START)).map(str::to_owned);
        let line = said.unwrap_or_else(|| self.until(START));
        line[START.len()..].parse().expect("an address")
    }

    /// Where it listens, by TCP.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        let url = self.urls[0].strip_prefix("http://").expect("http");
        url.replace("localhost", "127.0.0.1").parse().unwrap_or_else(|e| panic!("{url}: {e}"))
    }

    /// The answer to a GET, whole.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> String {
        request(TcpStream::connect(self.address()).expect("it listens"), path)
    }

    /// What the application tells of its surroundings.
    #[track_caller]
    pub(crate) fn env(&self) -> Value {
        serde_json::from_str(body(&self.get("/env"))).expect("JSON")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the child is ours and has not been waited for.
        assert_eq!(0, unsafe { libc::kill(self.child.id().cast_signed(), signal) });
    }

    /// Waits for its end; everything it said.
    #[track_caller]
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        // Both ends of the lines are closed by its end.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.said += &format!("{line}\n"),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(e) => panic!("it does not end: {e}:\n{}", self.said),
            }
        }
        (self.child.wait().expect("it ends"), std::mem::take(&mut self.said))
    }

    /// Ends it as a service manager does, and checks that all went well.
    #[track_caller]
    pub(crate) fn stop(self) -> String {
        self.signal(libc::SIGTERM);
        let (status, said) = self.end();
        assert_eq!(Some(0), status.code(), "{status}:\n{said}");
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where nothing failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Checks that it ends with this code and says all of this.
#[track_caller]
pub(crate) fn refuses(mut command: Command, code: i32, parts: &[&str]) {
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(Some(code), output.status.code(), "{}:\n{said}", output.status);
    let line = said.lines().find(|line| line.starts_with("polyhost: ")).unwrap_or_default();
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert!(!line.is_empty() && said.matches("polyhost: ").count() == 1, "not one message:\n{said}");
}

fn forward(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Nobody listens any more once the test is over.
            let _ = to.send(line);
        }
    });
}

/// A GET with a connection of its own, to the end of that.
pub(crate) fn request(stream: impl Read + Write, path: &str) -> String {
    exchange(stream, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

pub(crate) fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("written");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("read");
    String::from_utf8(response).expect("text")
}

pub(crate) fn over_unix(path: &Path, target: &str) -> String {
    request(UnixStream::connect(path).expect("it listens"), target)
}

/// The body of a response with a length, or of one chunk.
pub(crate) fn body(response: &str) -> &str {
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    if !head.contains("Transfer-Encoding: chunked") {
        return body;
    }
    let (_, chunk) = body.split_once("\r\n").expect("a chunk");
    chunk.split("\r\n").next().unwrap_or_default()
}
