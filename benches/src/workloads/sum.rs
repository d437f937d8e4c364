//! Adds numbers up: what it costs to read many small values.

use std::sync::Arc;

use polyhost::native::method;
use polyhost::{Function, Method, Services};
use polyhost_proto::bench::v1::{SumReply, SumRequest};
use prost::Message;

use super::reply::{field, shown};
use super::{Guest, Request, Workload, callback, guests, message};
use crate::measure::stages::Codec;
use crate::targets::report::Unmeasured;

const SUM: Method<SumRequest, SumReply> = Method::new("bench.v1.Bench/Sum");

/// Bytes of an integer and of a double on the wire.
const INTEGER: usize = 5;
const DOUBLE: usize = 8;

/// The workload.
pub(crate) struct Sum;

/// `bench.v1.Bench/Sum`.
pub(crate) fn sum(request: &SumRequest) -> SumReply {
    SumReply { integers: request.integers.iter().sum(), doubles: request.doubles.iter().sum() }
}

impl Workload for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn what(&self) -> &'static str {
        "adds up packed sint64 and double"
    }

    fn native(&self) -> Arc<dyn Function> {
        method(SUM, |_cx, request| Ok(sum(&request)))
    }

    fn guest(&self, scheme: &str) -> Result<Guest, Unmeasured> {
        guests::workloads(scheme, SUM.name())
    }

    fn requests(&self, payload: usize, count: usize, random: &mut fastrand::Rng) -> Vec<Request> {
        let pairs = payload / (INTEGER + DOUBLE);
        let request = |_| {
            // At least one, so that small requests differ, too.
            let integers = (0..pairs.max(1)).map(|_| random.i64(-(1 << 33)..1 << 33)).collect();
            let doubles = (0..pairs).map(|_| random.i32(..) as f64 / 1024.0).collect();
            Request { bytes: SumRequest { integers, doubles }.encode_to_vec(), counter: None }
        };
        (0..count).map(request).collect()
    }

    fn codec(&self) -> Option<Codec> {
        Some(Codec::of::<SumRequest, SumReply>())
    }

    fn check(&self, request: &[u8], reply: &[u8]) -> Result<(), String> {
        let (expected, reply) = (sum(&message(request)?), message::<SumReply>(reply)?);
        field("integers", &expected.integers, &reply.integers)?;
        field("doubles", &expected.doubles, &reply.doubles)
    }

    fn services(&self) -> Services {
        callback::services()
    }

    fn show(&self, reply: &[u8]) -> String {
        shown::<SumReply>(reply)
    }
}
