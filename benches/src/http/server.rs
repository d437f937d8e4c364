//! The servers that are measured, each a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use crate::report::Unmeasured;

/// Built by `make setup`, like all C# of the project.
const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests/HttpContract/HttpContract.dll");
/// How a server says where it listens: what ASP.NET Core itself says.
pub(super) const LISTENING: &str = "Now listening on: http://";

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `dotnet App.dll`.
    Kestrel,
    /// The same dll in a process of this program, its requests on .NET's thread pool.
    Pool,
    /// The same, its requests on the thread that reads the connection.
    Inline,
    /// hyper's hello.
    Hello,
}

/// A running server. It ends when this is dropped, or when its standard input does.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    child: Ended,
    lines: mpsc::Receiver<String>,
}

/// A process that is ended with its handle.
#[derive(Debug)]
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // One that has ended by itself was seen by whoever asked it something.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether there is something to serve, and a .NET to serve it.
///
/// # Errors
/// Says what is missing.
pub(super) fn need() -> Result<(), Unmeasured> {
    if !Path::new(APP).is_file() {
        return Err(Unmeasured::Skipped(format!("{APP} is not built; run `make setup`")));
    }
    command(Kind::Kestrel).map(drop)
}

fn command(kind: Kind) -> Result<Command, Unmeasured> {
    let skipped = |reason: String| Unmeasured::Skipped(reason);
    let root = polyhost_toolchain::dotnet::find_for_host(None).map_err(|e| skipped(format!("no .NET: {e}")))?;
    let mut command = match kind {
        Kind::Kestrel => {
            let dotnet = root.muxer();
            let dotnet = dotnet
                .ok_or_else(|| skipped(format!("no dotnet program in {}, so no Kestrel", root.root.display())))?;
            let mut command = Command::new(dotnet);
            // The application's own way to end with whoever started it.
            command.arg(APP).args(["--urls", "http://127.0.0.1:0"]).env("HTTP_CONTRACT_UNTIL_EOF", "1");
            command
        }
        _ => {
            let program = std::env::current_exe().map_err(|e| Unmeasured::Failed(format!("this program: {e}")))?;
            let mut command = Command::new(program);
            command.arg("serve-one").arg(match kind {
                Kind::Inline => "inline",
                Kind::Hello => "hello",
                _ => "pool",
            });
            command.arg(APP);
            command
        }
    };
    command.env("DOTNET_ROOT", &root.root).env("ASPNETCORE_ENVIRONMENT", "Production").env_remove("ASPNETCORE_URLS");
    command.current_dir(Path::new(APP).parent().unwrap_or(Path::new("/")));
    Ok(command)
}

impl Server {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// What it has said last, where it ends before.
    pub(super) fn start(kind: Kind) -> Result<Server, Unmeasured> {
        let failed = |reason: String| Unmeasured::Failed(format!("{kind:?}: {reason}"));
        let mut command = command(kind)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Ended(command.spawn().map_err(|e| failed(e.to_string()))?);
        let (sender, lines) = mpsc::channel();
        drain(child.0.stdout.take(), sender.clone());
        drain(child.0.stderr.take(), sender);
        let mut last = "it said nothing".to_owned();
        for line in &lines {
            if let Some(address) = line.strip_prefix(LISTENING) {
                let address = address.trim().parse().map_err(|e| failed(format!("{line}: {e}")))?;
                return Ok(Server { address, child, lines });
            }
            last = line;
        }
        Err(failed(format!("it ended before it listened: {last}")))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Sends a line to its standard input and gives back the line that it answers.
    ///
    /// # Errors
    /// Where it has ended.
    pub(super) fn ask(&mut self, question: &str) -> Result<String, String> {
        let input = self.child.0.stdin.as_mut().ok_or("it has no standard input")?;
        writeln!(input, "{question}").map_err(|e| format!("{question}: {e}"))?;
        let answer = self.lines.iter().find_map(|line| line.strip_prefix(question).map(str::to_owned));
        answer.ok_or_else(|| format!("it ended and did not answer {question}"))
    }
}

/// Reads what a server writes for as long as it does, so that it never waits for us.
fn drain(output: Option<impl Read + Send + 'static>, lines: mpsc::Sender<String>) {
    let Some(output) = output else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens once the server is on its way out.
            let _ = lines.send(line);
        }
    });
}
