//! The pictures of a report. A contender has the same colour and mark in all of them, and its name at its line or bar.
//!
//! Written by hand and not by a library: names at the ends of lines, colours that follow the reader's light or dark
//! page, and text that stays text need control over every element.

mod bars;
mod lines;
mod scale;

use std::f64::consts::LOG10_2;

use bars::{Bar, Bars};
use lines::{Line, Lines};

use super::colours::COLOURS;
use super::svg::fitted;
use super::units;
use super::view::{Point, Row, STAGES, View};
use crate::measure::histogram;
use crate::result::schema::Latency;

/// So wide that its text can be read on a phone that shows it 330 pixels wide.
const WIDTH: f64 = 400.0;
/// Between two names.
const GAP: f64 = 14.0;

/// A picture with what is said of it.
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) svg: String,
}

/// The classes of an element in a contender's colour.
pub(crate) fn class(kind: &str, number: usize) -> String {
    format!("{kind} c{}", number % COLOURS)
}

/// The mark of a contender by itself, for the page's text.
pub(crate) fn mark(number: usize) -> String {
    let mut svg = super::svg::Svg::new(12.0, 12.0);
    svg.mark(&class("f", number), number, (6.0, 6.0));
    let body = svg.finish("", "", "");
    let shapes = body.split_once("</desc>").map_or("", |(_, rest)| rest);
    format!(r#"<svg class="mark" viewBox="0 0 12 12" aria-hidden="true">{shapes}"#)
}

/// Percentiles of a point: how many calls took how long at most.
pub(crate) fn latency(view: &View<'_>, point: &Point<'_>, id: &str) -> Option<Plot> {
    let curves = point.rows.iter().map(|row| (row, row.measured.service.as_ref()));
    percentiles(view, curves.collect(), format!("{}: closed loop", point.title()), id)
}

/// The same from the intended send on.
pub(crate) fn open_latency(view: &View<'_>, point: &Point<'_>, id: &str) -> Option<Plot> {
    let open = point.rows.iter().filter_map(|row| Some((row, row.measured.response.as_ref()?)));
    let rate = open.clone().next()?.1.rate;
    let title = format!("{}: open loop, {} calls/s", point.title(), units::count(rate));
    percentiles(view, open.map(|(row, open)| (row, Some(&open.latency))).collect(), title, id)
}

fn percentiles(view: &View<'_>, rows: Vec<(&Row<'_>, Option<&Latency>)>, title: String, id: &str) -> Option<Plot> {
    let most = rows.iter().filter_map(|(_, latency)| latency.map(|it| it.count)).max()?;
    // Nines: 0 for the shortest, 1 for 90 %, 2 for 99 %, and so on, until one sample is left.
    let nines = (most.max(10) as f64).log10().clamp(1.0, 5.0);
    let mut says = Vec::new();
    let lines = rows.into_iter().map(|(row, latency)| {
        let points =
            latency.map_or_else(|| vec![(LOG10_2 / nines, row.measured.call.value)], |latency| curve(latency, nines));
        says.push(match latency {
            Some(it) => format!(
                "{}: half of its calls take {}, 99 % at most {}, the longest {}",
                row.contender,
                units::nanos(it.p50),
                units::nanos(it.p99),
                units::nanos(it.max)
            ),
            None => format!(
                "{}: {}, too short to time calls one by one",
                row.contender,
                units::nanos(row.measured.call.value)
            ),
        });
        let number = view.number(row.contender);
        Line { name: row.contender, number, text: row.contender.to_owned(), measured: points.len() == 1, points }
    });
    let ticks = [(LOG10_2, "50 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %"), (5.0, "99.999 %")];
    let ticks = ticks.into_iter().filter(|(at, _)| *at <= nines).map(|(at, text)| (at / nines, text.to_owned()));
    let lines = Lines {
        lines: lines.collect(),
        x_ticks: ticks.collect(),
        x_name: "share of calls that took no longer",
        y_name: "time of a call",
        y_ticks: units::nanos,
        linear: false,
        guide: None,
    };
    let svg = lines.draw()?.finish(id, &format!("Latency by percentile, {title}"), &(says.join("; ") + "."));
    Some(Plot { title, svg })
}

