//! What C# calls: each function checks what it is given and answers with a number.

use std::ffi::OsStr;
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;
use std::{ptr, slice};

use bytes::Bytes;
use polyhost_http::exchange::{FileError, Slot};
use polyhost_http::limits::DataRate;
use polyhost_http::{BodyError, Data, ExchangeId, Read, SendFlags, Sent};

use super::super::block::Block;
use super::{Chunk, HEAD_OPEN, HttpHost, RawBlock, ResponseHead, Slice, VERSION, app};
use crate::aspnet::state::Event;

pub(super) static HOST: HttpHost = HttpHost {
    size: size_of::<HttpHost>() as u32,
    version: VERSION,
    send,
    send_trailers,
    send_file,
    read,
    bytes_free,
    request_trailers,
    set_max_body,
    set_min_body_rate,
    set_min_response_rate,
    abort,
    request_close,
    block_new,
    block_free,
    app_event,
    log,
    listen,
};

const ACCEPTED: i32 = 0;
const PENDING: i32 = 1;
const GONE: i32 = 2;
const READ_GONE: i32 = 7;

/// Runs one of the host's functions; a panic in it is logged, and answered with `failed`.
fn guard(failed: i32, run: impl FnOnce() -> i32) -> i32 {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let error = polyhost_bridge::boundary::panic_error(payload);
        tracing::error!("in a call from ASP.NET Core: {error}");
        failed
    })
}

/// # Safety
/// `slot` is 0 or was handed to C# by [`Guest::request`].
unsafe fn exchange(slot: usize, generation: u32) -> Option<ExchangeId> {
    // SAFETY: slots are never freed.
    let slot: &'static Slot = unsafe { ptr::with_exposed_provenance::<Slot>(slot).as_ref() }?;
    (generation != 0).then(|| ExchangeId::from_parts(slot, generation))
}

fn sent(sent: Sent) -> i32 {
    match sent {
        Sent::Accepted => ACCEPTED,
        Sent::Pending => PENDING,
        Sent::Gone => GONE,
    }
}

/// # Safety
/// A head is null or good for `'a`, with what it points to.
unsafe fn head<'a>(head: *const ResponseHead) -> Option<polyhost_http::ResponseHead<'a>> {
    // SAFETY: as above.
    let head = unsafe { head.as_ref() }?;
    let content_length = u64::try_from(head.content_length).ok();
    // SAFETY: as above.
    let (reason, headers) = unsafe { (head.reason.bytes(), head.headers.bytes()) };
    let open = head.flags & HEAD_OPEN != 0;
    Some(polyhost_http::ResponseHead { status: head.status, content_length, open, reason, headers })
}

const OWNED: u32 = 4;

/// `head` and `data` are C#'s until this returns; with OWNED, `data` is the start of a block that is ours from here on.
unsafe extern "C" fn send(
    slot: usize,
    generation: u32,
    response: *const ResponseHead,
    data: *const u8,
    len: usize,
    flags: u32,
) -> i32 {
    guard(GONE, || {
        let data = if flags & OWNED != 0 && !data.is_null() {
            // SAFETY: C# hands over a block that `block_new` gave it, with that much written to it.
            Data::Owned(unsafe { Block::from_raw(data.cast_mut()) }.into_bytes(len))
        } else if len == 0 || data.is_null() {
            Data::None
        } else {
            // SAFETY: C# has fixed the bytes until this returns.
            Data::Copied(unsafe { slice::from_raw_parts(data, len) })
        };
        // SAFETY: C# passes what `request` gave it, and a head that is good until this returns.
        let (exchange, head) = unsafe { (exchange(slot, generation), head(response)) };
        exchange.map_or(GONE, |exchange| sent(exchange.send(head, data, SendFlags::from_bits(flags))))
    })
}

/// `packed` is C#'s until this returns.
unsafe extern "C" fn send_trailers(slot: usize, generation: u32, packed: Slice) -> i32 {
    guard(GONE, || {
        // SAFETY: C# passes what `request` gave it, and bytes that are good until this returns.
        let (exchange, packed) = unsafe { (exchange(slot, generation), packed.bytes()) };
        exchange.map_or(GONE, |exchange| sent(exchange.send_trailers(packed)))
    })
}

