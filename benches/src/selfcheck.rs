//! The method proven on itself: contenders with a known delay, through the same harness as all others.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::contenders::STALL;
use crate::matrix::{Pace, Plan, Point};
use crate::report::units::{nanos, nanos_with_interval};
use crate::result::schema::{Measured, Outcome, RunResult};
use crate::run::{Entrant, Injected, Progress, Setup, run_injected};
use crate::stats::Estimate;
use crate::stats::compare::difference_by_round;

/// What came of one check.
#[derive(Debug, PartialEq)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) holds: bool,
    pub(crate) detail: String,
}

/// What came of all.
pub(crate) struct Checked {
    pub(crate) checks: Vec<Check>,
    pub(crate) warnings: Vec<String>,
    pub(crate) interrupted: bool,
}

const BASE: &str = "injected-0";
const AGAIN: &str = "injected-0-again";
const DELAYS: [(&str, &str); 2] = [("injected-10ns", "10 ns"), ("injected-1us", "1 µs")];
const STALLS: &str = "injected-stall";
/// Calls a second of the open loop: 2 stalls each second, in which 100 calls each are due.
const RATE: f64 = 2000.0;

/// Runs all checks, in half a minute.
pub(crate) fn run(seed: u64, interrupted: &Arc<AtomicBool>, progress: &mut dyn Progress) -> Checked {
    let names = [BASE, AGAIN, DELAYS[0].0, DELAYS[1].0];
    let pace = Pace { rounds: 41, slice: Duration::from_millis(50), ..PACE };
    let (delays, injected) = run_injected(setup(&names, pace, None, seed, interrupted), progress);
    let warnings = delays.warnings.clone();
    if delays.partial {
        return Checked { checks: Vec::new(), warnings, interrupted: true };
    }
    let mut checks = of_delays(&delays, &injected, &mut fastrand::Rng::with_seed(seed));
    let pace = Pace { rounds: 6, slice: Duration::from_secs(1), ..PACE };
    let (stalls, _) = run_injected(setup(&[STALLS], pace, Some(RATE), seed, interrupted), progress);
    checks.push(of_stalls(&stalls));
    Checked { checks, warnings, interrupted: stalls.partial }
}

const PACE: Pace = Pace {
    warm_up: Duration::from_millis(500),
    warm_up_most: Duration::from_secs(1),
    rounds: 0,
    slice: Duration::ZERO,
    starts: 0,
};

fn setup(names: &[&str], pace: Pace, rate: Option<f64>, seed: u64, interrupted: &Arc<AtomicBool>) -> Setup {
    let entrant = |name: &&str| Entrant {
        name: (*name).to_owned(),
        what: "an echo with a known delay".to_owned(),
        start: (*name).to_owned(),
        case: None,
    };
    let points = vec![Point { workload: "echo".to_owned(), payload: 64, concurrency: 1, processes: true }];
    Setup {
        plan: Plan { name: "self-check", pace, points, rate, left_out: Vec::new() },
        entrants: names.iter().map(entrant).collect(),
        seed,
        label: "self-check".to_owned(),
        patience: Duration::from_secs(30),
        interrupted: interrupted.clone(),
    }
}

/// What was measured of a contender.
fn measured<'a>(result: &'a RunResult, name: &str) -> Result<&'a Measured, String> {
    let cell = result.cells.iter().find(|cell| cell.contender == name).map(|cell| &cell.outcome);
    match cell {
        Some(Outcome::Measured(measured)) => Ok(measured),
        Some(Outcome::Failed(reason) | Outcome::Skipped(reason)) => Err(format!("{name}: {reason}")),
        None => Err(format!("{name} was not measured")),
    }
}

fn check(what: impl Into<String>, outcome: Result<(bool, String), String>) -> Check {
    let (holds, detail) = outcome.unwrap_or_else(|reason| (false, reason));
    Check { what: what.into(), holds, detail }
}

fn of_delays(result: &RunResult, injected: &Injected, random: &mut fastrand::Rng) -> Vec<Check> {
    let mut checks = Vec::new();
    for (i, (name, what)) in DELAYS.into_iter().enumerate() {
        let outcome = measured(result, BASE).and_then(|base| {
            let it = measured(result, name)?;
            Ok(delay(base, it, &injected[2 + i], random))
        });
        checks.push(check(format!("a delay of {what} lies within its interval"), outcome));
    }
    let twice = measured(result, BASE).and_then(|base| {
        let (one, other) = (base.call, measured(result, AGAIN)?.call);
        let detail = format!("{} and {}", nanos_with_interval(one), nanos_with_interval(other));
        Ok((one.indistinguishable(other), detail))
    });
    checks.push(check("the same contender twice is indistinguishable", twice));
    checks
}

/// The delay as measured, against what was injected: that is known no better than the processor's own pace, and so is
/// an interval as well.
fn delay(base: &Measured, delayed: &Measured, injected: &[f64], random: &mut fastrand::Rng) -> (bool, String) {
    let measured = difference_by_round(&delayed.rounds, &base.rounds, random);
    let injected = Estimate::median_of(injected, random);
    let detail = format!("measured {}, injected {}", nanos_with_interval(measured), nanos_with_interval(injected));
    (measured.indistinguishable(injected), detail)
}

