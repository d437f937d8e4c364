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

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    /// The machine is too noisy for the check to prove anything.
    Inconclusive,
    Failed,
}

/// What came of one check.
#[derive(Debug, PartialEq)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) verdict: Verdict,
    pub(crate) detail: String,
}

/// What came of all.
pub(crate) struct Checked {
    pub(crate) checks: Vec<Check>,
    pub(crate) warnings: Vec<String>,
    pub(crate) interrupted: bool,
}

impl Checked {
    /// The worst of its checks.
    pub(crate) fn verdict(&self) -> Verdict {
        let any = |verdict| self.checks.iter().any(|it| it.verdict == verdict);
        match (any(Verdict::Failed), any(Verdict::Inconclusive)) {
            (true, _) => Verdict::Failed,
            (_, true) => Verdict::Inconclusive,
            _ => Verdict::Holds,
        }
    }
}

const BASE: &str = "injected-0";
const AGAIN: &str = "injected-0-again";
const DELAYS: [(&str, &str); 2] = [("injected-10ns", "10 ns"), ("injected-1us", "1 µs")];
/// The shortest of the delays, in nanoseconds: what is to be told from nothing.
const LEAST: f64 = 10.0;
const STALLS: &str = "injected-stall";
/// Calls a second of the open loop: 2 stalls each second, in which 100 calls each are due.
const RATE: f64 = 2000.0;
/// Rounds of the delays: more of them where fewer leave an interval too wide to say anything. Not more than that: two
/// processes of the same program differ by some thousandths, which many rounds would tell apart.
const ROUNDS: [usize; 2] = [41, 123];
const SLICE: Duration = Duration::from_millis(50);

/// Runs all checks: in half a minute, or in one where the machine is noisy.
pub(crate) fn run(seed: u64, interrupted: &Arc<AtomicBool>, progress: &mut dyn Progress) -> Checked {
    let mut checked = delays(seed, interrupted, progress);
    if !checked.interrupted {
        let pace = Pace { rounds: 5, slice: Duration::from_secs(1), ..PACE };
        let (stalls, _) = run_injected(setup(&[BASE, STALLS], pace, Some(RATE), seed, interrupted), progress);
        checked.checks.push(of_stalls(&stalls));
        checked.interrupted = stalls.partial;
    }
    checked
}

