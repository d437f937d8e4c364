//! A result as tables for a terminal.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, LineStyle, Table, presets};

use super::units;
use super::view::{Point, Row, STAGES, View, about};
use crate::result::schema::{Cell, Outcome, RunResult};
use crate::stats::Estimate;

/// A whole result, as wide as standard output.
pub(crate) fn render(result: &RunResult) -> String {
    within(result, width())
}

/// Columns of the terminal that standard output is; `None` where it is none.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// A whole result. Where it is too narrow for all columns, those that matter least are left out.
pub(crate) fn within(result: &RunResult, width: Option<usize>) -> String {
    let view = View::new(result);
    let mut text = heading(result);
    for point in &view.points {
        let _ = write!(text, "\n{}\n{}\n", plain(&point.title()), of_point(point, width));
    }
    if view.points.is_empty() {
        text += "\nnothing was measured\n";
    }
    if !result.starts.is_empty() {
        let _ = write!(text, "\nCold start\n{}\n", starts(&view, width));
    }
    view.of_stages().into_iter().for_each(|point| text += &stages(point, width));
    text += &facts(result);
    for contender in &result.contenders {
        if let Some(reason) = &contender.skipped {
            let _ = write!(text, "\nskipped: {}: {}", plain(&contender.name), plain(reason));
        }
    }
    for warning in &result.warnings {
        let _ = write!(text, "\nwarning: {}", plain(warning));
    }
    text.trim_end().to_owned() + "\n"
}

/// One cell in one line.
pub(crate) fn line(cell: &Cell) -> String {
    let (payload, callers) = (units::bytes(cell.payload as u64), units::callers(cell.concurrency));
    let what = format!("{}, {payload}, {callers}  {:<12}", plain(&cell.workload), plain(&cell.contender));
    match &cell.outcome {
        Outcome::Measured(measured) => format!("{what} {}", units::nanos_with_interval(measured.call)),
        Outcome::Skipped(reason) => format!("{what} skipped: {}", plain(reason)),
        Outcome::Failed(reason) => format!("{what} FAILED: {}", plain(reason)),
    }
}

fn heading(result: &RunResult) -> String {
    let e = &result.environment;
    let partial = if result.partial { "  PARTIAL: the run was interrupted" } else { "" };
    format!(
        "polyhost-bench, plan {}, {} ({:.0} s){partial}\n{} · {} processors · {} · Linux {} · {} · commit {}\n\
         a reading of the clock costs {} and shows {}; the loop around a call costs {}\n",
        plain(&result.plan),
        plain(&result.started),
        result.seconds,
        plain(&e.cpu),
        e.cores,
        plain(&e.system),
        plain(&e.kernel),
        plain(&e.build),
        plain(&e.commit),
        units::nanos(e.clock),
        units::nanos(e.clock_resolution),
        units::nanos(e.own_cost)
    )
}

/// A column: its name, how soon it is left out (0: never), what is in it.
type Column<'a> = (&'static str, u8, Box<dyn Fn(&Row<'a>) -> String + 'a>);

fn columns<'a>(baseline: &'static str) -> Vec<Column<'a>> {
    vec![
        ("", 0, Box::new(|row| plain(row.contender))),
        ("a call", 0, Box::new(|row| units::nanos(row.measured.call.value))),
        ("95 % interval", 2, Box::new(|row| units::nanos_interval(row.measured.call))),
        (baseline, 1, Box::new(Row::against_baseline)),
        ("of fastest", 4, Box::new(Row::against_fastest)),
        ("calls/s", 5, Box::new(|row| units::count(row.measured.throughput.value))),
        ("efficiency", 6, Box::new(Row::parallel)),
        ("p50", 8, Box::new(|row| row.measured.service.as_ref().map_or_else(String::new, |it| units::nanos(it.p50)))),
        ("p99", 3, Box::new(|row| row.measured.service.as_ref().map_or_else(String::new, |it| units::nanos(it.p99)))),
        ("CPU", 7, Box::new(|row| row.measured.cpu.map_or_else(String::new, |it| units::nanos(it.value)))),
        ("memory", 9, Box::new(|row| row.measured.memory.map_or_else(String::new, |it| units::bytes(it.after.pss)))),
    ]
}

fn of_point(point: &Point<'_>, width: Option<usize>) -> String {
    let mut lines = Vec::new();
    if !point.rows.is_empty() {
        let columns = columns(point.baseline.column);
        let rows = point.rows.iter().map(|row| columns.iter().map(|(.., text)| text(row)).collect());
        let kept: Vec<_> = columns.iter().map(|(name, leave, _)| (*name, *leave)).collect();
        lines.push(fitted(&kept, rows.collect(), width));
    }
    lines.extend(point.whose().map(|whose| plain(&whose)));
    let notes = point.rows.iter().map(|row| (row, row.note())).filter(|(_, note)| !note.is_empty());
    lines.extend(notes.map(|(row, note)| format!("{}: {}", plain(row.contender), plain(&note))));
    let open = point.rows.iter().filter_map(|row| Some(format!("{} {}", plain(row.contender), row.open_loop()?)));
    lines.extend(open);
    lines.extend(point.rest.iter().map(|rest| not_measured(*rest)));
    lines.join("\n")
}

fn not_measured((name, what, reason): (&str, &str, &str)) -> String {
    let what = if what == "failed" { "FAILED" } else { what };
    format!("{} {what}: {}", plain(name), plain(reason))
}

