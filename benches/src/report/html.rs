//! A result as one page: no other file, no script, nothing from the network.

mod summary;
mod tables;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::plots::{self, Plot};
use super::svg::escaped;
use super::units;
use super::view::{Point, View};
use crate::result::schema::RunResult;
use crate::workloads::http::NAME as HTTP;

const STYLE: &str = include_str!("html/style.css");

const FOOTER: &str = "</main>\n<footer>Written by polyhost-bench. A result is a JSON file: \
    <code>polyhost-bench report</code> makes this page of it, <code>polyhost-bench compare</code> tells two of them \
    apart.</footer>\n</body></html>\n";

/// The whole page. It is well-formed XML too.
pub(crate) fn render(result: &RunResult) -> String {
    let view = View::new(result);
    let title = escaped(&format!("polyhost-bench, {}, {}", result.environment.label, date(result)));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>{title}</title>\
         <style>\n{STYLE}</style></head>\n<body>\n"
    );
    let sections = sections(&view);
    page += &header(result, &sections);
    page += "<main>\n";
    page += &warnings(result);
    page += &summary::render(&view);
    for section in &sections {
        let (id, title, how, body) = (section.id, section.title, section.how, &section.body);
        let _ = writeln!(page, "<section id=\"{id}\"><h2>{title}</h2>\n<p class=\"soft\">{how}</p>\n{body}</section>");
    }
    page += FOOTER;
    page
}

struct Section {
    id: &'static str,
    title: &'static str,
    how: &'static str,
    body: String,
}

fn sections(view: &View<'_>) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |id, title, how, body: String| {
        if !body.is_empty() {
            let body = if body.starts_with("<figure") { format!("<div class=\"grid\">\n{body}</div>\n") } else { body };
            sections.push(Section { id, title, how, body });
        }
    };
    add(
        "latency",
        "Latency",
        "How long calls take, from the quickest half to the slowest few. Lower is better, and flat is \
        better: where a line climbs, some calls wait.",
        of_workloads(view, "lat", plots::latency),
    );
    add(
        "open-loop",
        "Latency at a fixed rate",
        "Calls are sent at a fixed rate, and timed from when they should have been \
        sent: a stall shows in all calls that waited for it.",
        of_workloads(view, "open", plots::open_latency),
    );
    add(
        "throughput",
        "Payload and callers",
        "Calls a second; higher is better. Where a line bends down, the bytes cost more \
        than the call. With more callers at the same time, nothing is lost on the dashed line, which is drawn where each \
        has a processor.",
        of_names(view, "thr", plots::throughput) + &of_names(view, "par", plots::scaling),
    );
    add(
        "stages",
        "Where the time goes",
        "Shares of a call's time: the caller encodes, the call crosses to the guest and \
        back, the guest works, the caller decodes. The whole is written at the end; elsewhere on this page a call is from \
        bytes to bytes, without what its caller encodes and decodes. What the guest's own work leaves of a call counts as \
        crossing.",
        of_workloads(view, "stage", plots::stages),
    );
    let mut points: Vec<_> = view.headline().into_iter().chain(view.of_workload(HTTP)).collect();
    points.dedup_by_key(|point| point.workload);
    let memory = points.into_iter().enumerate();
    let memory = memory.filter_map(|(i, point)| plots::memory(view, point, &format!("memory{i}")));
    add(
        "start",
        "Start and memory",
        "From a new process to its first reply, and what the contender's processes hold, shared \
        pages divided among those who share them. Shorter is better.",
        figures(plots::starts(view, "start").into_iter().chain(memory)),
    );
    add(
        "tables",
        "All numbers",
        "Medians of rounds with their 95 % intervals. Two contenders whose intervals overlap are \
        indistinguishable: this run does not say which is faster.",
        tables::render(view),
    );
    add("method", "Environment and method", "What the numbers depend on.", tables::environment(view));
    if let Some(stages) = sections.iter_mut().find(|it| it.id == "stages") {
        stages.body += &untold(view);
    }
    sections
}

/// Why it is not told where the time of some calls goes.
fn untold(view: &View<'_>) -> String {
    let mut items = String::new();
    for point in view.of_stages() {
        for (names, reason) in point.untold() {
            let text = format!("{}: {}: not told, {reason}", point.title(), names.join(", "));
            let _ = write!(items, "<li>{}</li>", escaped(&text));
        }
    }
    if items.is_empty() { items } else { format!("<ul class=\"soft\">{items}</ul>\n") }
}

/// A picture of each workload's point.
fn of_workloads<'a>(view: &View<'a>, id: &str, plot: fn(&View<'_>, &Point<'_>, &str) -> Option<Plot>) -> String {
    let points = view.workloads().into_iter().filter_map(|name| view.of_workload(name));
    figures(points.enumerate().filter_map(|(i, point)| plot(view, point, &format!("{id}{i}"))))
}

fn of_names(view: &View<'_>, id: &str, plot: fn(&View<'_>, &str, &str) -> Option<Plot>) -> String {
    let names = view.workloads().into_iter().enumerate();
    figures(names.filter_map(|(i, name)| plot(view, name, &format!("{id}{i}"))))
}

fn figures(plots: impl Iterator<Item = Plot>) -> String {
    plots.fold(String::new(), |mut all, plot| {
        let _ = writeln!(all, "<figure><figcaption>{}</figcaption>{}</figure>", escaped(&plot.title), plot.svg);
        all
    })
}

fn header(result: &RunResult, sections: &[Section]) -> String {
    let e = &result.environment;
    let mut about =
        vec![e.cpu.clone(), format!("{} processors", e.cores), e.system.clone(), format!("plan {}", result.plan)];
    about.retain(|it| !it.is_empty());
    let links =
        sections.iter().map(|it| format!("<a href=\"#{}\">{}</a>", it.id, it.title)).collect::<Vec<_>>().join("\n");
    format!(
        "<header><h1>What a call costs: {}</h1>\n<p class=\"soft\">{} · {}</p>\n<nav>{links}</nav></header>\n",
        escaped(&e.label),
        escaped(&date(result)),
        escaped(&about.join(" · "))
    )
}

fn date(result: &RunResult) -> String {
    result.started.split('T').next().unwrap_or_default().to_owned()
}

fn warnings(result: &RunResult) -> String {
    let partial = result.partial.then(|| "The run was interrupted: this is what was measured until then.".to_owned());
    let all: Vec<String> = partial.into_iter().chain(result.warnings.iter().cloned()).collect();
    if all.is_empty() {
        return String::new();
    }
    let items: String = all.iter().map(|it| format!("<li>{}</li>", escaped(it))).collect();
    format!(
        "<div class=\"warn\" role=\"note\"><strong>Before you trust these numbers:</strong><ul>{items}</ul></div>\n"
    )
}
