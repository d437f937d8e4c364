//! The host's side of `polyhost.h`: what a guest behind the C ABI may call, and how it is called.
//!
//! Used by the hosts whose guests fill a `PolyhostGuest`: shared libraries, and
//! the CLR's resident shim. The ABI itself is in [`sys`], made by bindgen.

use std::fmt;
use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use tracing::Span;

use crate::boundary;
use crate::call::CallContext;
use crate::cancel::Subscription;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::log::{LogLevel, LogRecord};
use crate::observe::{self, Callee};
use crate::output::Output;

/// The types of `polyhost.h`. The header says what they mean.
#[allow(
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    unreachable_pub,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
pub mod sys {
    include!("abi/bindings.rs");
}

mod module;
mod open;

pub use module::GuestModule;
pub use open::{Opened, Source, close, open, release};

use module::LOGS;
use sys::{PolyhostCall, PolyhostGuest, PolyhostHost, PolyhostOutput, PolyhostSlice, PolyhostStatus};

/// `polyhost.h` itself: what guests in C and C++ are built with.
pub const HEADER: &str = include_str!("../include/polyhost.h");

/// `POLYHOST_OK`.
pub const OK: PolyhostStatus = 0;

// An Output is handed to guests as it is.
const _: () = {
    assert!(size_of::<Output>() == size_of::<PolyhostOutput>());
    assert!(Output::OFFSETS[0] == offset_of!(PolyhostOutput, data));
    assert!(Output::OFFSETS[1] == offset_of!(PolyhostOutput, len));
    assert!(Output::OFFSETS[2] == offset_of!(PolyhostOutput, capacity));
    assert!(Output::OFFSETS[3] == offset_of!(PolyhostOutput, limit));
};

/// Ids are never used again: of modules, and of watched calls.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One call into a guest: what a `PolyhostCall*` points to. Lives on the caller's stack until the guest returns.
struct Frame<'a> {
    cx: &'a CallContext,
    module: &'a GuestModule,
    cancel: Option<unsafe extern "C" fn(u64)>,
    /// For what the guest does on other threads: the export, and the span it is in. Boxed, as a frame is made for each call,
    /// and most have none.
    callee: Option<&'a Callee>,
    span: Option<Box<Span>>,
    /// Made when a call needs it, which a call that goes well does not.
    state: Mutex<Option<Box<State>>>,
}

#[derive(Default)]
struct State {
    said: Option<Said>,
    /// Of each thread that had one, the last, with the line that `service_error` lends.
    service_errors: Vec<(ThreadId, Error, String)>,
    watch: Option<(u64, Subscription)>,
}

/// How a guest explained its failure.
enum Said {
    Line(String),
    Report(Error),
}

impl<'a> Frame<'a> {
    #[inline]
    fn new(
        guest: &PolyhostGuest,
        module: &'a GuestModule,
        cx: &'a CallContext,
        callee: Option<&'a Callee>,
    ) -> Frame<'a> {
        let span = if observe::spans() { Some(Box::new(observe::here())) } else { None };
        Frame { cx, module, cancel: guest.cancel, callee, span, state: Mutex::new(None) }
    }
}

impl Frame<'_> {
    /// Runs what the guest asks for on this thread in the call's span.
    #[inline]
    fn within<R>(&self, run: impl FnOnce() -> R) -> R {
        let _inside = self.span.as_ref().map(|span| span.enter());
        run()
    }

    fn state(&self) -> MutexGuard<'_, Option<Box<State>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, said: Said) {
        let old = self.state().get_or_insert_default().said.replace(said);
        drop(old);
    }
}

/// Calls an export of a guest on this thread.
///
/// # Errors
/// What the guest reported; see [`crate::Function::call`]. `output` holds what it did before then.
///
/// # Safety
/// `guest` was filled by a guest that keeps the contract of `polyhost.h`, and has not been unmapped; nor will it ever be
/// where the module has [`GuestModule::late_cancels`].
#[inline]
pub unsafe fn call(
    guest: &PolyhostGuest,
    function: u64,
    module: &GuestModule,
    cx: &CallContext,
    input: &[u8],
    output: &mut Output,
) -> Result<()> {
    let Some(enter) = guest.call else { return Err(missing("call")) };
    let before = output.len();
    let (status, state) = boundary::callee(|callee| {
        let frame = Frame::new(guest, module, cx, callee);
        let (call, out) = (frame_pointer(&frame), output_pointer(output));
        // SAFETY: `frame`, `input` and `output` outlive the call, which returns before we do; the caller vouches for
        // the guest.
        let status = unsafe { enter(function, call, input.as_ptr(), input.len(), out) };
        // Taken off before anything else: where late cancels are not allowed, none comes when this returns.
        (status, frame.state.into_inner().unwrap_or_else(PoisonError::into_inner))
    });
    let outcome = output.check();
    if status == OK && outcome.is_ok() {
        if let Some(state) = state {
            forget_state(state);
        }
        return Ok(());
    }
    output.truncate(before);
    outcome?;
    Err(failure(cx, status, state, Some(output.limit())))
}

