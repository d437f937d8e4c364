//! What an application is to a front, and what it learns of the connection.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use crate::exchange::ExchangeId;

/// An application that answers requests.
///
/// A front hands each request over with [`handle`](Self::handle) and then
/// neither waits nor asks: the application reads and answers by the
/// [`ExchangeId`], now or later, on any thread.
pub trait HttpApp: fmt::Debug + Send + Sync + 'static {
    /// Takes over a request.
    ///
    /// Called on the thread that reads the connection. Returns quickly: it
    /// either has answered, or will from elsewhere. Every exchange must be
    /// released in the end, also one that was aborted. A panic releases it, and
    /// cuts what was not complete.
    fn handle(&self, exchange: ExchangeId, turn: &mut Turn<'_>);

    /// The connection whose [`Turn::kept`] is `kept` has ended, and the last of its exchanges was released.
    ///
    /// Called once for a connection with `kept != 0`, without a lock held.
    fn connection_closed(&self, kept: u32) {
        let _ = kept;
    }
}

/// Hands a request over. One whose application panics meanwhile is cut, and nobody else's.
pub(crate) fn hand_over(app: &(impl HttpApp + ?Sized), exchange: ExchangeId, turn: &mut Turn<'_>) {
    // Whatever state the panic left behind is the application's own; the exchange is named, not held.
    if catch_unwind(AssertUnwindSafe(|| app.handle(exchange, turn))).is_err() {
        tracing::error!(target: "polyhost::http", "an application panicked over a request, which is cut");
        exchange.release();
    }
}

/// The circumstances of one [`HttpApp::handle`].
#[derive(Debug)]
pub struct Turn<'a> {
    /// The application's own number for the connection: 0 at first, then what the last request left here.
    pub kept: u32,
    connection: &'a Arc<ConnectionInfo>,
    inline: &'a InlineLimit,
    claimed: bool,
}

impl<'a> Turn<'a> {
    /// A turn on `connection`, with what an earlier turn left in `kept`.
    pub fn new(kept: u32, connection: &'a Arc<ConnectionInfo>, inline: &'a InlineLimit) -> Self {
        Turn { kept, connection, inline, claimed: false }
    }

    /// The connection the request came on.
    pub fn connection(&self) -> &'a Arc<ConnectionInfo> {
        self.connection
    }

    /// Asks to run application code on this thread until `handle` returns.
    ///
    /// Not granted to all I/O threads at once, because code that blocks would
    /// then stop every connection; who is refused moves to a thread of its own.
    pub fn try_inline(&mut self) -> bool {
        self.claimed = self.claimed || self.inline.enter();
        self.claimed
    }

    /// Whether that was granted.
    pub(crate) fn is_inline(&self) -> bool {
        self.claimed
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.claimed {
            self.inline.leave();
        }
    }
}

/// How many I/O threads may be inside application code at the same time.
// On a cache line of its own: every request may write to it.
#[derive(Debug)]
#[repr(align(64))]
pub struct InlineLimit {
    inside: AtomicUsize,
    most: usize,
    /// Nobody has left since a refused thread let others run first.
    stuck: AtomicBool,
}

impl InlineLimit {
    /// At most `most` threads inside; with 0 nothing runs inline.
    pub const fn new(most: usize) -> Self {
        InlineLimit { inside: AtomicUsize::new(0), most, stuck: AtomicBool::new(false) }
    }

    /// One thread fewer than the current tokio runtime has workers, so that one is always there for I/O. Outside of a
    /// runtime nothing runs inline.
    pub fn of_this_runtime() -> Self {
        let workers = tokio::runtime::Handle::try_current().map_or(0, |handle| handle.metrics().num_workers());
        Self::new(workers.saturating_sub(1))
    }

    fn enter(&self) -> bool {
        if self.has_room() {
            return true;
        }
        if self.most == 0 || self.stuck.load(Ordering::Relaxed) {
            return false;
        }
        // Mostly those inside don't block, but wait for a processor, like the one that asks here instead of them.
        std::thread::yield_now();
        let entered = self.has_room();
        if !entered {
            self.stuck.store(true, Ordering::Relaxed);
        }
        entered
    }

