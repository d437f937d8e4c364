//! The server: listeners, connections, the heartbeat, and their end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::app::{ConnectionInfo, Endpoint, HttpApp, InlineLimit};
use crate::h1::connection::{Connection, ConnectionTask};
use crate::limits::Limits;
use crate::listen::{Accepted, Address, Listener};
use crate::observe::Observer;
use crate::transport::Transport;

pub(crate) mod beat;
pub(crate) mod shared;

use beat::Fired;
use shared::Shared;

/// How often the same trouble with accepting is told of.
const COMPLAINTS: Duration = Duration::from_secs(10);

/// A server that runs, on the tokio runtime it was started on.
///
/// Dropped, it stops to listen and cuts its connections; [`stop`](Self::stop)
/// lets them finish.
///
/// # Examples
/// ```
/// # use polyhost_http::{Data, ExchangeId, HttpApp, ResponseHead, SendFlags, Server, Turn};
/// #[derive(Debug)]
/// struct Hello;
///
/// impl HttpApp for Hello {
///     fn handle(&self, exchange: ExchangeId, _: &mut Turn<'_>) {
///         let head = ResponseHead { status: 200, ..ResponseHead::default() };
///         let _ = exchange.send(Some(head), Data::Copied(b"hello"), SendFlags::END | SendFlags::RELEASE);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let server = Server::builder(std::sync::Arc::new(Hello)).listen("127.0.0.1:0".parse().unwrap()).start()?;
/// println!("listening on {}", server.addresses()[0]);
/// server.stop(std::time::Duration::from_secs(30)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<Address>,
    tasks: Tasks,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were not done when their time was over.
    pub cut: usize,
}

/// What a [`Server`] is to be.
#[derive(Debug)]
pub struct ServerBuilder {
    app: Arc<dyn HttpApp>,
    addresses: Vec<Address>,
    limits: Limits,
    max_connections: Option<usize>,
    name: Option<String>,
    inline_threads: Option<usize>,
    observer: Option<Arc<Observer>>,
}

impl ServerBuilder {
    /// Listens on `address`, too.
    #[must_use]
    pub fn listen(mut self, address: Address) -> Self {
        self.addresses.push(address);
        self
    }

    /// Sets what clients may send, and how slowly. Kestrel's limits if not set.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Closes connections at once that come when `most` are open. No limit if not set.
    #[must_use]
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = Some(most);
        self
    }

    /// Sets the Server header; `None` leaves it out. `Polyhost` if not set.
    #[must_use]
    pub fn server_header(mut self, name: Option<String>) -> Self {
        self.name = name;
        self
    }

    /// Sets how many I/O threads may run application code at the same time. One fewer than there are if not set.
    #[must_use]
    pub fn inline_threads(mut self, most: usize) -> Self {
        self.inline_threads = Some(most);
        self
    }

    /// Has the server watched. Nobody watches it if not set.
    #[must_use]
    pub fn observe(mut self, observer: Arc<Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Binds the addresses and begins to serve, on the current tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on; the error names it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self) -> io::Result<Server> {
        let mut listeners = Vec::new();
        for address in &self.addresses {
            listeners.extend(Listener::bind(address)?);
        }
        let inline = self.inline_threads.map_or_else(InlineLimit::of_this_runtime, InlineLimit::new);
        let shared = Arc::new(Shared::new(self.app, self.limits, self.name, inline, self.observer));
        if let Some(observer) = &shared.observer {
            observer.add(&shared);
        }
        let addresses = listeners.iter().map(Listener::address).collect();
        let mut tasks = Tasks { beat: tokio::spawn(beat_on(shared.clone())), accept: Vec::new() };
        for listener in listeners {
            let address = listener.address();
            tracing::info!(target: "polyhost::http", %address, "listening");
            tasks.accept.push(tokio::spawn(accept(listener, shared.clone(), self.max_connections)));
        }
        Ok(Server { shared, addresses, tasks })
    }
}

impl Server {
    /// A server for `app`.
    pub fn builder(app: Arc<dyn HttpApp>) -> ServerBuilder {
        ServerBuilder {
            app,
            addresses: Vec::new(),
            limits: Limits::default(),
            max_connections: None,
            name: Some("Polyhost".to_owned()),
            inline_threads: None,
            observer: None,
        }
    }

