//! The servers of this program, as `polyhost-bench serve-one` runs them: until standard input ends.

use std::convert::Infallible;
use std::io::{BufRead, Error, Result};
use std::path::Path;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use clap::ValueEnum;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use polyhost::aspnet::{AspNetApp, AspNetConfig};
use polyhost::http::Server;
use tokio::net::TcpListener;

use super::cpu;
use super::load::PATH;
use super::server::LISTENING;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// The application, its requests on .NET's thread pool.
    Pool,
    /// The application, its requests on the thread that reads the connection.
    Inline,
    /// hyper's hello.
    Hello,
}

/// The question for the CPU nanoseconds of a request without HTTP.
pub(super) const FLOOR: &str = "floor ";
/// Requests without HTTP for one answer.
const FLOOR_REQUESTS: u32 = 50_000;

/// Serves until standard input ends.
///
/// # Errors
/// Where it can't start.
pub(crate) fn run(what: What, app: &Path) -> Result<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if what == What::Inline {
        // One is always kept out of application code. With one for each processor, requests would be refused to run
        // inline while a processor has nothing better to do.
        builder.worker_threads(std::thread::available_parallelism()?.get() + 1);
    }
    // .NET code may run on these threads, and wants the room it has elsewhere.
    let runtime = builder.enable_all().thread_stack_size(4 << 20).build()?;
    let _inside = runtime.enter();
    if what == What::Hello {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        println!("{LISTENING}{}", listener.local_addr()?);
        runtime.spawn(hello(TcpListener::from_std(listener)?));
        return until_end(|| Err(Error::other("hello has no floor")));
    }
    let mut config = AspNetConfig::new(app);
    config.inline.all = what == What::Inline;
    let (server, handle) = (std::sync::Arc::new(Mutex::new(None)), runtime.handle().clone());
    let slot = server.clone();
    // The application itself says where it listens, once it has started.
    let app = AspNetApp::start(config.on_listen(move |app, settings| {
        let _inside = handle.enter();
        let address = "127.0.0.1:0".parse().map_err(|e| format!("{e}"))?;
        let builder = Server::builder(std::sync::Arc::new(app.clone())).limits(settings.limits.clone());
        let server = builder.listen(address).start().map_err(|e| e.to_string())?;
        let addresses = server.addresses().iter().map(ToString::to_string).collect();
        *slot.lock().map_err(|e| e.to_string())? = Some(server);
        Ok(addresses)
    }))
    .map_err(Error::other)?;
    until_end(|| floor(&app))
}

/// Answers questions until standard input ends, and this process with it: nobody waits for the application.
fn until_end(floor: impl Fn() -> Result<f64>) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        if line? == FLOOR {
            println!("{FLOOR}{}", floor()?);
        }
    }
    std::process::exit(0)
}

/// CPU nanoseconds of a request that this thread hands to the application with no HTTP between.
fn floor(app: &AspNetApp) -> Result<f64> {
    let before = cpu::of_this_thread()?;
    for _ in 0..FLOOR_REQUESTS {
        let request = http::Request::get(PATH).header("Host", "bench").body(Empty::<Bytes>::new());
        let response = app.call(request.map_err(Error::other)?);
        let whole = async {
            let Ok(response) = response.await;
            (response.status(), response.into_body().collect().await.is_ok())
        };
        // Inline, all of it has happened when the call returns; to wait for another thread would not be the floor.
        match pin!(whole).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready((http::StatusCode::OK, true)) => {}
            other => return Err(Error::other(format!("the application answers {other:?}"))),
        }
    }
    Ok((cpu::of_this_thread()? - before) as f64 / f64::from(FLOOR_REQUESTS))
}

/// What hyper needs to say hello.
async fn hello(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(|_| async {
            let response = http::Response::builder().header("Content-Type", "text/plain").header("Server", "hyper");
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from_static(b"text"))).expect("a valid response"))
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        tokio::spawn(builder.pipeline_flush(true).serve_connection(TokioIo::new(stream), service));
    }
}
