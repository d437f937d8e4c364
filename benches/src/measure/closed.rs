//! The closed loop: each caller makes its next call when the one before has returned.

use std::time::{Duration, Instant};

use polyhost::Result;

use super::Lane;
use super::clock::{self, Clock};
use super::histogram::{self, Times};

/// How calls are timed, once it is known what one takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// So many calls between two readings of the clock.
    pub(crate) batch: u64,
    /// Single calls are timed too.
    pub(crate) single: bool,
}

impl Timing {
    /// For calls of so many nanoseconds.
    pub(crate) fn of(clock: Clock, nanos: f64) -> Timing {
        let batch = (clock.shortest_batch() / nanos.max(0.1)).ceil().max(1.0) as u64;
        Timing { batch, single: clock.can_time(nanos) }
    }
}

/// What a caller did in a round.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) calls: u64,
    /// Nanoseconds of those calls, as its caller sees them.
    pub(crate) nanos: f64,
    /// Times of single calls, where they can be timed.
    pub(crate) single: Times,
}

/// Of a round, the share in which single calls are timed, where they take too little for it to be done all the time.
const SINGLE: f64 = 0.3;

/// Calls for so long.
///
/// # Errors
/// What the contender fails with.
pub(crate) fn round(lane: &mut Lane, timing: Timing, slice: Duration) -> Result<Round> {
    let mut single = histogram::empty();
    if timing.single && timing.batch == 1 {
        return one_by_one(lane, slice, &mut single).map(|(calls, nanos)| Round { calls, nanos, single });
    }
    let batches = if timing.single { slice.mul_f64(1.0 - SINGLE) } else { slice };
    let (calls, nanos) = in_batches(lane, timing.batch, batches)?;
    if timing.single {
        one_by_one(lane, slice.mul_f64(SINGLE), &mut single)?;
    }
    Ok(Round { calls, nanos, single })
}

/// Calls and the nanoseconds that they took together.
fn in_batches(lane: &mut Lane, batch: u64, slice: Duration) -> Result<(u64, f64)> {
    let started = Instant::now();
    let mut calls = 0;
    loop {
        lane.caller.batch(&mut lane.requests, &mut lane.output, batch)?;
        calls += batch;
        let now = Instant::now();
        if now - started >= slice {
            return Ok((calls, clock::nanos(started, now)));
        }
    }
}

fn one_by_one(lane: &mut Lane, slice: Duration, times: &mut Times) -> Result<(u64, f64)> {
    let started = Instant::now();
    let (mut before, mut calls) = (started, 0);
    loop {
        lane.caller.batch(&mut lane.requests, &mut lane.output, 1)?;
        let now = Instant::now();
        times.saturating_record(clock::nanos(before, now) as u64);
        (before, calls) = (now, calls + 1);
        if now - started >= slice {
            return Ok((calls, clock::nanos(started, now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_calls_are_timed_in_batches_and_long_ones_by_themselves() {
        let clock = Clock { cost: 25.0, resolution: 15.0 };
        assert_eq!(Timing { batch: 400, single: false }, Timing::of(clock, 10.0));
        assert_eq!(Timing { batch: 3, single: true }, Timing::of(clock, 1500.0));
        assert_eq!(Timing { batch: 1, single: true }, Timing::of(clock, 5000.0));
        assert_eq!(Timing { batch: 40_000, single: false }, Timing::of(clock, 0.0));
    }
}
