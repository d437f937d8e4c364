//! A result as tables for a terminal.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::result::schema::{Cell, Measured, Outcome, RunResult, Start, StartOutcome};
use crate::stats::Estimate;

/// A whole result.
pub(crate) fn render(result: &RunResult) -> String {
    let mut text = heading(result);
    for point in points(result) {
        let _ = write!(text, "\n{}\n{}\n", title(point[0]), of_point(&point));
    }
    if !result.starts.is_empty() {
        let _ = write!(text, "\nCold start, ms\n{}\n", starts(&result.starts));
    }
    for skipped in result.contenders.iter().filter_map(|it| it.skipped.as_ref().map(|why| (it, why))) {
        let _ = write!(text, "\nskipped: {}: {}", skipped.0.name, skipped.1);
    }
    for warning in &result.warnings {
        let _ = write!(text, "\nwarning: {warning}");
    }
    text.trim_end().to_owned() + "\n"
}

/// One cell in one line.
pub(crate) fn line(cell: &Cell) -> String {
    let (what, name) = (title(cell), &cell.contender);
    match &cell.outcome {
        Outcome::Measured(measured) => format!("{what}  {name:<12} {}", nanos_with_interval(measured.call)),
        Outcome::Skipped(reason) => format!("{what}  {name:<12} skipped: {reason}"),
        Outcome::Failed(reason) => format!("{what}  {name:<12} FAILED: {reason}"),
    }
}

fn heading(result: &RunResult) -> String {
    let e = &result.environment;
    let partial = if result.partial { "  PARTIAL: the run was interrupted" } else { "" };
    format!(
        "polyhost-bench, plan {}, {} ({:.0} s){partial}\n{} · {} processors · {} · Linux {} · {} · commit {}\n\
         a reading of the clock costs {:.0} ns and shows {:.0} ns\n",
        result.plan,
        result.started,
        result.seconds,
        e.cpu,
        e.cores,
        e.system,
        e.kernel,
        e.build,
        e.commit,
        e.clock,
        e.clock_resolution
    )
}

/// Cells of one point next to each other.
fn points(result: &RunResult) -> Vec<Vec<&Cell>> {
    let mut points: Vec<Vec<&Cell>> = Vec::new();
    let key = |cell: &Cell| (cell.workload.clone(), cell.payload, cell.concurrency);
    for cell in &result.cells {
        match points.iter_mut().find(|point| key(point[0]) == key(cell)) {
            Some(point) => point.push(cell),
            None => points.push(vec![cell]),
        }
    }
    points
}

fn title(cell: &Cell) -> String {
    let callers = if cell.concurrency == 1 { "1 caller".to_owned() } else { format!("{} callers", cell.concurrency) };
    format!("{}, {}, {callers}", cell.workload, bytes(cell.payload as u64))
}

fn of_point(cells: &[&Cell]) -> String {
    let mut table = table(&["", "a call", "95 % interval", "calls/s", "CPU", "p50", "p99", "max", "RSS", "PSS", ""]);
    let measured: Vec<(&Cell, &Measured)> = cells
        .iter()
        .filter_map(|cell| if let Outcome::Measured(it) = &cell.outcome { Some((*cell, &**it)) } else { None })
        .collect();
    for (cell, it) in &measured {
        let of = |pick: fn(&crate::result::schema::Latency) -> f64| {
            it.service.as_ref().map(pick).map_or(String::new(), nanos)
        };
        let memory =
            |pick: fn(crate::result::schema::Usage) -> u64| it.memory.map_or(String::new(), |it| bytes(pick(it.after)));
        table.add_row(vec![
            cell.contender.clone(),
            nanos(it.call.value),
            format!("{} to {}", nanos(it.call.low), nanos(it.call.high)),
            count(it.throughput.value),
            it.cpu.map_or(String::new(), |it| nanos(it.value)),
            of(|it| it.p50),
            of(|it| it.p99),
            of(|it| it.max),
            memory(|it| it.rss),
            memory(|it| it.pss),
            alike(cell, it, &measured),
        ]);
    }
    let mut text = if measured.is_empty() { String::new() } else { table.to_string() };
    for (cell, it) in measured {
        if let Some(open) = &it.response {
            let l = &open.latency;
            let (p50, p99, p999, max) = (nanos(l.p50), nanos(l.p99), nanos(l.p999), nanos(l.max));
            let _ = write!(
                text,
                "\n{} at {} calls/s (reached {}): p50 {p50}, p99 {p99}, p99.9 {p999}, max {max} from the intended send",
                cell.contender,
                count(open.rate),
                count(open.reached)
            );
        }
    }
    for cell in cells.iter().filter(|cell| !matches!(cell.outcome, Outcome::Measured(_))) {
        text += "\n";
        text += &line(cell);
    }
    text.trim_start().to_owned()
}

