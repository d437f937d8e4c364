//! The workers of one workload, which take turns.

use std::time::{Duration, Instant};

use super::tally::Tally;
use super::{Interrupted, Run, place};
use crate::matrix::{Pace, Point};
use crate::measure::stages::Told;
use crate::result::schema::{Outcome, Steady, Usage};
use crate::worker::client::{Gone, Worker};
use crate::worker::protocol::{Answer, Ask};
use crate::workloads::custom::Custom;

/// A worker for each contender that has what it needs.
pub(super) struct Lineup {
    places: Vec<Place>,
    first: Option<First>,
}

/// What the first who was ready has shown, for the others to be compared with.
struct First {
    replies: Vec<String>,
    /// Bytes of a request.
    payload: usize,
}

/// One contender's.
struct Place {
    /// Which of the entrants.
    entrant: usize,
    state: State,
    /// What a call takes, once it is known: some take longer than a round is to.
    call: Duration,
    started: Option<Usage>,
    loaded: Option<Usage>,
}

enum State {
    Ready(Box<Worker>),
    /// It takes no more part.
    Out(Outcome),
}

/// What came of a point, for each entrant; and whether the user ended it.
type Outcomes = Vec<(usize, Outcome)>;

/// How long a start, a load or getting ready may take before the patience begins to count.
pub(super) const SOON: Duration = Duration::from_secs(5);

impl Lineup {
    /// Starts a worker for each entrant that takes part in a point of the workload.
    pub(super) fn launch(run: &mut Run<'_>, workload: &str) -> Result<Lineup, Interrupted> {
        let mut places = Vec::new();
        let points: Vec<Point> = run.setup.plan.points.iter().filter(|it| it.workload == workload).cloned().collect();
        for entrant in 0..run.setup.entrants.len() {
            let takes_part = points.iter().any(|point| run.setup.entrants[entrant].takes(point));
            if run.contenders[entrant].skipped.is_some() || !takes_part {
                continue;
            }
            run.progress.now(&format!("{workload}: starting {}", run.setup.entrants[entrant].name));
            let mut place = Place::new(entrant);
            match place.launch(run, workload) {
                Ok(worker) => place.state = State::Ready(Box::new(worker)),
                Err(gone) => place.out(gone)?,
            }
            // One without its runtime is in no row.
            if run.contenders[entrant].skipped.is_none() {
                places.push(place);
            }
        }
        Ok(Lineup { places, first: None })
    }

    /// Bytes of a request, at the last point.
    pub(super) fn payload(&self) -> Option<usize> {
        self.first.as_ref().map(|first| first.payload)
    }

    /// All rounds of a point, of all contenders.
    ///
    /// # Errors
    /// Where the user has ended it: with what there is so far.
    pub(super) fn measure(&mut self, run: &mut Run<'_>, point: &Point) -> Result<Outcomes, (Outcomes, Interrupted)> {
        let entrants = &run.setup.entrants;
        let mut places: Vec<_> = self.places.iter_mut().filter(|it| entrants[it.entrant].takes(point)).collect();
        let mut tallies: Vec<Tally> = places.iter().map(|_| Tally::default()).collect();
        self.first = None;
        let ended = rounds(&mut places, &mut self.first, run, point, &mut tallies);
        let mut outcomes = Vec::new();
        for (place, tally) in places.iter().zip(tallies) {
            run.injected[place.entrant].extend(tally.closed.iter().filter_map(|it| it.injected));
            let memory = place.started.zip(place.loaded);
            let outcome = match &place.state {
                State::Out(outcome) => Some(outcome.clone()),
                State::Ready(_) => tally.outcome(memory, run.setup.plan.rate, &mut run.random),
            };
            outcomes.extend(outcome.map(|outcome| (place.entrant, outcome)));
        }
        match ended {
            Ok(()) => Ok(outcomes),
            Err(interrupted) => Err((outcomes, interrupted)),
        }
    }
}