/// Out of the way of the calls that have none.
#[cold]
fn forget_state(state: Box<State>) {
    drop(state);
}

/// Calls one of the guest's functions that are not exports (`open`, `close`) with a call frame of its own, in `cx`.
///
/// # Errors
/// What the guest reported.
pub fn with_call(
    guest: &PolyhostGuest,
    module: &GuestModule,
    cx: &CallContext,
    enter: impl FnOnce(*mut PolyhostCall) -> PolyhostStatus,
) -> Result<()> {
    let frame = Frame::new(guest, module, cx, None);
    let status = enter(frame_pointer(&frame));
    let state = frame.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if status == OK { Ok(()) } else { Err(failure(cx, status, state, None)) }
}

fn frame_pointer(frame: &Frame<'_>) -> *mut PolyhostCall {
    std::ptr::from_ref(frame).cast_mut().cast()
}

/// The pointer to pass for an `Output`: it has the layout of `PolyhostOutput` (asserted above).
pub fn output_pointer(output: &mut Output) -> *mut PolyhostOutput {
    std::ptr::from_mut(output).cast()
}

/// Turns a status and what the guest said about it into an error; `limit` is that of the reply, where there is one.
#[cold]
fn failure(cx: &CallContext, status: PolyhostStatus, state: Option<Box<State>>, limit: Option<usize>) -> Error {
    let said = state.and_then(|state| state.said);
    let Some(code) = Code::from_number(status) else {
        let error = Error::new(ErrorKind::Internal, format!("the guest returned {status}, which is no status code"));
        return match said {
            Some(Said::Line(message)) => error.with("message", message),
            Some(Said::Report(cause)) => error.caused_by(cause),
            None => error,
        };
    };
    let error = match said {
        Some(Said::Line(message)) => Error::status(code, message),
        Some(Said::Report(error)) => error,
        None if code == Code::NotFound => {
            Error::new(ErrorKind::Closed, "the guest no longer knows this function; load the module again")
        }
        // What a guest returns that hands on the status of `output_reserve`.
        None if code == Code::ResourceExhausted => {
            let of_reply = limit.map(|limit| format!(", most likely that of the reply, {limit} bytes; raise it"));
            Error::new(ErrorKind::Exhausted, format!("the guest reached a limit{}", of_reply.unwrap_or_default()))
        }
        None => match (cx.cancelled(), code) {
            // What it returns that hands on the status of `cancelled`.
            (Some(reason), Code::Cancelled | Code::DeadlineExceeded) => reason.error(),
            _ => Error::status(code, "the guest gave no reason"),
        },
    };
    // A guest that noticed its cancellation says so in its own words; callers ask for the kind.
    match (cx.cancelled(), error.kind(), code) {
        (Some(reason), ErrorKind::Guest | ErrorKind::Service, Code::Cancelled | Code::DeadlineExceeded) => {
            let kind = reason.error().kind();
            error.with_kind(kind)
        }
        _ => error,
    }
}

#[cold]
fn missing(function: &str) -> Error {
    Error::new(ErrorKind::Load, format!("the guest's table has no function `{function}`; it breaks the ABI"))
}

/// Refuses a guest whose ABI this host does not speak.
///
/// # Errors
/// [`ErrorKind::Load`], naming both versions.
pub fn check_version(guest: &PolyhostGuest) -> Result<()> {
    let (major, minor) = (guest.abi_major, guest.abi_minor);
    let (ours_major, ours_minor) = (sys::POLYHOST_ABI_MAJOR as u16, sys::POLYHOST_ABI_MINOR as u16);
    if major == ours_major && minor <= ours_minor && guest.call.is_some() && guest.open.is_some() {
        return Ok(());
    }
    if major == ours_major && minor <= ours_minor {
        return Err(missing(if guest.call.is_none() { "call" } else { "open" }));
    }
    let message = format!(
        "the guest speaks version {major}.{minor} of the ABI, this host {ours_major}.{ours_minor}; build it against this host's polyhost.h"
    );
    Err(Error::new(ErrorKind::Load, message))
}

/// Reads text or bytes that a guest points to.
///
/// # Safety
/// `slice` is empty, or points to `len` bytes that stay as they are for `'a`.
pub unsafe fn bytes<'a>(slice: PolyhostSlice) -> &'a [u8] {
    if slice.data.is_null() || slice.len == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for pointer and length.
    unsafe { std::slice::from_raw_parts(slice.data, slice.len) }
}