/// Who can't be told apart from this one.
fn alike(cell: &Cell, measured: &Measured, all: &[(&Cell, &Measured)]) -> String {
    let others = all.iter().filter(|(other, _)| other.contender != cell.contender);
    let others = others.filter(|(_, it)| it.call.indistinguishable(measured.call));
    let names: Vec<_> = others.map(|(other, _)| other.contender.as_str()).collect();
    if names.is_empty() { String::new() } else { format!("indistinguishable from {}", names.join(", ")) }
}

fn starts(starts: &[Start]) -> String {
    let mut table = table(&["", "runtime", "load", "first call", "100th call", "processes"]);
    let show = |it: Estimate| format!("{} [{}, {}]", digits(it.value), digits(it.low), digits(it.high));
    let mut rest = String::new();
    for start in starts {
        match &start.outcome {
            StartOutcome::Measured(it) => {
                table.add_row(vec![
                    start.contender.clone(),
                    show(it.runtime),
                    show(it.load),
                    show(it.first),
                    show(it.hundredth),
                    it.processes.to_string(),
                ]);
            }
            StartOutcome::Skipped(reason) => rest += &format!("\n{} skipped: {reason}", start.contender),
            StartOutcome::Failed(reason) => rest += &format!("\n{} FAILED: {reason}", start.contender),
        }
    }
    table.to_string() + &rest
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(columns.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A time with its interval.
pub(crate) fn nanos_with_interval(it: Estimate) -> String {
    format!("{} [{}, {}]", nanos(it.value), nanos(it.low), nanos(it.high))
}

/// A time, in the unit that fits.
pub(crate) fn nanos(nanos: f64) -> String {
    match nanos {
        n if n < 1e3 => format!("{} ns", digits(n)),
        n if n < 1e6 => format!("{} µs", digits(n / 1e3)),
        n if n < 1e9 => format!("{} ms", digits(n / 1e6)),
        n => format!("{} s", digits(n / 1e9)),
    }
}

/// Bytes, in the unit that fits.
pub(crate) fn bytes(bytes: u64) -> String {
    let b = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", digits(b / 1024.0)),
        _ => format!("{} MiB", digits(b / 1_048_576.0)),
    }
}

fn count(count: f64) -> String {
    match count {
        n if n < 1e3 => digits(n),
        n if n < 1e6 => format!("{} k", digits(n / 1e3)),
        n => format!("{} M", digits(n / 1e6)),
    }
}

/// Three significant digits, without an exponent.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        a if a >= 99.95 || (value.fract() == 0.0 && a < 1e6) => format!("{value:.0}"),
        a if a >= 9.995 => format!("{value:.1}"),
        a if a >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_the_unit_that_fits() {
        assert_eq!(["6.83 ns", "41.2 ns", "1.50 µs", "123 ms", "2 s"], [6.83, 41.2, 1500.0, 123.4e6, 2e9].map(nanos));
        assert_eq!(["0 B", "1023 B", "1 KiB", "1.50 MiB"], [0, 1023, 1024, 1_572_864].map(bytes));
        assert_eq!(["12", "1.20 k", "3.40 M"], [12.0, 1200.0, 3.4e6].map(count));
        assert_eq!(["0.123", "100", "10.0"], [0.123, 99.99, 9.999].map(digits));
    }
}
