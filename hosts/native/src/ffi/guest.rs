//! The other side of `polyhost.h`: a Rust module as a shared library, for hosts that load it by path.
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//! ```
//!
//! ```
//! use polyhost_bridge::{Export, LoadOptions, Result};
//! use polyhost_native::ModuleBuilder;
//!
//! polyhost_native::guest!(exports);
//!
//! /// Runs at each load, so that each has state of its own, as `NativeConfig::module` does.
//! fn exports(module: ModuleBuilder, _options: &LoadOptions) -> Result<ModuleBuilder> {
//!     Ok(module.export(Export::bytes("shout/Upper"), |_cx, input, output| output.write(&input.to_ascii_uppercase())))
//! }
//! # fn main() {}
//! ```
//!
//! The closures, their contexts and errors are those of a module in the host's own program, but for two things. The log
//! of the options goes to the host, and their services are empty: a library has the host's by [`service`].
//!
//! A call that can be cancelled costs an allocation and a lock more than one that can't.

use std::cell::Cell;
use std::collections::HashMap;
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use polyhost_bridge::abi::sys::{
    POLYHOST_ABI_MAJOR, POLYHOST_ABI_MINOR, PolyhostCall, PolyhostExport, PolyhostModule, PolyhostSource,
};
use polyhost_bridge::abi::{OK, bytes, slice};
use polyhost_bridge::{
    CallContext, CancelToken, Code, Error, ErrorKind, Export, Function, LoadOptions, LogSink, Module, Output, Result,
    UnloadVerdict, boundary,
};

#[doc(hidden)]
pub use polyhost_bridge::abi::sys::{PolyhostGuest, PolyhostHost, PolyhostOutput, PolyhostSlice, PolyhostStatus};

use crate::module::{ModuleBuilder, NativeModule};

/// Makes the library that this stands in a guest: takes a function like that of
/// [`NativeConfig::module`](crate::NativeConfig::module). Once in a library.
#[macro_export]
macro_rules! guest {
    ($make:expr) => {
        /// What a host looks for, see `polyhost.h`.
        // SAFETY: no other function of a guest has this name.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn polyhost_guest(
            host: *const $crate::guest::PolyhostHost,
            guest: *mut $crate::guest::PolyhostGuest,
            reason: *mut $crate::guest::PolyhostSlice,
        ) -> $crate::guest::PolyhostStatus {
            let library = $crate::guest::Library {
                name: ::core::env!("CARGO_PKG_NAME"),
                version: ::core::env!("CARGO_PKG_VERSION"),
                make: $make,
            };
            // SAFETY: a host keeps the contract of polyhost.h.
            unsafe { $crate::guest::enter(library, host, guest, reason) }
        }
    };
}

/// What [`guest!`](crate::guest!) says of the library.
#[doc(hidden)]
#[derive(Debug)]
pub struct Library {
    pub name: &'static str,
    pub version: &'static str,
    pub make: fn(ModuleBuilder, &LoadOptions) -> Result<ModuleBuilder>,
}

/// This library, in its host.
struct InHost {
    library: Library,
    host: &'static PolyhostHost,
}

static IN_HOST: OnceLock<InHost> = OnceLock::new();

/// The modules that are open, by an id that is never used again.
static MODULES: RwLock<Option<HashMap<u64, Arc<Opened>>>> = RwLock::new(None);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The calls that a host may cancel, by its id of them.
static WATCHED: Mutex<Option<HashMap<u64, Watched>>> = Mutex::new(None);

/// What cancels a call, and its deadline.
type Watched = (CancelToken, Option<Instant>);

/// A function's id is its module's, shifted, and its place in the list.
const PLACE_BITS: u32 = 16;

/// An open module.
struct Opened {
    module: Arc<NativeModule>,
    functions: Vec<Arc<dyn Function>>,
    /// For the host; what it points to is in `module`.
    table: Vec<PolyhostExport>,
}

// SAFETY: `table` points into `module`, whose exports nobody changes.
unsafe impl Send for Opened {}
// SAFETY: as above.
unsafe impl Sync for Opened {}