/// `response` and `path` are C#'s until this returns.
unsafe extern "C" fn send_file(
    slot: usize,
    generation: u32,
    response: *const ResponseHead,
    path: Slice,
    offset: i64,
    count: i64,
    flags: u32,
) -> i32 {
    const NO_SUCH_FILE: i32 = 3;
    const OUT_OF_RANGE: i32 = 4;
    guard(GONE, || {
        // SAFETY: as in `send`.
        let (exchange, head, path) = unsafe { (exchange(slot, generation), head(response), path.bytes()) };
        let Some(exchange) = exchange else { return GONE };
        let Ok(offset) = u64::try_from(offset) else { return OUT_OF_RANGE };
        let path = Path::new(OsStr::from_bytes(path));
        match exchange.send_file(head, path, offset, u64::try_from(count).ok(), SendFlags::from_bits(flags)) {
            Ok(outcome) => sent(outcome),
            Err(FileError::NotFound(_)) => NO_SUCH_FILE,
            Err(FileError::OutOfRange) => OUT_OF_RANGE,
        }
    })
}

/// Writes to `out` what C# gives back with [`bytes_free`].
unsafe extern "C" fn read(slot: usize, generation: u32, out: *mut Chunk) -> i32 {
    guard(READ_GONE, || {
        // SAFETY: C# passes what `request` gave it.
        let Some(exchange) = (unsafe { exchange(slot, generation) }) else { return READ_GONE };
        match exchange.read() {
            Read::Data(bytes) => {
                // SAFETY: C# passes a place for a chunk.
                unsafe { out.write(chunk(bytes)) };
                0
            }
            Read::Pending => 1,
            Read::End => 2,
            Read::Failed(BodyError::TooLarge) => 3,
            Read::Failed(BodyError::Malformed) => 4,
            Read::Failed(BodyError::TimedOut) => 5,
            Read::Failed(BodyError::Aborted) => 6,
            Read::Gone => READ_GONE,
            Read::Failed(BodyError::TrailersTooLarge) => 8,
        }
    })
}

fn chunk(bytes: Bytes) -> Chunk {
    let (data, len) = (bytes.as_ptr(), bytes.len());
    let handle = Box::into_raw(Box::new(bytes)).expose_provenance() as u64;
    Chunk { handle, data, len }
}

unsafe extern "C" fn bytes_free(handle: u64) {
    guard(0, || {
        let bytes = ptr::with_exposed_provenance_mut::<Bytes>(handle as usize);
        if !bytes.is_null() {
            // SAFETY: C# gives each handle back once; it came from `chunk`.
            drop(unsafe { Box::from_raw(bytes) });
        }
        0
    });
}

/// As [`read`]; 1 where the body has not been read to its end.
unsafe extern "C" fn request_trailers(slot: usize, generation: u32, out: *mut Chunk) -> i32 {
    guard(1, || {
        // SAFETY: C# passes what `request` gave it.
        let trailers = unsafe { exchange(slot, generation) }.and_then(ExchangeId::request_trailers);
        let Some(trailers) = trailers else { return 1 };
        // SAFETY: C# passes a place for a chunk.
        unsafe { out.write(chunk(trailers)) };
        0
    })
}

unsafe extern "C" fn set_max_body(slot: usize, generation: u32, limit: i64) -> i32 {
    guard(1, || {
        // SAFETY: C# passes what `request` gave it.
        let exchange = unsafe { exchange(slot, generation) };
        i32::from(!exchange.is_some_and(|exchange| exchange.set_max_body(u64::try_from(limit).ok())))
    })
}

fn rate(bytes_per_second: f64, grace_ns: i64) -> Option<DataRate> {
    let grace_period = Duration::from_nanos(u64::try_from(grace_ns).unwrap_or(0));
    (bytes_per_second > 0.0).then_some(DataRate { bytes_per_second, grace_period })
}

