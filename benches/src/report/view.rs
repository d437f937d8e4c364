//! A result as it is looked at: the contenders of one point of the matrix next to each other.

use crate::result::schema::{ACCOUNT, Cell, Contender, Measured, Outcome, RunResult, StartOutcome, StartTimes};
use crate::stats::Estimate;
use crate::stats::compare::ratio_by_round;

use super::{colours, units};
use crate::workloads::http::NAME as HTTP;

/// Whom the others are compared with: the floor of calls, and who serves ASP.NET Core by default.
fn baseline(workload: &str) -> Baseline {
    match workload {
        HTTP => Baseline { name: "kestrel", column: "of kestrel" },
        _ => Baseline { name: "native", column: "of native" },
    }
}

/// The contender that the others of a point are compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Baseline {
    pub(crate) name: &'static str,
    /// The column of how many times its time another takes.
    pub(crate) column: &'static str,
}

/// What is known of a contender, in one line.
pub(crate) fn about(contender: &Contender) -> String {
    let mut about = vec![contender.what.clone()];
    about.extend(contender.facts.iter().map(|(key, value)| format!("{key} {value}")));
    about.extend(contender.skipped.iter().map(|reason| format!("skipped: {reason}")));
    about.retain(|it| !it.is_empty());
    about.join("; ")
}

/// A result, ordered for readers.
pub(crate) struct View<'a> {
    pub(crate) result: &'a RunResult,
    pub(crate) points: Vec<Point<'a>>,
    /// All names in the order of rows.
    names: Vec<&'a str>,
    /// Theirs; see [`colours`].
    numbers: Vec<usize>,
}

/// One place of the matrix.
pub(crate) struct Point<'a> {
    pub(crate) workload: &'a str,
    pub(crate) payload: usize,
    pub(crate) concurrency: usize,
    pub(crate) baseline: Baseline,
    pub(crate) rows: Vec<Row<'a>>,
    /// In the order of rows, those that were not measured: name, what came of it, reason.
    pub(crate) rest: Vec<(&'a str, &'static str, &'a str)>,
    /// Whose CPU and memory are told, where that is not all of a contender's processes.
    pub(crate) account: Vec<&'a str>,
}

/// A contender that was measured.
pub(crate) struct Row<'a> {
    pub(crate) contender: &'a str,
    pub(crate) measured: &'a Measured,
    /// How many times the baseline's time it takes; none for the baseline itself, and where there is no baseline.
    pub(crate) to_baseline: Option<Estimate>,
    pub(crate) is_baseline: bool,
    /// How many times the fastest one's time it takes; none for the fastest.
    pub(crate) to_fastest: Option<Estimate>,
    /// Whose intervals overlap with its own.
    pub(crate) alike: Vec<&'a str>,
    /// Parallel efficiency: the calls a second of its callers, of what so many would make at the pace of one alone. None
    /// with one caller, and where one alone was not measured.
    pub(crate) efficiency: Option<Estimate>,
}

impl<'a> View<'a> {
    pub(crate) fn new(result: &'a RunResult) -> View<'a> {
        let mut names: Vec<&str> = result.contenders.iter().map(|it| it.name.as_str()).collect();
        let others = result.cells.iter().map(|it| it.contender.as_str());
        for name in others.chain(result.starts.iter().map(|it| it.contender.as_str())) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut points: Vec<Vec<&Cell>> = Vec::new();
        let key = |cell: &Cell| (cell.workload.clone(), cell.payload, cell.concurrency);
        for cell in &result.cells {
            match points.iter_mut().find(|point| key(point[0]) == key(cell)) {
                Some(point) => point.push(cell),
                None => points.push(vec![cell]),
            }
        }
        let place = |cell: &&Cell| names.iter().position(|name| *name == cell.contender);
        let points = points.into_iter().map(|mut cells| {
            cells.sort_by_key(place);
            Point::new(&cells, result)
        });
        let mut points: Vec<Point<'_>> = points.collect();
        for i in 0..points.len() {
            let efficiencies: Vec<_> = points[i].rows.iter().map(|row| efficiency(&points, &points[i], row)).collect();
            points[i].rows.iter_mut().zip(efficiencies).for_each(|(row, efficiency)| row.efficiency = efficiency);
        }
        View { result, points, numbers: colours::numbers(&names), names }
    }

    /// The contender's number, which gives its colour and mark.
    pub(crate) fn number(&self, contender: &str) -> usize {
        self.place(contender).map_or(0, |place| self.numbers[place])
    }

    fn place(&self, contender: &str) -> Option<usize> {
        self.names.iter().position(|name| *name == contender)
    }

    /// Contenders in the order of rows.
    pub(crate) fn sort_by_row<T>(&self, list: &mut [T], name: impl Fn(&T) -> &str) {
        list.sort_by_key(|it| self.place(name(it)));
    }

    /// The workloads, each once, in their order.
    pub(crate) fn workloads(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for point in &self.points {
            if !names.contains(&point.workload) {
                names.push(point.workload);
            }
        }
        names
    }

    /// The point that stands for a workload: 1 KiB and one caller, or the nearest to it that was measured.
    pub(crate) fn of_workload(&self, workload: &str) -> Option<&Point<'a>> {
        let points = self.points.iter().filter(|point| point.workload == workload && !point.rows.is_empty());
        points.min_by_key(|point| (point.concurrency, point.payload.abs_diff(1 << 10)))
    }

