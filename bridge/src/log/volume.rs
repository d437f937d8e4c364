//! The limit on the volume of a module's log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{LogLevel, LogRecord};
use crate::limits::Limits;

/// Counts what passes. A module may write what a second gives it at once, and then as much a second.
pub(super) struct Volume {
    module: String,
    lines: Option<usize>,
    bytes: Option<usize>,
    state: Mutex<State>,
}

struct State {
    /// What may still pass, and when it was reckoned up. Bytes may be overdrawn, by one line.
    lines: f64,
    bytes: f64,
    at: Instant,
    dropped: Dropped,
    /// Dropped lines are told once a second, so that the telling is no flood.
    told: Option<Instant>,
}

#[derive(Default, Clone, Copy)]
struct Dropped {
    lines: u64,
    bytes: u64,
}

const SECOND: Duration = Duration::from_secs(1);

impl Volume {
    /// `None` where nothing limits it.
    pub(super) fn of(module: &str, limits: &Limits) -> Option<Volume> {
        let (lines, bytes) = (limits.log_lines, limits.log_bytes);
        lines.or(bytes)?;
        let all = |limit: Option<usize>| limit.map_or(f64::INFINITY, |limit| limit as f64);
        let state =
            State { lines: all(lines), bytes: all(bytes), at: Instant::now(), dropped: Dropped::default(), told: None };
        Some(Volume { module: module.to_owned(), lines, bytes, state: Mutex::new(state) })
    }

    /// Writes the line where it may pass, and before it how many did not.
    pub(super) fn pass(&self, record: &LogRecord<'_>, now: Instant, write: &dyn Fn(&LogRecord<'_>)) {
        let dropped = {
            let mut state = self.state();
            state.refill(self, now);
            if state.lines < 1.0 || state.bytes <= 0.0 {
                state.dropped.lines += 1;
                state.dropped.bytes += record.message.len() as u64;
                return;
            }
            state.lines -= 1.0;
            state.bytes -= record.message.len() as f64;
            let due = state.told.is_none_or(|told| now.saturating_duration_since(told) >= SECOND);
            if due && state.dropped.lines > 0 {
                state.told = Some(now);
                std::mem::take(&mut state.dropped)
            } else {
                Dropped::default()
            }
        };
        // Without the lock: the sink may well come back here.
        self.tell(dropped, write);
        write(record);
    }

    /// Tells what was dropped and is not told yet.
    pub(super) fn flush(&self, write: &dyn Fn(&LogRecord<'_>)) {
        let dropped = std::mem::take(&mut self.state().dropped);
        self.tell(dropped, write);
    }

    fn tell(&self, Dropped { lines, bytes }: Dropped, write: &dyn Fn(&LogRecord<'_>)) {
        if lines == 0 {
            return;
        }
        let limits = [(self.lines, "lines"), (self.bytes, "bytes")];
        let limits: Vec<_> =
            limits.iter().filter_map(|(limit, what)| limit.map(|limit| format!("{limit} {what}"))).collect();
        let message = format!(
            "{lines} lines of this log, {bytes} bytes, were dropped: the module may write {} a second",
            limits.join(" and ")
        );
        write(&LogRecord::new(&self.module, LogLevel::Warn, "polyhost", &message));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn refill(&mut self, volume: &Volume, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        for (left, limit) in [(&mut self.lines, volume.lines), (&mut self.bytes, volume.bytes)] {
            if let Some(limit) = limit {
                *left = (*left + passed * limit as f64).min(limit as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// What is written of lines that come at these milliseconds.
    fn check(limits: Limits, lines: &[(u64, &str)], expected: &[&str]) {
        let volume = Volume::of("m", &limits).expect("is limited");
        let (start, written) = (volume.state().at, RefCell::new(Vec::new()));
        let write = |record: &LogRecord<'_>| written.borrow_mut().push(record.message.to_owned());
        for (at, line) in lines {
            let record = LogRecord::new("m", LogLevel::Info, "", line);
            volume.pass(&record, start + Duration::from_millis(*at), &write);
        }
        volume.flush(&write);
        assert_eq!(expected, &*written.borrow());
    }

    #[test]
    fn lines_beyond_the_limit_are_counted_and_told() {
        check(
            Limits::new().log_lines(2),
            &[(0, "a"), (0, "b"), (0, "c"), (1, "dd"), (600, "e"), (700, "f")],
            &[
                "a",
                "b",
                "2 lines of this log, 3 bytes, were dropped: the module may write 2 lines a second",
                "e",
                "1 lines of this log, 1 bytes, were dropped: the module may write 2 lines a second",
            ],
        );
    }

    #[test]
    fn drops_are_told_once_a_second() {
        let flood: Vec<(u64, &str)> = (0..3000).map(|at| (at, "x")).collect();
        let volume = Volume::of("m", &Limits::new().log_lines(100)).expect("is limited");
        let (start, told, passed) = (volume.state().at, RefCell::new(0), RefCell::new(0));
        let write = |record: &LogRecord<'_>| {
            *(if record.target == "polyhost" { told.borrow_mut() } else { passed.borrow_mut() }) += 1;
        };
        for (at, line) in flood {
            volume.pass(&LogRecord::new("m", LogLevel::Info, "", line), start + Duration::from_millis(at), &write);
        }
        let (told, passed) = (told.into_inner(), passed.into_inner());
        assert!((2..=3).contains(&told), "told {told} times");
        assert!((390..=400).contains(&passed), "{passed} passed");
    }

    #[test]
    fn a_long_line_passes_and_is_paid_for() {
        check(
            Limits::new().log_bytes(10),
            &[(0, "0123456789012345678"), (500, "a"), (900, "b"), (1000, "c")],
            &[
                "0123456789012345678",
                "2 lines of this log, 2 bytes, were dropped: the module may write 10 bytes a second",
                "c",
            ],
        );
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        assert!(Volume::of("m", &Limits::new()).is_none());
    }
}
