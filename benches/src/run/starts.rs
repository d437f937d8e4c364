//! Cold starts: each in a process of its own, of all contenders in turn.

use super::lineup::{SOON, strange};
use super::{Interrupted, Run};
use crate::result::schema::{Start, StartOutcome, StartTimes};
use crate::stats::Estimate;
use crate::worker::client::Gone;
use crate::worker::protocol::{Answer, Ask};

/// Milliseconds of one start.
#[derive(Debug, Clone, Copy)]
struct Sample {
    runtime: f64,
    load: f64,
    first: f64,
    hundredth: f64,
}

const PAYLOAD: usize = 1 << 10;

impl Run<'_> {
    /// Starts each contender a few times, in another order each round, with the first of its workloads.
    pub(super) fn cold_starts(&mut self) -> Result<(), Interrupted> {
        let count = self.setup.entrants.len();
        let mut samples: Vec<Result<Vec<Sample>, Gone>> = (0..count).map(|_| Ok(Vec::new())).collect();
        let mut order: Vec<usize> = (0..count).filter(|i| self.contenders[*i].skipped.is_none()).collect();
        let mut ended = Ok(());
        'rounds: for round in 1..=self.setup.plan.pace.starts {
            self.random.shuffle(&mut order);
            for &entrant in &order {
                let name = &self.setup.entrants[entrant].name;
                self.progress.now(&format!("cold start {round} of {}: {name}", self.setup.plan.pace.starts));
                if samples[entrant].is_err() {
                    continue;
                }
                match (self.cold_start(entrant), &mut samples[entrant]) {
                    (Err(Gone::Interrupted), _) => {
                        ended = Err(Interrupted);
                        break 'rounds;
                    }
                    (Err(gone), of_it) => *of_it = Err(gone),
                    (Ok(sample), Ok(of_it)) => of_it.push(sample),
                    (Ok(_), Err(_)) => {}
                }
            }
            self.progress.step();
        }
        for (entrant, samples) in samples.into_iter().enumerate() {
            let outcome = match samples {
                Ok(samples) if samples.is_empty() => continue,
                Ok(samples) => StartOutcome::Measured(self.times(&samples)),
                Err(Gone::Skipped(reason)) => StartOutcome::Skipped(reason),
                Err(Gone::Failed(reason)) => StartOutcome::Failed(reason),
                Err(Gone::Interrupted) => continue,
            };
            self.starts.push(Start { contender: self.setup.entrants[entrant].name.clone(), outcome });
        }
        ended
    }

    fn cold_start(&mut self, entrant: usize) -> Result<Sample, Gone> {
        let entrant = &self.setup.entrants[entrant];
        let workload = self.setup.plan.points.iter().map(|point| &*point.workload).find(|it| entrant.knows(it));
        let workload = workload.unwrap_or("echo").to_owned();
        let mut worker = self.launcher.launch()?;
        let start = Ask::Start { contender: entrant.start.clone(), seed: self.random.u64(..) };
        let Answer::Started { nanos: runtime, .. } = worker.ask(&start, SOON)? else { return Err(strange()) };
        let load = Ask::Load { task: entrant.task(&workload) };
        let Answer::Loaded { nanos: load, .. } = worker.ask(&load, SOON)? else { return Err(strange()) };
        let call = worker.ask(&Ask::Call { payload: PAYLOAD }, SOON)?;
        let Answer::Called { first, hundredth } = call else { return Err(strange()) };
        let millis = |nanos: f64| nanos / 1e6;
        Ok(Sample { runtime: millis(runtime), load: millis(load), first: millis(first), hundredth: millis(hundredth) })
    }

    fn times(&mut self, samples: &[Sample]) -> StartTimes {
        let mut of = |field: fn(&Sample) -> f64| {
            Estimate::median_of(&samples.iter().map(field).collect::<Vec<_>>(), &mut self.random)
        };
        StartTimes {
            processes: samples.len(),
            runtime: of(|it| it.runtime),
            load: of(|it| it.load),
            first: of(|it| it.first),
            hundredth: of(|it| it.hundredth),
        }
    }
}
