//! A plot of horizontal bars, a contender in each row.

use super::scale::Scale;
use super::{WIDTH, class};
use crate::report::svg::{Anchor, Svg, fitted, width_of};
use crate::report::units;

pub(super) struct Bar<'a> {
    pub(super) name: &'a str,
    pub(super) number: usize,
    /// One for each part, in their order.
    pub(super) parts: Vec<f64>,
    /// Written at its end.
    pub(super) text: String,
}

pub(super) struct Bars<'a> {
    pub(super) bars: Vec<Bar<'a>>,
    pub(super) parts: &'a [&'a str],
    /// Parts one behind the other; else one below the other.
    pub(super) stacked: bool,
    /// What is written within a part of that length, where it fits.
    pub(super) inside: Option<fn(f64) -> String>,
    pub(super) ticks: fn(f64) -> String,
}

const ROW: f64 = 26.0;
const END: f64 = 64.0;
const LEGEND: f64 = 26.0;
const BOTTOM: f64 = 22.0;

impl Bars<'_> {
    /// Draws it; `None` where there is no bar.
    pub(super) fn draw(&self) -> Option<Svg> {
        if self.bars.is_empty() {
            return None;
        }
        let widest = self.bars.iter().map(|it| width_of(it.name)).fold(0.0, f64::max);
        let left = 18.0 + (widest + 4.0).min(112.0);
        let (right, bottom) = (WIDTH - END, LEGEND + ROW * self.bars.len() as f64);
        let length = |bar: &Bar<'_>| {
            let parts = bar.parts.iter().map(|it| sane(*it));
            if self.stacked { parts.sum() } else { parts.fold(0.0, f64::max) }
        };
        let x = Scale::linear(self.bars.iter().map(length).fold(0.0, f64::max), left, right);
        let mut svg = Svg::new(WIDTH, bottom + BOTTOM);
        self.draw_legend(&mut svg);
        for tick in x.ticks(4) {
            svg.line("g", (x.at(tick), LEGEND), (x.at(tick), bottom));
            svg.text("t", (x.at(tick), bottom + 15.0), Anchor::Middle, &units::round(&(self.ticks)(tick)));
        }
        for (i, bar) in self.bars.iter().enumerate() {
            let top = LEGEND + ROW * i as f64;
            svg.mark(&class("f", bar.number), bar.number, (6.0, top + ROW / 2.0));
            svg.text("l", (14.0, top + ROW / 2.0 + 4.0), Anchor::Start, &fitted(bar.name, left - 18.0));
            let end =
                if self.stacked { self.draw_stack(&mut svg, bar, x, top) } else { draw_group(&mut svg, bar, x, top) };
            svg.text("l", (end + 5.0, top + ROW / 2.0 + 4.0), Anchor::Start, &bar.text);
        }
        svg.line("a", (left, LEGEND), (left, bottom));
        Some(svg)
    }

    fn draw_legend(&self, svg: &mut Svg) {
        let mut x = 1.0;
        for (i, part) in self.parts.iter().enumerate() {
            svg.rect(&format!("p{i}"), (x, 3.0), (11.0, 11.0));
            svg.text("l", (x + 16.0, 13.0), Anchor::Start, part);
            x += 30.0 + width_of(part);
        }
    }

    fn draw_stack(&self, svg: &mut Svg, bar: &Bar<'_>, x: Scale, top: f64) -> f64 {
        let mut done = 0.0;
        for (i, part) in bar.parts.iter().map(|it| sane(*it)).enumerate() {
            let (from, to) = (x.at(done), x.at(done + part));
            done += part;
            if to - from < 0.1 {
                continue;
            }
            svg.rect(&format!("p{i}"), (from, top + 4.0), (to - from, ROW - 8.0));
            let text = self.inside.map(|inside| inside(part)).filter(|text| width_of(text) + 6.0 < to - from);
            if let Some(text) = text {
                svg.text(&format!("i i{i}"), (f64::midpoint(from, to), top + ROW / 2.0 + 4.0), Anchor::Middle, &text);
            }
        }
        x.at(done)
    }
}

fn draw_group(svg: &mut Svg, bar: &Bar<'_>, x: Scale, top: f64) -> f64 {
    let height = (ROW - 6.0) / bar.parts.len().max(1) as f64;
    let mut end = x.at(0.0);
    for (i, part) in bar.parts.iter().map(|it| sane(*it)).enumerate() {
        svg.rect(&format!("p{i}"), (x.at(0.0), top + 3.0 + height * i as f64), (x.at(part) - x.at(0.0), height - 1.0));
        end = end.max(x.at(part));
    }
    end
}

/// Within what can be drawn and added up.
fn sane(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 1e300) } else { 0.0 }
}
