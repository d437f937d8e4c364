//! A plot of lines, each with its name at its end.

use super::scale::{Scale, apart};
use super::{GAP, WIDTH, class};
use crate::report::svg::{Anchor, Svg, fitted, width_of};
use crate::report::units;

pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) number: usize,
    /// Written at its end.
    pub(super) text: String,
    pub(super) points: Vec<(f64, f64)>,
    /// Marks at each point; else along the line.
    pub(super) measured: bool,
}

pub(super) struct Lines<'a> {
    pub(super) lines: Vec<Line<'a>>,
    /// Places along the x axis, already between 0 and 1, with what is written there.
    pub(super) x_ticks: Vec<(f64, String)>,
    pub(super) x_name: &'a str,
    pub(super) y_name: &'a str,
    pub(super) y_ticks: fn(f64) -> String,
    /// Linear from nothing, in place of logarithmic.
    pub(super) linear: bool,
    /// A line to compare with, with its name.
    pub(super) guide: Option<(Vec<(f64, f64)>, &'a str)>,
}

const LEFT: f64 = 50.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 34.0;
/// The mark and what leads to it.
const LEAD: f64 = 30.0;

impl Lines<'_> {
    /// Draws it; `None` where nothing can be drawn.
    pub(super) fn draw(&self) -> Option<Svg> {
        let height = (TOP + BOTTOM + GAP * (self.lines.len() as f64 + 0.5)).max(250.0);
        let names = self.lines.iter().map(|it| width_of(&it.text)).fold(0.0, f64::max).min(136.0);
        let (right, bottom) = (WIDTH - LEAD - names - 3.0, height - BOTTOM);
        let guide = self.guide.iter().flat_map(|(points, _)| points);
        let values = self.lines.iter().flat_map(|it| &it.points).chain(guide).map(|point| point.1);
        let y = if self.linear {
            Scale::linear(values.fold(0.0, f64::max) * 1.06, bottom, TOP)
        } else {
            Scale::logarithmic(values, bottom, TOP)?
        };
        let mut svg = Svg::new(WIDTH, height);
        self.draw_axes(&mut svg, y, right, bottom);
        let place = |(x, value): &(f64, f64)| (LEFT + x * (right - LEFT), y.at(*value));
        if let Some((points, name)) = &self.guide {
            let places: Vec<_> = points.iter().map(place).collect();
            svg.path_through("guide", &places);
            let (begin, end) = (places[0], places[places.len() - 1]);
            let middle = (f64::midpoint(begin.0, end.0), f64::midpoint(begin.1, end.1));
            svg.text("t", (middle.0 - 10.0, middle.1 - 10.0), Anchor::End, name);
        }
        let drawn: Vec<_> = self.lines.iter().filter(|it| !it.points.is_empty()).collect();
        let ends: Vec<f64> = drawn.iter().map(|it| place(&it.points[it.points.len() - 1]).1).collect();
        let places_of_names = apart(&ends, GAP, TOP, bottom);
        for (line, (end, name)) in drawn.iter().zip(ends.iter().zip(places_of_names)) {
            let places: Vec<_> = line.points.iter().map(place).collect();
            draw_line(&mut svg, line, &places);
            let last = places[places.len() - 1].0;
            svg.path_through(
                &class("lead", line.number),
                &[(last + 5.0, *end), (right + 8.0, *end), (right + 16.0, name)],
            );
            svg.mark(&class("f", line.number), line.number, (right + 21.0, name));
            svg.text("l", (right + 29.0, name + 4.0), Anchor::Start, &fitted(&line.text, names + 1.0));
        }
        Some(svg)
    }

    fn draw_axes(&self, svg: &mut Svg, y: Scale, right: f64, bottom: f64) {
        for tick in y.ticks(7) {
            let at = y.at(tick);
            svg.line("g", (LEFT, at), (right, at));
            svg.text("t", (LEFT - 5.0, at + 4.0), Anchor::End, &units::round(&(self.y_ticks)(tick)));
        }
        svg.line("a", (LEFT, bottom), (right, bottom));
        // Both ends are written, and what has room between them.
        let mut written: Vec<(f64, f64)> = Vec::new();
        for (at, text) in self.x_ticks.iter().take(1).chain(self.x_ticks.iter().skip(1).rev()) {
            let x = LEFT + at * (right - LEFT);
            svg.line("a", (x, bottom), (x, bottom + 4.0));
            let half = width_of(text) / 2.0 + 1.0;
            if written.iter().all(|(from, to)| x + half < *from || *to < x - half) {
                svg.text("t", (x, bottom + 15.0), Anchor::Middle, text);
                written.push((x - half, x + half));
            }
        }
        svg.text("t", (f64::midpoint(LEFT, right), bottom + 30.0), Anchor::Middle, self.x_name);
        svg.text("t", (2.0, 12.0), Anchor::Start, self.y_name);
    }
}

fn draw_line(svg: &mut Svg, line: &Line<'_>, places: &[(f64, f64)]) {
    if places.len() > 1 {
        svg.path_through(&class("s", line.number), places);
    }
    // Marks that would touch each other, as those of a curve, are left out.
    let step = if line.measured { 1 } else { (places.len() / 4).max(1) };
    for place in places.iter().skip(if line.measured { 0 } else { step / 2 }).step_by(step) {
        svg.mark(&class("f", line.number), line.number, *place);
    }
}
