//! The boundary to Polyhost.AspNetCore: two tables of functions, as in its `Abi.cs`.
//!
//! What crosses is bytes, numbers and these structs. Rust's side of a request is an [`ExchangeId`]: the address of a slot,
//! which is never freed, and a generation, so that a call for a request that is over finds out and does nothing.

use std::mem::size_of;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use std::{ptr, slice};

use netcorehost::hostfxr::DelegateLoader;
use polyhost_bridge::{Error, ErrorKind, Result};
use polyhost_http::head::RequestHead;
use polyhost_http::{ConnectionInfo, Data, Events, ExchangeId, SendFlags, Turn};

use self::host::HOST;
use super::altstack;
use crate::aspnet::Stats;
use crate::aspnet::state::State;

mod host;

/// The entry of Polyhost.AspNetCore.
pub(crate) type Entry = unsafe extern "system" fn(*const HttpHost, *mut HttpGuest) -> i32;
type Bootstrap = unsafe fn(*const HttpHost, *mut HttpGuest) -> i32;

const VERSION: u32 = 1;

/// Fetches the entry; the assembly is loaded.
pub(super) fn entry(loader: &DelegateLoader) -> Result<Entry> {
    let type_name = super::hostfxr::text(polyhost_dotnet::ASPNET_TYPE)?;
    let method = super::hostfxr::text(polyhost_dotnet::ASPNET_METHOD)?;
    let entry = loader
        .get_function_with_unmanaged_callers_only::<Bootstrap>(&type_name, &method)
        .map_err(crate::error::no_bootstrap)?;
    Ok(*entry)
}

/// Bytes of whoever hands them out, for as long as said where they are.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Slice {
    data: *const u8,
    len: usize,
}

impl Slice {
    fn of(bytes: &[u8]) -> Slice {
        Slice { data: bytes.as_ptr(), len: bytes.len() }
    }

    /// # Safety
    /// The bytes are there for `'a`; an empty slice may point anywhere.
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: as above.
        if self.len == 0 { &[] } else { unsafe { slice::from_raw_parts(self.data, self.len) } }
    }
}

#[repr(C)]
struct Header {
    known: u32,
    reserved: u32,
    name: Slice,
    value: Slice,
}

/// Kept with the connection, and good as long as its [`ConnectionInfo`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Connection {
    id: u64,
    local_address: Slice,
    remote_address: Slice,
    local_port: u16,
    remote_port: u16,
    /// How many contexts it has had, each for one request.
    earlier: u32,
}

// SAFETY: it points into the ConnectionInfo that it is kept with, which does not move or change.
unsafe impl Send for Connection {}
// SAFETY: as above.
unsafe impl Sync for Connection {}

/// A request. The struct, `headers` and `connection` are good until `request` returns; the bytes of the head lie in memory
/// that is never freed, and mean this request until it is released.
#[repr(C)]
struct Request {
    size: u32,
    flags: u32,
    slot: usize,
    generation: u32,
    /// What `rent_context` gave for the connection.
    context: u32,
    method: u8,
    version: u8,
    form: u8,
    reserved: u8,
    header_count: u32,
    content_length: i64,
    method_text: Slice,
    target: Slice,
    path: Slice,
    query: Slice,
    headers: *const Header,
    connection: *const Connection,
}

/// A flag of a response head.
const HEAD_OPEN: u16 = 1;

const HAS_BODY: u32 = 1;
const INLINE: u32 = 8;
const TLS: u32 = 16;

#[repr(C)]
struct ResponseHead {
    size: u32,
    status: u16,
    flags: u16,
    content_length: i64,
    reason: Slice,
    headers: Slice,
}

#[repr(C)]
struct Chunk {
    handle: u64,
    data: *const u8,
    len: usize,
}

#[repr(C)]
struct RawBlock {
    data: *mut u8,
    capacity: usize,
}

#[repr(C)]
struct AppStart {
    size: u32,
    app: u32,
    settings: Slice,
}