/// Fills the guest's table.
///
/// # Safety
/// The pointers are those that a host passes to `polyhost_guest`.
#[doc(hidden)]
pub unsafe fn enter(
    library: Library,
    host: *const PolyhostHost,
    guest: *mut PolyhostGuest,
    reason: *mut PolyhostSlice,
) -> PolyhostStatus {
    // SAFETY: the host's table lives as long as the process; `guest` and `reason` are its, until we return.
    let (host, guest, reason) = unsafe { (&*host, &mut *guest, &mut *reason) };
    if host.abi_major != POLYHOST_ABI_MAJOR as u16 {
        *reason = slice(b"this guest was built for another major version of polyhost.h");
        return Code::FailedPrecondition.number();
    }
    let InHost { library, .. } = IN_HOST.get_or_init(|| InHost { library, host });
    guest.abi_major = POLYHOST_ABI_MAJOR as u16;
    guest.abi_minor = POLYHOST_ABI_MINOR as u16;
    guest.name = slice(library.name.as_bytes());
    guest.version = slice(library.version.as_bytes());
    guest.open = Some(open);
    guest.close = Some(close);
    guest.call = Some(call);
    guest.cancel = Some(cancel);
    OK
}

fn in_host() -> &'static InHost {
    IN_HOST.get().expect("polyhost_guest was called first")
}

unsafe extern "C" fn open(
    call: *mut PolyhostCall,
    source: *const PolyhostSource,
    filled: *mut PolyhostModule,
) -> PolyhostStatus {
    // SAFETY: both are the host's, until we return.
    let (source, filled) = unsafe { (&*source, &mut *filled) };
    let call = Call::inside(call);
    let InHost { library, host } = in_host();
    let (id, log) = (NEXT.fetch_add(1, Ordering::Relaxed), log_of(host, source.module));
    let opened = boundary::enter(|| {
        let mut options = LoadOptions::new().log(log);
        options.deadline = call.deadline();
        let module = (library.make)(NativeModule::builder(library.name), &options)?.build()?;
        let functions: Vec<_> =
            module.exports().iter().map(|export| module.function(export.name())).collect::<Result<_>>()?;
        if functions.len() >> PLACE_BITS > 0 {
            return Err(Error::new(ErrorKind::Load, format!("a guest with {} exports", functions.len())));
        }
        let table = module.exports().iter().enumerate().map(|(place, export)| entry(id, place, export)).collect();
        Ok(Arc::new(Opened { module, functions, table }))
    });
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => return call.fail(&error),
    };
    filled.module = id;
    filled.exports = opened.table.as_ptr();
    filled.exports_len = opened.table.len();
    filled.descriptors = slice(opened.module.descriptors().unwrap_or_default());
    MODULES.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(id, opened);
    OK
}

fn entry(module: u64, place: usize, export: &Export) -> PolyhostExport {
    PolyhostExport {
        size: size_of::<PolyhostExport>() as u32,
        reserved: 0,
        function: module << PLACE_BITS | place as u64,
        name: slice(export.name().as_bytes()),
        input_type: slice(export.input_type().unwrap_or_default().as_bytes()),
        output_type: slice(export.output_type().unwrap_or_default().as_bytes()),
        doc: slice(export.doc().as_bytes()),
    }
}

fn log_of(host: &'static PolyhostHost, module: u64) -> LogSink {
    let log = host.log.expect("in version 1.0");
    LogSink::new(move |record| {
        let (target, message) = (slice(record.target.as_bytes()), slice(record.message.as_bytes()));
        // SAFETY: the texts outlive the call; a host takes null for no call.
        unsafe { log(module, ptr::null(), record.level as i32, target, message) };
    })
}

unsafe extern "C" fn close(call: *mut PolyhostCall, module: u64, held: *mut PolyhostOutput) -> PolyhostStatus {
    let call = Call::inside(call);
    let removed = MODULES.write().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(|it| it.remove(&module));
    let Some(opened) = removed else { return Code::NotFound.number() };
    // What its closures hold may be anything, and is dropped here.
    let outcome = boundary::enter(|| {
        // Nobody is inside, so no call has it any more.
        let module = opened.module.clone();
        drop(opened);
        let UnloadVerdict::StillAlive { what } = module.unload(Duration::ZERO) else { return Ok(()) };
        // SAFETY: the host lends `held` until we return.
        unsafe { write(held, what.join("\n").as_bytes()) }
    });
    outcome.map_or_else(|error| call.fail(&error), |()| OK)
}

