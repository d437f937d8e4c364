//! What is measured: workloads, payloads and callers at the same time.

use std::time::Duration;

use crate::workloads::http::NAME as HTTP;

/// How long and how often to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Calls before the first round: so long at least, and until times are steady.
    pub(crate) warm_up: Duration,
    /// And so long at most.
    pub(crate) warm_up_most: Duration,
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// How long each contender runs within a round.
    pub(crate) slice: Duration,
    /// Processes of each contender for the times of a cold start.
    pub(crate) starts: usize,
}

impl Pace {
    /// Two seconds in ten parts: an interval of a median from fewer is little more than their range.
    const STANDARD: Pace = Pace {
        warm_up: Duration::from_secs(1),
        warm_up_most: Duration::from_secs(2),
        rounds: 10,
        slice: Duration::from_millis(200),
        starts: 5,
    };
    const FULL: Pace = Pace {
        warm_up: Duration::from_secs(2),
        warm_up_most: Duration::from_secs(10),
        rounds: 20,
        slice: Duration::from_millis(250),
        starts: 15,
    };
    /// Enough to see that everything runs.
    const QUICK: Pace = Pace {
        warm_up: Duration::from_millis(100),
        warm_up_most: Duration::from_millis(200),
        rounds: 5,
        slice: Duration::from_millis(20),
        starts: 1,
    };

    /// How long a cell takes at most.
    fn cell(&self, open: bool) -> Duration {
        let loops = if open { 2 } else { 1 };
        // The last slice of a warm-up begins before its end.
        let warm_up = self.warm_up_most + self.warm_up / 20;
        warm_up + self.slice * loops * u32::try_from(self.rounds).unwrap_or(u32::MAX) + AROUND
    }
}

/// What a cell takes besides: its requests are made, replies are checked, memory and stages are read.
const AROUND: Duration = Duration::from_millis(300);
/// What a contender takes from its worker's start to its end, where it makes a hundred calls or gets ready for a
/// workload: the slowest, an application in .NET behind nginx, or gRPC in Python.
const PROCESS: Duration = Duration::from_millis(800);

/// One place of the matrix; every contender that takes part has a cell in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    /// Such as `echo`.
    pub(crate) workload: String,
    pub(crate) payload: usize,
    pub(crate) concurrency: usize,
    /// Contenders that are processes of their own take part, besides those in one.
    pub(crate) processes: bool,
}

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// `standard`, `full`, `quick` or `custom`.
    pub(crate) name: &'static str,
    pub(crate) pace: Pace,
    /// Those of a workload next to each other.
    pub(crate) points: Vec<Point>,
    /// Calls a second of the open loop, where one is wanted.
    pub(crate) rate: Option<f64>,
    /// Points that did not fit.
    pub(crate) left_out: Vec<Point>,
}

/// How much to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Standard,
    Full,
    Quick,
}

/// What the user has chosen; empty lists stand for the plan's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    pub(crate) workloads: Vec<String>,
    pub(crate) payloads: Vec<usize>,
    pub(crate) concurrency: Vec<usize>,
    pub(crate) rate: Option<f64>,
}

/// Cells of the standard plan, besides those of `http`.
pub(crate) const MOST_CELLS: usize = 80;

const PAYLOADS: [usize; 5] = [0, 64, 1 << 10, 64 << 10, 1 << 20];
const PAYLOAD: usize = 1 << 10;

impl Plan {
    /// The plan for these workloads. `contenders` says how many have an implementation of one and take part.
    pub(crate) fn new(extent: Extent, all: &[String], choice: &Choice, contenders: impl Fn(&Point) -> usize) -> Plan {
        let chosen = |name: &&String| choice.workloads.is_empty() || choice.workloads.contains(name);
        let mut points: Vec<_> = all.iter().filter(chosen).flat_map(|name| points(extent, name, choice)).collect();
        let (name, pace) = match extent {
            Extent::Standard => ("standard", Pace::STANDARD),
            Extent::Full => ("full", Pace::FULL),
            Extent::Quick => ("quick", Pace::QUICK),
        };
        let own = choice.workloads.is_empty() && choice.payloads.is_empty() && choice.concurrency.is_empty();
        let name = if own { name } else { "custom" };
        if name == "standard" {
            // What another process costs is about the way there: at each size, and once.
            points.iter_mut().for_each(|it| it.processes = it.workload == "echo" && it.concurrency == 1);
        }
        let mut plan = Plan { name, pace, points, rate: choice.rate, left_out: Vec::new() };
        if name == "standard" {
            plan.fit(contenders);
        }
        plan
    }