#[repr(C)]
#[derive(Default)]
struct RawStats {
    size: u32,
    thread_pool_threads: u32,
    gen0_collections: u64,
    gen1_collections: u64,
    gen2_collections: u64,
    pause_nanoseconds: u64,
    heap_bytes: u64,
    thread_pool_queue: u64,
}

/// What C# calls. None of it blocks, and none unwinds.
#[repr(C)]
pub(crate) struct HttpHost {
    size: u32,
    version: u32,
    send: unsafe extern "C" fn(usize, u32, *const ResponseHead, *const u8, usize, u32) -> i32,
    send_trailers: unsafe extern "C" fn(usize, u32, Slice) -> i32,
    send_file: unsafe extern "C" fn(usize, u32, *const ResponseHead, Slice, i64, i64, u32) -> i32,
    read: unsafe extern "C" fn(usize, u32, *mut Chunk) -> i32,
    bytes_free: unsafe extern "C" fn(u64),
    request_trailers: unsafe extern "C" fn(usize, u32, *mut Chunk) -> i32,
    set_max_body: unsafe extern "C" fn(usize, u32, i64) -> i32,
    set_min_body_rate: unsafe extern "C" fn(usize, u32, f64, i64) -> i32,
    set_min_response_rate: unsafe extern "C" fn(usize, u32, f64, i64) -> i32,
    abort: unsafe extern "C" fn(usize, u32) -> i32,
    request_close: unsafe extern "C" fn(usize, u32) -> i32,
    block_new: unsafe extern "C" fn(usize, *mut RawBlock) -> i32,
    block_free: unsafe extern "C" fn(*mut u8),
    app_event: unsafe extern "C" fn(u32, u32, Slice),
    log: unsafe extern "C" fn(i32, Slice, Slice),
    listen: unsafe extern "C" fn(u32, Slice, *mut Slice) -> i32,
}

/// What C# is called by. Filled by it; its functions stay good as long as the process.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct HttpGuest {
    size: u32,
    version: u32,
    start: Option<unsafe extern "C" fn(*const AppStart) -> i32>,
    request: Option<unsafe extern "C" fn(u32, *mut Request)>,
    body_ready: Option<unsafe extern "C" fn(u32, u32)>,
    writable: Option<unsafe extern "C" fn(u32, u32)>,
    aborted: Option<unsafe extern "C" fn(u32, u32)>,
    release_context: Option<unsafe extern "C" fn(u32)>,
    stop: Option<unsafe extern "C" fn(u32) -> i32>,
    stats: Option<unsafe extern "C" fn(*mut RawStats) -> i32>,
    rent_context: Option<unsafe extern "C" fn(u32, *const Connection) -> u32>,
}

/// Polyhost.AspNetCore, as the host calls it. Every method that runs managed code makes sure of the thread's signal stack.
pub(crate) struct Guest {
    start: unsafe extern "C" fn(*const AppStart) -> i32,
    request: unsafe extern "C" fn(u32, *mut Request),
    body_ready: unsafe extern "C" fn(u32, u32),
    writable: unsafe extern "C" fn(u32, u32),
    aborted: unsafe extern "C" fn(u32, u32),
    release_context: unsafe extern "C" fn(u32),
    stop: unsafe extern "C" fn(u32) -> i32,
    stats: unsafe extern "C" fn(*mut RawStats) -> i32,
    rent_context: unsafe extern "C" fn(u32, *const Connection) -> u32,
}

static GUEST: OnceLock<Guest> = OnceLock::new();

/// All applications there ever were, by their ids less one. Never fewer: events may come late.
static APPS: Mutex<Vec<Arc<State>>> = Mutex::new(Vec::new());

fn app(id: u32) -> Option<Arc<State>> {
    let apps = APPS.lock().unwrap_or_else(PoisonError::into_inner);
    apps.get(id.checked_sub(1)? as usize).cloned()
}

thread_local! {
    /// The lines of a head on their way; taken out while in use, so that a nested request gets its own.
    static LINES: std::cell::Cell<Vec<Header>> = const { std::cell::Cell::new(Vec::new()) };
}

