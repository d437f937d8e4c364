//! The few numbers that a README has of a result: those of 1 KiB, with their intervals.

use std::fmt::Write as _;

use super::markdown::plain;
use super::units;
use super::view::{Point, Row, View};
use crate::result::schema::RunResult;
use crate::workloads::http::NAME as HTTP;

const PAYLOAD: usize = 1 << 10;

/// What was measured where, and a table each of echo, of the other workloads and of HTTP, as far as they are there.
pub(crate) fn render(result: &RunResult) -> String {
    let view = View::new(result);
    let mut out = heading(result);
    let at = |workload: &str, callers: usize| {
        let is =
            |point: &&Point<'_>| (point.workload, point.payload, point.concurrency) == (workload, PAYLOAD, callers);
        view.points.iter().find(is).filter(|point| !point.rows.is_empty())
    };
    if let Some(echo) = at("echo", 1) {
        out += &costs(&view, echo, at("echo", 2), "echo, 1 KiB");
    }
    let others: Vec<&Point<'_>> =
        view.workloads().into_iter().filter(|it| *it != "echo" && *it != HTTP).filter_map(|name| at(name, 1)).collect();
    out += &calls(&view, &others);
    if let Some(http) = at(HTTP, 1) {
        out += &costs(&view, http, at(HTTP, 16), "an ASP.NET Core application, 1 KiB each way");
    }
    out
}

fn heading(result: &RunResult) -> String {
    let e = &result.environment;
    let versions = result.contenders.iter().filter_map(|it| it.facts.iter().find(|(key, _)| key == "runtime"));
    let mut versions: Vec<_> =
        versions.map(|(_, version)| version.as_str()).filter(|it| !it.starts_with("native")).collect();
    versions.sort_unstable();
    versions.dedup();
    let machine = [&*e.cpu, &format!("{} processors", e.cores), &e.system, &format!("Linux {}", e.kernel)];
    let known = machine.into_iter().chain(versions).filter(|it| !it.is_empty());
    let known: Vec<_> = known.map(plain).collect();
    let date = result.started.split('T').next().unwrap_or_default();
    let mut out = format!(
        "Medians with their 95 % intervals, {}, plan {}, commit {}: {}.\n",
        plain(date),
        plain(&result.plan),
        plain(&e.commit),
        known.join(", ")
    );
    for warning in &result.warnings {
        let _ = writeln!(out, "Warning: {}.", plain(warning));
    }
    out
}

/// A row for each contender of a point; `crowd` is the same with more callers.
fn costs(view: &View<'_>, point: &Point<'_>, crowd: Option<&Point<'_>>, title: &str) -> String {
    let callers = crowd.map_or_else(String::new, |it| format!("calls/s of {}", units::callers(it.concurrency)));
    let starts = view.starts();
    let rows = point.rows.iter().map(|row| {
        let start = starts.iter().find(|(name, _)| *name == row.contender).map(|(_, it)| it);
        let beside = crowd.and_then(|it| it.rows.iter().find(|it| it.contender == row.contender));
        let it = row.measured;
        vec![
            units::nanos_with_interval(it.call),
            row.against_baseline(),
            it.cpu.map_or_else(String::new, units::nanos_with_interval),
            beside.map_or_else(String::new, |it| units::count(it.measured.throughput.value)),
            start.map_or_else(String::new, |it| units::millis(it.runtime.value + it.load.value + it.first.value)),
            it.memory.map_or_else(String::new, |it| units::bytes(it.after.pss)),
        ]
    });
    let columns = ["a call", point.baseline.column, "CPU", &callers, "from a new process to its first reply", "memory"];
    table(title, &columns, point.rows.iter().zip(rows))
}

/// A column for each workload.
fn calls(view: &View<'_>, points: &[&Point<'_>]) -> String {
    let mut rows: Vec<&Row<'_>> = Vec::new();
    for row in points.iter().flat_map(|point| &point.rows) {
        if !rows.iter().any(|it| it.contender == row.contender) {
            rows.push(row);
        }
    }
    view.sort_by_row(&mut rows, |row| row.contender);
    let cell = |point: &&Point<'_>, name: &str| {
        let row = point.rows.iter().find(|it| it.contender == name);
        row.map_or_else(String::new, |it| units::nanos_with_interval(it.measured.call))
    };
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| points.iter().map(|point| cell(point, row.contender)).collect()).collect();
    let columns: Vec<_> = points.iter().map(|point| point.workload).collect();
    table("a call, 1 KiB", &columns, rows.into_iter().zip(cells))
}

/// Columns without anything in them are left out; so is a table without rows.
fn table<'a>(title: &str, columns: &[&str], rows: impl Iterator<Item = (&'a Row<'a>, Vec<String>)>) -> String {
    let rows: Vec<_> = rows.collect();
    let kept: Vec<usize> = (0..columns.len()).filter(|i| rows.iter().any(|(_, cells)| !cells[*i].is_empty())).collect();
    if kept.is_empty() {
        return String::new();
    }
    let names: Vec<_> = kept.iter().map(|i| plain(columns[*i])).collect();
    let mut out = format!("\n| {title} | {} |\n| --- |{}\n", names.join(" | "), " --- |".repeat(kept.len()));
    for (row, cells) in rows {
        let cells: Vec<_> = kept.iter().map(|i| cells[*i].as_str()).collect();
        let _ = writeln!(out, "| {} | {} |", plain(row.contender), cells.join(" | "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn it_has_the_machine_and_a_table_each() {
        let text = render(&sample::standard());
        for expected in [
            "commit ",
            ".NET 8.0.12",
            "Warning: other programs",
            "| echo, 1 KiB | a call | of native | CPU | calls/s of 2 callers |",
            "| a call, 1 KiB | sum |",
            "| an ASP.NET Core application, 1 KiB each way | a call | of kestrel |",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let clr = text.lines().find(|line| line.starts_with("| clr | ")).expect("it has a row");
        assert!(clr.contains(" ns [") && clr.contains("×"), "{clr}");
    }

    #[test]
    fn every_row_has_its_columns_and_what_is_not_there_has_none() {
        for result in [sample::standard(), sample::strange(), sample::open_loop(), sample::one(), sample::none()] {
            let mut columns = 0;
            for line in render(&result).lines() {
                let bars = line.replace("\\|", "").matches('|').count();
                assert!(columns == 0 || bars == 0 || bars == columns, "{line}");
                columns = bars;
            }
        }
        assert!(!render(&sample::none()).contains('|'));
    }
}