fn delays(seed: u64, interrupted: &Arc<AtomicBool>, progress: &mut dyn Progress) -> Checked {
    let names = [BASE, AGAIN, DELAYS[0].0, DELAYS[1].0];
    let mut checked = Checked { checks: Vec::new(), warnings: Vec::new(), interrupted: false };
    for rounds in ROUNDS {
        let pace = Pace { rounds, slice: SLICE, ..PACE };
        let (result, injected) = run_injected(setup(&names, pace, None, seed, interrupted), progress);
        checked.warnings = result.warnings.clone();
        checked.interrupted = result.partial;
        if result.partial {
            checked.checks.clear();
            break;
        }
        checked.checks = of_delays(&result, &injected, &mut fastrand::Rng::with_seed(seed));
        // One that failed is not measured until it holds.
        if checked.verdict() != Verdict::Inconclusive {
            break;
        }
    }
    checked
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
        unchecked: false,
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

fn check(what: impl Into<String>, outcome: Result<(Verdict, String), String>) -> Check {
    let (verdict, detail) = outcome.unwrap_or_else(|reason| (Verdict::Failed, reason));
    Check { what: what.into(), verdict, detail }
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
    let twice = measured(result, BASE).and_then(|base| Ok(twice(base.call, measured(result, AGAIN)?.call)));
    checks.push(check("the same contender twice is indistinguishable", twice));
    checks
}

/// The delay as measured, against what was injected: that is known no better than the processor's own pace, and so is
/// an interval as well.
fn delay(base: &Measured, delayed: &Measured, injected: &[f64], random: &mut fastrand::Rng) -> (Verdict, String) {
    let measured = difference_by_round(&delayed.rounds, &base.rounds, random);
    let injected = Estimate::median_of(injected, random);
    let detail = format!("measured {}, injected {}", nanos_with_interval(measured), nanos_with_interval(injected));
    // What holds then is more than nothing and less than twice the delay: an interval that holds both proves nothing.
    let reason = "an interval is too wide to tell the delay from none";
    judge([measured, injected], injected.value / 2.0, detail, reason)
}

fn twice(one: Estimate, other: Estimate) -> (Verdict, String) {
    let detail = format!("{} and {}", nanos_with_interval(one), nanos_with_interval(other));
    let reason = format!("an interval is too wide to tell {} from none", nanos(LEAST));
    judge([one, other], LEAST / 2.0, detail, &reason)
}

/// Whether two that should be the same are; `reason` says why that is not known where an interval is wider than
/// `widest`.
fn judge(both: [Estimate; 2], widest: f64, detail: String, reason: &str) -> (Verdict, String) {
    if both.iter().any(|it| it.high - it.low >= widest) {
        return (Verdict::Inconclusive, format!("{detail}: {reason}"));
    }
    (if both[0].indistinguishable(both[1]) { Verdict::Holds } else { Verdict::Failed }, detail)
}

/// Of 1,000 calls that are due in a second half of a second, 100 wait for the stall, evenly from 0 to 50 ms; one in a
/// hundred waits for more than 45 ms. A closed loop makes no call meanwhile, and sees one long call in a thousand.
fn of_stalls(result: &RunResult) -> Check {
    let outcome = measured(result, BASE).and_then(|base| {
        let it = measured(result, STALLS)?;
        let closed = it.service.as_ref().ok_or("single calls were not timed")?;
        let open = |it: &Measured| it.response.as_ref().map(|it| it.latency.p99).ok_or("there was no open loop");
        let (without, with) = (open(base)?, open(it)?);
        let stall = STALL.1.as_nanos() as f64;
        let detail = format!(
            "p99 is {} in a closed loop and {} from the intended send, {} expected; {} where nothing stalls",
            nanos(closed.p99),
            nanos(with),
            nanos(0.9 * stall),
            nanos(without)
        );
        let (hidden, shown) = (closed.p99 < 0.1 * stall, (0.8 * stall..1.2 * stall).contains(&with));
        if without >= 0.1 * stall {
            return Ok((Verdict::Inconclusive, format!("{detail}: the machine itself stalls")));
        }
        Ok((if hidden && shown { Verdict::Holds } else { Verdict::Failed }, detail))
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

    use Verdict::{Failed, Holds, Inconclusive};

    /// Of the delays and of the same twice, where times vary by so many nanoseconds.
    fn verdicts(again: f64, ten: f64, micro: f64, noise: f64) -> Vec<Verdict> {
        let cells = vec![
            (BASE, measured_of(30.0, noise, 1)),
            (AGAIN, measured_of(again, noise, 2)),
            (DELAYS[0].0, measured_of(30.0 + ten, noise, 3)),
            (DELAYS[1].0, measured_of(30.0 + micro, 10.0 * noise, 4)),
        ];
        let injected = vec![vec![0.0; 41], vec![0.0; 41], vec![10.0; 41], vec![1000.0; 41]];
        let checks = of_delays(&result_of(cells), &injected, &mut fastrand::Rng::with_seed(1));
        checks.into_iter().map(|it| it.verdict).collect()
    }

    #[test]
    fn what_is_measured_right_holds_and_what_is_not_does_not() {
        assert_eq!(vec![Holds, Holds, Holds], verdicts(30.0, 10.0, 1000.0, 1.0));
        assert_eq!(vec![Failed, Holds, Holds], verdicts(30.0, 11.0, 1000.0, 1.0));
        assert_eq!(vec![Failed, Holds, Holds], verdicts(30.0, 0.0, 1000.0, 1.0));
        assert_eq!(vec![Holds, Failed, Holds], verdicts(30.0, 10.0, 1010.0, 1.0));
        assert_eq!(vec![Holds, Holds, Failed], verdicts(32.0, 10.0, 1000.0, 1.0));
    }

    #[test]
    fn intervals_that_hold_anything_prove_nothing() {
        let all = [Inconclusive, Holds, Inconclusive];
        for ten in [0.0, 10.0, 20.0] {
            assert_eq!(all.as_slice(), verdicts(30.0, ten, 1000.0, 50.0), "{ten}");
        }
        let injected: Vec<f64> = (0..41).map(|i| f64::from(i) * 0.5).collect();
        let (base, delayed) = (measured_of(30.0, 1.0, 1), measured_of(40.0, 1.0, 2));
        let (verdict, detail) = delay(&base, &delayed, &injected, &mut fastrand::Rng::with_seed(1));
        assert_eq!(Inconclusive, verdict, "what was injected is known no better than that");
        assert!(detail.ends_with("too wide to tell the delay from none"), "{detail}");
    }

    #[test]
    fn the_worst_of_its_checks_is_what_came_of_it() {
        let of = |verdicts: &[Verdict]| {
            let checks = verdicts.iter().map(|it| check("", Ok((*it, String::new()))));
            Checked { checks: checks.collect(), warnings: Vec::new(), interrupted: false }.verdict()
        };
        assert_eq!(Holds, of(&[Holds, Holds]));
        assert_eq!(Inconclusive, of(&[Holds, Inconclusive]));
        assert_eq!(Failed, of(&[Failed, Inconclusive, Holds]));
    }

    #[test]
    fn one_that_failed_holds_nothing() {
        let checks = of_delays(&result_of(Vec::new()), &vec![Vec::new(); 4], &mut fastrand::Rng::with_seed(1));
        assert_eq!(3, checks.len());
        assert!(checks.iter().all(|it| it.verdict == Failed && it.detail.contains("was not measured")), "{checks:?}");
    }

    #[test]
    fn a_stall_is_to_be_hidden_by_one_and_shown_by_the_other() {
        let latency = |quick: u64, slow: u64, slow_of_1000: u64| {
            let mut times = histogram::empty();
            (0..1000).for_each(|i| times.record(if i < slow_of_1000 { slow } else { quick }).expect("it fits"));
            histogram::latency(&times).expect("it has samples")
        };
        let (hiding, showing) = (|| latency(50, 50_000_000, 1), || latency(50, 45_000_000, 100));
        let of = |closed, open| {
            let response = Some(OpenLoop { rate: RATE, reached: RATE, latency: open });
            Measured { service: Some(closed), response, ..measured_of(30.0, 1.0, 1) }
        };
        let verdict = |base, stalls| of_stalls(&result_of(vec![(BASE, base), (STALLS, stalls)])).verdict;
        let quiet = || of(hiding(), hiding());
        assert_eq!(Holds, verdict(quiet(), of(hiding(), showing())));
        assert_eq!(Failed, verdict(quiet(), of(hiding(), hiding())));
        assert_eq!(Failed, verdict(quiet(), of(showing(), showing())));
        assert_eq!(Failed, verdict(quiet(), measured_of(30.0, 1.0, 1)), "no open loop");
        assert_eq!(Inconclusive, verdict(of(hiding(), showing()), of(hiding(), showing())), "others stall as well");
    }
}