fn rounds(
    places: &mut [&mut Place],
    first: &mut Option<First>,
    run: &mut Run<'_>,
    point: &Point,
    tallies: &mut [Tally],
) -> Result<(), Interrupted> {
    let (pace, rate, unchecked) = (run.setup.plan.pace, run.setup.plan.rate, run.setup.unchecked);
    for (place, tally) in places.iter_mut().zip(&mut *tallies) {
        run.progress.now(&format!("{}, warming up {}", title(point), run.setup.entrants[place.entrant].name));
        tally.steady = place.get_ready(point, pace, first, unchecked)?;
        run.progress.step();
    }
    let mut order: Vec<usize> = (0..places.len()).collect();
    for round in 1..=pace.rounds {
        run.progress.now(&format!("{}, round {round} of {}", title(point), pace.rounds));
        run.random.shuffle(&mut order);
        for &i in &order {
            places[i].round(pace.slice, rate, &mut tallies[i])?;
        }
        if run.is_interrupted() {
            return Err(Interrupted);
        }
    }
    for (place, tally) in places.iter_mut().zip(tallies) {
        tally.after = place.usage()?;
        // With one caller: others would take their time from each other.
        if point.concurrency == 1 && point.workload != Custom::NAME {
            tally.stages = place.stages(point.payload)?;
        }
    }
    Ok(())
}

fn title(point: &Point) -> String {
    place(&point.workload, point.payload, point.concurrency)
}

impl Place {
    /// It is not there yet.
    fn new(entrant: usize) -> Place {
        let state = State::Out(Outcome::Failed(String::new()));
        Place { entrant, state, call: Duration::ZERO, started: None, loaded: None }
    }

    fn launch(&mut self, run: &mut Run<'_>, workload: &str) -> Result<Worker, Gone> {
        let entrant = run.setup.entrants[self.entrant].clone();
        let mut worker = run.launcher.launch()?;
        // One seed for all, so that all get the same requests.
        let seed = run.setup.seed;
        let started = worker.ask(&Ask::Start { contender: entrant.start.clone(), seed }, SOON);
        if let Err(Gone::Skipped(reason)) = &started {
            run.contenders[self.entrant].skipped = Some(reason.clone());
        }
        let Answer::Started { usage, .. } = started? else { return Err(strange()) };
        self.started = usage;
        let load = Ask::Load { task: entrant.task(workload) };
        let Answer::Loaded { usage, .. } = worker.ask(&load, SOON)? else { return Err(strange()) };
        self.loaded = usage;
        Ok(worker)
    }

    /// Checks replies and warms up.
    fn get_ready(
        &mut self,
        point: &Point,
        pace: Pace,
        first: &mut Option<First>,
        unchecked: bool,
    ) -> Result<Option<Steady>, Interrupted> {
        let &Point { payload, concurrency, .. } = point;
        let begin = Instant::now();
        let Some(Answer::Prepared { replies, payload }) = self.ask(&Ask::Prepare { payload, concurrency }, SOON)?
        else {
            return Ok(None);
        };
        // Modules of users are compared with the first of them. Ours have been compared with the reference: they show
        // no replies.
        match first {
            None => *first = Some(First { replies, payload }),
            Some(first) => {
                if let Some(difference) = differ(&first.replies, &replies).filter(|_| !unchecked) {
                    self.out(Gone::Failed(difference))?;
                    return Ok(None);
                }
            }
        }
        let warm_up = Ask::WarmUp { at_least: nanos(pace.warm_up), at_most: nanos(pace.warm_up_most) };
        // Whoever has taken long for the few calls that were checked takes long for the next, too.
        let Some(Answer::Warm { steady, call }) = self.ask(&warm_up, pace.warm_up_most + begin.elapsed())? else {
            return Ok(None);
        };
        self.call = Duration::from_nanos(call as u64);
        Ok(Some(steady))
    }

