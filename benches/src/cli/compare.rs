//! `polyhost-bench compare`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{Failure, show};
use crate::compare::{self, Comparison};
use crate::report::{terminal, units};
use crate::result;
use crate::result::schema::RunResult;

/// Tells whether calls got slower from one result to another.
///
/// A cell's two runs are indistinguishable where the 95 % intervals of their medians overlap. The change comes with an
/// interval of its own, drawn from the rounds of both. Of many cells, one in twenty or so lies outside of its interval
/// by chance alone; and each run has one process of a contender, where another of the same program may differ by some
/// percent. So give --fail-over what would matter to you, not 0 %.
#[derive(Debug, Args)]
pub(super) struct Compare {
    /// The result to compare with (`-`: from standard input)
    before: PathBuf,
    /// The new one
    now: PathBuf,
    /// Exits with 1 where a call takes longer by more than this, with its whole interval, or fails that did not
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    fail_over: Option<f64>,
}

pub(super) fn compare(arguments: &Compare) -> Result<ExitCode, Failure> {
    let (text, passes) = compared(arguments, terminal::width())?;
    show(&text)?;
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is printed, and whether the gate lets it pass.
fn compared(arguments: &Compare, width: Option<usize>) -> Result<(String, bool), Failure> {
    let (before, now) = (result::read(&arguments.before)?, result::read(&arguments.now)?);
    let comparison = compare::compare(&before, &now);
    if comparison.pairs.is_empty() && comparison.failed.is_empty() {
        let (a, b) = (arguments.before.display(), arguments.now.display());
        return Err(
            format!("{a} and {b} have measured no contender with the same workload, payload and callers").into()
        );
    }
    let mut text = heading("before", &arguments.before, &before) + &heading("now", &arguments.now, &now);
    text += &shown(&comparison, width);
    let Some(share) = arguments.fail_over else { return Ok((text, true)) };
    let (lines, worse) = verdict(&comparison, share);
    Ok((text + &lines, worse == 0))
}

fn heading(which: &str, path: &Path, result: &RunResult) -> String {
    let e = &result.environment;
    let (path, label) = (terminal::plain(&path.display().to_string()), terminal::plain(&e.label));
    format!("{which:<7} {path}: {}, {label}, commit {}\n", terminal::plain(&result.started), terminal::plain(&e.commit))
}

fn shown(comparison: &Comparison, width: Option<usize>) -> String {
    let mut text = String::new();
    let mut points: Vec<&str> = comparison.pairs.iter().map(|it| it.point.as_str()).collect();
    points.dedup();
    for point in points {
        let pairs = comparison.pairs.iter().filter(|it| it.point == point);
        let rows = pairs.map(|it| {
            vec![
                terminal::plain(&it.contender),
                units::nanos(it.before.value),
                units::nanos(it.now.value),
                units::change(it.ratio.value),
                format!("{} to {}", units::change(it.ratio.low), units::change(it.ratio.high)),
                it.verdict().to_owned(),
            ]
        });
        let columns = [("", 0), ("before", 3), ("now", 2), ("change", 0), ("95 % interval", 1), ("", 0)];
        let _ = write!(text, "\n{}\n{}\n", terminal::plain(point), terminal::fitted(&columns, rows.collect(), width));
    }
    for (place, reason) in &comparison.failed {
        let _ = write!(text, "\nFAILED now: {}: {}", terminal::plain(place), terminal::plain(reason));
    }
    for line in &comparison.unmatched {
        let _ = write!(text, "\nnot compared: {}", terminal::plain(line));
    }
    for warning in &comparison.warnings {
        let _ = write!(text, "\nwarning: {}", terminal::plain(warning));
    }
    text.trim_end().to_owned() + "\n"
}

/// What the gate says, and how many cells don't pass.
fn verdict(comparison: &Comparison, share: f64) -> (String, usize) {
    let worse: Vec<_> = comparison.pairs.iter().filter(|it| it.is_worse_by(share)).collect();
    let limit = units::digits(share * 100.0);
    let mut text = String::new();
    for it in &worse {
        let (low, high) = (units::change(it.ratio.low), units::change(it.ratio.high));
        let (point, name) = (terminal::plain(&it.point), terminal::plain(&it.contender));
        let _ = writeln!(text, "slower by more than {limit} %: {point}, {name}: {low} to {high}");
    }
    let count = worse.len() + comparison.failed.len();
    if count == 0 {
        let _ = writeln!(text, "nothing is slower by more than {limit} % with its whole interval");
    }
    ("\n".to_owned() + &text, count)
}

/// `10%` or `10`.
fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end().parse::<f64>().ok();
    let percent = number.filter(|it| it.is_finite() && *it >= 0.0);
    percent.map(|it| it / 100.0).ok_or_else(|| "a percentage from 0 on, such as 10%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::result::schema::Outcome;

    fn files(now: &RunResult, fail_over: Option<f64>) -> Result<(String, bool), Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        result::write(&sample::standard(), &path("a.json")).expect("it can be written");
        result::write(now, &path("b.json")).expect("it can be written");
        compared(&Compare { before: path("a.json"), now: path("b.json"), fail_over }, None)
    }

    fn slower(factor: f64) -> RunResult {
        let mut result = sample::standard();
        for cell in &mut result.cells {
            if let Outcome::Measured(it) = &mut cell.outcome {
                it.call = it.call.scaled(factor);
                it.rounds.iter_mut().for_each(|round| *round *= factor);
            }
        }
        result
    }

    #[test]
    fn only_what_is_worse_than_allowed_does_not_pass() {
        let passes = |factor, share| files(&slower(factor), share).expect("both are results").1;
        assert!(passes(1.0, Some(0.0)) && passes(1.3, Some(0.4)) && passes(1.3, None) && passes(0.5, Some(0.0)));
        assert!(!passes(1.3, Some(0.1)));
        let mut broken = sample::standard();
        broken.cells[0].outcome = Outcome::Failed("crashed".to_owned());
        let (text, passes) = files(&broken, Some(0.1)).expect("both are results");
        assert!(!passes && text.contains("FAILED now: echo, 0 B, 1 caller, native: crashed"), "{text}");
    }

    #[test]
    fn what_has_nothing_in_common_is_refused() {
        let error = files(&sample::one(), None).expect_err("other cells");
        assert!(error.to_string().contains("no contender with the same workload"), "{error}");
    }

    #[test]
    fn changes_are_shown_with_their_interval() {
        let text = shown(&compare::compare(&sample::standard(), &slower(1.5)), Some(100));
        assert!(text.contains("echo, 1 KiB, 1 caller") && text.contains("+50 %") && text.contains("slower"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let text = shown(&compare::compare(&sample::standard(), &sample::standard()), Some(60));
        assert!(text.contains("indistinguishable") && !text.contains("slower"), "{text}");
    }

    #[test]
    fn percentages_are_read() {
        assert_eq!([Ok(0.1), Ok(0.1), Ok(0.005), Ok(0.0)], ["10%", "10", " 0.5 %", "0%"].map(share));
        assert!(["", "%", "-1%", "NaN", "inf", "ten"].into_iter().all(|it| share(it).is_err()));
    }
}
