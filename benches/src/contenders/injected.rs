//! Contenders with a known delay, for `self-check`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polyhost::{Output, Result};

use super::{Caller, Contender};
use crate::targets::report::Unmeasured;
use crate::workloads::Workload;

/// What is in each call besides the echo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Work of some 20 ns that the others have as well.
    Base,
    /// That much more, in nanoseconds.
    Delay(f64),
    /// 50 ms more, in one of 1,000 calls.
    Stall,
}

/// How long the processor takes for what every one of them has.
const BASE: f64 = 20.0;
/// One in so many calls stalls, for so long.
pub(crate) const STALL: (u64, Duration) = (1000, Duration::from_millis(50));

impl Kind {
    /// By the name in reports.
    pub(crate) fn named(name: &str) -> Option<Kind> {
        match name {
            "injected-0" | "injected-0-again" => Some(Kind::Base),
            "injected-10ns" => Some(Kind::Delay(10.0)),
            "injected-1us" => Some(Kind::Delay(1000.0)),
            "injected-stall" => Some(Kind::Stall),
            _ => None,
        }
    }
}

pub(super) struct Injected {
    kind: Kind,
}

impl Injected {
    pub(super) fn new(kind: Kind) -> Injected {
        Injected { kind }
    }
}

impl Contender for Injected {
    fn load(&mut self, _workload: &Arc<dyn Workload>) -> std::result::Result<(), Unmeasured> {
        Ok(())
    }

    fn caller(&self) -> std::result::Result<Box<dyn Caller>, Unmeasured> {
        let step = least_step_nanos();
        let steps = |nanos: f64| (nanos / step).round() as u64;
        let extra = if let Kind::Delay(nanos) = self.kind { steps(nanos) } else { 0 };
        let stall = self.kind == Kind::Stall;
        Ok(Box::new(Delayed { chain: 1, base: steps(BASE), extra, stall, called: 0 }))
    }
}

/// Echoes, after a chain of multiplications each of which waits for the one before, in this call and the last: so the
/// processor can hide none of it behind the echo.
struct Delayed {
    chain: u64,
    base: u64,
    extra: u64,
    stall: bool,
    called: u64,
}

impl Caller for Delayed {
    fn call(&mut self, request: &[u8], output: &mut Output) -> Result<()> {
        self.chain = chain(self.chain, self.base + self.extra);
        if self.stall {
            self.called += 1;
            if self.called.is_multiple_of(STALL.0) {
                std::thread::sleep(STALL.1);
            }
        }
        output.write(request)
    }

    fn injected(&mut self, slice: Duration) -> Option<f64> {
        (self.extra > 0).then(|| self.extra as f64 * step_nanos(slice))
    }
}

/// So many steps.
#[inline(never)]
fn chain(mut x: u64, steps: u64) -> u64 {
    for _ in 0..steps {
        x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7);
    }
    x
}

/// What a step takes where nothing else runs.
fn least_step_nanos() -> f64 {
    (0..20).map(|_| step_nanos(Duration::from_micros(200))).fold(f64::INFINITY, f64::min)
}

/// What a step takes, over so long: as long as a round, so that others on the machine slow it down alike.
fn step_nanos(slice: Duration) -> f64 {
    const STEPS: u64 = 1 << 14;
    let (started, mut steps) = (Instant::now(), 0);
    loop {
        black_box(chain(black_box(1), STEPS));
        steps += STEPS;
        let took = started.elapsed();
        if took >= slice {
            return took.as_nanos() as f64 / steps as f64;
        }
    }
}
