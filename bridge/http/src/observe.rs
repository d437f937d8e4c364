//! What is watched of a server: its counters, its access log, and who holds it up.
//!
//! A server without an [`Observer`] reads no clock and keeps nothing for this.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::exchange::ExchangeId;
use crate::head::RequestHead;
use crate::log::{AccessLog, json_string, request_id};
use crate::metrics::{Exposition, Metrics};
use crate::server::shared::Shared;

/// What an [`Observer`] is to look at.
#[derive(Debug)]
pub struct ObserverConfig {
    /// Gets a line for each request.
    pub access: Option<AccessLog>,
    /// Requests that hold an I/O thread longer are told of.
    pub slow_inline: Duration,
    /// So are those that have no response after this long elsewhere.
    pub slow_request: Duration,
}

impl Default for ObserverConfig {
    fn default() -> Self {
        let (slow_inline, slow_request) = (Duration::from_millis(10), Duration::from_secs(10));
        ObserverConfig { access: None, slow_inline, slow_request }
    }
}

/// Watches one server or several; see [`ServerBuilder::observe`](crate::server::ServerBuilder::observe).
#[derive(Debug)]
pub struct Observer {
    config: ObserverConfig,
    pub(crate) metrics: Metrics,
    slow: Mutex<Vec<Slow>>,
    servers: Mutex<Vec<Weak<Shared>>>,
}

/// Kinds of slow requests that are kept.
const SLOW: usize = 64;
/// Requests in flight that are listed.
const LISTED: usize = 1000;

/// Requests of one method and path that were slow in one place.
#[derive(Debug)]
struct Slow {
    method: String,
    path: String,
    place: Place,
    times: u64,
    longest: Duration,
}

/// Who has a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The application, on the thread that serves connections.
    IoThread = 0,
    /// The application, elsewhere.
    Application = 1,
    /// It is being answered.
    Response = 2,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::IoThread => "io_thread",
            Place::Application => "application",
            Place::Response => "response",
        }
    }
}

impl Observer {
    /// An observer, for servers to come.
    pub fn new(config: ObserverConfig) -> Self {
        Observer { config, metrics: Metrics::default(), slow: Mutex::default(), servers: Mutex::default() }
    }

    /// The access log, if there is one.
    pub fn access_log(&self) -> Option<&AccessLog> {
        self.config.access.as_ref()
    }

    /// Writes all counters.
    pub fn write_metrics(&self, out: &mut Exposition) {
        self.metrics.write(out);
        let open: usize = self.servers().iter().map(|server| server.connections.count()).sum();
        out.gauge("polyhost_http_connections_open", "Connections that are open.").sample(&[], open);
        if let Some(log) = self.access_log() {
            let counts = log.counts();
            out.counter("polyhost_access_log_lines_total", "Lines of the access log.")
                .sample(&[("outcome", "written")], counts.written)
                .sample(&[("outcome", "dropped")], counts.dropped);
        }
    }

    /// The requests that are slow now, and those that were, as JSON.
    pub fn slow_requests(&self) -> String {
        let mut now = Vec::new();
        for server in self.servers() {
            server.connections.each(|connection, beat| now.extend(beat.watch.get().map(|it| (connection, it))));
        }
        now.retain(|(_, it)| it.since.elapsed() > self.limit(it.place));
        now.sort_by_key(|(_, it)| it.since);
        let mut out = format!("{{\"in_flight\":{},\"now\":[", self.metrics.in_flight()).into_bytes();
        let mut first = true;
        for (connection, it) in now.iter().take(LISTED) {
            // One that the application has released meanwhile is not its any more.
            let Some((method, path)) = it.exchange.request(asked) else { continue };
            let id = request_id(*connection, it.number);
            let more = format!(",\"for_ms\":{},\"request\":\"{id}\"}}", millis(it.since.elapsed()));
            object(&mut out, &mut first, &method, &path, it.place, &more);
        }
        out.extend_from_slice(b"],\"before\":[");
        first = true;
        for it in &*self.slow() {
            let more = format!(",\"times\":{},\"longest_ms\":{}}}", it.times, millis(it.longest));
            object(&mut out, &mut first, &it.method, &it.path, it.place, &more);
        }
        out.extend_from_slice(b"]}\n");
        String::from_utf8_lossy(&out).into_owned()
    }

