//! Servers that take turns, so that what slows the machine slows all alike.

use std::time::Duration;

use super::load::{Load, Shape};
use super::server::{self, Kind, Server};
use super::{CONNECTIONS, Plan};
use crate::measure::cpu::{Account, Used};
use crate::report::units::digits;
use crate::stats::{Estimate, median};
use crate::targets::report::Unmeasured;

/// What a request costs a server, in microseconds of CPU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) total: f64,
    pub(super) user: f64,
}

/// Costs of servers that took turns under one load.
#[derive(Debug, Clone)]
pub(super) struct Rounds {
    kinds: Vec<Kind>,
    /// For each server, a cost for each round.
    costs: Vec<Vec<Cost>>,
}

/// Takes `rounds` samples of each kind, in another order each round, after `warm` rounds that don't count.
///
/// # Errors
/// The first that `sample` says.
pub(super) fn in_turns<T>(
    kinds: &[Kind],
    warm: usize,
    rounds: usize,
    random: &mut fastrand::Rng,
    mut sample: impl FnMut(usize) -> Result<T, Unmeasured>,
) -> Result<Vec<Vec<T>>, Unmeasured> {
    let mut samples: Vec<Vec<T>> = kinds.iter().map(|_| Vec::new()).collect();
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    for round in 0..warm + rounds {
        random.shuffle(&mut order);
        for &i in &order {
            let taken = sample(i)?;
            if round >= warm {
                samples[i].push(taken);
            }
        }
    }
    Ok(samples)
}

/// One kind's samples against another's, round by round, and the medians of both in words.
pub(super) fn compare(
    one: (Kind, &[f64]),
    other: (Kind, &[f64]),
    unit: &str,
    random: &mut fastrand::Rng,
) -> (Estimate, String) {
    let ratios: Vec<f64> = one.1.iter().zip(other.1).map(|(a, b)| a / b).collect();
    let middle = |(kind, samples): (Kind, &[f64])| format!("{kind:?} {} {unit}", digits(median(&mut samples.to_vec())));
    (Estimate::median_of(&ratios, random), format!("{}, {}", middle(one), middle(other)))
}

impl Rounds {
    /// Loads each server in turn.
    ///
    /// # Errors
    /// Where one can't be had, or does not answer as it should.
    pub(super) fn measure(
        plan: Plan,
        kinds: &[Kind],
        shape: Shape,
        random: &mut fastrand::Rng,
    ) -> Result<Rounds, Unmeasured> {
        server::need(kinds)?;
        let mut contenders = Vec::new();
        for &kind in kinds {
            let mut contender = Contender::start(kind, shape)?;
            contender.cost(plan.warm_up)?;
            contenders.push(contender);
        }
        let costs = in_turns(kinds, 1, plan.rounds, random, |i| contenders[i].cost(plan.slice))?;
        for contender in &mut contenders {
            contender.finish()?;
        }
        Ok(Rounds { kinds: kinds.to_vec(), costs })
    }

    pub(super) fn of(&self, kind: Kind, cost: impl Fn(Cost) -> f64) -> Vec<f64> {
        let at = self.kinds.iter().position(|k| *k == kind).expect("it took part");
        self.costs[at].iter().map(|it| cost(*it)).collect()
    }

    /// One server's costs against another's, round by round.
    pub(super) fn ratio(
        &self,
        one: Kind,
        other: Kind,
        cost: impl Fn(Cost) -> f64,
        random: &mut fastrand::Rng,
    ) -> (Estimate, String) {
        compare((one, &self.of(one, &cost)), (other, &self.of(other, &cost)), "µs", random)
    }

    /// Microseconds of one server that all of the others together don't need, round by round.
    pub(super) fn above(&self, one: Kind, others: &[Kind], random: &mut fastrand::Rng) -> (Estimate, String) {
        let of = |kind| self.of(kind, |cost| cost.total);
        let mut above = of(one);
        for &kind in others {
            above.iter_mut().zip(of(kind)).for_each(|(above, cost)| *above -= cost);
        }
        let middle = |kind| format!("{kind:?} {} µs", digits(median(&mut of(kind))));
        let others: Vec<String> = others.iter().map(|kind| middle(*kind)).collect();
        (Estimate::median_of(&above, random), format!("{} above {}", middle(one), others.join(" and ")))
    }
}

/// A server and what keeps it busy.
pub(super) struct Contender {
    kind: Kind,
    pub(super) server: Server,
    /// `None`: it makes its requests itself.
    load: Option<Load>,
}

/// Has the pipeline called so often, which takes some hundred milliseconds.
const CALLS: &str = "run 200000";
const CALLED: u64 = 200_000;

impl Contender {
    pub(super) fn start(kind: Kind, shape: Shape) -> Result<Contender, Unmeasured> {
        let server = Server::start(kind)?;
        let load = (kind != Kind::Pipeline).then(|| Load::new(server.address, shape, connections(shape)));
        let load = load.transpose().map_err(|e| Unmeasured::Failed(format!("{kind:?}: {e}")))?;
        Ok(Contender { kind, server, load })
    }

