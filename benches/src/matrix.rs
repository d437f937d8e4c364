//! What is measured: workloads, payloads and callers at the same time.

use std::time::Duration;

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
}

/// One place of the matrix; every contender has a cell in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    /// Such as `echo`.
    pub(crate) workload: String,
    pub(crate) payload: usize,
    pub(crate) concurrency: usize,
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

/// Cells of the standard plan: with a second of warm-up and two of rounds each, it ends within ten minutes.
pub(crate) const MOST_CELLS: usize = 80;

const PAYLOADS: [usize; 5] = [0, 64, 1 << 10, 64 << 10, 1 << 20];
const PAYLOAD: usize = 1 << 10;

impl Plan {
    /// The plan for these workloads. `contenders` says how many have an implementation of one.
    pub(crate) fn new(extent: Extent, all: &[String], choice: &Choice, contenders: impl Fn(&str) -> usize) -> Plan {
        let chosen = |name: &&String| choice.workloads.is_empty() || choice.workloads.contains(name);
        let points = all.iter().filter(chosen).flat_map(|name| points(extent, name, choice)).collect();
        let (name, pace) = match extent {
            Extent::Standard => ("standard", Pace::STANDARD),
            Extent::Full => ("full", Pace::FULL),
            Extent::Quick => ("quick", Pace::QUICK),
        };
        let own = choice.workloads.is_empty() && choice.payloads.is_empty() && choice.concurrency.is_empty();
        let name = if own { name } else { "custom" };
        let mut plan = Plan { name, pace, points, rate: choice.rate, left_out: Vec::new() };
        if name == "standard" {
            plan.fit(contenders);
        }
        plan
    }

    /// Leaves out the points that matter least, until the plan has no more than [`MOST_CELLS`] cells.
    fn fit(&mut self, contenders: impl Fn(&str) -> usize) {
        let cells = |points: &[Point]| points.iter().map(|point| contenders(&point.workload)).sum::<usize>();
        while cells(&self.points) > MOST_CELLS {
            let least = (0..self.points.len()).max_by_key(|i| importance(&self.points[*i]));
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
}

fn points(extent: Extent, workload: &str, choice: &Choice) -> Vec<Point> {
    let two_callers = matches!(workload, "echo" | "middleware");
    let (payloads, concurrency): (&[usize], &[usize]) = match extent {
        Extent::Full => (&PAYLOADS, &[1, 2, 4]),
        Extent::Standard if workload == "echo" => (&PAYLOADS, &[1, 2]),
        Extent::Standard if two_callers => (&[PAYLOAD], &[1, 2]),
        Extent::Standard | Extent::Quick => (&[PAYLOAD], &[1]),
    };
    let of = |own: &[usize], chosen: &[usize]| if chosen.is_empty() { own.to_vec() } else { chosen.to_vec() };
    let (payloads, callers) = (of(payloads, &choice.payloads), of(concurrency, &choice.concurrency));
    // Two callers at the same time say the same at any payload: in the standard plan, one will do.
    let wanted = |payload, callers| {
        extent != Extent::Standard || !choice.concurrency.is_empty() || callers == 1 || payload == PAYLOAD
    };
    let mut points = Vec::new();
    for &payload in &payloads {
        for &concurrency in callers.iter().filter(|callers| wanted(payload, **callers)) {
            points.push(Point { workload: workload.to_owned(), payload, concurrency });
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

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    fn all() -> Vec<String> {
        names(&["echo", "sum", "transform", "middleware", "render", "callback"])
    }

    fn cells(plan: &Plan, contenders: usize) -> usize {
        plan.points.len() * contenders
    }

    #[test]
    fn the_standard_plan_is_what_it_says() {
        let plan = Plan::new(Extent::Standard, &all(), &Choice::default(), |_| 5);
        let echo: Vec<_> = plan.points.iter().filter(|it| it.workload == "echo").collect();
        assert_eq!(6, echo.len(), "five payloads, and two callers at one of them");
        assert_eq!(12, plan.points.len());
        assert_eq!(("standard", 0), (plan.name, plan.left_out.len()));
        assert_eq!(all(), plan.workloads());
    }

    #[test]
    fn the_standard_plan_never_has_more_than_80_cells() {
        for contenders in 1..=20 {
            let plan = Plan::new(Extent::Standard, &all(), &Choice::default(), |_| contenders);
            assert!(cells(&plan, contenders) <= MOST_CELLS, "{contenders}");
            assert_eq!(12, plan.points.len() + plan.left_out.len());
            let kept = plan.points.iter().any(|it| it.workload == "echo" && it.payload == PAYLOAD);
            assert!(kept, "{contenders}: {:?}", plan.points);
        }
    }

    #[test]
    fn the_standard_plan_ends_within_ten_minutes() {
        let Pace { warm_up_most, rounds, slice, .. } = Pace::STANDARD;
        // Two minutes of it are for http.
        assert!((warm_up_most + slice * rounds as u32) * (MOST_CELLS as u32) < Duration::from_secs(480));
    }

    #[test]
    fn the_user_chooses() {
        let choice =
            Choice { workloads: names(&["sum"]), payloads: vec![7], concurrency: vec![1, 8], rate: Some(10.0) };
        let plan = Plan::new(Extent::Full, &all(), &choice, |_| 100);
        let seen: Vec<_> = plan.points.iter().map(|it| (it.workload.as_str(), it.payload, it.concurrency)).collect();
        assert_eq!([("sum", 7, 1), ("sum", 7, 8)], seen.as_slice());
        assert_eq!(("custom", Some(10.0), Pace::FULL), (plan.name, plan.rate, plan.pace));
        let choice = Choice { payloads: vec![0, 9], concurrency: vec![2], ..Choice::default() };
        assert_eq!(12, Plan::new(Extent::Standard, &all(), &choice, |_| 1).points.len());
    }
}