    pub(crate) fn add(&self, server: &Arc<Shared>) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|server| server.strong_count() > 0);
        servers.push(Arc::downgrade(server));
    }

    fn servers(&self) -> Vec<Arc<Shared>> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.iter().filter_map(Weak::upgrade).collect()
    }

    fn slow(&self) -> MutexGuard<'_, Vec<Slow>> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a request may be in a place.
    pub(crate) fn limit(&self, place: Place) -> Duration {
        match place {
            Place::IoThread => self.config.slow_inline,
            Place::Application => self.config.slow_request,
            // Streams and clients may take as long as they like.
            Place::Response => Duration::MAX,
        }
    }

    /// Looks at the requests of a server that are under way, and warns.
    pub(crate) fn look(&self, server: &Shared) {
        let mut found = Vec::new();
        server.connections.each(|_, beat| {
            let slow = beat.watch.get().filter(|it| it.since.elapsed() > self.limit(it.place));
            found.extend(slow.filter(|_| beat.watch.is_news()));
        });
        for it in found {
            if let Some((method, path)) = it.exchange.request(asked) {
                self.metrics.slow[it.place as usize].fetch_add(1, Relaxed);
                self.tell(&method, &path, it.place, it.since.elapsed(), true);
            }
        }
    }

    /// A request is slow: that is kept, and told of in the log if it is the first of its kind. `is_news`: this one was
    /// not told of before.
    #[cold]
    pub(crate) fn tell(&self, method: &str, path: &str, place: Place, time: Duration, is_news: bool) {
        let times = u64::from(is_news);
        let mut slow = self.slow();
        if let Some(it) = slow.iter_mut().find(|it| it.place == place && it.method == method && it.path == path) {
            it.times += times;
            it.longest = it.longest.max(time);
            return;
        }
        let new = Slow { method: method.to_owned(), path: path.to_owned(), place, times, longest: time };
        if slow.len() < SLOW {
            slow.push(new);
        } else {
            let shortest = slow.iter_mut().min_by_key(|it| it.longest);
            match shortest {
                Some(shortest) if shortest.longest < time => *shortest = new,
                // As many kinds as are kept have been told of.
                _ => return,
            }
        }
        drop(slow);
        let milliseconds = millis(time);
        match place {
            Place::IoThread => tracing::warn!(
                target: "polyhost::http", method, path, milliseconds,
                "a request holds the thread that serves connections: it runs inline, or is slow to hand over"
            ),
            _ => tracing::warn!(target: "polyhost::http", method, path, milliseconds, "a request has no response yet"),
        }
    }
}

/// Method and path of a request.
pub(crate) fn asked(head: &RequestHead) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(head.method_text()), text(head.path()))
}

fn object(out: &mut Vec<u8>, first: &mut bool, method: &str, path: &str, place: Place, more: &str) {
    out.extend_from_slice(if std::mem::take(first) { b"{\"method\":" } else { b",{\"method\":" });
    json_string(out, method.as_bytes());
    out.extend_from_slice(b",\"path\":");
    json_string(out, path.as_bytes());
    out.extend_from_slice(format!(",\"place\":\"{}\"{more}", place.name()).as_bytes());
}

fn millis(time: Duration) -> f64 {
    crate::log::millis_of(time)
}

/// Set in [`Watch::place`] once somebody has told that the request is slow there.
const TOLD: u8 = 4;

/// The request of a connection, for others to look at.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    now: Mutex<Option<(ExchangeId, u64, Instant)>>,
    place: AtomicU8,
}

/// A request under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    exchange: ExchangeId,
    number: u64,
    since: Instant,
    place: Place,
}

impl Watch {
    fn now(&self) -> MutexGuard<'_, Option<(ExchangeId, u64, Instant)>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, exchange: ExchangeId, number: u64, since: Instant) {
        self.place.store(Place::IoThread as u8, Relaxed);
        *self.now() = Some((exchange, number, since));
    }

    /// Whether nobody has told yet that the request is slow where it is.
    pub(crate) fn is_news(&self) -> bool {
        self.place.fetch_or(TOLD, Relaxed) & TOLD == 0
    }

    pub(crate) fn is_at(&self, place: Place) {
        self.place.store(place as u8, Relaxed);
    }

    pub(crate) fn end(&self) {
        *self.now() = None;
    }

    fn get(&self) -> Option<Watched> {
        let (exchange, number, since) = (*self.now())?;
        let place = match self.place.load(Relaxed) & !TOLD {
            0 => Place::IoThread,
            1 => Place::Application,
            _ => Place::Response,
        };
        Some(Watched { exchange, number, since, place })
    }
}
