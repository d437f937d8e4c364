//! All numbers, and what they depend on.

use std::fmt::Write as _;

use super::escaped;
use super::units;
use crate::report::view::{Point, Row, View, about};
use crate::result::schema::OpenLoop;
use crate::stats::Estimate;

const COLUMNS: [&str; 13] = [
    "contender",
    "a call",
    "95 % interval",
    // In place of it, that of the point's baseline.
    "of native",
    "of fastest",
    "calls/s",
    "efficiency",
    "p50",
    "p99",
    "longest",
    "CPU",
    "memory",
    "note",
];

/// A table for each point, and one of starts.
pub(super) fn render(view: &View<'_>) -> String {
    let mut out: String = view.points.iter().map(of_point).collect();
    out += &starts(view);
    out
}

fn of_point(point: &Point<'_>) -> String {
    // With one caller there is nothing to say of more.
    let says = |column: &&str| *column != "efficiency" || point.concurrency > 1;
    let named = |it: &'static str| if it == "of native" { point.baseline.column } else { it };
    let columns: Vec<_> = COLUMNS.into_iter().filter(says).map(named).collect();
    let mut out = begin(&point.title(), &columns);
    for row in &point.rows {
        let cells = COLUMNS[1..].iter().zip(cells(row)).filter(|(column, _)| says(column));
        let cells: String = cells.map(|(_, text)| format!("<td>{}</td>", escaped(&text))).collect();
        let (name, note) = (escaped(row.contender), escaped(&row.note()));
        let _ = writeln!(out, "<tr><th scope=\"row\">{name}</th>{cells}<td class=\"why\">{note}</td></tr>");
    }
    let rest: Vec<_> = point.rest.iter().collect();
    out += &not_measured(&rest, columns.len());
    let open = point.rows.iter().filter_map(|row| Some((row, row.measured.response.as_ref()?)));
    let open: String = open.map(|(row, open)| open_row(row.contender, open)).collect();
    out += END;
    if let Some(whose) = point.whose() {
        let _ = writeln!(out, "<p class=\"soft\">{}</p>", escaped(&whose));
    }
    if !open.is_empty() {
        let columns = ["contender", "calls/s wanted", "reached", "p50", "p99", "p99.9", "longest"];
        out += &begin(&format!("{}: open loop", point.title()), &columns);
        out += &open;
        out += END;
    }
    out
}

fn open_row(contender: &str, open: &OpenLoop) -> String {
    let l = &open.latency;
    let rates = [open.rate, open.reached].map(units::count);
    let cells: String = rates
        .into_iter()
        .chain([l.p50, l.p99, l.p999, l.max].map(units::nanos))
        .fold(String::new(), |all, text| all + "<td>" + &text + "</td>");
    format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escaped(contender))
}

fn cells(row: &Row<'_>) -> [String; 11] {
    let it = row.measured;
    let service = |pick: fn(&crate::result::schema::Latency) -> f64| {
        it.service.as_ref().map_or_else(String::new, |latency| units::nanos(pick(latency)))
    };
    [
        units::nanos(it.call.value),
        units::nanos_interval(it.call),
        row.against_baseline(),
        row.against_fastest(),
        units::count(it.throughput.value),
        row.parallel(),
        service(|it| it.p50),
        service(|it| it.p99),
        service(|it| it.max),
        it.cpu.map_or_else(String::new, |it| units::nanos(it.value)),
        it.memory.map_or_else(String::new, |it| units::bytes(it.after.pss)),
    ]
}

fn starts(view: &View<'_>) -> String {
    if view.result.starts.is_empty() {
        return String::new();
    }
    let columns = ["contender", "runtime", "load the module", "first call", "100th call", "processes"];
    let mut out = begin("Cold start, with 95 % intervals", &columns);
    let show = |it: Estimate| format!("{} [{}]", units::millis(it.value), units::nanos_interval(it.scaled(1e6)));
    for (name, it) in view.starts() {
        let times: String =
            [it.runtime, it.load, it.first, it.hundredth].map(|it| format!("<td>{}</td>", show(it))).concat();
        let _ = writeln!(out, "<tr><th scope=\"row\">{}</th>{times}<td>{}</td></tr>", escaped(name), it.processes);
    }
    let rest = view.other_starts();
    out += &not_measured(&rest.iter().collect::<Vec<_>>(), columns.len());
    out + END
}

