//! What guests write to the log, to stdout and to stderr.

mod volume;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::boundary;
use crate::limits::Limits;
use crate::observe::Callee;
use volume::Volume;

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
    /// The export whose call wrote it; `None` for what a module writes outside of calls, and on threads of its own.
    pub call: Option<&'a str>,
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
        LogRecord { module, call: None, level, target, message }
    }
}

/// Where the lines of a module go. By default they become `tracing` events of the target `polyhost::guest`.
#[derive(Clone, Default)]
pub struct LogSink {
    write: Option<Arc<Write>>,
    /// Of one module, where that is limited.
    volume: Option<Arc<Volume>>,
}

type Write = dyn Fn(&LogRecord<'_>) + Send + Sync;

impl LogSink {
    /// Hands every line to `write`, on the thread of the guest that wrote it.
    pub fn new(write: impl Fn(&LogRecord<'_>) + Send + Sync + 'static) -> Self {
        LogSink { write: Some(Arc::new(write)), volume: None }
    }

    /// Whether both hand lines to the same place: clones of one sink, or the default twice.
    pub fn is_same(&self, other: &LogSink) -> bool {
        match (&self.write, &other.write) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// Writes one line. A panic of the sink, or of the subscriber of `tracing`, is stopped here.
    ///
    /// It is of the call that this thread is in, where that is the module's and the record names no other.
    pub fn write(&self, record: &LogRecord<'_>) {
        boundary::callee(|callee| {
            let callee = callee.filter(|callee| callee.module() == record.module);
            let record = &LogRecord { call: record.call.or(callee.map(Callee::export)), ..*record };
            match &self.volume {
                None => self.pass_on(record),
                Some(volume) => volume.pass(record, Instant::now(), &|record| self.pass_on(record)),
            }
        });
    }

    /// The same sink for a module of these limits. For use by hosts; see [`crate::LoadOptions::log_of`].
    pub(crate) fn limited(&self, module: &str, limits: &Limits) -> LogSink {
        LogSink { write: self.write.clone(), volume: Volume::of(module, limits).map(Arc::new) }
    }

    /// Tells how many lines a limit has dropped since that was told last. Hosts do when a module is unloaded, outside of
    /// their runtime.
    pub fn tell_dropped(&self) {
        if let Some(volume) = &self.volume {
            volume.flush(&|record| self.pass_on(record));
        }
    }

    fn pass_on(&self, record: &LogRecord<'_>) {
        let outcome = boundary::enter(|| {
            match &self.write {
                Some(write) => write(record),
                None => trace(record),
            }
            Ok(())
        });
        if let (Err(error), Some(_)) = (outcome, &self.write) {
            tracing::error!(target: "polyhost", "a log sink failed: {error}");
        }
    }
}

fn trace(record: &LogRecord<'_>) {
    let LogRecord { module, call, level, target, message } = *record;
    // The level of a tracing event has to be known when it is compiled.
    match level {
        LogLevel::Trace => tracing::trace!(target: "polyhost::guest", module, call, logger = target, "{message}"),
        LogLevel::Debug => tracing::debug!(target: "polyhost::guest", module, call, logger = target, "{message}"),
        LogLevel::Info => tracing::info!(target: "polyhost::guest", module, call, logger = target, "{message}"),
        LogLevel::Warn => tracing::warn!(target: "polyhost::guest", module, call, logger = target, "{message}"),
        LogLevel::Error => tracing::error!(target: "polyhost::guest", module, call, logger = target, "{message}"),
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.write.is_some() { "LogSink(..)" } else { "LogSink(tracing)" })
    }
}
