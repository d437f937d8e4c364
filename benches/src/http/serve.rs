//! The servers of this program, as `polyhost-bench serve-one` runs them: until standard input ends.

use std::io::{BufRead, Error, Result};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use clap::ValueEnum;
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use polyhost::aspnet::{AspNetApp, AspNetConfig};
use polyhost::http::Server;
use polyhost::http::log::{AccessLog, LogFormat};
use polyhost::http::observe::{Observer, ObserverConfig};
use tokio::net::TcpListener;

use super::connection::TEXT;
use super::server::LISTENING;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// The application, its requests on .NET's thread pool.
    Pool,
    /// The application, its requests on the thread that reads the connection.
    Inline,
    /// The same, with an access log to nowhere and metrics.
    Observed,
    /// hyper alone: hello to a GET, and an echo of a body. There is no application.
    Hello,
    /// An nginx; the application is its configuration.
    Nginx,
}

/// The question for the lines of the access log: how many were written, and how many lost.
pub(super) const LINES: &str = "lines ";

/// Serves until standard input ends.
///
/// # Errors
/// Where it can't start.
pub(crate) fn run(what: What, app: &Path) -> Result<()> {
    if what == What::Nginx {
        return super::nginx::become_one(app);
    }
    let inline = matches!(what, What::Inline | What::Observed);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // .NET code may run on these threads, and wants the room it has elsewhere.
    let runtime = builder.worker_threads(io_threads(what)).enable_all().thread_stack_size(4 << 20).build()?;
    let _inside = runtime.enter();
    if what == What::Hello {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        println!("{LISTENING}{}", listener.local_addr()?);
        runtime.spawn(hello(TcpListener::from_std(listener)?));
        return until_end(None);
    }
    let observer = (what == What::Observed).then(observer).transpose()?;
    let observed = observer.clone();
    let mut config = AspNetConfig::new(app);
    config.inline.all = inline;
    let (server, handle) = (Arc::new(Mutex::new(None)), runtime.handle().clone());
    let slot = server.clone();
    // The application itself says where it listens, once it has started.
    let _app = AspNetApp::start(config.on_listen(move |app, settings| {
        let _inside = handle.enter();
        let address = "127.0.0.1:0".parse().map_err(|e| format!("{e}"))?;
        let builder = Server::builder(Arc::new(app.clone())).limits(settings.limits.clone());
        let builder = observed.iter().fold(builder, |builder, observer| builder.observe(observer.clone()));
        let server = builder.listen(address).start().map_err(|e| e.to_string())?;
        let addresses = server.addresses().iter().map(ToString::to_string).collect();
        *slot.lock().map_err(|e| e.to_string())? = Some(server);
        Ok(addresses)
    }))
    .map_err(Error::other)?;
    until_end(observer)
}

/// How many threads read and write connections: as `polyhost serve` has it, and as tokio does for hyper.
pub(crate) fn io_threads(what: What) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, |processors| processors.get());
    match what {
        // One is always kept out of application code.
        What::Inline | What::Observed => processors.max(2),
        What::Pool => processors.div_ceil(4),
        What::Hello | What::Nginx => processors,
    }
}

fn observer() -> Result<Arc<Observer>> {
    let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    let access = Some(AccessLog::start(LogFormat::Json, nowhere)?);
    Ok(Arc::new(Observer::new(ObserverConfig { access, ..ObserverConfig::default() })))
}

/// Answers questions until standard input ends, and this process with it: nobody waits for the application.
fn until_end(observer: Option<Arc<Observer>>) -> Result<()> {
    let log = observer.as_ref().and_then(|observer| observer.access_log());
    for line in std::io::stdin().lock().lines() {
        if let (LINES, Some(log)) = (&*line?, log) {
            let counts = log.counts();
            println!("{LINES}{} {}", counts.written, counts.dropped);
        }
    }
    std::process::exit(0)
}

/// What hyper needs to say hello.
async fn hello(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(|request: http::Request<Incoming>| async {
            // As the application does: a body is answered once all of it is there.
            let body = match *request.method() {
                Method::GET => Bytes::from_static(TEXT),
                _ => request.into_body().collect().await?.to_bytes(),
            };
            let response = http::Response::builder().header("Content-Type", "text/plain").header("Server", "hyper");
            Ok::<_, hyper::Error>(response.body(Full::new(body)).expect("a valid response"))
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        tokio::spawn(builder.pipeline_flush(true).serve_connection(TokioIo::new(stream), service));
    }
}