fn begin(title: &str, columns: &[&str]) -> String {
    let column = |it: &&str| {
        let class = if *it == "note" { " class=\"why\"" } else { "" };
        format!("<th scope=\"col\"{class}>{it}</th>")
    };
    let columns: String = columns.iter().map(column).collect();
    let title = escaped(title);
    // It scrolls where it is too wide: so the keyboard must reach it, and it needs a name.
    format!(
        "<h3>{title}</h3>\n<div class=\"wide card\" role=\"region\" aria-label=\"{title}\" tabindex=\"0\">\
         <table><thead><tr>{columns}</tr></thead><tbody>\n"
    )
}

const END: &str = "</tbody></table></div>\n";

fn not_measured(rows: &[&(&str, &'static str, &str)], columns: usize) -> String {
    let row = |(name, what, reason): &&(&str, &'static str, &str)| {
        let (name, reason, columns) = (escaped(name), escaped(reason), columns - 1);
        format!(
            "<tr class=\"bad\"><th scope=\"row\">{name}</th>\
             <td class=\"why\" colspan=\"{columns}\">{what}: {reason}</td></tr>\n"
        )
    };
    rows.iter().map(row).collect()
}

/// The machine, who took part, and how it was measured.
pub(super) fn environment(view: &View<'_>) -> String {
    let (result, e) = (view.result, &view.result.environment);
    let unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    let facts = [
        ("machine", e.label.clone()),
        ("processor", format!("{}, {} for this program", e.cpu, e.cores)),
        ("memory", units::bytes(e.memory)),
        ("system", format!("{}, Linux {}", e.system, e.kernel)),
        ("frequency governor", unknown(&e.governor)),
        ("load before the run", units::digits(e.load)),
        ("program", format!("commit {}, {} build", unknown(&e.commit), e.build)),
        ("run", format!("{}, plan {}, seed {}, {:.0} s", result.started, result.plan, result.seed, result.seconds)),
        (
            "clock",
            format!(
                "a reading costs {}, the smallest step is {}; the loop around a call costs {}",
                units::nanos(e.clock),
                units::nanos(e.clock_resolution),
                units::nanos(e.own_cost)
            ),
        ),
    ];
    let mut out = "<div class=\"card\"><dl>".to_owned();
    facts.iter().for_each(|(key, value)| out += &pair(key, value));
    result.contenders.iter().for_each(|it| out += &pair(&it.name, &about(it)));
    out += "</dl></div>\n";
    out + METHOD
}

fn pair(key: &str, value: &str) -> String {
    format!("<dt>{}</dt><dd>{}</dd>\n", escaped(key), escaped(value))
}

const METHOD: &str = "<p>Each contender of each workload lives in a process of its own. Its replies are compared with a \
    reference before anything is timed. Requests differ from call to call: those of echo and http from all before, while \
    of the other workloads a mebibyte of them comes again and again. After a warm-up that lasts until times no longer \
    fall, contenders are measured in rounds, in random order within each, so that what disturbs the machine disturbs all \
    alike.</p>\n\
    <p>A time is the median of the rounds, each of which is the mean of its calls, with its 95 % interval by bootstrap. \
    The interval tells how rounds vary: another process of the same program, or another day, may differ by some percent \
    more. Ratios are of rounds that ran next to each other. Percentiles are of single calls, where these are long enough \
    to be timed by themselves. Efficiency is how many calls a second so many callers make together, of what they would if \
    each were as fast as one alone; the two are measured minutes apart, which its interval does not tell of. CPU and memory are of the contender's processes, by the system's account: of a \
    worker that calls, and of what it has started; of a server of HTTP, without its client.</p>\n";