impl Guest {
    /// Hands the host's functions to C# and takes its own, the first time.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where they don't fit together.
    pub(crate) fn connect(entry: Entry) -> Result<&'static Guest> {
        static CONNECTING: Mutex<()> = Mutex::new(());
        let _one = CONNECTING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guest) = GUEST.get() {
            return Ok(guest);
        }
        altstack::ready()?;
        let mut table = HttpGuest {
            size: size_of::<HttpGuest>() as u32,
            version: VERSION,
            start: None,
            request: None,
            body_ready: None,
            writable: None,
            aborted: None,
            release_context: None,
            stop: None,
            stats: None,
            rent_context: None,
        };
        // SAFETY: the host's table is a static, the other lives until the call returns.
        let status = unsafe { entry(&HOST, &mut table) };
        let guest = (status == 0).then(|| Guest::of(&table)).flatten();
        let broken = || {
            let message = format!(
                "Polyhost.AspNetCore refused to start (status {status}); this build of Polyhost is broken, please report"
            );
            Error::new(ErrorKind::Internal, message)
        };
        let guest = guest.ok_or_else(broken)?;
        Ok(GUEST.get_or_init(|| guest))
    }

    fn of(table: &HttpGuest) -> Option<Guest> {
        Some(Guest {
            start: table.start?,
            request: table.request?,
            body_ready: table.body_ready?,
            writable: table.writable?,
            aborted: table.aborted?,
            release_context: table.release_context?,
            stop: table.stop?,
            stats: table.stats?,
            rent_context: table.rent_context?,
        })
    }

    /// Gives an application its id, under which its events come.
    pub(crate) fn register(state: &Arc<State>) -> u32 {
        let mut apps = APPS.lock().unwrap_or_else(PoisonError::into_inner);
        apps.push(state.clone());
        apps.len() as u32
    }

    /// Starts an application on a thread of its own. What becomes of it, its state tells.
    ///
    /// # Errors
    /// Where this thread can't enter .NET.
    pub(crate) fn start(&self, app: u32, settings: &[u8]) -> Result<()> {
        altstack::ready()?;
        let start = AppStart { size: size_of::<AppStart>() as u32, app, settings: Slice::of(settings) };
        // SAFETY: `start` and what it points to live until the call returns; C# copies what it needs. Where it fails, an
        // event has said so.
        unsafe { (self.start)(&start) };
        Ok(())
    }

    /// Asks an application to stop.
    pub(crate) fn stop(&self, app: u32) {
        if altstack::ready().is_ok() {
            // SAFETY: takes a number.
            unsafe { (self.stop)(app) };
        }
    }

    /// What .NET counts at the moment.
    pub(crate) fn stats(&self) -> Option<Stats> {
        altstack::ready().ok()?;
        let mut stats = RawStats { size: size_of::<RawStats>() as u32, ..RawStats::default() };
        // SAFETY: writes to `stats`, which has the size it says.
        let status = unsafe { (self.stats)(&mut stats) };
        (status == 0).then(|| Stats {
            collections: [stats.gen0_collections, stats.gen1_collections, stats.gen2_collections],
            pause: Duration::from_nanos(stats.pause_nanoseconds),
            heap_bytes: stats.heap_bytes,
            thread_pool_threads: stats.thread_pool_threads,
            thread_pool_queue: stats.thread_pool_queue,
        })
    }

    /// Hands a request to an application; it may have been answered when this returns.
    pub(crate) fn request(
        &'static self,
        app: u32,
        exchange: ExchangeId,
        turn: &mut Turn<'_>,
        inline: impl FnOnce(&RequestHead) -> bool,
    ) {
        if altstack::ready().is_err() {
            exchange.abort();
            return exchange.release();
        }
        let connection = connection(turn.connection());
        if turn.kept == 0 {
            // SAFETY: null, or kept with the connection.
            let begun = unsafe { connection.as_ref() };
            let begun = begun.map(|info| Connection { earlier: turn.connection().begin(), ..*info });
            // SAFETY: `begun` lives until the call returns, and C# copies what it needs.
            turn.kept = begun.map_or(0, |info| unsafe { (self.rent_context)(app, &info) });
            if turn.kept == 0 {
                return unavailable(exchange);
            }
        }
        // Before C# can ask for what an event tells of. Where the client is gone already, C# finds out as it reads or
        // writes.
        let mut lines = LINES.take();
        let request = exchange.take_up(self, turn.kept, |head| (fill(head, &mut lines), inline(head)));
        if let Some((mut request, inline)) = request {
            // Code that waits here for the rest of a body would wait for itself.
            if inline && (request.flags & HAS_BODY == 0 || exchange.is_body_whole()) && turn.try_inline() {
                request.flags |= INLINE;
            }
            let (slot, generation) = exchange.parts();
            request.slot = ptr::from_ref(slot).expose_provenance();
            request.generation = generation;
            request.context = turn.kept;
            request.connection = connection;
            if turn.connection().is_secure() {
                request.flags |= TLS;
            }
            // SAFETY: `request`, its headers and its connection live until the call returns, the bytes of the head for
            // ever; C# catches everything.
            unsafe { (self.request)(app, &mut request) };
        }
        lines.clear();
        LINES.set(lines);
    }

    /// The connection that kept a context is gone.
    pub(crate) fn release_context(&self, context: u32) {
        if altstack::ready().is_ok() {
            // SAFETY: takes a number.
            unsafe { (self.release_context)(context) };
        }
    }
}