/// Where the histogram can't be read, through the percentiles that are kept besides.
fn curve(latency: &Latency, nines: f64) -> Vec<(f64, f64)> {
    let own = (latency.count.max(1) as f64).log10().min(nines);
    match histogram::from_text(&latency.histogram) {
        Ok(times) => {
            const STEPS: u32 = 40;
            let at = |i: u32| own * f64::from(i) / f64::from(STEPS);
            let value = |at: f64| times.value_at_quantile(1.0 - 10_f64.powf(-at)) as f64;
            (0..=STEPS).map(|i| (at(i) / nines, value(at(i)).max(1.0))).collect()
        }
        Err(_) => {
            let known = [(LOG10_2, latency.p50), (1.0, latency.p90), (2.0, latency.p99), (3.0, latency.p999)];
            known.into_iter().filter(|(at, _)| *at <= nines).map(|(at, value)| (at / nines, value)).collect()
        }
    }
}

/// Calls a second against the size of the payload, where a workload was measured with several.
pub(crate) fn throughput(view: &View<'_>, workload: &str, id: &str) -> Option<Plot> {
    let callers = view.of_workload(workload)?.concurrency;
    let mut points: Vec<&Point<'_>> = view
        .points
        .iter()
        .filter(|it| it.workload == workload && it.concurrency == callers && !it.rows.is_empty())
        .collect();
    points.sort_by_key(|point| point.payload);
    let (first, last) = (points.first()?.payload, points.last()?.payload);
    if first == last {
        return None;
    }
    // Nothing has no logarithm: it stands a little to the left of the smallest payload.
    let least = points.iter().map(|it| it.payload).find(|it| *it > 0)?;
    let log = |payload: usize| if payload == 0 { (least as f64).log2() - 3.0 } else { (payload as f64).log2() };
    let width = (log(last) - log(first)).max(1.0);
    let place = |payload: usize| (log(payload) - log(first)) / width;
    let (lines, says) = across(view, &points, |point| place(point.payload), |row| row.measured.throughput.value);
    let lines = Lines {
        lines,
        x_ticks: points.iter().map(|it| (place(it.payload), units::bytes(it.payload as u64))).collect(),
        x_name: "payload",
        y_name: "calls a second",
        y_ticks: units::count,
        linear: false,
        guide: None,
    };
    let title = format!("{workload}, {}", units::callers(callers));
    let says = format!("From {} to {} of payload. {says}", units::bytes(first as u64), units::bytes(last as u64));
    let svg = lines.draw()?.finish(id, &format!("Calls a second by payload, {title}"), &says);
    Some(Plot { title, svg })
}

/// What more callers gain, as a multiple of one caller's throughput.
pub(crate) fn scaling(view: &View<'_>, workload: &str, id: &str) -> Option<Plot> {
    let payload = view.points.iter().filter(|it| it.workload == workload && it.concurrency > 1 && !it.rows.is_empty());
    let payload = payload.map(|it| it.payload).min_by_key(|it| it.abs_diff(1 << 10))?;
    let mut points: Vec<&Point<'_>> = view
        .points
        .iter()
        .filter(|it| it.workload == workload && it.payload == payload && !it.rows.is_empty())
        .collect();
    points.sort_by_key(|point| point.concurrency);
    let (first, last) = (points.first()?.concurrency, points.last()?.concurrency);
    if first == last {
        return None;
    }
    let start =
        |name: &str| points[0].rows.iter().find(|it| it.contender == name).map(|it| it.measured.throughput.value);
    let place = |callers: usize| (callers - first) as f64 / (last - first) as f64;
    // Who was measured with so many callers alone does not scale at all.
    let times = |name: &str| points.iter().filter(|it| it.rows.iter().any(|row| row.contender == name)).count();
    let start = |name: &str| start(name).filter(|_| times(name) > 1);
    let gain = |row: &Row<'_>| start(row.contender).map_or(f64::NAN, |one| row.measured.throughput.value / one);
    let (mut lines, says) = across(view, &points, |point| place(point.concurrency), gain);
    for line in &mut lines {
        let gain = line.points.last().map_or(0.0, |it| it.1);
        line.text = format!("{} {gain:.2}×", fitted(line.name, 92.0));
    }
    // More callers than processors have to share these: nothing would be ideal.
    let alone = last <= view.result.environment.cores;
    let ideal = points.iter().map(|it| (place(it.concurrency), it.concurrency as f64 / first as f64)).collect();
    let lines = Lines {
        lines,
        x_ticks: points.iter().map(|it| (place(it.concurrency), it.concurrency.to_string())).collect(),
        x_name: "callers at the same time",
        y_name: "throughput, as a multiple of the left end's",
        y_ticks: units::times,
        linear: true,
        guide: alone.then_some((ideal, "ideal")),
    };
    let title = format!("{workload}, {}", units::bytes(payload as u64));
    let says = format!("From {first} to {last} callers. {says}");
    let svg = lines.draw()?.finish(id, &format!("Throughput by callers, {title}"), &says);
    Some(Plot { title, svg })
}

