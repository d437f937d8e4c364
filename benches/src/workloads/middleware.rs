//! The demo's middleware: a gateway's work on each request, with state.

use std::sync::Arc;

use polyhost::native::method;
use polyhost::{Function, Method, Services};
use polyhost_proto::bench::v1::{HmacReply, HmacRequest, Reply, Request as Asked};
use prost::Message;

use super::reply::shown;
use super::{Guest, Request, Workload, guests, message};
use crate::measure::stages::Codec;
use crate::targets::report::Unmeasured;

// The demo's own files: what it shows is what is measured.
#[path = "../../../hosts/examples/middleware/agreement.rs"]
#[expect(dead_code, reason = "replies are compared one at a time here")]
mod agreement;
#[path = "../../../hosts/examples/middleware/native.rs"]
pub(crate) mod native;
#[path = "../../../hosts/examples/middleware/requests.rs"]
#[expect(dead_code, reason = "requests of a certain size alone are made here")]
mod requests;

const HANDLE: Method<Asked, Reply> = Method::new("bench.v1.Middleware/Handle");
const HMAC: Method<HmacRequest, HmacReply> = Method::new("bench.v1.Crypto/HmacSha256");

/// The workload.
pub(crate) struct Middleware;

impl Workload for Middleware {
    fn name(&self) -> &'static str {
        "middleware"
    }

    fn what(&self) -> &'static str {
        "an API gateway's: checks a signature, rewrites path and headers, transforms a JSON body, counts"
    }

    fn native(&self) -> Arc<dyn Function> {
        let middleware = native::Middleware::default();
        method(HANDLE, move |_cx, request| Ok(middleware.handle(request)))
    }

    fn guest(&self, scheme: &str) -> Result<Guest, Unmeasured> {
        guests::middleware(scheme, HANDLE.name())
    }

    /// Orders with as many items as fit.
    fn requests(&self, payload: usize, count: usize, random: &mut fastrand::Rng) -> Vec<Request> {
        const REST: usize = 700;
        const ITEM: usize = 60;
        let items = (payload.saturating_sub(REST) / ITEM).max(1) as u64;
        let request = |_| Request { bytes: requests::order(random.u64(..), items).encode_to_vec(), counter: None };
        (0..count).map(request).collect()
    }

    /// All but the count, which depends on the calls before.
    fn check(&self, request: &[u8], reply: &[u8]) -> Result<(), String> {
        let mut expected = native::Middleware::default().handle(message(request)?);
        let reply = message::<Reply>(reply)?;
        if reply.count > 0 {
            expected.count = reply.count;
        }
        agreement::difference(&expected, &reply).map_or(Ok(()), Err)
    }

    fn codec(&self) -> Option<Codec> {
        Some(Codec::of::<Asked, Reply>())
    }

    fn services(&self) -> Services {
        let mut services = Services::new();
        let hmac = method(HMAC, |_cx, request| {
            Ok(HmacReply { digest: native::hmac_sha256(&request.key, &request.message).into() })
        });
        services.add(hmac).expect("it is the only one");
        services
    }

    fn show(&self, reply: &[u8]) -> String {
        shown::<Reply>(reply)
    }
}