unsafe extern "C" fn call(
    function: u64,
    call: *mut PolyhostCall,
    input: *const u8,
    input_len: usize,
    output: *mut PolyhostOutput,
) -> PolyhostStatus {
    let found = {
        let modules = MODULES.read().unwrap_or_else(PoisonError::into_inner);
        modules.as_ref().and_then(|it| it.get(&(function >> PLACE_BITS)).cloned())
    };
    let place = (function & ((1 << PLACE_BITS) - 1)) as usize;
    let Some(function) = found.and_then(|it| it.functions.get(place).cloned()) else {
        return Code::NotFound.number();
    };
    let call = Call::inside(call);
    let outcome = boundary::enter(|| {
        // SAFETY: the host lends `input` until we return.
        let input = unsafe { bytes(PolyhostSlice { data: input, len: input_len }) };
        // SAFETY: and `output`.
        let room = unsafe { (*output).limit - (*output).len };
        let (context, _watch) = call.context();
        let mut reply = Output::with_limit(room);
        function.call(&context, input, &mut reply)?;
        // SAFETY: as above.
        unsafe { write(output, &reply) }
    });
    outcome.map_or_else(|error| call.fail(&error), |()| OK)
}

unsafe extern "C" fn cancel(id: u64) {
    let watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    let found = watched.as_ref().and_then(|it| it.get(&id).cloned());
    drop(watched);
    match found {
        Some((token, Some(deadline))) if deadline <= Instant::now() => token.expire(),
        Some((token, _)) => token.cancel(),
        // Over, or not begun: whoever begins looks for itself.
        None => {}
    }
}

/// Appends to an output of the host's.
///
/// # Safety
/// `output` is the host's and may be written to.
unsafe fn write(output: *mut PolyhostOutput, reply: &[u8]) -> Result<()> {
    let reserve = in_host().host.output_reserve.expect("in version 1.0");
    // SAFETY: as the caller vouches.
    if unsafe { reserve(output, reply.len()) } != OK {
        return Err(Error::new(ErrorKind::Exhausted, format!("the host has no room for {} bytes", reply.len())));
    }
    // SAFETY: there is room for `reply` now, behind what was written before.
    unsafe {
        (*output).data.add((*output).len).copy_from_nonoverlapping(reply.as_ptr(), reply.len());
        (*output).len += reply.len();
    }
    Ok(())
}

thread_local! {
    /// The call that this thread is in.
    static CURRENT: Cell<*mut PolyhostCall> = const { Cell::new(ptr::null_mut()) };
}

/// A call that is not over, on its own thread.
struct Call {
    call: NonNull<PolyhostCall>,
    outer: *mut PolyhostCall,
}

impl Call {
    fn inside(call: *mut PolyhostCall) -> Call {
        Call { outer: CURRENT.replace(call), call: NonNull::new(call).expect("a host passes one") }
    }

    fn deadline(&self) -> Option<Instant> {
        let remaining = in_host().host.remaining.expect("in version 1.0");
        // SAFETY: the call is not over.
        let nanos = unsafe { remaining(self.call.as_ptr()) };
        let left = (nanos != i64::MAX).then(|| Duration::from_nanos(nanos.max(0).unsigned_abs()))?;
        Instant::now().checked_add(left)
    }

    /// What the host knows of the call, and what takes it off the list of those that may be cancelled.
    fn context(&self) -> (CallContext, Watch) {
        let host = in_host().host;
        let (deadline, watch) = (self.deadline(), host.watch.expect("in version 1.0"));
        // SAFETY: the call is not over.
        let id = unsafe { watch(self.call.as_ptr()) };
        let token = (id != 0).then(CancelToken::new);
        if let Some(token) = &token {
            let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
            watched.get_or_insert_default().insert(id, (token.clone(), deadline));
            drop(watched);
            match self.cancelled() {
                None => {}
                // It may have been before it was on the list.
                Some(Code::DeadlineExceeded) => token.expire(),
                Some(_) => token.cancel(),
            }
        }
        let context = CallContext::watched(deadline, token);
        (self.metadata().into_iter().fold(context, |cx, (key, value)| cx.with_metadata(key, value)), Watch(id))
    }

    fn cancelled(&self) -> Option<Code> {
        let cancelled = in_host().host.cancelled.expect("in version 1.0");
        // SAFETY: the call is not over.
        Code::from_number(unsafe { cancelled(self.call.as_ptr()) })
    }

    fn metadata(&self) -> Vec<(String, String)> {
        let get = in_host().host.metadata.expect("in version 1.0");
        let text = |text: PolyhostSlice| {
            // SAFETY: the host lends it until the call is over.
            String::from_utf8_lossy(unsafe { bytes(text) }).into_owned()
        };
        let entry = |index| {
            let (mut key, mut value) = (slice(&[]), slice(&[]));
            // SAFETY: the call is not over; `key` and `value` outlive this.
            let status = unsafe { get(self.call.as_ptr(), index, &mut key, &mut value) };
            (status == OK).then(|| (text(key), text(value)))
        };
        (0..).map_while(entry).collect()
    }

