//! `polyhost serve`: an ASP.NET Core application behind the Rust HTTP server, in this process.

mod access;
mod config;
mod events;
mod operations;
mod plan;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use polyhost::aspnet::{AspNetApp, AspNetConfig, ServerSettings};
use polyhost::http::server::Stopped;
use polyhost::http::{Address, HttpApp, Server};
use polyhost::{Error, ErrorKind};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::Global;
use crate::failure::Failure;
use crate::screen::{self, Paint};
use access::AccessLog;
use config::{AddressText, Config, RequestPath};
use operations::Operations;
use polyhost::http::Observer;

/// How long requests may take to finish when the server is told to stop; what .NET's own host gives them.
const GRACE: Duration = Duration::from_secs(30);

/// Serves a published ASP.NET Core application, unchanged, in this process.
///
/// Rust accepts the connections and speaks HTTP; each request goes to the application's pipeline without a socket
/// between. Its Kestrel settings count: limits, endpoints, synchronous I/O.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// The application: its .dll, or the folder it was published to. May stand in polyhost.toml instead.
    #[arg(value_name = "APP")]
    app: Option<PathBuf>,
    /// Listens here: 127.0.0.1:8080, [::1]:80, http://*:5000, unix:/run/app.sock, or systemd: for inherited sockets; may
    /// be repeated. Goes before the file and what the application says itself.
    #[arg(long, short, value_name = "ADDRESS", value_parser = address)]
    listen: Vec<AddressText>,
    /// Reads this file. By default polyhost.toml in this folder, if it is there.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Runs requests for this path on the thread that read them; `/api/*` takes what lies below. May be repeated.
    ///
    /// For endpoints that answer within microseconds: others wait meanwhile.
    #[arg(long, value_name = "PATH", help_heading = "Dispatch", value_parser = request_path)]
    inline: Vec<RequestPath>,
    /// Threads for connections. By default one for each four processors; where requests run inline, one for each,
    /// and two at least.
    #[arg(long, value_name = "N", help_heading = "Dispatch")]
    threads: Option<NonZeroUsize>,
    /// Writes a line for each request to stdout.
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    access_log: Option<AccessLog>,
    /// Serves health and metrics here, apart from the application.
    #[arg(long, value_name = "ADDRESS", help_heading = "Output", value_parser = address)]
    admin: Option<AddressText>,
    /// How long requests may take to finish after SIGTERM or SIGINT; 30s by default. A second signal ends at once.
    #[arg(long, value_name = "TIME", value_parser = config::time)]
    grace: Option<Duration>,
    /// What the application's Main gets.
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  polyhost serve bin/Release/net10.0/publish --listen 127.0.0.1:8080
  polyhost serve App.dll --listen unix:/run/app.sock --access-log combined
  polyhost serve App.dll --inline /health -- --environment Development";

pub(crate) fn run(global: &Global, arguments: &Serve) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let config = Config::read(arguments.config.as_deref())?;
    let options = Options::of(arguments, config)?;
    events::show();
    let operations = Operations::start(&options)?;
    let (runtime, served) = Served::start(options, &operations, begun)?;
    operations.ready(&served.app);
    served.announce(global, &operations);
    let code = runtime.block_on(served.until_end(&operations));
    // Threads of the application may still be inside .NET; nobody waits for them.
    runtime.shutdown_background();
    code
}

/// The threads for connections, as many as are asked for. By default, where the application runs on .NET's pool, one for
/// each four processors: threads that read wake each other, and what they take the pool lacks.
fn io_threads(threads: Option<usize>, inline: bool) -> std::io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    // Inline, one of them never runs the application's code, so that somebody reads.
    let usual = || if inline { processors().max(2) } else { processors().div_ceil(4) };
    builder.worker_threads(threads.unwrap_or_else(usual));
    // .NET code may run on these threads, and wants the room it has elsewhere.
    builder.enable_all().thread_stack_size(4 << 20).thread_name("polyhost-io").build()
}