unsafe extern "C" fn set_min_body_rate(slot: usize, generation: u32, bytes_per_second: f64, grace_ns: i64) -> i32 {
    guard(1, || {
        // SAFETY: C# passes what `request` gave it.
        let exchange = unsafe { exchange(slot, generation) };
        exchange.map_or(1, |exchange| {
            exchange.set_min_body_rate(rate(bytes_per_second, grace_ns));
            0
        })
    })
}

unsafe extern "C" fn set_min_response_rate(slot: usize, generation: u32, bytes_per_second: f64, grace_ns: i64) -> i32 {
    guard(1, || {
        // SAFETY: C# passes what `request` gave it.
        let exchange = unsafe { exchange(slot, generation) };
        exchange.map_or(1, |exchange| {
            exchange.set_min_response_rate(rate(bytes_per_second, grace_ns));
            0
        })
    })
}

unsafe extern "C" fn abort(slot: usize, generation: u32) -> i32 {
    guard(1, || {
        // SAFETY: C# passes what `request` gave it.
        unsafe { exchange(slot, generation) }.map_or(1, |exchange| {
            exchange.abort();
            0
        })
    })
}

unsafe extern "C" fn request_close(slot: usize, generation: u32) -> i32 {
    guard(1, || {
        // SAFETY: C# passes what `request` gave it.
        unsafe { exchange(slot, generation) }.map_or(1, |exchange| {
            exchange.request_close();
            0
        })
    })
}

/// A block is C#'s until it is sent with OWNED, or freed.
unsafe extern "C" fn block_new(at_least: usize, out: *mut RawBlock) -> i32 {
    guard(1, || {
        let Some(block) = Block::new(at_least) else { return 1 };
        let (data, capacity) = block.into_raw();
        // SAFETY: C# passes a place for a block.
        unsafe { out.write(RawBlock { data, capacity }) };
        0
    })
}

unsafe extern "C" fn block_free(data: *mut u8) {
    guard(0, || {
        if !data.is_null() {
            // SAFETY: C# gives back what `block_new` gave it, once.
            drop(unsafe { Block::from_raw(data) });
        }
        0
    });
}

/// `text` is C#'s until this returns.
unsafe extern "C" fn app_event(id: u32, kind: u32, text: Slice) {
    guard(0, || {
        // SAFETY: as above.
        let text = String::from_utf8_lossy(unsafe { text.bytes() });
        if let (Some(app), Some(event)) = (app(id), Event::of(kind, &text)) {
            app.happened(event);
        }
        0
    });
}

/// `category` and `text` are C#'s until this returns.
unsafe extern "C" fn log(level: i32, category: Slice, text: Slice) {
    guard(0, || {
        // SAFETY: as above.
        let (category, text) = unsafe { (category.bytes(), text.bytes()) };
        let (category, text) = (String::from_utf8_lossy(category), String::from_utf8_lossy(text));
        // The numbers of Microsoft.Extensions.Logging.LogLevel.
        match level {
            ..=0 => tracing::trace!(target: "polyhost::aspnet", %category, "{text}"),
            1 => tracing::debug!(target: "polyhost::aspnet", %category, "{text}"),
            2 => tracing::info!(target: "polyhost::aspnet", %category, "{text}"),
            3 => tracing::warn!(target: "polyhost::aspnet", %category, "{text}"),
            _ => tracing::error!(target: "polyhost::aspnet", %category, "{text}"),
        }
        0
    });
}

/// What the application asks for in `request`, where it is served in `reply`, each ended by a zero, which the
/// application keeps; or 1 and the reason why it can't be.
unsafe extern "C" fn listen(id: u32, request: Slice, reply: *mut Slice) -> i32 {
    guard(1, || {
        // SAFETY: `request` is C#'s until this returns.
        let request = String::from_utf8_lossy(unsafe { request.bytes() });
        let Some(app) = app(id) else { return 1 };
        let (status, text) = match app.listen(&request) {
            Ok(addresses) => (0, addresses.iter().map(|address| format!("{address}\0")).collect()),
            Err(reason) => (1, reason),
        };
        // SAFETY: C# passes a place for a slice; the state is never freed, and keeps the text.
        unsafe { reply.write(Slice::of(app.keep(text).as_bytes())) };
        status
    })
}
