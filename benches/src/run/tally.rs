//! The rounds of one contender in one cell, and what they come to.

use crate::measure::histogram::{self, Times};
use crate::measure::stages::Told;
use crate::result::schema::{Measured, Memory, OpenLoop, Outcome, Stages, Steady, Usage};
use crate::stats::Estimate;
use crate::worker::protocol::{Closed, Open};

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) steady: Option<Steady>,
    pub(super) closed: Vec<Closed>,
    pub(super) open: Vec<Open>,
    pub(super) after: Option<Usage>,
    /// See [`Answer::Stages`](crate::worker::protocol::Answer::Stages).
    pub(super) stages: Option<Told>,
}

impl Tally {
    /// What it comes to; `None` where there was no round as yet. `memory` is from before the first call.
    pub(super) fn outcome(
        self,
        memory: Option<(Usage, Usage)>,
        rate: Option<f64>,
        random: &mut fastrand::Rng,
    ) -> Option<Outcome> {
        let rounds: Vec<f64> = self.closed.iter().map(|it| it.call).collect();
        if rounds.is_empty() {
            return None;
        }
        match self.measured(rounds, memory, rate, random) {
            Ok(measured) => Some(Outcome::Measured(Box::new(measured))),
            Err(reason) => Some(Outcome::Failed(reason)),
        }
    }

    fn measured(
        self,
        rounds: Vec<f64>,
        memory: Option<(Usage, Usage)>,
        rate: Option<f64>,
        random: &mut fastrand::Rng,
    ) -> Result<Measured, String> {
        let of = |field: fn(&Closed) -> f64| self.closed.iter().map(field).collect::<Vec<_>>();
        let cpu: Option<Vec<f64>> = self.closed.iter().map(|it| it.cpu).collect();
        let calls: u64 = self.closed.iter().map(|it| it.calls).sum();
        let switches: Option<u64> = self.closed.iter().map(|it| it.switches).sum();
        let single = merge(self.closed.iter().map(|it| it.single.as_str()))?;
        let call = Estimate::median_of(&rounds, random);
        let (told, untold) = match self.stages {
            Some(Ok(told)) => (Some(told), None),
            Some(Err(reason)) => (None, Some(reason)),
            None => (None, None),
        };
        // The call is from bytes to bytes: what its caller does with its messages comes before and after.
        let stages = |(encode, share, decode): (f64, f64, f64)| {
            let guest = call.value * share.min(1.0);
            Stages { encode, cross: call.value - guest, guest, decode }
        };
        Ok(Measured {
            call,
            throughput: Estimate::median_of(&of(|it| it.throughput), random),
            service: histogram::latency(&single),
            response: rate.map(|rate| response(rate, &self.open)).transpose()?.flatten(),
            cpu: cpu.map(|cpu| Estimate::median_of(&cpu, random)),
            switches: switches.map(|switches| switches as f64 / calls.max(1) as f64),
            steady: self.steady.unwrap_or(Steady { reached: false, calls: 0 }),
            stages: told.map(stages),
            untold,
            memory: memory.zip(self.after).map(|((started, loaded), after)| Memory { started, loaded, after }),
            rounds,
        })
    }
}

fn merge<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Times, String> {
    let mut all = histogram::empty();
    for text in texts.filter(|text| !text.is_empty()) {
        all.add(histogram::from_text(text)?).map_err(|e| format!("histograms don't add up: {e}"))?;
    }
    Ok(all)
}

fn response(rate: f64, rounds: &[Open]) -> Result<Option<OpenLoop>, String> {
    let times = merge(rounds.iter().map(|it| it.times.as_str()))?;
    let answered: u64 = rounds.iter().map(|it| it.calls).sum();
    let nanos: f64 = rounds.iter().map(|it| it.nanos).sum();
    let reached = answered as f64 / nanos.max(1.0) * 1e9;
    Ok(histogram::latency(&times).map(|latency| OpenLoop { rate, reached, latency }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram_of(times: &[u64]) -> String {
        let mut all = histogram::empty();
        times.iter().for_each(|it| all.record(*it).expect("it grows"));
        histogram::to_text(&all)
    }

    fn closed(call: f64) -> Closed {
        Closed {
            calls: 100,
            call,
            throughput: 1e9 / call,
            cpu: Some(call / 2.0),
            switches: Some(3),
            single: histogram_of(&[call as u64]),
            injected: None,
        }
    }

    #[test]
    fn rounds_come_to_medians_and_histograms_are_added_up() {
        let open = |nanos| Open { calls: 50, nanos, times: histogram_of(&[1000, 2000]) };
        let (started, loaded) = (Usage { rss: 1, pss: 1 }, Usage { rss: 2, pss: 2 });
        let tally = Tally {
            steady: Some(Steady { reached: true, calls: 7 }),
            closed: [3000.0, 1000.0, 2000.0].map(closed).to_vec(),
            open: vec![open(5e8), open(1.5e9)],
            after: Some(Usage { rss: 3, pss: 3 }),
            stages: Some(Ok((10.0, 0.75, 20.0))),
        };
        let outcome = tally.outcome(Some((started, loaded)), Some(60.0), &mut fastrand::Rng::with_seed(1));
        let Some(Outcome::Measured(measured)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((2000.0, 1000.0, 3000.0), (measured.call.value, measured.call.low, measured.call.high));
        assert_eq!((5e5, Some(1000.0)), (measured.throughput.value, measured.cpu.map(|it| it.value)));
        assert_eq!((Some(0.03), Some(3)), (measured.switches, measured.service.map(|it| it.count)));
        let stages = Stages { encode: 10.0, cross: 500.0, guest: 1500.0, decode: 20.0 };
        assert_eq!(Some(stages), measured.stages);
        let response = measured.response.expect("there was a rate");
        assert_eq!((60.0, 50.0, 4), (response.rate, response.reached, response.latency.count));
        assert_eq!(3, measured.memory.expect("all three are known").after.rss);
    }

    #[test]
    fn no_round_is_no_outcome_and_what_is_not_known_is_left_out() {
        let random = &mut fastrand::Rng::with_seed(1);
        assert!(Tally::default().outcome(None, None, random).is_none());
        let unknown = Closed { cpu: None, switches: None, single: String::new(), ..closed(5.0) };
        let stages = Some(Err("no".to_owned()));
        let tally = Tally { closed: vec![unknown, closed(6.0)], stages, ..Tally::default() };
        let Some(Outcome::Measured(measured)) = tally.outcome(None, None, random) else { panic!("it is one") };
        assert!(measured.cpu.is_none() && measured.switches.is_none() && measured.memory.is_none());
        assert!(measured.response.is_none() && !measured.steady.reached);
        assert_eq!((None, Some("no")), (measured.stages, measured.untold.as_deref()));
    }
}
