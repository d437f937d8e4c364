//! What guests log and print, and the calls they get, as lines on stderr.

mod calls;

use clap::ValueEnum;
use polyhost::{LogLevel, LogRecord, LogSink};

use crate::screen::{self, Paint};

/// The least important lines to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Threshold {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Off,
}

impl Threshold {
    fn least(self) -> Option<LogLevel> {
        match self {
            Threshold::Trace => Some(LogLevel::Trace),
            Threshold::Debug => Some(LogLevel::Debug),
            Threshold::Info => Some(LogLevel::Info),
            Threshold::Warn => Some(LogLevel::Warn),
            Threshold::Error => Some(LogLevel::Error),
            Threshold::Off => None,
        }
    }

    /// Has each call written when it ends, with what it took, if that is important enough.
    pub(crate) fn show_calls(self) {
        if self.least().is_some_and(|least| least <= LogLevel::Debug) {
            calls::show();
        }
    }

    /// A sink that writes what is important enough to stderr, a line each: level, module, logger, text.
    pub(crate) fn sink(self) -> LogSink {
        let paint = Paint::stderr();
        LogSink::new(move |record| {
            if self.least().is_some_and(|least| record.level >= least) {
                screen::note(&line(paint, record));
            }
        })
    }
}

fn line(paint: Paint, record: &LogRecord<'_>) -> String {
    let level = match record.level {
        LogLevel::Trace => paint.faint("TRACE"),
        LogLevel::Debug => paint.faint("DEBUG"),
        LogLevel::Info => paint.good("INFO "),
        LogLevel::Warn => paint.warning("WARN "),
        LogLevel::Error => paint.error("ERROR"),
    };
    let source = paint.faint(screen::guarded(&format!("{} {}:", record.module, record.target)));
    format!("{level} {source} {}", screen::guarded(record.message))
}