/// Command line and file, put together.
#[derive(Debug)]
struct Options {
    app: AspNetConfig,
    listen: (Vec<String>, Vec<String>),
    limits: config::LimitsConfig,
    threads: Option<usize>,
    warm_up: Vec<String>,
    max_connections: Option<usize>,
    grace: Duration,
    access: Option<AccessLog>,
    admin: Option<Address>,
    /// On the I/O thread, and elsewhere.
    slow: (Option<Duration>, Option<Duration>),
}

impl Options {
    fn of(arguments: &Serve, file: Config) -> Result<Options, Failure> {
        let path = arguments.app.clone().or(file.app.path);
        let path = path.ok_or_else(|| {
            Failure::Usage(
                "no application: name its .dll or folder, here or as `path` of [app] in polyhost.toml".to_owned(),
            )
        })?;
        let mut app = AspNetConfig::new(enter(path)?);
        app.own_signals = true;
        app.arguments = if arguments.arguments.is_empty() { file.app.args } else { arguments.arguments.clone() };
        app.environment = file.app.environment.into_iter().collect();
        let inline = if arguments.inline.is_empty() { file.dispatch.inline } else { arguments.inline.clone() };
        app.inline.paths = inline.into_iter().map(|path| path.0).collect();
        if let Some(timeout) = file.app.start_timeout {
            app.start_timeout = timeout;
        }
        let listen: (Vec<String>, Vec<String>) = (texts(&arguments.listen), texts(&file.server.listen));
        let admin = arguments.admin.as_ref().or(file.admin.listen.as_ref()).map(|text| &text.0);
        let addresses = listen.0.iter().chain(&listen.1).chain(admin).filter_map(|text| text.parse().ok());
        // Before there are threads that read the environment.
        if addresses.into_iter().any(|address| matches!(address, Address::Inherited(_))) {
            polyhost::http::listen::keep_inherited();
        }
        let admin = admin.and_then(|text| text.parse().ok());
        Ok(Options {
            app,
            listen,
            limits: file.limits,
            threads: arguments.threads.or(file.server.threads).map(NonZeroUsize::get),
            max_connections: file.server.max_connections.map(NonZeroUsize::get),
            warm_up: file.server.warm_up.into_iter().map(|path| path.0).collect(),
            grace: arguments.grace.or(file.server.grace).unwrap_or(GRACE),
            access: arguments.access_log.or(file.log.access),
            admin,
            slow: (file.admin.slow_inline, file.admin.slow_request),
        })
    }
}

/// Makes an application's folder the working folder: it is where the content root and relative paths are looked for. One
/// that is named by its .dll is started as `dotnet` starts it, from where we are.
fn enter(path: PathBuf) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        return Ok(path);
    }
    let failed = |e| Failure::io(path.display(), e);
    let folder = path.canonicalize().map_err(failed)?;
    std::env::set_current_dir(&folder).map_err(failed)?;
    Ok(folder)
}

fn address(text: &str) -> Result<AddressText, String> {
    text.to_owned().try_into()
}

fn request_path(text: &str) -> Result<RequestPath, String> {
    text.to_owned().try_into()
}

fn texts(addresses: &[AddressText]) -> Vec<String> {
    addresses.iter().map(|text| text.0.clone()).collect()
}

/// A server that runs, and its application.
struct Served {
    app: AspNetApp,
    server: Server,
    listened: Listened,
    signals: Vec<Signal>,
    grace: Duration,
    took: Duration,
}

/// What came of the plan, once the application has asked for its server.
#[derive(Debug, Default)]
struct Listened {
    by: &'static str,
    overruled: Vec<String>,
    ignored: Vec<String>,
    inline: Vec<String>,
    not_inline: Vec<String>,
    /// What was asked to warm up, and the answers' statuses.
    warmed: Vec<(String, u16)>,
    /// What the application is told.
    urls: Vec<String>,
}

/// What there is from the moment on that the application asks for its server.
type Serving = (Runtime, Server, Listened, Vec<Signal>);