/// Bytes as a slice for a guest; borrowed as long as `bytes` is.
pub fn slice(bytes: &[u8]) -> PolyhostSlice {
    PolyhostSlice { data: bytes.as_ptr(), len: bytes.len() }
}

/// What every guest gets: the host's functions. Lives as long as the process.
pub fn host() -> &'static PolyhostHost {
    static HOST: PolyhostHost = PolyhostHost {
        size: size_of::<PolyhostHost>() as u32,
        abi_major: sys::POLYHOST_ABI_MAJOR as u16,
        abi_minor: sys::POLYHOST_ABI_MINOR as u16,
        output_reserve: Some(output_reserve),
        output_new: Some(output_new),
        output_free: Some(output_free),
        cancelled: Some(cancelled),
        remaining: Some(remaining),
        metadata: Some(metadata),
        watch: Some(watch),
        service_find: Some(service_find),
        service_call: Some(service_call),
        service_error: Some(service_error),
        error: Some(error),
        error_report: Some(error_report),
        log: Some(log),
    };
    &HOST
}

/// A guest may call any of these functions with a `PolyhostCall` that it was given and that is not over, and with
/// nothing else; that is the one promise which all of them rest on.
///
/// # Safety
/// `call` came from [`frame_pointer`], and the call it belongs to has not returned.
unsafe fn frame<'a>(call: *const PolyhostCall) -> &'a Frame<'a> {
    // SAFETY: as above. All fields of a Frame may be read by several threads at once.
    unsafe { &*call.cast::<Frame<'a>>() }
}

/// Runs host code for a guest: a panic becomes an error, an error a status, kept for `service_error`.
fn answer(run: impl FnOnce() -> Result<()>) -> (PolyhostStatus, Option<Error>) {
    match boundary::enter(run) {
        Ok(()) => (OK, None),
        Err(error) => (error.code().number(), Some(error)),
    }
}

unsafe extern "C" fn output_reserve(output: *mut PolyhostOutput, additional: usize) -> PolyhostStatus {
    // SAFETY: a guest passes the Output it was given with a call that is not over, or got from output_new; it is the
    // only one to use it meanwhile.
    let output = unsafe { &mut *output.cast::<Output>() };
    answer(|| {
        output.check()?;
        output.reserve(additional)
    })
    .0
}

unsafe extern "C" fn output_new(limit: usize) -> *mut PolyhostOutput {
    let limit = if limit == 0 { Output::DEFAULT_LIMIT } else { limit };
    Box::into_raw(Box::new(Output::with_limit(limit))).cast()
}

unsafe extern "C" fn output_free(output: *mut PolyhostOutput) {
    if !output.is_null() {
        // SAFETY: it came from output_new, and a guest frees it once.
        drop(unsafe { Box::from_raw(output.cast::<Output>()) });
    }
}

unsafe extern "C" fn cancelled(call: *const PolyhostCall) -> PolyhostStatus {
    // SAFETY: see `frame`.
    let frame = unsafe { frame(call) };
    frame.cx.cancelled().map_or(OK, |reason| reason.error().code().number())
}

unsafe extern "C" fn remaining(call: *const PolyhostCall) -> i64 {
    // SAFETY: see `frame`.
    let frame = unsafe { frame(call) };
    let nanos = |left: Duration| i64::try_from(left.as_nanos()).unwrap_or(i64::MAX);
    frame.cx.remaining().map_or(i64::MAX, nanos)
}

unsafe extern "C" fn metadata(
    call: *const PolyhostCall,
    index: usize,
    key: *mut PolyhostSlice,
    value: *mut PolyhostSlice,
) -> PolyhostStatus {
    // SAFETY: see `frame`.
    let frame = unsafe { frame(call) };
    let Some((k, v)) = frame.cx.metadata().get(index) else { return Code::OutOfRange.number() };
    // SAFETY: a guest passes two places to write to.
    unsafe {
        key.write(slice(k.as_bytes()));
        value.write(slice(v.as_bytes()));
    }
    OK
}

unsafe extern "C" fn watch(call: *mut PolyhostCall) -> u64 {
    // SAFETY: see `frame`.
    let frame = unsafe { frame(call) };
    let (Some(token), Some(cancel)) = (frame.cx.token(), frame.cancel) else { return 0 };
    if let Some((id, _)) = frame.state().get_or_insert_default().watch {
        return id;
    }
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    // Without the frame's lock: a token that has fired already runs the listener here and now.
    // SAFETY: `cancel` takes any id at any time, and the guest is mapped: the end of the call waits for the listener,
    // but where the guest is never unmapped.
    let subscription = token.on_cancel(move |_| unsafe { cancel(id) });
    let subscription = if frame.module.late_cancels { subscription.without_wait() } else { subscription };
    let mut state = frame.state();
    let watch = &mut state.get_or_insert_default().watch;
    if let Some((first, _)) = *watch {
        // Another thread was quicker. To drop a subscription may wait for a cancel, which may need the lock.
        drop(state);
        drop(subscription);
        return first;
    }
    *watch = Some((id, subscription));
    id
}

