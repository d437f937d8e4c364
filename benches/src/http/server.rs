//! The servers that are measured, each a process of its own, or several.

use std::ffi::OsStr;
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
pub(crate) enum Kind {
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
    /// hyper alone, without an application.
    Hello,
    /// No server: the application's pipeline, called from a loop in C#.
    Pipeline,
}

/// A running server. It ends when this is dropped, or when its standard input does.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Dropped before the server that it is in front of.
    front: Option<Nginx>,
    process: Process,
}

/// Whether there is something to serve, a .NET to serve it, and what each of the servers needs besides.
///
/// # Errors
/// Says what is missing.
pub(crate) fn need(kinds: &[Kind]) -> Result<(), Unmeasured> {
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

/// This program; for a test, the one beside the folder that it is in.
pub(super) fn this_program() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
    match this.parent().filter(|folder| folder.file_name() == Some(OsStr::new("deps"))).and_then(Path::parent) {
        Some(beside) => Ok(beside.join("polyhost-bench")),
        None => Ok(this),
    }
}

/// This program as a server, of `app` where there is one.
fn serve_one(what: &str, app: &Path) -> Result<Command, Unmeasured> {
    let program = this_program().map_err(Unmeasured::Failed)?;
    if !program.is_file() {
        let how = "`cargo build --package polyhost-bench --bins` builds it";
        return Err(Unmeasured::Skipped(format!("{} is not there; {how}", program.display())));
    }
    let mut command = Command::new(program);
    command.args(["serve-one", what]).arg(app);
    Ok(command)
}

fn command(kind: Kind) -> Result<Command, Unmeasured> {
    let ours = match kind {
        Kind::Pool => Some("pool"),
        Kind::Inline => Some("inline"),
        Kind::Observed => Some("observed"),
        Kind::Hello => return serve_one("hello", Path::new(".")),
        Kind::Kestrel | Kind::Nginx | Kind::Pipeline => None,
    };
    let skipped = |reason: String| Unmeasured::Skipped(reason);
    let app = guest("HttpContract")?;
    let root = crate::project::dotnet().map_err(|e| skipped(e.to_string()))?;
    let dotnet = || {
        let dotnet = root.muxer().ok_or_else(|| skipped(format!("no dotnet program in {}", root.root.display())))?;
        let mut command = Command::new(dotnet);
        command.arg(&app).args(["--urls", "http://127.0.0.1:0"]);
        Ok::<_, Unmeasured>(command)
    };
    let mut command = ours.map_or_else(dotnet, |what| serve_one(what, &app))?;
    match kind {
        Kind::Pipeline => command.env("DOTNET_STARTUP_HOOKS", guest("PipelineFloor")?),
        // The application's own way to end with whoever started it.
        _ if ours.is_none() => command.env("HTTP_CONTRACT_UNTIL_EOF", "1"),
        _ => &mut command,
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
    pub(crate) fn start(kind: Kind) -> Result<Server, Unmeasured> {
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
    pub(crate) fn pids(&self) -> Vec<u32> {
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
