//! Measuring, within a worker.

pub(crate) mod clock;
pub(crate) mod closed;
pub(crate) mod cpu;
pub(crate) mod histogram;
pub(crate) mod memory;
pub(crate) mod open;
pub(crate) mod stages;

use std::time::Instant;

use polyhost::Output;

use crate::contenders::Caller;
use crate::stats::median;
use crate::workloads::{Request, Requests};

/// One caller with what it sends and where its replies go; it stays on a thread of its own.
pub(crate) struct Lane {
    pub(crate) caller: Box<dyn Caller>,
    pub(crate) requests: Requests,
    pub(crate) output: Output,
}

/// What is between two calls: taking the next request, and counting it up.
struct Nothing;

impl Caller for Nothing {
    fn call(&mut self, request: &[u8], _output: &mut Output) -> polyhost::Result<()> {
        std::hint::black_box(request);
        Ok(())
    }
}

/// Nanoseconds of this program's own that are in each call.
pub(crate) fn own_cost() -> f64 {
    const CALLS: u64 = 100_000;
    let ring = (0..64).map(|i| Request { bytes: vec![i; 64], counter: Some(0) }).collect();
    let (mut caller, mut requests, mut output): (Box<dyn Caller>, _, _) =
        (Box::new(Nothing), Requests::new(ring), Output::new());
    let mut samples: Vec<f64> = (0..15)
        .map(|_| {
            let started = Instant::now();
            // It never fails.
            let _ = caller.batch(&mut requests, &mut output, CALLS);
            clock::nanos(started, Instant::now()) / CALLS as f64
        })
        .collect();
    median(&mut samples)
}
