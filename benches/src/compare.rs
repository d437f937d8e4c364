//! One run against another.

use crate::report::units;
use crate::report::view::{Point, Row, View};
use crate::result::schema::{Contender, Measured, RunResult};
use crate::stats::Estimate;
use crate::stats::compare::ratio_of_medians;

/// What is new of a run, as compared with one before.
pub(crate) struct Comparison {
    /// Cells that both have measured.
    pub(crate) pairs: Vec<Pair>,
    /// Cells that were measured before, and failed now, with the reason.
    pub(crate) failed: Vec<(String, String)>,
    /// Cells that only one of them has measured, and which.
    pub(crate) unmatched: Vec<String>,
    /// What differs besides the code, and so may be the reason for a difference.
    pub(crate) warnings: Vec<String>,
}

/// A cell of both.
pub(crate) struct Pair {
    /// Such as `echo, 1 KiB, 1 caller`.
    pub(crate) point: String,
    pub(crate) contender: String,
    pub(crate) before: Estimate,
    pub(crate) now: Estimate,
    /// How many times as long a call takes now.
    pub(crate) ratio: Estimate,
    /// The intervals of the two overlap.
    pub(crate) indistinguishable: bool,
}

impl Pair {
    /// Whether the whole interval is worse by more than this share.
    pub(crate) fn is_worse_by(&self, share: f64) -> bool {
        !self.indistinguishable && self.ratio.low > 1.0 + share
    }

    /// What can be said of it.
    pub(crate) fn verdict(&self) -> &'static str {
        match () {
            () if self.indistinguishable || self.ratio.holds(1.0) => "indistinguishable",
            () if self.ratio.value > 1.0 => "slower",
            () => "faster",
        }
    }
}

/// Matches the cells of two runs.
pub(crate) fn compare(before: &RunResult, now: &RunResult) -> Comparison {
    let (a, b) = (View::new(before), View::new(now));
    let mut comparison =
        Comparison { pairs: Vec::new(), failed: Vec::new(), unmatched: Vec::new(), warnings: differences(before, now) };
    for point in &a.points {
        let same = b.points.iter().find(|it| key(it) == key(point));
        for row in &point.rows {
            comparison.add(point, row, same);
        }
    }
    for point in &b.points {
        let same = a.points.iter().find(|it| key(it) == key(point));
        let old = |row: &&Row<'_>| same.is_some_and(|it| it.rows.iter().any(|it| it.contender == row.contender));
        let new = point.rows.iter().filter(|row| !old(row));
        comparison.unmatched.extend(new.map(|row| format!("{}, {}: only in the second", point.title(), row.contender)));
    }
    comparison
}

fn key<'a>(point: &Point<'a>) -> (&'a str, usize, usize) {
    (point.workload, point.payload, point.concurrency)
}

impl Comparison {
    fn add(&mut self, point: &Point<'_>, row: &Row<'_>, same: Option<&Point<'_>>) {
        let name = row.contender;
        let place = format!("{}, {name}", point.title());
        if let Some(other) = same.and_then(|it| it.rows.iter().find(|it| it.contender == name)) {
            let (before, now) = (row.measured.call, other.measured.call);
            self.pairs.push(Pair {
                point: point.title(),
                contender: name.to_owned(),
                before,
                now,
                ratio: ratio(row.measured, other.measured),
                indistinguishable: before.indistinguishable(now),
            });
            return;
        }
        match same.and_then(|it| it.rest.iter().find(|it| it.0 == name)) {
            Some((_, "failed", reason)) => self.failed.push((place, (*reason).to_owned())),
            Some((_, what, reason)) => self.unmatched.push(format!("{place}: only in the first; now {what}: {reason}")),
            None => self.unmatched.push(format!("{place}: only in the first")),
        }
    }
}

/// Runs have nothing to do with each other, so that rounds are not compared in pairs.
fn ratio(before: &Measured, now: &Measured) -> Estimate {
    if before.rounds.len() < 2 || now.rounds.len() < 2 {
        let (a, b) = (before.call, now.call);
        return Estimate { value: b.value / a.value, low: b.low / a.high, high: b.high / a.low };
    }
    ratio_of_medians(&now.rounds, &before.rounds, &mut fastrand::Rng::with_seed(1))
}