impl Served {
    fn start(options: Options, operations: &Operations, begun: Instant) -> Result<(Runtime, Served), Failure> {
        let observer = operations.observer();
        let Options { app, listen, limits, threads, warm_up, max_connections, grace, .. } = options;
        let started: Arc<Mutex<Option<Serving>>> = Arc::default();
        let slot = started.clone();
        let paths = !app.inline.paths.is_empty();
        let app = app.on_listen(move |app, settings| {
            let runtime = io_threads(threads, paths || !settings.inline.is_empty());
            let runtime = runtime.map_err(|e| format!("the I/O threads: {e}"))?;
            let inside = runtime.enter();
            // Before anybody is told that it has started.
            let signals = signals().map_err(|e| format!("the signal handlers: {e}"))?;
            // Before a client can come.
            let warmed = runtime.block_on(warm(app, &warm_up))?;
            let (server, mut listened) = serve(app, settings, &listen, &limits, max_connections, observer.clone())?;
            listened.warmed = warmed;
            let urls = listened.urls.clone();
            drop(inside);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((runtime, server, listened, signals));
            Ok(urls)
        });
        let app = AspNetApp::start(app)?;
        let (runtime, server, listened, signals) = started
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the application started and nobody listens"))?;
        Ok((runtime, Served { app, server, listened, signals, grace, took: begun.elapsed() }))
    }

    fn announce(&self, global: &Global, operations: &Operations) {
        let addresses: Vec<String> = self.server.addresses().iter().map(Address::to_string).collect();
        let admin: Vec<String> = operations.addresses().iter().map(Address::to_string).collect();
        let took = self.took.as_secs_f64() * 1e3;
        if global.json {
            let line = json!({ "listening": addresses, "by": self.listened.by, "start_ms": took, "admin": admin, "pid": std::process::id(),
                "overruled": self.listened.overruled, "ignored": self.listened.ignored,
                "inline": self.listened.inline, "not_inline": self.listened.not_inline,
                "warmed": self.listened.warmed });
            return screen::note(&line.to_string());
        }
        let paint = Paint::stderr();
        for address in &addresses {
            screen::note(&format!("{} {address} ({})", paint.good("listening on"), self.listened.by));
        }
        for address in &admin {
            screen::note(&format!("health and metrics on {address}"));
        }
        let runtime = polyhost::clr::Clr::running().map(|info| format!(" on {} {}", info.name, info.version));
        screen::note(&format!(
            "started in {took:.0} ms{}; took over from Kestrel: server, limits, lifetime",
            runtime.unwrap_or_default()
        ));
        for (path, status) in self.listened.warmed.iter().filter(|(_, status)| *status >= 400) {
            screen::note(&format!("{} GET {path} to warm up was answered with {status}", paint.warning("note:")));
        }
        if !self.listened.inline.is_empty() {
            screen::note(&format!("on the I/O threads, as marked: {}", self.listened.inline.join("; ")));
        }
        for what in &self.listened.not_inline {
            screen::note(&format!("{} marked inline, and not run so: {what}", paint.warning("note:")));
        }
        for what in &self.listened.overruled {
            screen::note(&format!("{} not listening at {what}", paint.warning("note:")));
        }
        for what in &self.listened.ignored {
            screen::note(&format!("{} a setting for Kestrel failed: {what}", paint.warning("note:")));
        }
    }

