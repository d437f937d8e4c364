//! The open loop: calls are sent at a fixed rate, whether or not the ones before were answered, and their times count
//! from when they were to be sent. A closed loop stops asking while its contender stalls, and so hides the stall.

use std::time::{Duration, Instant};

use polyhost::Result;

use super::Lane;
use super::histogram::{self, Times};

/// When the calls of one of several callers are due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// The first call of the first caller.
    pub(crate) begin: Instant,
    pub(crate) slice: Duration,
    /// Calls a second of all callers.
    pub(crate) rate: f64,
    pub(crate) callers: usize,
    /// Which of them this one is.
    pub(crate) caller: usize,
}

impl Schedule {
    /// When the call of this number is to be sent; `None` where the round is over by then.
    fn due(&self, number: u64) -> Option<Instant> {
        let at = (number as f64 * self.callers as f64 + self.caller as f64) / self.rate;
        (at < self.slice.as_secs_f64()).then(|| self.begin + Duration::from_secs_f64(at))
    }

    /// When a caller that has fallen behind gives up.
    fn end(&self) -> Instant {
        self.begin + self.slice * 3
    }
}

/// What a caller did in a round.
#[derive(Debug)]
pub(crate) struct Round {
    /// Calls that were answered.
    pub(crate) calls: u64,
    /// From when they were to be sent to the answer. One that was never sent, for want of time, counts as long as it
    /// has waited.
    pub(crate) times: Times,
    /// When the last was answered.
    pub(crate) end: Instant,
}

/// Calls as the schedule says.
///
/// # Errors
/// What the contender fails with.
pub(crate) fn round(lane: &mut Lane, schedule: &Schedule) -> Result<Round> {
    let mut round = Round { calls: 0, times: histogram::empty(), end: schedule.begin };
    for number in 0.. {
        let Some(due) = schedule.due(number) else { break };
        wait_until(due);
        if round.end < schedule.end() {
            lane.caller.batch(&mut lane.requests, &mut lane.output, 1)?;
            round.end = Instant::now();
            round.calls += 1;
        }
        let late = round.end.saturating_duration_since(due);
        round.times.saturating_record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(round)
}

/// Sleeps while there is time, and looks at the clock for the rest: a sleep ends some 100 µs late. Between two looks
/// whoever else wants the processor gets it, or callers that wait would slow down the server that they wait for.
fn wait_until(due: Instant) {
    const AWAKE: Duration = Duration::from_micros(300);
    let left = due.saturating_duration_since(Instant::now());
    if left > AWAKE {
        std::thread::sleep(left - AWAKE);
    }
    while Instant::now() < due {
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use polyhost::{Error, ErrorKind, Output};

    use super::*;
    use crate::contenders::Caller;
    use crate::workloads::{Request, Requests};

    fn schedule(begin: Instant, rate: f64, callers: usize, caller: usize) -> Schedule {
        Schedule { begin, slice: Duration::from_secs(1), rate, callers, caller }
    }

    /// Takes no time; fails from a call on.
    struct Answers(u64);

    impl Caller for Answers {
        fn call(&mut self, _request: &[u8], _output: &mut Output) -> Result<()> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| Error::new(ErrorKind::Guest, "no more"))?;
            Ok(())
        }
    }

    fn lane(answers: u64) -> Lane {
        let requests = Requests::new(vec![Request { bytes: vec![0], counter: None }]);
        Lane { caller: Box::new(Answers(answers)), requests, output: Output::new() }
    }

    #[test]
    fn callers_share_the_rate_and_take_turns() {
        let begin = Instant::now();
        let mut due: Vec<_> = (0..4)
            .flat_map(|caller| {
                let schedule = schedule(begin, 1000.0, 4, caller);
                (0..).map_while(move |number| schedule.due(number))
            })
            .collect();
        due.sort();
        assert_eq!(1000, due.len());
        for pair in due.windows(2) {
            assert_eq!(1000, (pair[1] - pair[0]).as_nanos() / 1000, "a millisecond after the other");
        }
    }

    #[test]
    fn times_count_from_when_a_call_was_to_be_sent() {
        // All were due long ago, so that none is waited for; and not so long that it gives up.
        let begin = Instant::now().checked_sub(Duration::from_secs(2)).expect("the machine is up for so long");
        let round = round(&mut lane(u64::MAX), &schedule(begin, 50.0, 1, 0)).expect("it answers");
        assert_eq!((50, 50), (round.calls, round.times.len()));
        assert!(round.times.min() >= 1_000_000_000, "{}", round.times.min());
        assert!(round.times.max() >= 1_990_000_000, "{}", round.times.max());
    }

    #[test]
    fn who_has_fallen_behind_for_good_gives_up_and_what_was_not_sent_counts() {
        let begin = Instant::now().checked_sub(Duration::from_secs(10)).expect("the machine is up for so long");
        let round = round(&mut lane(u64::MAX), &schedule(begin, 50.0, 1, 0)).expect("it answers");
        assert_eq!((1, 50), (round.calls, round.times.len()), "the first ends after all time");
        assert!(round.times.min() >= 8_900_000_000, "{}", round.times.min());
    }

    #[test]
    fn a_failure_ends_the_round() {
        let begin = Instant::now().checked_sub(Duration::from_secs(2)).expect("the machine is up for so long");
        let error = round(&mut lane(3), &schedule(begin, 50.0, 1, 0)).expect_err("no more");
        assert_eq!("no more", error.message());
    }
}
