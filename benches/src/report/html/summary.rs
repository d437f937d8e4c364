//! What is told in ten seconds.

use std::fmt::Write as _;

use super::escaped;
use super::units;
use crate::report::plots;
use crate::report::view::{Point, Row, View};

/// Of each contender: a call, how many times the baseline, the time to start, the memory.
pub(super) fn render(view: &View<'_>) -> String {
    let Some(point) = view.headline() else {
        return "<section><h2>Nothing was measured</h2><p>The reasons are below.</p></section>\n".to_owned();
    };
    let axis = Axis::of(point);
    let mut out = format!(
        "<section><h2>A call: {}</h2>\n<p>{}</p>\n<div class=\"card\"><table class=\"score\"><thead><tr>\
         <th>contender</th><th class=\"track\"><span class=\"axis\">{}</span></th><th>a call</th><th>{}</th>\
         <th>cold start</th><th>memory</th></tr></thead><tbody>\n",
        escaped(&point.title()),
        sentence(point),
        axis.labels(),
        point.baseline.column
    );
    let starts = view.starts();
    for row in &point.rows {
        let start = starts.iter().find(|(name, _)| *name == row.contender).map(|(_, it)| it);
        let start =
            start.map_or_else(String::new, |it| units::millis(it.runtime.value + it.load.value + it.first.value));
        let memory = row.measured.memory.map_or_else(String::new, |it| units::bytes(it.after.pss));
        let number = view.number(row.contender);
        let _ = writeln!(
            out,
            "<tr class=\"c{}\"><th scope=\"row\">{}{}</th><td class=\"track\"><span class=\"axis\">{}</span></td>\
             <td>{}</td><td>{}</td><td class=\"more\" data-name=\"start\">{start}</td>\
             <td class=\"more\" data-name=\"memory\">{memory}</td></tr>",
            number % 10,
            plots::mark(number),
            escaped(row.contender),
            axis.row(row, number),
            units::nanos(row.measured.call.value),
            row.against_baseline(),
        );
    }
    out += "</tbody></table></div>\n";
    let skipped = view.result.contenders.iter().filter_map(|it| Some((&*it.name, "skipped", it.skipped.as_deref()?)));
    for (name, what, reason) in point.rest.iter().copied().chain(skipped) {
        let _ = writeln!(out, "<p class=\"soft\">{}: {what}: {}</p>", escaped(name), escaped(reason));
    }
    out + "</section>\n"
}

fn sentence(point: &Point<'_>) -> String {
    let by_time = |a: &&Row<'_>, b: &&Row<'_>| a.measured.call.value.total_cmp(&b.measured.call.value);
    let ends = (point.rows.iter().min_by(by_time), point.rows.iter().max_by(by_time));
    let (Some(fastest), Some(slowest)) = ends else { return String::new() };
    let time = |row: &Row<'_>| units::nanos(row.measured.call.value);
    let name = |row: &Row<'_>| format!("<strong>{}</strong>", escaped(row.contender));
    if fastest.contender == slowest.contender {
        return format!("{} takes {} a call.", name(fastest), time(fastest));
    }
    let ratio = slowest.to_fastest.map_or_else(String::new, |it| format!(", {} as long", units::times(it.value)));
    let alike = if fastest.alike.is_empty() {
        String::new()
    } else {
        format!(" (indistinguishable from {})", escaped(&fastest.alike.join(", ")))
    };
    format!(
        "From {} for {}{alike} to {} for {}{ratio}. The axis is logarithmic; a mark is the median, the bar \
         through it the 95 % interval.",
        time(fastest),
        name(fastest),
        time(slowest),
        name(slowest)
    )
}

/// A logarithmic axis of whole decades, in percent of its width.
struct Axis {
    first: i32,
    last: i32,
}

impl Axis {
    fn of(point: &Point<'_>) -> Axis {
        let logs = point.rows.iter().map(|row| row.measured.call.value).filter(|it| it.is_finite() && *it > 0.0);
        let (low, high) =
            logs.map(f64::log10).fold((f64::MAX, f64::MIN), |(low, high), it| (low.min(it), high.max(it)));
        if low > high {
            return Axis { first: 0, last: 1 };
        }
        let first = low.floor() as i32;
        Axis { first, last: (high.ceil() as i32).max(first + 1) }
    }

    fn at(&self, nanos: f64) -> f64 {
        let log = nanos.clamp(f64::MIN_POSITIVE, f64::MAX).log10();
        ((log - f64::from(self.first)) / f64::from(self.last - self.first) * 100.0).clamp(0.0, 100.0)
    }

    /// Decades that get a line: no more than seven.
    fn decades(&self) -> impl Iterator<Item = f64> {
        let step = (self.last - self.first + 5) / 6;
        (self.first..=self.last).step_by(step as usize).map(|decade| 10_f64.powi(decade))
    }

    fn labels(&self) -> String {
        let label = |it: f64| format!("<em style=\"left:{:.1}%\">{}</em>", self.at(it), units::nanos(it));
        self.decades().map(label).collect()
    }

    fn row(&self, row: &Row<'_>, number: usize) -> String {
        let lines: String = self.decades().map(|it| format!("<i style=\"left:{:.1}%\"></i>", self.at(it))).collect();
        let call = row.measured.call;
        let (at, low, high) = (self.at(call.value), self.at(call.low), self.at(call.high));
        let mark = plots::mark(number).replacen("class=\"mark\"", &format!("style=\"left:{at:.1}%\""), 1);
        format!(
            "{lines}<u style=\"width:{at:.1}%\"></u><b style=\"left:{low:.1}%;width:{:.1}%\"></b>{mark}",
            high - low
        )
    }
}