    pub(super) fn cost(&mut self, slice: Duration) -> Result<Cost, Unmeasured> {
        let pids = self.server.pids();
        let before = Account::of(&pids).map_err(|e| self.failed(e))?;
        let requests = self.requests(slice)?;
        let Used { total, user } = Account::of(&pids).map_err(|e| self.failed(e))?.since(&before);
        // Where every connection is stuck in its first exchange, that has failed.
        let requests = requests.max(1) as f64 * 1e3;
        Ok(Cost { total: total / requests, user: user / requests })
    }

    /// Keeps it busy for `slice`; how many requests it has answered.
    pub(super) fn requests(&mut self, slice: Duration) -> Result<u64, Unmeasured> {
        if let Some(load) = &mut self.load {
            return load.run(slice).map_err(|e| self.failed(e.to_string()));
        }
        let until = std::time::Instant::now() + slice;
        let mut called = 0;
        while called == 0 || std::time::Instant::now() < until {
            self.server.ask(CALLS).map_err(|e| self.failed(e))?;
            called += CALLED;
        }
        Ok(called)
    }

    pub(super) fn failed(&self, reason: String) -> Unmeasured {
        Unmeasured::Failed(format!("{:?}: {reason}", self.kind))
    }

    /// Looks back at what was measured.
    fn finish(&mut self) -> Result<(), Unmeasured> {
        if self.kind != Kind::Observed {
            return Ok(());
        }
        let answer = self.server.ask(super::serve::LINES);
        answer.and_then(|counts| check_lines(&counts)).map_err(|e| self.failed(e))
    }
}

/// An access log that loses lines costs less than one that writes them: one in a hundred may be lost.
fn check_lines(counts: &str) -> Result<(), String> {
    let count = |text: &str| text.parse::<u64>().ok();
    let counts = counts.split_once(' ').and_then(|(written, lost)| Some((count(written)?, count(lost)?)));
    match counts {
        Some((written, lost)) if written > 0 && lost <= written / 100 => Ok(()),
        Some((written, lost)) => Err(format!("the access log wrote {written} lines and lost {lost}")),
        None => Err("it does not tell how many lines it wrote".to_owned()),
    }
}

fn connections(shape: Shape) -> usize {
    match shape {
        Shape::Requests(_) => CONNECTIONS,
        Shape::Bodies => super::BODIES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_takes_its_turn_in_each_round_and_warm_rounds_do_not_count() {
        let kinds = [Kind::Kestrel, Kind::Pool, Kind::Inline];
        let (mut random, mut taken) = (fastrand::Rng::with_seed(1), Vec::new());
        let samples = in_turns(&kinds, 1, 4, &mut random, |i| {
            taken.push(i);
            Ok(taken.len())
        });
        let samples = samples.expect("none fails");
        assert!(samples.iter().all(|of_one| of_one.len() == 4 && of_one.iter().all(|at| *at > kinds.len())));
        for round in taken.chunks_mut(kinds.len()) {
            round.sort_unstable();
            assert_eq!([0, 1, 2], round);
        }
    }

    #[test]
    fn the_first_that_fails_is_what_came_of_it() {
        let fail = |i| if i == 1 { Err(Unmeasured::Failed("no".to_owned())) } else { Ok(()) };
        let samples = in_turns(&[Kind::Kestrel, Kind::Pool], 0, 3, &mut fastrand::Rng::with_seed(1), fail);
        assert!(matches!(samples, Err(Unmeasured::Failed(reason)) if reason == "no"));
    }

    #[test]
    fn what_one_takes_above_others_is_reckoned_round_by_round() {
        let cost = |total| Cost { total, user: total / 2.0 };
        let kinds = vec![Kind::Hello, Kind::Inline, Kind::Pipeline];
        let costs = [[1.0, 10.0, 2.0], [4.0, 16.0, 5.0], [1.5, 4.0, 1.0]];
        let rounds = Rounds { kinds, costs: costs.map(|costs| costs.map(cost).to_vec()).to_vec() };
        let random = &mut fastrand::Rng::with_seed(1);
        let (above, detail) = rounds.above(Kind::Inline, &[Kind::Hello, Kind::Pipeline], random);
        // 4 - 1 - 1.5, 16 - 10 - 4, 5 - 2 - 1; the second round was slow for all.
        assert_eq!((2.0, 1.5, 2.0), (above.value, above.low, above.high));
        assert_eq!("Inline 5 µs above Hello 2 µs and Pipeline 1.50 µs", detail);
        let (ratio, detail) = rounds.ratio(Kind::Inline, Kind::Hello, |cost| cost.user, random);
        assert_eq!((2.5, "Inline 2.50 µs, Hello 1 µs".to_owned()), (ratio.value, detail));
    }

    #[test]
    fn a_log_that_loses_lines_is_no_measure() {
        assert_eq!(Ok(()), check_lines("1000 10"));
        assert!(check_lines("1000 11").is_err_and(|error| error.contains("1000") && error.contains("11")));
        assert!(check_lines("0 0").is_err() && check_lines("many").is_err());
    }
}
