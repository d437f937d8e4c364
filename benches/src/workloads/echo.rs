//! Returns its request: what a call costs where the guest does nothing.

use std::sync::Arc;

use polyhost::native::function;
use polyhost::{Export, Function, Services};
use polyhost_proto::bench::v1::EchoMessage;
use prost::Message;

use super::{Guest, Request, Workload, callback, difference, guests};
use crate::targets::report::Unmeasured;

const ECHO: &str = "bench.v1.Bench/Echo";

/// The workload.
pub(crate) struct Echo;

impl Workload for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn what(&self) -> &'static str {
        "returns its request, raw bytes"
    }

    fn native(&self) -> Arc<dyn Function> {
        function(Export::bytes(ECHO), |_cx, input, output| output.write(input))
    }

    fn guest(&self, scheme: &str) -> Result<Guest, Unmeasured> {
        guests::workloads(scheme, ECHO)
    }

    /// An `EchoMessage` that has `payload` bytes itself.
    fn requests(&self, payload: usize, count: usize, random: &mut fastrand::Rng) -> Vec<Request> {
        let head = |length: usize| EchoMessage { payload: vec![0; length] }.encoded_len() - length;
        // The length is of more bytes where there is more of it; where that leaves a gap, the message is a byte short.
        let length = (0..=payload).rev().find(|length| length + head(*length) <= payload).unwrap_or(0);
        let request = |_| {
            let payload = (0..length).map(|_| random.u8(..)).collect();
            let bytes = EchoMessage { payload }.encode_to_vec();
            // The counter stands where the payload does, so that each call has other bytes than all before it.
            Request { counter: (length > 0).then_some(bytes.len() - length), bytes }
        };
        (0..count).map(request).collect()
    }

    fn check(&self, request: &[u8], reply: &[u8]) -> Result<(), String> {
        if request == reply { Ok(()) } else { Err(difference(request, reply)) }
    }

    fn services(&self) -> Services {
        callback::services()
    }
}