impl Events for Guest {
    fn body_ready(&self, context: u32, generation: u32) {
        if altstack::ready().is_ok() {
            // SAFETY: takes numbers.
            unsafe { (self.body_ready)(context, generation) };
        }
    }

    fn writable(&self, context: u32, generation: u32) {
        if altstack::ready().is_ok() {
            // SAFETY: takes numbers.
            unsafe { (self.writable)(context, generation) };
        }
    }

    fn aborted(&self, context: u32, generation: u32) {
        if altstack::ready().is_ok() {
            // SAFETY: takes numbers.
            unsafe { (self.aborted)(context, generation) };
        }
    }
}

/// Answers for an application whose server has stopped.
fn unavailable(exchange: ExchangeId) {
    exchange.request_close();
    let head =
        polyhost_http::ResponseHead { status: 503, content_length: Some(0), ..polyhost_http::ResponseHead::default() };
    // Where the client is gone, nobody needs an answer.
    let _ = exchange.send(Some(head), Data::None, SendFlags::END | SendFlags::RELEASE);
}

/// The form of a connection that C# reads, made once for each.
fn connection(info: &Arc<ConnectionInfo>) -> *const Connection {
    let made = info.attach(|info| Connection {
        id: info.id(),
        local_address: Slice::of(info.local_octets()),
        remote_address: Slice::of(info.remote_octets()),
        local_port: info.local().port(),
        remote_port: info.remote().port(),
        earlier: 0,
    });
    made.map_or(ptr::null(), ptr::from_ref)
}

fn fill(head: &RequestHead, lines: &mut Vec<Header>) -> Request {
    lines.extend(head.headers().map(|line| Header {
        known: line.known.into(),
        reserved: 0,
        name: Slice::of(line.name),
        value: Slice::of(line.value),
    }));
    Request {
        size: size_of::<Request>() as u32,
        flags: head.flags().bits(),
        slot: 0,
        generation: 0,
        context: 0,
        method: head.method() as u8,
        version: head.version() as u8,
        form: head.form() as u8,
        reserved: 0,
        header_count: lines.len() as u32,
        content_length: head.content_length().map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX)),
        method_text: Slice::of(head.method_text()),
        target: Slice::of(head.target()),
        path: Slice::of(head.path()),
        query: Slice::of(head.query()),
        headers: lines.as_ptr(),
        connection: ptr::null(),
    }
}
