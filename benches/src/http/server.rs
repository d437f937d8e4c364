//! The servers that are measured, each a process of its own, or several.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::nginx::{self, Nginx};
use super::process::{End, Process};
use crate::targets::report::Unmeasured;

/// Built by `make setup`, like all C# of the project.
const GUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests");
/// How a server says where it listens: what ASP.NET Core itself says.
pub(super) const LISTENING: &str = "Now listening on: http://";

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `dotnet App.dll`.
    Kestrel,
    /// The same, behind nginx.
    Nginx,
    /// The same dll in a process of this program, its requests on .NET's thread pool.
    Pool,
    /// The same, its requests on the thread that reads the connection.
    Inline,
    /// The same, with an access log and metrics.
    Observed,
    /// hyper's hello.
    Hello,
    /// No server: the application's pipeline, called from a loop in C#.
    Pipeline,
}

/// A running server. It ends when this is dropped, or when its standard input does.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// Dropped before the server that it is in front of.
    front: Option<Nginx>,
    process: Process,
}

/// Whether there is something to serve, a .NET to serve it, and what each of the servers needs besides.
///
/// # Errors
/// Says what is missing.
pub(super) fn need(kinds: &[Kind]) -> Result<(), Unmeasured> {
    guest("HttpContract")?;
    for kind in kinds {
        command(*kind)?;
        if *kind == Kind::Nginx {
            nginx::program().map_err(Unmeasured::Skipped)?;
        }
    }
    Ok(())
}

fn guest(name: &str) -> Result<PathBuf, Unmeasured> {
    let path = Path::new(GUESTS).join(name).join(format!("{name}.dll"));
    if path.is_file() {
        return Ok(path);
    }
    Err(Unmeasured::Skipped(format!("{} is not built; run `make setup`", path.display())))
}

fn command(kind: Kind) -> Result<Command, Unmeasured> {
    let skipped = |reason: String| Unmeasured::Skipped(reason);
    let app = guest("HttpContract")?;
    let root = polyhost_toolchain::dotnet::find_for_host(None).map_err(|e| skipped(format!("no .NET: {e}")))?;
    let serve_one = |what| {
        let program = std::env::current_exe().map_err(|e| Unmeasured::Failed(format!("this program: {e}")))?;
        let mut command = Command::new(program);
        command.args(["serve-one", what]).arg(&app);
        Ok::<_, Unmeasured>(command)
    };
    let dotnet = || {
        let dotnet = root.muxer().ok_or_else(|| skipped(format!("no dotnet program in {}", root.root.display())))?;
        let mut command = Command::new(dotnet);
        command.arg(&app).args(["--urls", "http://127.0.0.1:0"]);
        Ok::<_, Unmeasured>(command)
    };
    let mut command = match kind {
        Kind::Pool => serve_one("pool")?,
        Kind::Inline => serve_one("inline")?,
        Kind::Observed => serve_one("observed")?,
        Kind::Hello => serve_one("hello")?,
        Kind::Kestrel | Kind::Nginx => {
            let mut command = dotnet()?;
            // The application's own way to end with whoever started it.
            command.env("HTTP_CONTRACT_UNTIL_EOF", "1");
            command
        }
        Kind::Pipeline => {
            let mut command = dotnet()?;
            command.env("DOTNET_STARTUP_HOOKS", guest("PipelineFloor")?);
            command
        }
    };
    command
        .env("DOTNET_ROOT", &root.root)
        .env("ASPNETCORE_ENVIRONMENT", "Production")
        .env("HTTP_CONTRACT_ACTIVITIES", "none")
        .env_remove("ASPNETCORE_URLS");
    command.current_dir(app.parent().unwrap_or(Path::new("/")));
    Ok(command)
}

impl Server {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// What it has said last, where it ends before.
    pub(super) fn start(kind: Kind) -> Result<Server, Unmeasured> {
        Server::start_with(kind, &[])
    }

    /// The same with more variables in its environment.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(super) fn start_with(kind: Kind, variables: &[(&str, String)]) -> Result<Server, Unmeasured> {
        let mut command = command(kind)?;
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut start = || {
            let process = Process::start(&mut command, End::Kill)?;
            let address = process.wait_for(|line| line.strip_prefix(LISTENING).map(str::to_owned))?;
            let address = address.trim().parse().map_err(|e| format!("{address}: {e}"))?;
            let front = (kind == Kind::Nginx).then(|| Nginx::start(address)).transpose()?;
            Ok(Server { address: front.as_ref().map_or(address, |front| front.address), front, process })
        };
        start().map_err(|reason: String| Unmeasured::Failed(format!("{kind:?}: {reason}")))
    }

    /// The processes that serve.
    pub(super) fn pids(&self) -> Vec<u32> {
        let front = self.front.as_ref().map_or(&[][..], Nginx::pids);
        front.iter().copied().chain([self.process.pid()]).collect()
    }

    /// Sends a line to its standard input and gives back the line that it answers.
    ///
    /// # Errors
    /// Where it has ended.
    pub(super) fn ask(&mut self, question: &str) -> Result<String, String> {
        self.process.ask(question)
    }
}
