//! Returns its request: what a call costs where the guest does nothing.

use std::sync::Arc;

use polyhost::{Export, Function, ModuleSource};

use super::{Guest, Request, Workload, built, difference};
use crate::targets::report::Unmeasured;

const PYTHON: &str = include_str!("../../guests/bench_guest.py");
const LUA: &str = include_str!("../../guests/bench_guest.lua");
const CLR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests/Bench/Bench.dll");
const EXPORT: &str = "bench/Echo";

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
        polyhost::native::function(Export::bytes(EXPORT), |_cx, input, output| output.write(input))
    }

    fn guest(&self, scheme: &str) -> Result<Guest, Unmeasured> {
        let text = |name: &str, text: &str| ModuleSource::Text { name: name.into(), text: text.into() };
        let source = match scheme {
            "clr" => built(CLR)?,
            "py" => text("bench_guest.py", PYTHON),
            "lua" => text("bench_guest.lua", LUA),
            "native" => built(env!("POLYHOST_BENCH_C_GUEST"))?,
            other => return Err(Unmeasured::Skipped(format!("nobody has written an echo for {other}"))),
        };
        Ok(Guest { source, export: EXPORT.to_owned() })
    }

    fn requests(&self, payload: usize, count: usize, random: &mut fastrand::Rng) -> Vec<Request> {
        let text = |random: &mut fastrand::Rng| (0..payload).map(|_| random.alphanumeric() as u8).collect();
        // The counter goes in front, so that each call has other bytes than all before it.
        (0..count).map(|_| Request { bytes: text(random), counter: Some(0) }).collect()
    }

    fn check(&self, request: &[u8], reply: &[u8]) -> Result<(), String> {
        if request == reply { Ok(()) } else { Err(difference(request, reply)) }
    }
}