fn differences(before: &RunResult, now: &RunResult) -> Vec<String> {
    let (a, b) = (&before.environment, &now.environment);
    let facts = [
        ("machines", a.label.clone(), b.label.clone()),
        ("processors", a.cpu.clone(), b.cpu.clone()),
        ("numbers of processors", a.cores.to_string(), b.cores.to_string()),
        ("memory", units::bytes(a.memory), units::bytes(b.memory)),
        ("systems", a.system.clone(), b.system.clone()),
        ("kernels", a.kernel.clone(), b.kernel.clone()),
        ("frequency governors", a.governor.clone(), b.governor.clone()),
        ("builds", a.build.clone(), b.build.clone()),
        ("plans", before.plan.clone(), now.plan.clone()),
    ];
    let mut all: Vec<String> = facts
        .into_iter()
        .filter(|(_, a, b)| a != b)
        .map(|(what, a, b)| format!("different {what}: {a} and {b}"))
        .collect();
    for contender in &now.contenders {
        let old = before.contenders.iter().find(|it| it.name == contender.name);
        all.extend(old.into_iter().flat_map(|old| other_facts(old, contender)));
    }
    for (which, result) in [("first", before), ("second", now)] {
        if result.partial {
            all.push(format!("the {which} run was interrupted"));
        }
        all.extend(result.warnings.iter().map(|it| format!("of the {which} run: {it}")));
    }
    all
}

fn other_facts(before: &Contender, now: &Contender) -> Vec<String> {
    let changed = now.facts.iter().filter_map(|(key, value)| {
        let old = before.facts.iter().find(|(it, _)| it == key)?;
        (old.1 != *value).then(|| format!("{}: different {key}: {} and {value}", now.name, old.1))
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::result::schema::Outcome;

    /// The same run, with one contender so many times as slow.
    fn slower(factor: f64) -> RunResult {
        let mut result = sample::standard();
        for cell in result.cells.iter_mut().filter(|it| it.contender == "clr") {
            if let Outcome::Measured(it) = &mut cell.outcome {
                it.call = it.call.scaled(factor);
                it.rounds.iter_mut().for_each(|round| *round *= factor);
            }
        }
        result
    }

    #[test]
    fn a_run_is_indistinguishable_from_itself() {
        let comparison = compare(&sample::standard(), &sample::standard());
        assert!(comparison.pairs.len() > 70 && comparison.failed.is_empty() && comparison.unmatched.is_empty());
        assert!(comparison.pairs.iter().all(|it| it.verdict() == "indistinguishable" && !it.is_worse_by(0.0)));
    }

    #[test]
    fn what_is_slower_is_found_and_nothing_else() {
        let comparison = compare(&sample::standard(), &slower(1.2));
        for pair in &comparison.pairs {
            let clr = pair.contender == "clr";
            assert_eq!(if clr { "slower" } else { "indistinguishable" }, pair.verdict(), "{}", pair.contender);
            assert_eq!((clr, false), (pair.is_worse_by(0.1), pair.is_worse_by(0.2)), "{:?}", pair.ratio);
            assert!(!clr || pair.ratio.holds(1.2), "{:?}", pair.ratio);
        }
        let faster = compare(&slower(1.2), &sample::standard());
        assert!(
            faster.pairs.iter().all(|it| !it.is_worse_by(0.0) && (it.contender == "clr") == (it.verdict() == "faster"))
        );
    }

    #[test]
    fn what_differs_besides_is_told() {
        let (before, mut now) = (sample::standard(), sample::standard());
        now.environment.label = "other".to_owned();
        now.plan = "full".to_owned();
        now.partial = true;
        now.contenders[2].facts[0].1 = ".NET 9".to_owned();
        let warnings = compare(&before, &now).warnings.join("\n");
        for expected in [
            "machines: two-core-vm and other",
            "plans: standard and full",
            "second run was interrupted",
            "clr: different runtime: .NET 8.0.12 and .NET 9",
            "of the first run: other programs",
        ] {
            assert!(warnings.contains(expected), "{expected}: {warnings}");
        }
    }

    #[test]
    fn cells_that_only_one_has_are_told() {
        let (before, mut now) = (sample::standard(), sample::standard());
        now.cells.retain(|it| it.contender != "luajit");
        for cell in now.cells.iter_mut().filter(|it| it.contender == "cpython") {
            cell.outcome = Outcome::Failed("hangs".to_owned());
        }
        let comparison = compare(&before, &now);
        assert_eq!(12, comparison.failed.len());
        assert!(comparison.failed[0].0.ends_with("cpython") && comparison.failed[0].1 == "hangs");
        assert!(comparison.unmatched.iter().all(|it| it.contains("luajit: only in the first")));
        assert!(compare(&now, &before).unmatched.iter().any(|it| it.contains("luajit: only in the second")));
    }

    #[test]
    fn single_rounds_and_strange_numbers_are_compared_too() {
        let comparison = compare(&sample::strange(), &sample::strange());
        assert!(comparison.pairs.iter().all(|it| it.verdict() == "indistinguishable"));
        assert!(compare(&sample::none(), &sample::one()).pairs.is_empty());
    }
}