    /// The point that stands for the whole run: that of `echo`, or of the first workload that was measured.
    pub(crate) fn headline(&self) -> Option<&Point<'a>> {
        self.of_workload("echo").or_else(|| self.workloads().into_iter().find_map(|name| self.of_workload(name)))
    }

    /// The points that stand for workloads and tell where the time of a call goes, or why that is not known.
    pub(crate) fn of_stages(&self) -> Vec<&Point<'a>> {
        let points = self.workloads().into_iter().filter_map(|name| self.of_workload(name));
        points.filter(|point| point.has_stages()).collect()
    }

    /// Starts that were measured, in the order of rows.
    pub(crate) fn starts(&self) -> Vec<(&'a str, &'a StartTimes)> {
        let mut starts: Vec<_> = self
            .result
            .starts
            .iter()
            .filter_map(|start| match &start.outcome {
                StartOutcome::Measured(times) => Some((start.contender.as_str(), times)),
                StartOutcome::Skipped(_) | StartOutcome::Failed(_) => None,
            })
            .collect();
        self.sort_by_row(&mut starts, |(name, _)| name);
        starts
    }

    /// Starts that were not measured: name, what came of it, reason.
    pub(crate) fn other_starts(&self) -> Vec<(&'a str, &'static str, &'a str)> {
        self.result
            .starts
            .iter()
            .filter_map(|start| match &start.outcome {
                StartOutcome::Measured(_) => None,
                StartOutcome::Skipped(reason) => Some((start.contender.as_str(), "skipped", reason.as_str())),
                StartOutcome::Failed(reason) => Some((start.contender.as_str(), "failed", reason.as_str())),
            })
            .collect()
    }
}

impl<'a> Point<'a> {
    fn new(cells: &[&'a Cell], result: &'a RunResult) -> Point<'a> {
        let first = cells[0];
        let baseline = baseline(&first.workload);
        let mut rows: Vec<(&str, &Measured)> = Vec::new();
        let mut rest = Vec::new();
        for cell in cells {
            match &cell.outcome {
                Outcome::Measured(measured) => rows.push((&cell.contender, measured)),
                Outcome::Skipped(reason) => rest.push((cell.contender.as_str(), "skipped", reason.as_str())),
                Outcome::Failed(reason) => rest.push((cell.contender.as_str(), "failed", reason.as_str())),
            }
        }
        let base = rows.iter().find(|(name, _)| *name == baseline.name).copied();
        let fastest = rows.iter().min_by(|a, b| a.1.call.value.total_cmp(&b.1.call.value)).copied();
        let compared = |row: (&str, &Measured), with: Option<(&str, &Measured)>| {
            with.filter(|with| with.0 != row.0).map(|with| ratio(row.1, with.1))
        };
        let of = |row: (&'a str, &'a Measured)| Row {
            contender: row.0,
            measured: row.1,
            to_baseline: compared(row, base),
            is_baseline: row.0 == baseline.name,
            to_fastest: compared(row, fastest),
            alike: rows
                .iter()
                .filter(|it| it.0 != row.0 && it.1.call.indistinguishable(row.1.call))
                .map(|it| it.0)
                .collect(),
            efficiency: None,
        };
        let account = rows.iter().filter_map(|(name, _)| {
            let facts = &result.contenders.iter().find(|it| it.name == *name)?.facts;
            Some(facts.iter().find(|(key, _)| key == ACCOUNT)?.1.as_str())
        });
        let mut account: Vec<_> = account.collect();
        account.dedup();
        let rows = rows.iter().map(|row| of(*row)).collect();
        let Cell { workload, payload, concurrency, .. } = first;
        Point { workload, payload: *payload, concurrency: *concurrency, baseline, rows, rest, account }
    }

    /// Whose CPU and memory are told, in words; nothing where they are of all processes of each contender.
    pub(crate) fn whose(&self) -> Option<String> {
        (!self.account.is_empty()).then(|| format!("{ACCOUNT}: {}", self.account.join(", ")))
    }

