//! Calls the host back: what it costs a guest to call out.
//!
//! Every callback carries the whole payload, so a call moves ten times as much. From some 100 KiB on its time grows faster
//! than that: messages are made anew for each callback, and glibc gives the memory of large ones back to the kernel in
//! between, which hands it out page by page. With `MALLOC_TRIM_THRESHOLD_` and `MALLOC_MMAP_THRESHOLD_` at 4000000000 in
//! the environment, times of Rust and Python grow as the payload does. That is what such calls cost in any program that
//! has glibc's defaults, so it stays in the numbers.

use std::sync::Arc;

use polyhost::native::method;
use polyhost::{CallContext, Function, Method, Services, TypedFunction};
use polyhost_proto::bench::v1::{CallbackReply, CallbackRequest, NextReply, NextRequest};
use prost::Message;

use super::reply::{field, shown};
use super::{Guest, Request, Workload, guests, message};
use crate::measure::stages::Codec;
use crate::targets::report::Unmeasured;

const CALLBACK: Method<CallbackRequest, CallbackReply> = Method::new("bench.v1.Bench/Callback");

/// Its name.
pub(crate) const NAME: &str = "callback";

/// What guests call.
pub(crate) const NEXT: Method<NextRequest, NextReply> = Method::new("bench.v1.Host/Next");

/// How often each call calls back.
const CALLS: u32 = 10;

/// The workload.
pub(crate) struct Callback;

/// `bench.v1.Host/Next`.
pub(crate) fn next(request: &NextRequest) -> NextReply {
    let seen = request.payload.len() as u32 ^ request.payload.last().map_or(0, |byte| u32::from(*byte) << 16);
    let value = request.value.wrapping_mul(1_103_515_245).wrapping_add(12_345) ^ seen;
    NextReply { value: value & (u32::MAX >> 1) }
}

/// `bench.v1.Bench/Callback`, with what it calls.
///
/// # Errors
/// The first failure of `next`.
pub(crate) fn callback<E>(
    request: CallbackRequest,
    mut next: impl FnMut(&NextRequest) -> Result<NextReply, E>,
) -> Result<CallbackReply, E> {
    let mut sum = 0;
    let mut ask = NextRequest { value: request.start, payload: request.payload };
    for _ in 0..request.calls {
        ask.value = next(&ask)?.value;
        sum += u64::from(ask.value);
    }
    Ok(CallbackReply { sum })
}

/// The host service.
pub(crate) fn service() -> Arc<dyn Function> {
    method(NEXT, |_cx, request| Ok(next(&request)))
}

/// What every guest that has [`Callback`] needs.
pub(crate) fn services() -> Services {
    let mut services = Services::new();
    services.add(service()).expect("it is the only one");
    services
}

impl Workload for Callback {
    fn name(&self) -> &'static str {
        NAME
    }

    fn what(&self) -> &'static str {
        "calls a host service 10 times, each time with the whole payload"
    }

    /// The host service is called as a guest would, by way of bytes.
    fn native(&self) -> Arc<dyn Function> {
        let host = TypedFunction::<NextRequest, NextReply>::new(service());
        method(CALLBACK, move |cx: &CallContext, request| callback(request, |ask| host.call(cx, ask)))
    }

    fn guest(&self, scheme: &str) -> Result<Guest, Unmeasured> {
        guests::workloads(scheme, CALLBACK.name())
    }

    fn requests(&self, payload: usize, count: usize, random: &mut fastrand::Rng) -> Vec<Request> {
        let request = |_| {
            let payload = (0..payload).map(|_| random.u8(..)).collect();
            let request = CallbackRequest { calls: CALLS, start: random.u32(..), payload };
            Request { bytes: request.encode_to_vec(), counter: None }
        };
        (0..count).map(request).collect()
    }

    fn untold(&self) -> Option<&'static str> {
        Some("the guest's own code and its calls of the host can't be told apart")
    }

    fn check(&self, request: &[u8], reply: &[u8]) -> Result<(), String> {
        let Ok(expected) = callback(message(request)?, |ask| Ok::<_, std::convert::Infallible>(next(ask)));
        let reply = message::<CallbackReply>(reply)?;
        field("sum", &expected.sum, &reply.sum)
    }

    fn codec(&self) -> Option<Codec> {
        Some(Codec::of::<CallbackRequest, CallbackReply>())
    }

    fn services(&self) -> Services {
        services()
    }

    fn show(&self, reply: &[u8]) -> String {
        shown::<CallbackReply>(reply)
    }
}