fn starts(view: &View<'_>, width: Option<usize>) -> String {
    let show = |it: Estimate| format!("{} [{}]", units::millis(it.value), units::nanos_interval(it.scaled(1e6)));
    let rows: Vec<Vec<String>> = view
        .starts()
        .into_iter()
        .map(|(name, it)| {
            let times = [it.runtime, it.load, it.first, it.hundredth].map(show);
            [plain(name)].into_iter().chain(times).chain([it.processes.to_string()]).collect()
        })
        .collect();
    let columns = [("", 0), ("runtime", 0), ("load", 1), ("first call", 2), ("100th call", 3), ("processes", 4)];
    let mut lines = if rows.is_empty() { Vec::new() } else { vec![fitted(&columns, rows, width)] };
    lines.extend(view.other_starts().into_iter().map(not_measured));
    lines.join("\n")
}

/// Where the time of a call goes, or why that is not known.
fn stages(point: &Point<'_>, width: Option<usize>) -> String {
    let told = |row: &Row<'_>| Some([plain(row.contender)].into_iter().chain(row.stages()?).collect());
    let rows: Vec<Vec<String>> = point.rows.iter().filter_map(told).collect();
    let mut lines = vec![format!("Where the time of a call goes: {}", plain(&point.title()))];
    if !rows.is_empty() {
        let columns: Vec<_> = [""].into_iter().chain(STAGES).zip([0, 4, 2, 1, 3]).collect();
        lines.push(fitted(&columns, rows, width));
    }
    let untold = point.untold().into_iter();
    lines.extend(untold.map(|(names, reason)| format!("{} not told: {}", plain(&names.join(", ")), plain(reason))));
    format!("\n{}\n", lines.join("\n"))
}

/// Versions and settings of all.
fn facts(result: &RunResult) -> String {
    let known = result.contenders.iter().filter(|it| it.skipped.is_none() && !it.facts.is_empty());
    let lines: String = known.map(|it| format!("{}: {}\n", plain(&it.name), plain(&about(it)))).collect();
    if lines.is_empty() { lines } else { format!("\nContenders\n{lines}") }
}

/// A table that is no wider than `width`, if leaving out columns helps; empty columns are left out anyway.
pub(crate) fn fitted(columns: &[(&'static str, u8)], rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let filled = |i: &usize| *i == 0 || rows.iter().any(|row| !row[*i].is_empty());
    let mut kept: Vec<usize> = (0..columns.len()).filter(filled).collect();
    loop {
        let text = table(columns, &rows, &kept);
        let wide = text.lines().map(columns_of).max().unwrap_or(0);
        let least = kept.iter().enumerate().filter(|(_, column)| columns[**column].1 > 0);
        let least = least.max_by_key(|(_, column)| columns[**column].1).map(|(place, _)| place);
        match (width, least) {
            (Some(width), Some(place)) if wide > width => kept.remove(place),
            _ => return text,
        };
    }
}

fn table(columns: &[(&'static str, u8)], rows: &[Vec<String>], kept: &[usize]) -> String {
    let mut table = Table::new();
    let style = presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─'));
    table.load_style(style).set_header(kept.iter().map(|i| columns[*i].0).collect::<Vec<_>>());
    for row in rows {
        table.add_row(kept.iter().map(|i| row[*i].as_str()).collect::<Vec<_>>());
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// How wide a line is on a terminal, about.
fn columns_of(line: &str) -> usize {
    line.chars()
        .map(|c| if matches!(c as u32, 0x1100..=0x115f | 0x2e80..=0xffdc | 0x1f300..=0x3ffff) { 2 } else { 1 })
        .sum()
}

/// Without what a terminal would obey; in one line.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn all_outcomes_are_told() {
        let text = within(&sample::standard(), None);
        for expected in [
            "echo, 1 KiB, 2 callers",
            "of native",
            "efficiency",
            "baseline",
            "indistinguishable from native",
            "clib skipped: no Markdown library for C",
            "child-python FAILED: ended by signal 11",
            "luajit: had not settled",
            "grpc-rust FAILED: no answer after 30 s",
            "skipped: jvm: no JVM",
            "of kestrel",
            "CPU and memory: of the server alone",
            "warning: other programs",
            "Where the time of a call goes: sum, 1 KiB, 1 caller",
            "cpython, child-python not told: nobody knows",
            "in .NET, in this process; runtime .NET 8.0.12; garbage collector workstation, concurrent",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(within(&sample::none(), None).contains("nothing was measured"));
        assert!(within(&sample::one(), None).contains("PARTIAL"));
        assert!(within(&sample::open_loop(), None).contains("native at 2 k calls/s"), "{text}");
    }

    #[test]
    fn tables_fit_narrow_terminals() {
        let result = sample::standard();
        for width in [48, 60, 80, 100, 200] {
            let text = within(&result, Some(width));
            // Tables only: reasons and notes are for the terminal to break.
            let rows = text.lines().filter(|line| line.starts_with([' ', '─', '═']));
            for line in rows {
                assert!(columns_of(line) <= width, "{width}: {line}");
            }
            let memory = text.lines().any(|line| line.trim_end().ends_with("memory"));
            assert!(text.contains("a call") && memory == (width == 200), "{width}: {text}");
        }
    }

    #[test]
    fn names_and_reasons_cannot_command_a_terminal() {
        assert_eq!("a [31mb  c", plain("a\x1b[31mb\r\nc"));
        assert!(within(&sample::strange(), Some(80)).chars().all(|c| c == '\n' || !c.is_control()));
    }
}
