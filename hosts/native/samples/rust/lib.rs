//! A guest in Rust behind `polyhost.h`: what a shared library needs, by hand, around [`conformance`].

mod conformance;

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use conformance::{Conformance, Handler, Host};
use polyhost_bridge::abi::sys::*;
use polyhost_bridge::abi::{OK, bytes, slice};
use polyhost_bridge::{CancelReason, Code, Error, ErrorKind, Export, LogLevel, Result, boundary};

/// The host's table. It lives as long as the process.
static HOST: OnceLock<&'static PolyhostHost> = OnceLock::new();

/// The modules that are open, by an id that is never used again.
static MODULES: RwLock<Option<HashMap<u64, Arc<Module>>>> = RwLock::new(None);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A function's id is its module's, shifted, and its place in the list.
const PLACE_BITS: u32 = 8;

struct Module {
    /// The host's id, for the log.
    host_id: u64,
    conformance: Conformance,
    exports: Vec<(Export, Handler)>,
    /// The same for the host; what it points to is in `exports`.
    table: Vec<PolyhostExport>,
}

// SAFETY: `table` points into `exports`, which nobody changes.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

#[unsafe(no_mangle)]
unsafe extern "C" fn polyhost_guest(
    host: *const PolyhostHost,
    guest: *mut PolyhostGuest,
    reason: *mut PolyhostSlice,
) -> PolyhostStatus {
    // SAFETY: the host's table lives as long as the process; `guest` and `reason` are its, until we return.
    let (host, guest, reason) = unsafe { (&*host, &mut *guest, &mut *reason) };
    if host.abi_major != POLYHOST_ABI_MAJOR as u16 {
        *reason = slice(b"this guest needs a host with major version 1 of the ABI");
        return Code::FailedPrecondition.number();
    }
    HOST.get_or_init(|| host);
    guest.abi_major = POLYHOST_ABI_MAJOR as u16;
    guest.abi_minor = POLYHOST_ABI_MINOR as u16;
    guest.name = slice(b"conformance in Rust");
    guest.version = slice(env!("CARGO_PKG_VERSION").as_bytes());
    guest.open = Some(open);
    guest.close = Some(close);
    guest.call = Some(call);
    OK
}

unsafe extern "C" fn open(
    _call: *mut PolyhostCall,
    source: *const PolyhostSource,
    filled: *mut PolyhostModule,
) -> PolyhostStatus {
    // SAFETY: both are the host's, until we return.
    let (source, filled) = unsafe { (&*source, &mut *filled) };
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let exports = Conformance::exports();
    let entry = |(place, (export, _)): (usize, &(Export, _))| PolyhostExport {
        size: size_of::<PolyhostExport>() as u32,
        reserved: 0,
        function: id << PLACE_BITS | place as u64,
        name: slice(export.name().as_bytes()),
        input_type: slice(export.input_type().unwrap_or_default().as_bytes()),
        output_type: slice(export.output_type().unwrap_or_default().as_bytes()),
        doc: slice(export.doc().as_bytes()),
    };
    let table = exports.iter().enumerate().map(entry).collect();
    let module = Arc::new(Module { host_id: source.module, conformance: Conformance::new(), exports, table });
    filled.module = id;
    filled.exports = module.table.as_ptr();
    filled.exports_len = module.table.len();
    filled.descriptors = slice(polyhost_proto::DESCRIPTORS);
    MODULES.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(id, module);
    OK
}

unsafe extern "C" fn close(_call: *mut PolyhostCall, module: u64, _held: *mut PolyhostOutput) -> PolyhostStatus {
    let removed = MODULES.write().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(|it| it.remove(&module));
    if removed.is_some() { OK } else { Code::NotFound.number() }
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
    let Some((module, handler)) = found.and_then(|it| it.exports.get(place).map(|(_, run)| (it.clone(), *run))) else {
        return Code::NotFound.number();
    };
    let host = Call { call: NonNull::new(call).expect("the host passes one"), module: module.host_id };
    // SAFETY: the host lends `input` until we return.
    let input = unsafe { bytes(PolyhostSlice { data: input, len: input_len }) };
    // A panic must not leave this function.
    let outcome = boundary::enter(|| {
        let reply = handler(&module.conformance, &host, input)?;
        // SAFETY: the host lends `output` until we return.
        unsafe { write(output, &reply) }
    });
    outcome.map_or_else(|error| host.fail(&error), |()| OK)
}

