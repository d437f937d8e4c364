//! What guests write to the log, to stdout and to stderr.

use std::fmt;
use std::sync::Arc;

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the field's")]
pub enum LogLevel {
    Trace = 1,
    Debug = 2,
    Info = 3,
    Warn = 4,
    Error = 5,
}

impl LogLevel {
    /// The level with this number; numbers beyond the ends count as the ends.
    pub fn from_number(number: i32) -> LogLevel {
        match number {
            ..=1 => LogLevel::Trace,
            2 => LogLevel::Debug,
            3 => LogLevel::Info,
            4 => LogLevel::Warn,
            5.. => LogLevel::Error,
        }
    }

    /// The level with this name, in any case; `warning`, `critical` and `fatal` are understood.
    pub fn from_name(name: &str) -> Option<LogLevel> {
        match name.to_ascii_lowercase().as_str() {
            "trace" => Some(LogLevel::Trace),
            "debug" => Some(LogLevel::Debug),
            "info" | "information" => Some(LogLevel::Info),
            "warn" | "warning" => Some(LogLevel::Warn),
            "error" | "critical" | "fatal" => Some(LogLevel::Error),
            _ => None,
        }
    }
}

/// One line from a guest.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LogRecord<'a> {
    /// The module it came from.
    pub module: &'a str,
    /// How important it is. What a guest prints to stdout is `Info`, to stderr `Warn`.
    pub level: LogLevel,
    /// The guest's logger, or `stdout` or `stderr`.
    pub target: &'a str,
    /// The text, without a newline at its end.
    pub message: &'a str,
}

impl<'a> LogRecord<'a> {
    /// A line.
    pub fn new(module: &'a str, level: LogLevel, target: &'a str, message: &'a str) -> Self {
        LogRecord { module, level, target, message }
    }
}

/// Where the lines of a module go. By default they become `tracing` events of the target `polyhost::guest`.
#[derive(Clone, Default)]
pub struct LogSink(Option<Arc<Write>>);

type Write = dyn Fn(&LogRecord<'_>) + Send + Sync;

impl LogSink {
    /// Hands every line to `write`, on the thread of the guest that wrote it.
    pub fn new(write: impl Fn(&LogRecord<'_>) + Send + Sync + 'static) -> Self {
        LogSink(Some(Arc::new(write)))
    }

    /// Whether both hand lines to the same place: clones of one sink, or the default twice.
    pub fn is_same(&self, other: &LogSink) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// Writes one line. A panic of the sink, or of the subscriber of `tracing`, is stopped here.
    pub fn write(&self, record: &LogRecord<'_>) {
        let outcome = crate::boundary::enter(|| {
            match &self.0 {
                Some(write) => write(record),
                None => trace(record),
            }
            Ok(())
        });
        if let (Err(error), Some(_)) = (outcome, &self.0) {
            tracing::error!(target: "polyhost", "a log sink failed: {error}");
        }
    }
}

fn trace(record: &LogRecord<'_>) {
    let LogRecord { module, level, target, message } = *record;
    // The level of a tracing event has to be known when it is compiled.
    match level {
        LogLevel::Trace => tracing::trace!(target: "polyhost::guest", module, logger = target, "{message}"),
        LogLevel::Debug => tracing::debug!(target: "polyhost::guest", module, logger = target, "{message}"),
        LogLevel::Info => tracing::info!(target: "polyhost::guest", module, logger = target, "{message}"),
        LogLevel::Warn => tracing::warn!(target: "polyhost::guest", module, logger = target, "{message}"),
        LogLevel::Error => tracing::error!(target: "polyhost::guest", module, logger = target, "{message}"),
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "LogSink(..)" } else { "LogSink(tracing)" })
    }
}