    fn round(&mut self, slice: Duration, rate: Option<f64>, tally: &mut Tally) -> Result<(), Interrupted> {
        let late = self.call * 2;
        if let Some(Answer::Closed(closed)) = self.ask(&Ask::Closed { slice: nanos(slice) }, slice * 2 + late)? {
            tally.closed.push(closed);
        }
        let Some(rate) = rate else { return Ok(()) };
        if let Some(Answer::Open(open)) = self.ask(&Ask::Open { slice: nanos(slice), rate }, slice * 3 + late)? {
            tally.open.push(open);
        }
        Ok(())
    }

    fn usage(&mut self) -> Result<Option<Usage>, Interrupted> {
        match self.ask(&Ask::Memory, SOON)? {
            Some(Answer::Memory { usage }) => Ok(usage),
            _ => Ok(None),
        }
    }

    fn stages(&mut self, payload: usize) -> Result<Option<Told>, Interrupted> {
        match self.ask(&Ask::Stages { payload }, SOON + self.call * 8)? {
            Some(Answer::Stages(stages)) => Ok(Some(stages)),
            _ => Ok(None),
        }
    }

    /// Asks the worker, if it is there. One that gives no good answer takes no more part.
    fn ask(&mut self, ask: &Ask, takes: Duration) -> Result<Option<Answer>, Interrupted> {
        let State::Ready(worker) = &mut self.state else { return Ok(None) };
        match worker.ask(ask, takes) {
            Ok(answer) => Ok(Some(answer)),
            Err(gone) => self.out(gone).map(|()| None),
        }
    }

    fn out(&mut self, gone: Gone) -> Result<(), Interrupted> {
        self.state = State::Out(match gone {
            Gone::Skipped(reason) => Outcome::Skipped(reason),
            Gone::Failed(reason) => Outcome::Failed(reason),
            Gone::Interrupted => return Err(Interrupted),
        });
        Ok(())
    }
}

/// Where replies to the same requests part. There may be fewer of one who takes long.
fn differ(expected: &[String], replies: &[String]) -> Option<String> {
    let at = expected.iter().zip(replies).position(|(expected, reply)| expected != reply)?;
    let (expected, reply) = parting(&expected[at], &replies[at]);
    let at = at + 1;
    Some(format!("its reply to request {at} is {reply}, where the first module replies {expected}; see --unchecked"))
}

/// Both from a little before where they part, and no further than a reader goes.
fn parting(one: &str, other: &str) -> (String, String) {
    const BEFORE: usize = 24;
    const SHOWN: usize = 160;
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let from = if same > BEFORE + SHOWN / 2 { same - BEFORE } else { 0 };
    let show = |text: &str| {
        let before = if from > 0 { "…" } else { "" };
        let after = if text.chars().nth(from + SHOWN).is_some() { "…" } else { "" };
        format!("{before}{}{after}", text.chars().skip(from).take(SHOWN).collect::<String>())
    };
    (show(one), show(other))
}

pub(super) fn strange() -> Gone {
    Gone::Failed("a worker answers something else than it was asked; please report this".to_owned())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn the_request_whose_replies_part_is_named() {
        assert_eq!(None, differ(&texts(&["a", "b"]), &texts(&["a", "b"])));
        assert_eq!(None, differ(&texts(&["a", "b"]), &texts(&["a"])), "it had time for one only");
        let told = differ(&texts(&["a", "b", "c"]), &texts(&["a", "B", "C"])).expect("they differ");
        assert_eq!("its reply to request 2 is B, where the first module replies b; see --unchecked", told);
    }

    #[test]
    fn long_replies_are_shown_where_they_part() {
        let long = |end: &str| format!("{{{}{end}{}}}", "x".repeat(5000), "y".repeat(5000));
        let told = differ(&[long("1")], &[long("2")]).expect("they differ");
        assert!(told.contains("…xxx") && told.contains("x2y") && told.contains("x1y") && told.len() < 500, "{told}");
    }
}
