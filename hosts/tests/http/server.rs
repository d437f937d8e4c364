//! The two servers, each started once, when the first case needs it.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};

/// How the application configures its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// It leaves the server as it is.
    Plain,
    /// With low limits, synchronous I/O and no Server header.
    Tight,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub name: String,
    pub address: SocketAddr,
    child: Mutex<Child>,
}

#[derive(Debug)]
pub(crate) struct Pair {
    pub kestrel: Server,
    pub tested: Server,
}

/// All servers of this process. They end with [`Servers::end`], or when their standard input does.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    plain: OnceLock<Result<Pair, String>>,
    tight: OnceLock<Result<Pair, String>>,
}

impl Servers {
    /// Whether Kestrel is compared with itself.
    pub(crate) fn is_kestrel_alone(&self) -> bool {
        std::env::var("POLYHOST_HTTP_AGAINST").is_ok_and(|value| value == "kestrel")
    }

    /// The servers of a profile, or why there are none.
    pub(crate) fn pair(&self, profile: Profile) -> Result<&Pair, &String> {
        let place = match profile {
            Profile::Plain => &self.plain,
            Profile::Tight => &self.tight,
        };
        place.get_or_init(|| self.start(profile)).as_ref()
    }

    fn start(&self, profile: Profile) -> Result<Pair, String> {
        let app = in_workspace("target/guests/HttpContract/HttpContract.dll");
        if !app.exists() {
            return Err(format!("{} was not built; run `make setup`", app.display()));
        }
        let other = if self.is_kestrel_alone() { kestrel(&app)? } else { polyhost(&app)? };
        Ok(Pair {
            kestrel: Server::start("Kestrel", kestrel(&app)?, &app, profile)?,
            tested: Server::start(
                if self.is_kestrel_alone() { "Kestrel again" } else { "Polyhost" },
                other,
                &app,
                profile,
            )?,
        })
    }

    /// Ends every server that was started.
    pub(crate) fn end(&self) {
        let pairs = [&self.plain, &self.tight].into_iter().filter_map(|it| it.get()?.as_ref().ok());
        for server in pairs.flat_map(|pair| [&pair.kestrel, &pair.tested]) {
            let mut child = server.child.lock().expect("no case panics while it holds a child");
            // One that has died already was seen by the cases.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether `POLYHOST_REQUIRE` says that this must not be missing.
pub(crate) fn is_required(name: &str) -> bool {
    let list = std::env::var("POLYHOST_REQUIRE").unwrap_or_default();
    list.split(',').any(|it| it.trim() == name)
}

/// `dotnet App.dll`, with the application's own server.
fn kestrel(app: &Path) -> Result<Command, String> {
    let mut command = dotnet(app)?;
    command.args(["--urls", "http://127.0.0.1:0"]);
    Ok(command)
}

/// `dotnet Program.dll`.
pub(crate) fn dotnet(program: &Path) -> Result<Command, String> {
    let root = polyhost_toolchain::dotnet::find_for_host(None).map_err(|error| format!("no .NET: {error}"))?;
    let muxer = root.muxer().ok_or_else(|| format!("no dotnet program in {}", root.root.display()))?;
    let mut command = Command::new(muxer);
    command.env("DOTNET_ROOT", &root.root).arg(program);
    Ok(command)
}

/// The server under test: `polyhost serve App.dll`, of the build that this program is of.
fn polyhost(app: &Path) -> Result<Command, String> {
    let here = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let folder = here.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let program = folder.join(format!("polyhost{}", std::env::consts::EXE_SUFFIX));
    let help = Command::new(&program).args(["serve", "--help"]).output();
    if !help.is_ok_and(|output| output.status.success()) {
        let program = program.display();
        return Err(format!("{program} is missing or cannot serve; build it with `cargo build -p polyhost-cli`"));
    }
    let mut command = Command::new(program);
    command.arg("serve").arg(app).args(["--listen", "127.0.0.1:0"]);
    Ok(command)
}

impl Server {
    fn start(name: &str, mut command: Command, app: &Path, profile: Profile) -> Result<Self, String> {
        let folder = app.parent().unwrap_or(Path::new("."));
        command.current_dir(folder).env_remove("ASPNETCORE_URLS").env("HTTP_CONTRACT_UNTIL_EOF", "1");
        command.env("ASPNETCORE_ENVIRONMENT", "Production").env("DOTNET_gcServer", "0");
        if profile == Profile::Tight {
            command.env("HTTP_CONTRACT_LIMITS", "tight");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{name}: {command:?}: {error}"))?;
        let (lines, found) = mpsc::channel();
        let output = child.stdout.take().expect("it is piped");
        let errors = child.stderr.take().expect("it is piped");
        drain(output, lines.clone());
        drain(errors, lines);
        let mut seen = String::new();
        for line in found {
            if let Some(address) = address_in(&line) {
                return Ok(Server { name: name.to_owned(), address, child: Mutex::new(child) });
            }
            seen += &line;
            seen.push('\n');
        }
        let _ = child.kill();
        let status = child.wait().map(|status| status.to_string()).unwrap_or_default();
        Err(format!("{name} ended before it listened ({status}):\n{seen}"))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.address)
    }
}

/// Reads what a server writes for as long as it does, so that it never waits for us.
fn drain(output: impl std::io::Read + Send + 'static, lines: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens once the address is known.
            let _ = lines.send(line);
        }
    });
}

/// The address in a line such as `Now listening on: http://127.0.0.1:5000`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let at = line.find("127.0.0.1:")?;
    let text = &line[at..];
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(text.len());
    text[..end].trim_end_matches(['.', ':']).parse().ok().filter(|address: &SocketAddr| address.port() != 0)
}

pub(crate) fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is hosts/").join(path)
}