    fn has_room(&self) -> bool {
        if self.inside.fetch_add(1, Ordering::Relaxed) < self.most {
            return true;
        }
        self.inside.fetch_sub(1, Ordering::Relaxed);
        false
    }

    fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::Relaxed);
        if self.stuck.load(Ordering::Relaxed) {
            self.stuck.store(false, Ordering::Relaxed);
        }
    }
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Endpoint {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A unix socket, or something without an address.
    #[default]
    Unnamed,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Endpoint::Ip(address)
    }
}

/// What is known of a connection. Its address does not change while the connection lives.
pub struct ConnectionInfo {
    id: u64,
    local: Endpoint,
    remote: Endpoint,
    local_octets: Octets,
    remote_octets: Octets,
    secure: bool,
    begun: AtomicU32,
    attached: OnceLock<Box<dyn Any + Send + Sync>>,
    finisher: OnceLock<Weak<dyn Finisher>>,
}

/// Writes a response that is complete, of the connection's own exchange.
pub(crate) trait Finisher: Send + Sync {
    /// Writes it on this thread. `false`: the connection's task is to be woken, for this thread can't, or not all.
    fn finish(&self) -> bool;
}

impl ConnectionInfo {
    /// A connection between `remote`, the client, and `local`.
    pub fn new(id: u64, local: Endpoint, remote: Endpoint, secure: bool) -> Self {
        let (local_octets, remote_octets) = (Octets::of(local), Octets::of(remote));
        ConnectionInfo {
            id,
            local,
            remote,
            local_octets,
            remote_octets,
            secure,
            begun: AtomicU32::new(0),
            attached: OnceLock::new(),
            finisher: OnceLock::new(),
        }
    }

    /// The number of the connection, unique in its server.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Our end.
    pub fn local(&self) -> Endpoint {
        self.local
    }

    /// The client's end.
    pub fn remote(&self) -> Endpoint {
        self.remote
    }

    /// The 4 or 16 bytes of our address; empty without one.
    pub fn local_octets(&self) -> &[u8] {
        self.local_octets.bytes()
    }

    /// The 4 or 16 bytes of the client's address; empty without one.
    pub fn remote_octets(&self) -> &[u8] {
        self.remote_octets.bytes()
    }

    /// Whether the connection is encrypted.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Has complete responses written by `finisher`. The first one stays.
    pub(crate) fn finish_by(&self, finisher: Weak<dyn Finisher>) {
        let _ = self.finisher.set(finisher);
    }

    /// Writes a complete response. `false`: its task must.
    pub(crate) fn finish(&self) -> bool {
        self.finisher.get().and_then(Weak::upgrade).is_some_and(|finisher| finisher.finish())
    }

    /// How often this was called before: an application that counts the requests of a connection begins there, where a
    /// front keeps nothing for it from one to the next.
    pub fn begin(&self) -> u32 {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }

    /// Something the application keeps with the connection, made at the first call.
    ///
    /// `None` when something of another type is kept already.
    pub fn attach<T: Send + Sync + 'static>(&self, make: impl FnOnce(&Self) -> T) -> Option<&T> {
        self.attached.get_or_init(|| Box::new(make(self))).downcast_ref()
    }
}

impl Endpoint {
    /// The port; 0 without one.
    pub fn port(self) -> u16 {
        match self {
            Endpoint::Ip(address) => address.port(),
            Endpoint::Unnamed => 0,
        }
    }
}

impl fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionInfo")
            .field("id", &self.id)
            .field("local", &self.local)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct Octets {
    bytes: [u8; 16],
    len: u8,
}

impl Octets {
    fn of(endpoint: Endpoint) -> Self {
        let mut octets = Octets { bytes: [0; 16], len: 0 };
        let mut put = |bytes: &[u8]| {
            octets.bytes[..bytes.len()].copy_from_slice(bytes);
            octets.len = bytes.len() as u8;
        };
        match endpoint {
            Endpoint::Ip(SocketAddr::V4(address)) => put(&address.ip().octets()),
            Endpoint::Ip(SocketAddr::V6(address)) => put(&address.ip().octets()),
            Endpoint::Unnamed => {}
        }
        octets
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