/// Of 1,000 calls that are due in a second half of a second, 100 wait for the stall, evenly from 0 to 50 ms; one in a
/// hundred waits for more than 45 ms. A closed loop makes no call meanwhile, and sees one long call in a thousand.
fn of_stalls(result: &RunResult) -> Check {
    let outcome = measured(result, STALLS).and_then(|it| {
        let closed = it.service.as_ref().ok_or("single calls were not timed")?;
        let open = &it.response.as_ref().ok_or("there was no open loop")?.latency;
        let stall = STALL.1.as_nanos() as f64;
        let (hidden, shown) = (closed.p99 < 0.1 * stall, open.p99 > 0.8 * stall);
        let detail = format!(
            "p99 is {} in a closed loop and {} from the intended send, {} expected",
            nanos(closed.p99),
            nanos(open.p99),
            nanos(0.9 * stall)
        );
        Ok((hidden && shown, detail))
    });
    check("an open loop shows a stall of 50 ms in 1 of 1,000 calls, which a closed loop hides", outcome)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::histogram;
    use crate::result::schema::{Cell, Environment, OpenLoop, SCHEMA, Steady};

    /// 41 rounds about a time.
    pub(crate) fn measured_of(call: f64, noise: f64, seed: u64) -> Measured {
        let mut random = fastrand::Rng::with_seed(seed);
        let rounds: Vec<f64> = (0..41).map(|_| call + noise * (random.f64() - 0.5)).collect();
        Measured {
            call: Estimate::median_of(&rounds, &mut random),
            throughput: Estimate::exact(1e9 / call),
            rounds,
            service: None,
            response: None,
            cpu: None,
            switches: None,
            steady: Steady { reached: true, calls: 1 },
            stages: None,
            untold: None,
            memory: None,
        }
    }

    /// A result of echo.
    pub(crate) fn result_of(cells: Vec<(&str, Measured)>) -> RunResult {
        let cell = |(name, measured): (&str, Measured)| Cell {
            workload: "echo".to_owned(),
            payload: 64,
            concurrency: 1,
            contender: name.to_owned(),
            outcome: Outcome::Measured(Box::new(measured)),
        };
        RunResult {
            schema: SCHEMA.to_owned(),
            started: String::new(),
            seconds: 0.0,
            plan: String::new(),
            seed: 1,
            partial: false,
            environment: Environment::default(),
            warnings: Vec::new(),
            contenders: Vec::new(),
            cells: cells.into_iter().map(cell).collect(),
            starts: Vec::new(),
        }
    }

    fn holds(again: f64, ten: f64, micro: f64) -> Vec<bool> {
        let cells = vec![
            (BASE, measured_of(30.0, 1.0, 1)),
            (AGAIN, measured_of(again, 1.0, 2)),
            (DELAYS[0].0, measured_of(30.0 + ten, 1.0, 3)),
            (DELAYS[1].0, measured_of(30.0 + micro, 10.0, 4)),
        ];
        let injected = vec![vec![0.0; 41], vec![0.0; 41], vec![10.0; 41], vec![1000.0; 41]];
        let checks = of_delays(&result_of(cells), &injected, &mut fastrand::Rng::with_seed(1));
        checks.into_iter().map(|it| it.holds).collect()
    }

    #[test]
    fn what_is_measured_right_holds_and_what_is_not_does_not() {
        assert_eq!(vec![true, true, true], holds(30.0, 10.0, 1000.0));
        assert_eq!(vec![false, true, true], holds(30.0, 11.0, 1000.0));
        assert_eq!(vec![true, false, true], holds(30.0, 10.0, 1010.0));
        assert_eq!(vec![true, true, false], holds(32.0, 10.0, 1000.0));
    }

    #[test]
    fn one_that_failed_holds_nothing() {
        let checks = of_delays(&result_of(Vec::new()), &vec![Vec::new(); 4], &mut fastrand::Rng::with_seed(1));
        assert_eq!(3, checks.len());
        assert!(checks.iter().all(|it| !it.holds && it.detail.contains("was not measured")), "{checks:?}");
    }

    #[test]
    fn a_stall_is_to_be_hidden_by_one_and_shown_by_the_other() {
        let latency = |quick: u64, slow: u64, slow_of_1000: u64| {
            let mut times = histogram::empty();
            (0..1000).for_each(|i| times.record(if i < slow_of_1000 { slow } else { quick }).expect("it fits"));
            histogram::latency(&times).expect("it has samples")
        };
        let with = |closed, open| {
            let response = OpenLoop { rate: RATE, reached: RATE, latency: open };
            let it = Measured { service: Some(closed), response: Some(response), ..measured_of(30.0, 1.0, 1) };
            of_stalls(&result_of(vec![(STALLS, it)])).holds
        };
        let (hiding, showing) = (|| latency(50, 50_000_000, 1), || latency(50, 45_000_000, 100));
        assert!(with(hiding(), showing()));
        assert!(!with(hiding(), hiding()) && !with(showing(), showing()));
        assert!(!of_stalls(&result_of(vec![(STALLS, measured_of(30.0, 1.0, 1))])).holds);
    }
}