    fn fail(&self, error: &Error) -> PolyhostStatus {
        if let (ErrorKind::Cancelled | ErrorKind::DeadlineExceeded, Some(reason)) = (error.kind(), self.cancelled()) {
            // Which of the two it was, the host knows for certain, and says in its own words.
            return reason.number();
        }
        let (report, explain) = (error.to_report(), in_host().host.error_report.expect("in version 1.0"));
        // SAFETY: the call is not over; the host copies the report.
        unsafe { explain(self.call.as_ptr(), slice(&report)) };
        error.code().number()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

/// Keeps a call on the list of those that may be cancelled.
struct Watch(u64);

impl Drop for Watch {
    fn drop(&mut self) {
        if self.0 != 0 {
            let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
            let removed = watched.as_mut().and_then(|it| it.remove(&self.0));
            drop(watched);
            drop(removed);
        }
    }
}

/// A host service, for the module whose call (or load) this thread is in; to be called within its calls.
///
/// ```no_run
/// # use polyhost_bridge::{CallContext, Output, Result};
/// # fn within_a_call(cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
/// polyhost_native::guest::service("greeter.v1.Greeter/Translate")?.call(cx, input, output)
/// # }
/// ```
///
/// For prost messages put a [`TypedFunction`](polyhost_bridge::TypedFunction) around it.
///
/// # Errors
/// [`ErrorKind::Service`] where the host has none of that name; [`ErrorKind::Config`] outside of a guest's calls.
pub fn service(name: &str) -> Result<Arc<dyn Function>> {
    let (call, find) = (current(name)?, in_host().host.service_find.expect("in version 1.0"));
    let mut id = 0;
    // SAFETY: the call is not over; the name and the id outlive this.
    match unsafe { find(call, slice(name.as_bytes()), &mut id) } {
        OK => Ok(Arc::new(Service { export: Export::bytes(name), id })),
        _ => Err(service_failed(call)),
    }
}

fn current(name: &str) -> Result<*mut PolyhostCall> {
    let call = CURRENT.get();
    if call.is_null() {
        let message = format!("host service {name}: this thread is in no call of a guest's; ask for it within one");
        return Err(Error::new(ErrorKind::Config, message));
    }
    Ok(call)
}

#[derive(Debug)]
struct Service {
    export: Export,
    id: u32,
}

impl Function for Service {
    fn export(&self) -> &Export {
        &self.export
    }

    /// The context is that of the call that this thread is in: a host has no other.
    fn call(&self, _cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        let (call, run) = (current(self.export.name())?, in_host().host.service_call.expect("in version 1.0"));
        // SAFETY: the call is not over; the input and `reply` outlive this.
        let reply = with_output(|reply| match unsafe { run(call, self.id, slice(input), reply) } {
            OK => Ok(()),
            _ => Err(service_failed(call)),
        })?;
        output.write(&reply)
    }
}

fn service_failed(call: *mut PolyhostCall) -> Error {
    let (fetch, mut line) = (in_host().host.service_error.expect("in version 1.0"), slice(&[]));
    let report = with_output(|report| {
        // SAFETY: the call is not over; `report` and `line` outlive this.
        match unsafe { fetch(call, report, &mut line) } {
            OK => Ok(()),
            _ => Err(Error::new(ErrorKind::Internal, "the host has lost why its service failed")),
        }
    });
    report.and_then(|report| Error::from_report(&report)).unwrap_or_else(|lost| lost)
}

/// Lends `fill` an output of the host's and returns what it wrote.
fn with_output(fill: impl FnOnce(*mut PolyhostOutput) -> Result<()>) -> Result<Vec<u8>> {
    let host = in_host().host;
    let (new, free) = (host.output_new.expect("in version 1.0"), host.output_free.expect("in version 1.0"));
    // SAFETY: it is freed below, once.
    let Some(output) = NonNull::new(unsafe { new(0) }) else {
        return Err(Error::new(ErrorKind::Exhausted, "no memory for a reply"));
    };
    let outcome = fill(output.as_ptr()).map(|()| {
        // SAFETY: it is ours until it is freed, and the host has written `len` bytes.
        let PolyhostOutput { data, len, .. } = unsafe { output.read() };
        // SAFETY: as above.
        unsafe { bytes(PolyhostSlice { data, len }) }.to_vec()
    });
    // SAFETY: it came from output_new, and nobody has kept it.
    unsafe { free(output.as_ptr()) };
    outcome
}