    /// Leaves out the points that matter least, until the plan has no more than [`MOST_CELLS`] cells besides those of
    /// `http`, which has its own two minutes.
    fn fit(&mut self, contenders: impl Fn(&Point) -> usize) {
        let counts = |point: &&Point| point.workload != HTTP;
        let cells = |points: &[Point]| points.iter().filter(counts).map(&contenders).sum::<usize>();
        while cells(&self.points) > MOST_CELLS {
            let others = (0..self.points.len()).filter(|i| counts(&&self.points[*i]));
            let least = others.max_by_key(|i| importance(&self.points[*i]));
            let Some(least) = least else { break };
            self.left_out.push(self.points.remove(least));
        }
    }

    /// The workloads, each once.
    pub(crate) fn workloads(&self) -> Vec<String> {
        let mut names: Vec<_> = self.points.iter().map(|point| point.workload.clone()).collect();
        names.dedup();
        names
    }

    /// How long it takes at most, where nothing hangs. `contenders` says how many take part in a point; `all`, how many
    /// there are.
    pub(crate) fn longest(&self, contenders: impl Fn(&Point) -> usize, all: usize) -> Duration {
        let times = |duration: Duration, count: usize| duration * u32::try_from(count).unwrap_or(u32::MAX);
        let cells = self.points.iter().map(&contenders).sum();
        let of = |workload: &String| self.points.iter().filter(|it| it.workload == *workload).map(&contenders).max();
        let processes = self.workloads().iter().filter_map(of).sum::<usize>();
        times(self.pace.cell(self.rate.is_some()), cells) + times(PROCESS, processes + self.pace.starts * all)
    }
}

fn points(extent: Extent, workload: &str, choice: &Choice) -> Vec<Point> {
    let two_callers = matches!(workload, "echo" | "middleware");
    let (payloads, concurrency): (&[usize], &[usize]) = match extent {
        Extent::Full if workload == HTTP => (&PAYLOADS, &[1, 16, 64]),
        Extent::Standard if workload == HTTP => (&[0, PAYLOAD, 64 << 10], &[1, 16]),
        Extent::Full => (&PAYLOADS, &[1, 2, 4]),
        Extent::Standard if workload == "echo" => (&PAYLOADS, &[1, 2]),
        Extent::Standard if two_callers => (&[PAYLOAD], &[1, 2]),
        Extent::Standard | Extent::Quick => (&[PAYLOAD], &[1]),
    };
    let of = |own: &[usize], chosen: &[usize]| if chosen.is_empty() { own.to_vec() } else { chosen.to_vec() };
    let (payloads, callers) = (of(payloads, &choice.payloads), of(concurrency, &choice.concurrency));
    // Two callers at the same time say the same at any payload: in the standard plan, one will do; for a server, that
    // and a request without a body.
    let with_more = |payload| payload == PAYLOAD || (workload == HTTP && payload == 0);
    let wanted = |payload, callers| {
        extent != Extent::Standard || !choice.concurrency.is_empty() || callers == 1 || with_more(payload)
    };
    let mut points = Vec::new();
    for &payload in &payloads {
        for &concurrency in callers.iter().filter(|callers| wanted(payload, **callers)) {
            points.push(Point { workload: workload.to_owned(), payload, concurrency, processes: true });
        }
    }
    points
}