unsafe extern "C" fn service_find(call: *mut PolyhostCall, name: PolyhostSlice, service: *mut u32) -> PolyhostStatus {
    // SAFETY: see `frame`; a guest's slices are good until its call of us returns.
    let (frame, name) = unsafe { (frame(call), bytes(name)) };
    let (status, error) = answer(|| {
        let id = frame.module.services.find(&String::from_utf8_lossy(name))?;
        // SAFETY: a guest passes a place to write to.
        unsafe { service.write(id) };
        Ok(())
    });
    keep_service_error(frame, error);
    status
}

unsafe extern "C" fn service_call(
    call: *mut PolyhostCall,
    service: u32,
    input: PolyhostSlice,
    output: *mut PolyhostOutput,
) -> PolyhostStatus {
    // SAFETY: see `frame`, and `output_reserve` for the output.
    let (frame, input, output) = unsafe { (frame(call), bytes(input), &mut *output.cast::<Output>()) };
    let before = output.len();
    let (status, error) = answer(|| {
        output.check()?;
        frame.within(|| frame.module.services.call(service, frame.cx, input, output))
    });
    if error.is_some() {
        output.truncate(before);
        keep_service_error(frame, error);
    }
    status
}

fn keep_service_error(frame: &Frame<'_>, error: Option<Error>) {
    if let Some(error) = error {
        let line = error.to_string();
        let mut last = (std::thread::current().id(), error, line);
        let mut state = frame.state();
        let all = &mut state.get_or_insert_default().service_errors;
        match all.iter_mut().find(|it| it.0 == last.0) {
            Some(before) => std::mem::swap(before, &mut last),
            None => return all.push(last),
        }
        drop(state);
        drop(last);
    }
}

unsafe extern "C" fn service_error(
    call: *mut PolyhostCall,
    report: *mut PolyhostOutput,
    message: *mut PolyhostSlice,
) -> PolyhostStatus {
    // SAFETY: see `frame`.
    let frame = unsafe { frame(call) };
    let state = frame.state();
    let me = std::thread::current().id();
    let mut all = state.iter().flat_map(|state| &state.service_errors);
    let Some((_, error, line)) = all.find(|it| it.0 == me) else { return Code::NotFound.number() };
    // SAFETY: a guest passes a place to write to, and reads the text before this thread, whose text it is, calls us
    // again.
    unsafe { message.write(slice(line.as_bytes())) };
    // SAFETY: see `output_reserve`.
    let report = unsafe { &mut *report.cast::<Output>() };
    answer(|| report.write(&error.to_report())).0
}

unsafe extern "C" fn error(call: *mut PolyhostCall, message: PolyhostSlice) {
    // SAFETY: see `frame`; the slice is good until we return.
    let (frame, message) = unsafe { (frame(call), bytes(message)) };
    // Its code is the status that the guest is about to return.
    frame.say(Said::Line(String::from_utf8_lossy(message).into_owned()));
}

unsafe extern "C" fn error_report(call: *mut PolyhostCall, report: PolyhostSlice) {
    // SAFETY: see `frame`; the slice is good until we return.
    let (frame, report) = unsafe { (frame(call), bytes(report)) };
    let error = boundary::enter(|| Error::from_report(report));
    frame.say(Said::Report(error.unwrap_or_else(|undecodable| undecodable)));
}

unsafe extern "C" fn log(
    module: u64,
    call: *const PolyhostCall,
    level: i32,
    target: PolyhostSlice,
    message: PolyhostSlice,
) {
    // SAFETY: a guest's slices are good until its call of us returns; as for the call see `frame`, and it may be null.
    let (target, message, frame) = unsafe { (bytes(target), bytes(message), (!call.is_null()).then(|| frame(call))) };
    let found = {
        let logs = LOGS.read().unwrap_or_else(PoisonError::into_inner);
        logs.as_ref().and_then(|logs| logs.get(&module).cloned())
    };
    if let Some((name, sink)) = found {
        let (target, message) = (String::from_utf8_lossy(target), String::from_utf8_lossy(message));
        let mut record = LogRecord::new(&name, LogLevel::from_number(level), &target, &message);
        let Some(frame) = frame else { return sink.write(&record) };
        record.call = frame.callee.map(Callee::export);
        // What enters the span is the subscriber's code.
        let _ = answer(|| {
            frame.within(|| sink.write(&record));
            Ok(())
        });
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("module", &self.module.name).finish_non_exhaustive()
    }
}