    /// Serves until a signal comes or the application ends.
    async fn until_end(self, operations: &Operations) -> Result<ExitCode, Failure> {
        let mut signals = self.signals;
        let mut any_signal = async || {
            std::future::poll_fn(|cx| {
                let ready = signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
                if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        };
        let signalled = tokio::select! {
            () = any_signal() => true,
            () = self.app.stopping() => false,
        };
        let second = async {
            // An application that takes signals itself, as the legacy host does, may have said that it stops before this
            // one was seen here.
            if !signalled {
                any_signal().await;
            }
            any_signal().await;
        };
        operations.stopping();
        let finished = async {
            let outcome = finish(self.app, self.server, self.grace).await;
            operations.finish().await;
            outcome
        };
        tokio::select! {
            outcome = finished => outcome,
            () = second => Ok(ExitCode::from(130)),
        }
    }
}

fn signals() -> std::io::Result<Vec<Signal>> {
    [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()].into_iter().map(signal).collect()
}

/// The addresses as Kestrel would tell them: both loopback addresses are one.
fn urls(asked: &[Address], bound: &[Address]) -> Vec<String> {
    let of_localhost = |address: &Address| match address {
        Address::Tcp(tcp) => tcp.ip().is_loopback() && asked.contains(&Address::Localhost(tcp.port())),
        _ => false,
    };
    let named = asked.iter().filter(|address| matches!(address, Address::Localhost(port) if *port != 0));
    named.chain(bound.iter().filter(|address| !of_localhost(address))).map(Address::to_string).collect()
}

/// Asks for each path, in order.
async fn warm(app: &AspNetApp, paths: &[String]) -> Result<Vec<(String, u16)>, String> {
    let mut warmed = Vec::new();
    for path in paths {
        let status = app.warm_up(path).await.map_err(|e| format!("warm_up: {e}"))?;
        warmed.push((path.clone(), status));
    }
    Ok(warmed)
}

/// Listens as planned, for an application that takes requests.
fn serve(
    app: &AspNetApp,
    settings: &ServerSettings,
    (arguments, file): &(Vec<String>, Vec<String>),
    own_limits: &config::LimitsConfig,
    max_connections: Option<usize>,
    observer: Option<Arc<Observer>>,
) -> Result<(Server, Listened), String> {
    let plan = plan::plan(arguments, file, settings)?;
    let mut limits = settings.limits.clone();
    own_limits.apply(&mut limits);
    let app: Arc<dyn HttpApp> = Arc::new(app.clone());
    let mut builder = Server::builder(app).limits(limits);
    if !settings.add_server_header {
        builder = builder.server_header(None);
    }
    if let Some(observer) = observer {
        builder = builder.observe(observer);
    }
    let most = settings.max_connections.and_then(|most| usize::try_from(most).ok());
    if let Some(most) = max_connections.or(most) {
        builder = builder.max_connections(most);
    }
    let mut asked: Vec<Address> = Vec::new();
    for text in &plan.addresses {
        asked.push(text.parse::<Address>().map_err(|e| e.to_string())?);
    }
    for address in &asked {
        builder = builder.listen(address.clone());
    }
    let server = builder.start().map_err(|e| e.to_string())?;
    let urls = urls(&asked, server.addresses());
    let listened = Listened {
        by: plan.by,
        overruled: plan.overruled,
        ignored: settings.ignored.clone(),
        inline: settings.inline.clone(),
        not_inline: settings.not_inline.clone(),
        warmed: Vec::new(),
        urls,
    };
    Ok((server, listened))
}

/// Lets requests finish, and the application.
///
/// Both at once: streams that have no end of their own, such as those of SignalR, end when the application says that it
/// stops.
async fn finish(app: AspNetApp, server: Server, grace: Duration) -> Result<ExitCode, Failure> {
    let stopping = app.clone();
    // What was cut takes a moment to come to its end.
    let left = grace.saturating_add(Duration::from_secs(1));
    let stopping = tokio::task::spawn_blocking(move || stopping.stop(left));
    let (Stopped { cut }, ended) = tokio::join!(server.stop(grace), stopping);
    if cut > 0 {
        let connections = if cut == 1 { "1 connection was".to_owned() } else { format!("{cut} connections were") };
        screen::note(&format!("polyhost: {connections} cut: the {grace:?} to finish were over"));
    }
    if !ended.unwrap_or(false) {
        screen::note("polyhost: the application's Main is still running; it is left");
        return Ok(ExitCode::SUCCESS);
    }
    app.ended().await?;
    Ok(ExitCode::SUCCESS)
}
