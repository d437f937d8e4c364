//! The access log: a line for each request, written by a thread of its own.
//!
//! Who answers requests only puts what happened into a queue. The queue is bounded: where the reader of the log is
//! slower than the clients, lines are dropped and counted, and no request waits.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

mod entry;
mod line;
pub(crate) mod trace;

pub(crate) use entry::{Entry, Outcome, Texts};
pub(crate) use line::{json_string, millis_of, request_id};

/// Lines that may wait.
const LINES: usize = 16 * 1024;
/// Bytes of requests that may wait: lines may be long, as long as clients make them.
const BYTES: usize = 16 << 20;
/// How long the writer waits for more lines: to be woken for each costs more than to write it.
const GATHER: Duration = Duration::from_millis(10);
/// The writer formats this much before it writes.
const BATCH: usize = 64 * 1024;

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// The Common Log Format: `host - - [time] "request" status bytes`.
    Common,
    /// The same, followed by `"referrer" "user agent"`.
    Combined,
    /// A JSON object, with times, ids and the trace.
    Json,
}

/// An access log that runs.
///
/// Dropped, it writes what waits, and nobody waits for that; [`flush`](Self::flush) does.
pub struct AccessLog {
    queue: Arc<Queue>,
}

/// What an access log has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogCounts {
    /// Lines written.
    pub written: u64,
    /// Lines lost, because too many waited or the writer failed.
    pub dropped: u64,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// Something was written.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Lines taken in and not yet written or lost.
    waiting: u64,
    counts: LogCounts,
    /// The writer sleeps.
    idle: bool,
    /// It waits for more lines.
    gathers: bool,
    /// Somebody waits for what is written.
    hurried: bool,
    closed: bool,
}

impl State {
    fn is_half_full(&self) -> bool {
        self.entries.len() >= LINES / 2 || self.bytes >= BYTES / 2
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessLog {
    /// Starts a log that writes to `out`.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn start(format: LogFormat, out: impl Write + Send + 'static) -> io::Result<AccessLog> {
        let queue = Arc::new(Queue::default());
        let writer = Writer { queue: queue.clone(), format, out, failed: false };
        std::thread::Builder::new().name("polyhost-log".to_owned()).spawn(|| writer.run())?;
        Ok(AccessLog { queue })
    }

    pub(crate) fn put(&self, entry: Entry) {
        let mut state = self.queue.lock();
        if state.entries.len() >= LINES || state.bytes + entry.texts.len() > BYTES {
            state.counts.dropped += 1;
            return;
        }
        state.bytes += entry.texts.len();
        state.waiting += 1;
        state.entries.push_back(entry);
        // Only a writer that sleeps is woken, or one that would gather too much: that is a system call.
        let wake = std::mem::take(&mut state.idle) || (state.is_half_full() && std::mem::take(&mut state.gathers));
        drop(state);
        if wake {
            self.queue.filled.notify_one();
        }
    }

    /// How many lines were written and lost.
    pub fn counts(&self) -> LogCounts {
        self.queue.lock().counts
    }

    /// Waits until everything is written, for `most` at most; whether it is.
    pub fn flush(&self, most: Duration) -> bool {
        let until = Instant::now() + most;
        let mut state = self.queue.lock();
        state.hurried = !state.entries.is_empty();
        self.queue.filled.notify_one();
        while state.waiting > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.queue.emptied.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.filled.notify_one();
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

struct Writer<W> {
    queue: Arc<Queue>,
    format: LogFormat,
    out: W,
    failed: bool,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        let mut entries = VecDeque::new();
        let mut dates = line::Dates::default();
        let mut text = Vec::new();
        while self.take(&mut entries) {
            let mut lines = 0;
            while let Some(entry) = entries.pop_front() {
                line::write(&mut text, self.format, &entry, &mut dates);
                lines += 1;
                if text.len() >= BATCH || entries.is_empty() {
                    self.write(&text, lines);
                    text.clear();
                    lines = 0;
                }
            }
        }
    }

    /// Waits for entries. `false`: there will be none.
    fn take(&self, entries: &mut VecDeque<Entry>) -> bool {
        let mut state = self.queue.lock();
        while state.entries.is_empty() {
            if state.closed {
                return false;
            }
            state.idle = true;
            state = self.queue.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + GATHER;
        while !state.closed && !state.hurried && !state.is_half_full() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.gathers = true;
            state = self.queue.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        (state.bytes, state.hurried, state.gathers) = (0, false, false);
        std::mem::swap(&mut state.entries, entries);
        true
    }

    fn write(&mut self, text: &[u8], lines: u64) {
        let written = self.out.write_all(text).and_then(|()| self.out.flush());
        if let Err(error) = &written
            && !std::mem::replace(&mut self.failed, true)
        {
            tracing::error!(target: "polyhost::http", "the access log cannot be written, lines are lost: {error}");
        }
        let mut state = self.queue.lock();
        state.waiting -= lines;
        if written.is_ok() {
            state.counts.written += lines;
        } else {
            state.counts.dropped += lines;
        }
        drop(state);
        self.queue.emptied.notify_all();
    }
}

#[cfg(test)]
mod tests;
