//! How a run goes: a bar on a terminal, a line for each cell elsewhere. On standard error, so that results alone go to
//! standard output.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::terminal;
use crate::result::schema::{Cell, Outcome};
use crate::run::Progress;

/// What fits standard error.
pub(super) fn for_stderr() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() { Box::new(Bar(ProgressBar::hidden())) } else { Box::new(Lines) }
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn begin(&mut self, steps: usize) {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
        self.0 = ProgressBar::new(steps as u64).with_style(style.expect("it is a template"));
        self.0.enable_steady_tick(Duration::from_millis(200));
    }

    fn now(&mut self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    fn step(&mut self) {
        self.0.inc(1);
    }

    fn cell(&mut self, cell: &Cell) {
        if !matches!(cell.outcome, Outcome::Measured(_)) {
            self.0.println(terminal::line(cell));
        }
    }

    fn end(&mut self) {
        self.0.finish_and_clear();
    }
}

struct Lines;

impl Progress for Lines {
    fn begin(&mut self, _steps: usize) {}

    fn now(&mut self, _what: &str) {}

    fn step(&mut self) {}

    fn cell(&mut self, cell: &Cell) {
        eprintln!("{}", terminal::line(cell));
    }

    fn end(&mut self) {}
}
