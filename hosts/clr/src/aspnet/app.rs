//! A running application.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;
use polyhost_bridge::{Error, ErrorKind, Result};
use polyhost_http::limits::Limits;
use polyhost_http::tower::{AppService, BoxError, ResponseBody, ResponseFuture, serve_exchange};
use polyhost_http::{ExchangeId, HttpApp, Turn};
use tower_service::Service;

use super::config::{AspNetConfig, ServerSettings};
use super::published::Published;
use super::state::State;
use super::stats::Stats;
use crate::ffi::aspnet::Guest;
use crate::runtime::Clr;

/// An ASP.NET Core application that runs in this process, its `Main` on a thread of its own.
///
/// It is an [`HttpApp`], for the front of `polyhost-http`, and a `tower` service, for any other: an axum router's
/// fallback, say. Under another server than ours it checks what a parsed message still shows; what only a strict parser
/// sees (line ends, chunks, a length beside `Transfer-Encoding`) is that server's business.
///
/// Cheap to clone. It runs until it ends by itself or [`AspNetApp::stop`] is called, whether or not anybody holds it.
#[derive(Clone)]
pub struct AspNetApp {
    running: Arc<Running>,
    service: AppService<Running>,
}

pub(crate) struct Running {
    id: u32,
    guest: &'static Guest,
    state: Arc<State>,
    start_took: OnceLock<Duration>,
}

impl AspNetApp {
    /// Starts the application and waits until its server has started.
    ///
    /// The first thing in the process to need .NET decides how that starts: an application by its own
    /// `runtimeconfig.json` and `deps.json`. A later one gets a load context of its own.
    ///
    /// # Errors
    /// - [`ErrorKind::Load`] where there is no such application, no .NET for it, or it ends or throws before its server
    ///   starts; the report of what it threw is the error's source.
    /// - [`ErrorKind::DeadlineExceeded`] where its server does not start in time; its `Main` goes on running.
    pub fn start(config: AspNetConfig) -> Result<AspNetApp> {
        let begun = Instant::now();
        let app = Published::at(&config.path)?;
        let (clr, first) = Clr::start_for(&config.clr, &app, config.inherit_console)?;
        if !first {
            app.check_running(clr.frameworks())?;
        }
        let Some(entry) = clr.aspnet() else {
            let message = "ASP.NET Core is not in this process: .NET was started without it; see ClrConfig::aspnet";
            return Err(Error::new(ErrorKind::Load, message));
        };
        let guest = Guest::connect(entry)?;
        let settings = start_settings(&config, &app, first);
        let state = Arc::new(State::new(config));
        let id = Guest::register(&state);
        let running = Arc::new(Running { id, guest, state, start_took: OnceLock::new() });
        running.state.belongs_to(Arc::downgrade(&running));
        guest.start(id, &settings)?;
        running.state.wait_started()?;
        let _ = running.start_took.set(begun.elapsed());
        let limits = running.state.settings().limits;
        Ok(AspNetApp::of(running, limits))
    }

    pub(super) fn of(running: Arc<Running>, limits: Limits) -> AspNetApp {
        AspNetApp { service: AppService::with_limits(running.clone(), limits), running }
    }

    /// Has the application answer a request, with no HTTP between: for tests, and to warm it up.
    ///
    /// Dropping the future, or the body of the response before its end, aborts the request.
    pub fn call<B>(&self, request: http::Request<B>) -> ResponseFuture
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        serve_exchange(&self.service, request)
    }

    /// Has the application answer a GET of `path`, as [`call`](Self::call) does, and drops the answer; gives its status.
    ///
    /// The first request of a process takes its time, while .NET compiles what it runs through. So send one that stands
    /// for many, and has no effect, before the first client comes: in [`AspNetConfig::on_listen`]'s function, say.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where `path` is none, [`ErrorKind::Guest`] where the answer breaks off.
    pub async fn warm_up(&self, path: &str) -> Result<u16> {
        let request = http::Request::get(path).header(http::header::HOST, "localhost").body(String::new());
        let request = request.ok().filter(|_| path.starts_with('/'));
        let request = request.ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("{path:?} is no path to warm up with; it begins with a slash"))
        })?;
        let Ok(response) = self.call(request).await;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            frame.map_err(|e| Error::new(ErrorKind::Guest, format!("the answer to GET {path} broke off: {e}")))?;
        }
        Ok(status)
    }

    /// What the application has set for its server.
    pub fn settings(&self) -> ServerSettings {
        self.running.state.settings()
    }

    /// Where it believes to be served.
    pub fn addresses(&self) -> Vec<String> {
        self.running.state.addresses()
    }

    /// How long its start took, .NET's included where it was the first.
    pub fn start_took(&self) -> Duration {
        self.running.start_took.get().copied().unwrap_or_default()
    }

    /// What .NET counts at the moment; `None` where this thread cannot enter it.
    ///
    /// Runs managed code, so it waits for a garbage collection that is under way.
    pub fn stats(&self) -> Option<Stats> {
        self.running.guest.stats()
    }

    /// Has the application stop (`IHostApplicationLifetime.StopApplication`) and waits until its `Main` is over, for
    /// `grace` at most; whether it is. Let requests finish before: the front's graceful stop does.
    pub fn stop(&self, grace: Duration) -> bool {
        self.running.guest.stop(self.running.id);
        self.running.state.wait_ended(grace)
    }

    /// Resolves when the application is about to stop, by itself or because it was told to.
    pub async fn stopping(&self) {
        poll_fn(|cx| self.running.state.poll_stopping(cx)).await;
    }

    /// Resolves when its `Main` is over.
    ///
    /// # Errors
    /// Where that threw, or returned another number than 0: which, is the error's fact `exit_code`.
    pub async fn ended(&self) -> Result<()> {
        poll_fn(|cx| self.running.state.poll_ended(cx)).await
    }
}

impl HttpApp for Running {
    fn handle(&self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        self.guest.request(self.id, exchange, turn, |head| self.state.runs_inline(head));
    }

    fn connection_closed(&self, kept: u32) {
        self.guest.release_context(kept);
    }
}

impl HttpApp for AspNetApp {
    fn handle(&self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        self.running.handle(exchange, turn);
    }

    fn connection_closed(&self, kept: u32) {
        self.running.connection_closed(kept);
    }
}

impl<B> Service<http::Request<B>> for AspNetApp
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        serve_exchange(&self.service, request)
    }
}

/// Pairs of a name and a value, each ended by a zero; see `AppSettings` in C#.
fn start_settings(config: &AspNetConfig, app: &Published, first: bool) -> Vec<u8> {
    let mut text = Vec::new();
    let mut add = |name: &str, value: &[u8]| {
        text.extend_from_slice(name.as_bytes());
        text.push(0);
        text.extend_from_slice(value);
        text.push(0);
    };
    add("assembly", app.assembly.as_os_str().as_encoded_bytes());
    add("default-context", if first { b"true" } else { b"false" });
    for argument in &config.arguments {
        add("argument", argument.as_bytes());
    }
    for (name, value) in &config.environment {
        add("environment", format!("{name}={value}").as_bytes());
    }
    text
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Running").field(&self.state.config().path).finish()
    }
}

impl fmt::Debug for AspNetApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AspNetApp").field("path", &self.running.state.config().path).finish_non_exhaustive()
    }
}