    /// The addresses listened on, with the ports that the system chose.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.connections.count()
    }

    /// Serves a byte stream that was accepted elsewhere, as HTTP/1.
    pub fn connect(&self, io: impl Transport, local: Endpoint, remote: Endpoint, secure: bool) {
        tokio::spawn(connection(&self.shared, io, local, remote, secure));
    }

    /// Stops to listen, lets each connection finish its request, and cuts those that have not after `grace`.
    pub async fn stop(mut self, grace: Duration) -> Stopped {
        for task in self.tasks.accept.drain(..) {
            task.abort();
            // Its end is awaited, because only then the port is free.
            let _ = task.await;
        }
        self.shared.stop();
        let connections = &self.shared.connections;
        if tokio::time::timeout(grace, connections.all_ended()).await.is_ok() {
            return Stopped { cut: 0 };
        }
        let cut = connections.count();
        tracing::warn!(target: "polyhost::http", cut, "connections are cut: their time to finish is over");
        connections.fire(Fired::CUT);
        // Nothing holds them up but an application on their thread; their last lines are in the log then.
        let _ = tokio::time::timeout(beat::BEAT, connections.all_ended()).await;
        Stopped { cut }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop();
        self.shared.connections.fire(Fired::CUT);
    }
}

/// The tasks of a server, ended with it.
#[derive(Debug)]
struct Tasks {
    beat: JoinHandle<()>,
    accept: Vec<JoinHandle<()>>,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.beat.abort();
        self.accept.iter().for_each(JoinHandle::abort);
    }
}

fn connection<T: Transport>(
    shared: &Arc<Shared>,
    io: T,
    local: Endpoint,
    remote: Endpoint,
    secure: bool,
) -> ConnectionTask<T> {
    let (id, beat) = shared.connections.add();
    if let Some(observer) = &shared.observer {
        observer.metrics.accepted.fetch_add(1, Ordering::Relaxed);
    }
    let info = Arc::new(ConnectionInfo::new(id, local, remote, secure));
    tracing::debug!(target: "polyhost::http", connection = id, ?remote, "connected");
    ConnectionTask::new(Connection::new(io, shared.clone(), info, beat))
}

async fn beat_on(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(beat::BEAT);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        shared.beat();
    }
}

async fn accept(listener: Listener, shared: Arc<Shared>, most: Option<usize>) {
    let address = listener.address();
    let (mut failing, mut full) = (Complaint::default(), Complaint::default());
    loop {
        let accepted = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                if let Some(observer) = &shared.observer {
                    observer.metrics.accept_failures.fetch_add(1, Ordering::Relaxed);
                }
                if failing.is_due() {
                    let open = shared.connections.count();
                    let hint = match Errno::from_io_error(&error) {
                        Some(Errno::MFILE) => "; the process may have more with `ulimit -n` or LimitNOFILE=",
                        _ => "",
                    };
                    tracing::error!(target: "polyhost::http", %address, open, "accepting waits for a connection to end: {error}{hint}");
                }
                // Files of others may run short, too; so it is tried again after a while even if none of ours ends.
                let _ = tokio::time::timeout(beat::BEAT, shared.connections.one_ended.notified()).await;
                continue;
            }
        };
        if most.is_some_and(|most| shared.connections.count() >= most) {
            if full.is_due() {
                tracing::warn!(target: "polyhost::http", %address, most, "connections are refused: as many as allowed are open");
            }
            if let Some(observer) = &shared.observer {
                observer.metrics.turned_away.fetch_add(1, Ordering::Relaxed);
            }
            continue;
        }
        match accepted {
            Accepted::Tcp(io, local, remote) => {
                tokio::spawn(connection(&shared, io, local, remote, false));
            }
            Accepted::Unix(io) => {
                tokio::spawn(connection(&shared, io, Endpoint::Unnamed, Endpoint::Unnamed, false));
            }
        }
    }
}

/// Tells of what goes on, though not each time: clients choose how often that is.
#[derive(Default)]
struct Complaint {
    next: Option<Instant>,
}

impl Complaint {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.next.is_none_or(|next| now >= next);
        if is_due {
            self.next = Some(now + COMPLAINTS);
        }
        is_due
    }
}

/// Whether an error of accept concerns only the connection that was to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::PermissionDenied
            | Kind::TimedOut
    )
}