/// Appends to an output.
///
/// # Safety
/// `output` is the host's and may be written to.
unsafe fn write(output: *mut PolyhostOutput, reply: &[u8]) -> Result<()> {
    let reserve = table().output_reserve.expect("in version 1.0");
    // SAFETY: as the caller vouches.
    if unsafe { reserve(output, reply.len()) } != OK {
        // SAFETY: as the caller vouches.
        let limit = unsafe { (*output).limit };
        let message = format!("a reply of {} bytes is over the limit of {limit}", reply.len());
        return Err(Error::new(ErrorKind::Exhausted, message));
    }
    // SAFETY: there is room for `reply` now, behind what was written before.
    unsafe {
        (*output).data.add((*output).len).copy_from_nonoverlapping(reply.as_ptr(), reply.len());
        (*output).len += reply.len();
    }
    Ok(())
}

fn table() -> &'static PolyhostHost {
    HOST.get().expect("polyhost_guest was called first")
}

/// A call in progress, of a module.
struct Call {
    call: NonNull<PolyhostCall>,
    module: u64,
}

impl Call {
    fn fail(&self, error: &Error) -> PolyhostStatus {
        let (report, explain) = (error.to_report(), table().error_report.expect("in version 1.0"));
        // SAFETY: the call is not over; the host copies the report.
        unsafe { explain(self.call.as_ptr(), slice(&report)) };
        error.code().number()
    }

    fn service_failed(&self) -> Error {
        let (fetch, mut line) = (table().service_error.expect("in version 1.0"), slice(&[]));
        let report = with_output(|report| {
            // SAFETY: the call is not over; `report` and `line` outlive this.
            let status = unsafe { fetch(self.call.as_ptr(), report, &mut line) };
            if status == OK { Ok(()) } else { Err(Error::new(ErrorKind::Internal, "the host lost its error")) }
        });
        report.and_then(|report| Error::from_report(&report)).unwrap_or_else(|lost| lost)
    }
}

impl Host for Call {
    fn service(&self, name: &str, input: &[u8]) -> Result<Vec<u8>> {
        let (find, run) = (table().service_find, table().service_call);
        let (find, run) = (find.expect("in version 1.0"), run.expect("in version 1.0"));
        let mut id = 0;
        // SAFETY: the call is not over; the name and the id outlive this.
        if unsafe { find(self.call.as_ptr(), slice(name.as_bytes()), &mut id) } != OK {
            return Err(self.service_failed());
        }
        with_output(|output| {
            // SAFETY: the call is not over; the input and the output outlive this.
            match unsafe { run(self.call.as_ptr(), id, slice(input), output) } {
                OK => Ok(()),
                _ => Err(self.service_failed()),
            }
        })
    }

    fn log(&self, level: LogLevel, message: &str) {
        let log = table().log.expect("in version 1.0");
        let target = slice(b"conformance");
        // SAFETY: the call is not over; the texts outlive this.
        unsafe { log(self.module, self.call.as_ptr(), level as i32, target, slice(message.as_bytes())) };
    }

    fn metadata(&self) -> Vec<(String, String)> {
        let get = table().metadata.expect("in version 1.0");
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

    fn remaining(&self) -> Option<Duration> {
        let remaining = table().remaining.expect("in version 1.0");
        // SAFETY: the call is not over.
        let nanos = unsafe { remaining(self.call.as_ptr()) };
        (nanos != i64::MAX).then(|| Duration::from_nanos(nanos.unsigned_abs()))
    }

    fn check(&self) -> Result<()> {
        let cancelled = table().cancelled.expect("in version 1.0");
        // SAFETY: the call is not over.
        match Code::from_number(unsafe { cancelled(self.call.as_ptr()) }) {
            None => Ok(()),
            Some(Code::DeadlineExceeded) => Err(CancelReason::DeadlineExceeded.error()),
            Some(_) => Err(CancelReason::Cancelled.error()),
        }
    }
}

/// Lends `fill` an output of the host's and returns what it wrote.
fn with_output(fill: impl FnOnce(*mut PolyhostOutput) -> Result<()>) -> Result<Vec<u8>> {
    let (new, free) = (table().output_new.expect("in version 1.0"), table().output_free.expect("in version 1.0"));
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