/// The higher, the sooner it is left out.
fn importance(point: &Point) -> (bool, bool, usize) {
    let other = point.payload != PAYLOAD;
    let distance = point.payload.max(1).ilog2().abs_diff(PAYLOAD.ilog2()) as usize;
    (other, point.concurrency > 1, usize::from(other) * (20 - distance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{contenders, workloads};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    fn all() -> Vec<String> {
        names(&["echo", "sum", "transform", "middleware", "render", "callback", HTTP])
    }

    /// Besides those of `http`.
    fn cells(plan: &Plan, contenders: usize) -> usize {
        plan.points.iter().filter(|it| it.workload != HTTP).count() * contenders
    }

    #[test]
    fn the_standard_plan_is_what_it_says() {
        let plan = Plan::new(Extent::Standard, &all(), &Choice::default(), |_| 5);
        let echo: Vec<_> = plan.points.iter().filter(|it| it.workload == "echo").collect();
        assert_eq!(6, echo.len(), "five payloads, and two callers at one of them");
        let http = plan.points.iter().filter(|it| it.workload == HTTP);
        let http: Vec<_> = http.map(|it| (it.payload, it.concurrency)).collect();
        assert_eq!([(0, 1), (0, 16), (PAYLOAD, 1), (PAYLOAD, 16), (64 << 10, 1)], http.as_slice());
        assert_eq!(17, plan.points.len());
        assert_eq!(("standard", 0), (plan.name, plan.left_out.len()));
        assert_eq!(all(), plan.workloads());
    }

    #[test]
    fn the_standard_plan_never_has_more_than_80_cells() {
        for contenders in 1..=20 {
            let plan = Plan::new(Extent::Standard, &all(), &Choice::default(), |_| contenders);
            assert!(cells(&plan, contenders) <= MOST_CELLS, "{contenders}");
            assert_eq!(17, plan.points.len() + plan.left_out.len());
            assert!(plan.left_out.iter().all(|it| it.workload != HTTP));
            assert!(plan.points.iter().all(|it| !it.processes || (it.workload == "echo" && it.concurrency == 1)));
            let kept = plan.points.iter().any(|it| it.workload == "echo" && it.payload == PAYLOAD);
            assert!(kept, "{contenders}: {:?}", plan.points);
        }
    }

    #[test]
    fn the_standard_plan_ends_within_ten_minutes() {
        let known: Vec<_> = contenders::all().into_iter().map(|it| it.name).collect();
        let all: Vec<_> = workloads::all().iter().map(|it| it.name().to_owned()).collect();
        // With whatever may be missing on this machine.
        let takers = |point: &Point| known.iter().filter(|name| contenders::takes(name, point)).count();
        let plan = Plan::new(Extent::Standard, &all, &Choice::default(), takers);
        let cells = plan.points.iter().filter(|it| it.workload != HTTP).map(takers).sum();
        assert_eq!((MOST_CELLS, 0), (cells, plan.left_out.len()), "all that is asked for has its place");
        let longest = plan.longest(takers, known.len());
        assert!(longest < Duration::from_secs(600), "{longest:?}");
        assert!(longest > Duration::from_secs(300), "{longest:?}: there is time for more");
        let http = Plan { points: plan.points.into_iter().filter(|it| it.workload == HTTP).collect(), ..plan };
        let starts = PROCESS * (http.pace.starts * known.len()) as u32;
        let http = http.longest(takers, known.len()) - starts;
        assert!(http < Duration::from_secs(120), "{http:?}");
    }

    #[test]
    fn the_user_chooses() {
        let choice =
            Choice { workloads: names(&["sum"]), payloads: vec![7], concurrency: vec![1, 8], rate: Some(10.0) };
        let plan = Plan::new(Extent::Full, &all(), &choice, |_| 100);
        let seen: Vec<_> = plan.points.iter().map(|it| (it.workload.as_str(), it.payload, it.concurrency)).collect();
        assert_eq!([("sum", 7, 1), ("sum", 7, 8)], seen.as_slice());
        assert_eq!(("custom", Some(10.0), Pace::FULL), (plan.name, plan.rate, plan.pace));
        assert!(plan.points.iter().all(|it| it.processes));
        let choice = Choice { payloads: vec![0, 9], concurrency: vec![2], ..Choice::default() };
        assert_eq!(14, Plan::new(Extent::Standard, &all(), &choice, |_| 1).points.len());
    }
}