/// A line for each contender across points, and what it says in words.
fn across<'a>(
    view: &View<'a>,
    points: &[&Point<'a>],
    x: impl Fn(&Point<'a>) -> f64,
    y: impl Fn(&Row<'a>) -> f64,
) -> (Vec<Line<'a>>, String) {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for point in points {
        for row in &point.rows {
            let (place, value) = (x(point), y(row));
            if !value.is_finite() {
                continue;
            }
            match lines.iter_mut().find(|line| line.name == row.contender) {
                Some(line) => line.points.push((place, value)),
                None => {
                    let (name, number) = (row.contender, view.number(row.contender));
                    lines.push(Line {
                        name,
                        number,
                        text: name.to_owned(),
                        points: vec![(place, value)],
                        measured: true,
                    });
                }
            }
        }
    }
    view.sort_by_row(&mut lines, |line| line.name);
    let says = lines.iter().map(|line| {
        let values: Vec<_> = line.points.iter().map(|it| units::count(it.1)).collect();
        format!("{}: {}", line.name, values.join(", "))
    });
    let says = says.collect::<Vec<_>>().join("; ") + ".";
    (lines, says)
}

/// From nothing to the first reply.
pub(crate) fn starts(view: &View<'_>, id: &str) -> Option<Plot> {
    let bars = view.starts().into_iter().map(|(name, times)| {
        let parts = vec![times.runtime.value, times.load.value, times.first.value];
        Bar { name, number: view.number(name), text: units::millis(parts.iter().sum()), parts }
    });
    let parts = &["runtime", "load the module", "first call"];
    let bars = Bars { bars: bars.collect(), parts, stacked: true, inside: None, ticks: units::millis };
    let says = bars.says(units::millis);
    let svg = bars.draw()?.finish(id, "Time from nothing to the first reply", &says);
    Some(Plot { title: "a new process each time".to_owned(), svg })
}

/// Shares of a call's time.
pub(crate) fn stages(view: &View<'_>, point: &Point<'_>, id: &str) -> Option<Plot> {
    let bars = point.rows.iter().filter_map(|row| {
        let it = row.measured.stages?;
        let parts =
            [it.encode, it.cross, it.guest, it.decode].map(|part| if part.is_finite() { part.max(0.0) } else { 0.0 });
        let all: f64 = parts.map(|it| it / 4.0).iter().sum::<f64>();
        let parts = parts.map(|part| if all > 0.0 { part / 4.0 / all * 100.0 } else { 0.0 }).to_vec();
        let text = units::nanos(it.encode + it.cross + it.guest + it.decode);
        Some(Bar { name: row.contender, number: view.number(row.contender), parts, text })
    });
    let parts = &STAGES;
    let percent = |share: f64| format!("{share:.0} %");
    let bars = Bars { bars: bars.collect(), parts, stacked: true, inside: Some(percent), ticks: percent };
    let title = point.title();
    let says = bars.says(percent);
    let svg = bars.draw()?.finish(id, &format!("Where the time of a call goes, {title}"), &says);
    Some(Plot { title, svg })
}

/// Memory of the contenders' processes at three moments.
pub(crate) fn memory(view: &View<'_>, point: &Point<'_>, id: &str) -> Option<Plot> {
    let bars = point.rows.iter().filter_map(|row| {
        let it = row.measured.memory?;
        let parts = [it.started, it.loaded, it.after].map(|it| it.pss as f64 / f64::from(1 << 20)).to_vec();
        let text = units::bytes(it.after.pss);
        Some(Bar { name: row.contender, number: view.number(row.contender), parts, text })
    });
    let parts = &["runtime started", "module loaded", "all calls made"];
    let ticks = |mebibytes: f64| format!("{} MiB", units::digits(mebibytes));
    let bars = Bars { bars: bars.collect(), parts, stacked: false, inside: None, ticks };
    let title = format!("{}, proportional set size", point.title());
    let says = bars.says(ticks);
    let svg = bars.draw()?.finish(id, &format!("Memory, {title}"), &says);
    Some(Plot { title, svg })
}

impl Bars<'_> {
    /// The same in words.
    fn says(&self, number: fn(f64) -> String) -> String {
        let bars = self.bars.iter().map(|bar| {
            let parts = self.parts.iter().zip(&bar.parts).map(|(part, value)| format!("{part} {}", number(*value)));
            format!("{}: {} ({})", bar.name, parts.collect::<Vec<_>>().join(", "), bar.text)
        });
        bars.collect::<Vec<_>>().join("; ") + "."
    }
}
