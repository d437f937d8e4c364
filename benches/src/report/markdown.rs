//! A result as Markdown, for a README or an issue.

use std::fmt::Write as _;

use super::units;
use super::view::{Point, Row, STAGES, View, about};
use crate::result::schema::RunResult;
use crate::stats::Estimate;

/// The whole result.
pub(crate) fn render(result: &RunResult) -> String {
    let view = View::new(result);
    let e = &result.environment;
    let mut out = format!(
        "# polyhost-bench: {}\n\n{}, plan {}; {}, {} processors, {}, Linux {}; commit {}, {} build\n",
        plain(&e.label),
        plain(&result.started),
        plain(&result.plan),
        plain(&e.cpu),
        e.cores,
        plain(&e.system),
        plain(&e.kernel),
        plain(&e.commit),
        plain(&e.build)
    );
    if result.partial {
        out += "\n**Partial: the run was interrupted.**\n";
    }
    for warning in &result.warnings {
        let _ = write!(out, "\n> **Warning:** {}\n", plain(warning));
    }
    if view.points.is_empty() {
        out += "\nNothing was measured.\n";
    }
    view.points.iter().for_each(|point| out += &of_point(point));
    out += &starts(&view);
    view.of_stages().into_iter().for_each(|point| out += &stages(point));
    out += &facts(result);
    for contender in &result.contenders {
        if let Some(reason) = &contender.skipped {
            let _ = write!(out, "\n{} was skipped: {}\n", plain(&contender.name), plain(reason));
        }
    }
    out
}

const RULE: &str = "| :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | :-- |\n";

fn of_point(point: &Point<'_>) -> String {
    let mut out = format!("\n## {}\n", plain(&point.title()));
    if !point.rows.is_empty() {
        let column = point.baseline.column;
        let _ = writeln!(
            out,
            "\n| contender | a call | 95 % interval | {column} | of fastest | calls/s | efficiency | p50 | p99 | CPU | memory | note |"
        );
        out += RULE;
        point.rows.iter().for_each(|row| out += &line(row));
    }
    if let Some(whose) = point.whose() {
        let _ = write!(out, "\n{}\n", plain(&whose));
    }
    for (name, what, reason) in &point.rest {
        let _ = write!(out, "\n{} {what}: {}\n", plain(name), plain(reason));
    }
    for row in &point.rows {
        if let Some(open) = row.open_loop() {
            let _ = write!(out, "\n{} {open}\n", plain(row.contender));
        }
    }
    out
}

fn line(row: &Row<'_>) -> String {
    let it = row.measured;
    let service = it.service.as_ref().map(|it| (units::nanos(it.p50), units::nanos(it.p99))).unwrap_or_default();
    let cells = [
        plain(row.contender),
        units::nanos(it.call.value),
        units::nanos_interval(it.call),
        row.against_baseline(),
        row.against_fastest(),
        units::count(it.throughput.value),
        row.parallel(),
        service.0,
        service.1,
        it.cpu.map_or_else(String::new, |it| units::nanos(it.value)),
        it.memory.map_or_else(String::new, |it| units::bytes(it.after.pss)),
        plain(&row.note()),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn starts(view: &View<'_>) -> String {
    if view.result.starts.is_empty() {
        return String::new();
    }
    let mut out = "\n## Cold start\n\n| contender | runtime | load | first call | 100th call | processes |\n\
                   | :-- | --: | --: | --: | --: | --: |\n"
        .to_owned();
    let show = |it: Estimate| format!("{} [{}]", units::millis(it.value), units::nanos_interval(it.scaled(1e6)));
    for (name, it) in view.starts() {
        let times = [it.runtime, it.load, it.first, it.hundredth].map(show).join(" | ");
        let _ = writeln!(out, "| {} | {times} | {} |", plain(name), it.processes);
    }
    for (name, what, reason) in view.other_starts() {
        let _ = write!(out, "\n{} {what}: {}\n", plain(name), plain(reason));
    }
    out
}

/// Where the time of a call goes, or why that is not known.
fn stages(point: &Point<'_>) -> String {
    let mut out = format!("\n## Where the time goes: {}\n", plain(&point.title()));
    let told: Vec<_> = point.rows.iter().filter_map(|row| Some((row, row.stages()?))).collect();
    if !told.is_empty() {
        let _ = write!(out, "\n| contender | {} |\n| :-- | --: | --: | --: | --: |\n", STAGES.join(" | "));
    }
    for (row, stages) in told {
        let _ = writeln!(out, "| {} | {} |", plain(row.contender), stages.join(" | "));
    }
    for (names, reason) in point.untold() {
        let _ = write!(out, "\n{} not told: {}\n", plain(&names.join(", ")), plain(reason));
    }
    out
}

/// Versions and settings of all.
fn facts(result: &RunResult) -> String {
    let known = result.contenders.iter().filter(|it| it.skipped.is_none() && !it.facts.is_empty());
    let lines: String = known.map(|it| format!("- {}: {}\n", plain(&it.name), plain(&about(it)))).collect();
    if lines.is_empty() { lines } else { format!("\n## Contenders\n\n{lines}") }
}

/// Text that means nothing to Markdown, in one line.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '#' | '~' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_row_of_a_table_has_its_columns() {
        for result in [sample::standard(), sample::strange(), sample::open_loop(), sample::one()] {
            let text = render(&result);
            let mut columns = 0;
            for line in text.lines() {
                let bars = line.replace("\\|", "").matches('|').count();
                assert!(!line.starts_with('|') || columns == 0 || bars == columns, "{line}");
                columns = if line.starts_with('|') { bars } else { 0 };
            }
        }
    }

    #[test]
    fn names_stay_text() {
        let text = render(&sample::strange());
        assert!(text.contains("&lt;b>&amp;") && !text.contains("<script>") && text.contains("größer→漢字"), "{text}");
    }

    #[test]
    fn all_outcomes_are_told() {
        let text = render(&sample::standard());
        for expected in [
            "clib skipped: no Markdown library for C",
            "child-python failed: ended by signal 11",
            "grpc-rust failed: no answer after 30 s",
            "jvm was skipped",
            "| luajit |",
            "had not settled",
            "baseline",
            "## Where the time goes: sum, 1 KiB, 1 caller",
            "cpython, child-python not told: nobody knows",
            "runtime .NET 8.0.12; garbage collector workstation, concurrent",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(render(&sample::none()).contains("Nothing was measured"));
    }
}
