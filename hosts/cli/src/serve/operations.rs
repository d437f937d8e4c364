//! Who watches the server: the access log, and health and metrics on a listener of their own.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use polyhost::aspnet::AspNetApp;
use polyhost::http::admin::Admin;
use polyhost::http::log::AccessLog;
use polyhost::http::metrics::Exposition;
use polyhost::http::observe::{Observer, ObserverConfig};
use polyhost::http::{Address, Server};
use polyhost::{Error, ErrorKind};
use tokio::sync::oneshot;

use super::Options;
use crate::failure::Failure;
use crate::screen;

/// How long the end may wait for who reads the access log.
const LAST_LINES: Duration = Duration::from_secs(5);

/// What the admin pages tell of the application.
#[derive(Default)]
struct Subject {
    stage: AtomicU8,
    app: OnceLock<AspNetApp>,
}

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

/// The watch over one server; nothing where nobody asked for it.
#[derive(Default)]
pub(super) struct Operations {
    observer: Option<Arc<Observer>>,
    subject: Arc<Subject>,
    admin: Option<AdminThread>,
}

struct AdminThread {
    addresses: Vec<Address>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Operations {
    /// Begins before the application does, so that its start can be watched.
    pub(super) fn start(options: &Options) -> Result<Operations, Failure> {
        if options.access.is_none() && options.admin.is_none() {
            return Ok(Operations::default());
        }
        let mut config = ObserverConfig::default();
        if let Some(access) = options.access {
            let log = AccessLog::start(access.format(), io::stdout());
            config.access = Some(log.map_err(|e| Failure::io("the access log", e))?);
        }
        config.slow_inline = options.slow.0.unwrap_or(config.slow_inline);
        config.slow_request = options.slow.1.unwrap_or(config.slow_request);
        let observer = Arc::new(Observer::new(config));
        let subject = Arc::new(Subject::default());
        let (seen, told) = (observer.clone(), subject.clone());
        let admin = options.admin.clone().map(|address| AdminThread::start(address, seen, told)).transpose()?;
        Ok(Operations { observer: Some(observer), subject, admin })
    }

    pub(super) fn observer(&self) -> Option<Arc<Observer>> {
        self.observer.clone()
    }

    /// Where the admin pages are.
    pub(super) fn addresses(&self) -> &[Address] {
        self.admin.as_ref().map_or(&[], |admin| &admin.addresses)
    }

    pub(super) fn ready(&self, app: &AspNetApp) {
        // There is one application.
        let _ = self.subject.app.set(app.clone());
        self.subject.stage.store(READY, Ordering::Release);
    }

    pub(super) fn stopping(&self) {
        self.subject.stage.store(STOPPING, Ordering::Release);
    }

    /// Writes what is left of the access log.
    pub(super) async fn finish(&self) {
        let Some(observer) = self.observer() else { return };
        // Whoever reads them may take their time, and a second signal must not wait for that.
        let written = tokio::task::spawn_blocking(move || {
            let log = observer.access_log()?;
            Some((log.flush(LAST_LINES), log.counts().dropped))
        });
        let Ok(Some((complete, dropped))) = written.await else { return };
        if dropped > 0 || !complete {
            let more = if complete { "" } else { ", and the last ones are not written: nobody reads them" };
            screen::note(&format!("polyhost: {dropped} lines of the access log were dropped{more}"));
        }
    }
}

impl AdminThread {
    /// Listens on a thread of its own, which is there when all others are held up.
    fn start(address: Address, observer: Arc<Observer>, subject: Arc<Subject>) -> Result<AdminThread, Failure> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().map_err(|e| Failure::io("the admin listener", e))?;
        let asked = subject.clone();
        let admin = Admin::new(observer, move || match asked.stage.load(Ordering::Acquire) {
            STARTING => Err("the application is starting"),
            READY => Ok(()),
            _ => Err("the application is stopping"),
        });
        let admin =
            admin.metrics(move |out| subject.app.get().and_then(AspNetApp::stats).map_or((), |it| dotnet(out, &it)));
        let entered = runtime.enter();
        let server = Server::builder(Arc::new(admin)).listen(address.clone()).start();
        drop(entered);
        let server =
            server.map_err(|e| Failure::Failed(Error::new(ErrorKind::Config, format!("--admin {address}: {e}"))))?;
        let addresses = server.addresses().to_vec();
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            // An error says that the other end is gone, which means the same.
            let _ = runtime.block_on(stopped);
            drop(server);
        };
        // .NET's counters are read here, and its code wants the room it has elsewhere.
        let thread = std::thread::Builder::new().name("polyhost-admin".to_owned()).stack_size(4 << 20).spawn(serve);
        let thread = thread.map_err(|e| Failure::io("the admin listener", e))?;
        Ok(AdminThread { addresses, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for AdminThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// The names are those of OpenTelemetry, as Prometheus spells them.
fn dotnet(out: &mut Exposition, stats: &polyhost::aspnet::Stats) {
    let mut collections = out.counter("dotnet_gc_collections_total", "Garbage collections, by generation.");
    for (generation, count) in stats.collections.iter().enumerate() {
        collections.sample(&[("generation", &format!("gen{generation}"))], count);
    }
    let seconds = stats.pause.as_secs_f64();
    out.counter("dotnet_gc_pause_time_seconds_total", "Time in which collections stopped all managed threads.")
        .sample(&[], seconds);
    out.gauge("dotnet_gc_heap_size_bytes", "Bytes of managed objects.").sample(&[], stats.heap_bytes);
    out.gauge("dotnet_thread_pool_thread_count", "Threads of the pool.").sample(&[], stats.thread_pool_threads);
    out.gauge("dotnet_thread_pool_queue_length", "Work that waits for a thread of the pool.")
        .sample(&[], stats.thread_pool_queue);
}