    /// Why it is not told where the time of a call goes: contenders that have a reason in common, and it.
    pub(crate) fn untold(&self) -> Vec<(Vec<&'a str>, &'a str)> {
        let mut untold: Vec<(Vec<&str>, &str)> = Vec::new();
        for row in &self.rows {
            let Some(reason) = &row.measured.untold else { continue };
            match untold.iter_mut().find(|(_, it)| it == reason) {
                Some((names, _)) => names.push(row.contender),
                None => untold.push((vec![row.contender], reason)),
            }
        }
        untold
    }

    /// Whether it is known of anybody where the time of a call goes, or why not.
    fn has_stages(&self) -> bool {
        self.rows.iter().any(|row| row.measured.stages.is_some() || row.measured.untold.is_some())
    }

    /// Such as `echo, 1 KiB, 2 callers`.
    pub(crate) fn title(&self) -> String {
        let (payload, callers) = (units::bytes(self.payload as u64), units::callers(self.concurrency));
        format!("{}, {payload}, {callers}", self.workload)
    }
}

/// Names of the stages, in the order of [`Row::stages`].
pub(crate) const STAGES: [&str; 4] = ["encode", "cross", "guest", "decode"];

impl Row<'_> {
    /// Where the time of a call goes, for people; nothing where that is not known.
    pub(crate) fn stages(&self) -> Option<[String; 4]> {
        let it = self.measured.stages?;
        Some([it.encode, it.cross, it.guest, it.decode].map(units::nanos))
    }

    /// `fastest`, or how many times the fastest one's time.
    pub(crate) fn against_fastest(&self) -> String {
        self.to_fastest.map_or_else(|| "fastest".to_owned(), |it| units::times(it.value))
    }

    /// `baseline` for itself, or how many times its time; empty where it was not measured.
    pub(crate) fn against_baseline(&self) -> String {
        match self.to_baseline {
            Some(ratio) => units::times(ratio.value),
            None if self.is_baseline => "baseline".to_owned(),
            None => String::new(),
        }
    }

    /// Its times from the intended send on, in words; nothing where it was not called at a fixed rate.
    pub(crate) fn open_loop(&self) -> Option<String> {
        let open = self.measured.response.as_ref()?;
        let latency = &open.latency;
        Some(format!(
            "at {} calls/s (reached {}): p50 {}, p99 {}, p99.9 {}, longest {} from the intended send",
            units::count(open.rate),
            units::count(open.reached),
            units::nanos(latency.p50),
            units::nanos(latency.p99),
            units::nanos(latency.p999),
            units::nanos(latency.max)
        ))
    }

    /// Its parallel efficiency, for people; nothing with one caller.
    pub(crate) fn parallel(&self) -> String {
        self.efficiency.map_or_else(String::new, |it| format!("{:.2} [{:.2}–{:.2}]", it.value, it.low, it.high))
    }

    /// What to know of the row, in words.
    pub(crate) fn note(&self) -> String {
        let mut notes = Vec::new();
        if !self.alike.is_empty() {
            notes.push(format!("indistinguishable from {}", self.alike.join(", ")));
        }
        if !self.measured.steady.reached {
            notes.push("had not settled".to_owned());
        }
        notes.join("; ")
    }
}

/// See [`Row::efficiency`]. The two were measured one after the other, so the interval is as wide as theirs together.
fn efficiency(points: &[Point<'_>], point: &Point<'_>, row: &Row<'_>) -> Option<Estimate> {
    let is_alone = |it: &&Point<'_>| (it.workload, it.payload, it.concurrency) == (point.workload, point.payload, 1);
    let alone = points.iter().find(is_alone).filter(|_| point.concurrency > 1)?;
    let alone = alone.rows.iter().find(|it| it.contender == row.contender)?;
    let (one, all) = (alone.measured.throughput, row.measured.throughput.scaled(1.0 / point.concurrency as f64));
    let it = Estimate { value: all.value / one.value, low: all.low / one.high, high: all.high / one.low };
    Some(it).filter(|it| it.value.is_finite())
}

/// How many times the time of `other`. Rounds of one number ran next to each other, so they are compared in pairs.
fn ratio(one: &Measured, other: &Measured) -> Estimate {
    if one.rounds.is_empty() || one.rounds.len() != other.rounds.len() {
        let low = one.call.low / other.call.high;
        return Estimate { value: one.call.value / other.call.value, low, high: one.call.high / other.call.low };
    }
    ratio_by_round(&one.rounds, &other.rounds, &mut fastrand::Rng::with_seed(1))
}
