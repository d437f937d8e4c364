//! The heartbeat: once a second it looks at every connection's atomics, so that no request needs a timer.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::limits::DataRate;
use crate::observe::Watch;

/// How often the heart beats.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// A deadline that never comes.
const NEVER: u64 = u64::MAX;

/// The time as of the last beat.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    now: AtomicU64,
    unix_seconds: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let clock = Clock { start: Instant::now(), now: AtomicU64::new(0), unix_seconds: AtomicU64::new(0) };
        clock.advance();
        clock
    }

    /// Milliseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    pub(crate) fn unix_seconds(&self) -> u64 {
        self.unix_seconds.load(Relaxed)
    }

    pub(crate) fn advance(&self) -> u64 {
        let now = millis(self.start.elapsed());
        self.now.store(now, Relaxed);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.unix_seconds.store(unix.as_secs(), Relaxed);
        now
    }

    /// The moment `timeout` from now; one beat is added, because now is up to a beat ago.
    pub(crate) fn after(&self, timeout: Duration) -> u64 {
        self.now().saturating_add(millis(timeout.saturating_add(BEAT)))
    }
}

/// What the heartbeat found, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fired(u8);

impl Fired {
    /// The deadline of the connection's phase has passed.
    pub(crate) const DEADLINE: Self = Self(1);
    /// The client takes the response too slowly.
    pub(crate) const WRITE: Self = Self(2);
    /// The client sends the request body too slowly.
    pub(crate) const READ: Self = Self(4);
    /// The server stops: end when idle.
    pub(crate) const STOP: Self = Self(8);
    /// The server has stopped: end now.
    pub(crate) const CUT: Self = Self(16);

    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a connection and the heartbeat share.
#[derive(Debug)]
pub(crate) struct Beat {
    deadline: AtomicU64,
    write_deadline: AtomicU64,
    fired: AtomicU8,
    /// Body bytes read in all.
    read: AtomicU64,
    slow: Mutex<Slow>,
    pub(crate) watch: Watch,
}

/// What is touched only when a connection waits.
#[derive(Debug, Default)]
struct Slow {
    waker: Option<Waker>,
    reading: Option<Reading>,
    /// The last request whose body came too slowly; 0: none.
    late: u64,
}

/// A wait for the body of one request; pauses do not count.
#[derive(Debug)]
struct Reading {
    request: u64,
    rate: DataRate,
    on: bool,
    elapsed: u64,
    first: u64,
}

impl Beat {
    pub(crate) fn new() -> Self {
        Beat {
            deadline: AtomicU64::new(NEVER),
            write_deadline: AtomicU64::new(NEVER),
            fired: AtomicU8::new(0),
            read: AtomicU64::new(0),
            slow: Mutex::default(),
            watch: Watch::default(),
        }
    }

    fn slow(&self) -> MutexGuard<'_, Slow> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task to wake.
    pub(crate) fn register(&self, waker: &Waker) {
        self.slow().waker = Some(waker.clone());
    }

    pub(crate) fn set_deadline(&self, at: u64) {
        self.deadline.store(at, Relaxed);
    }

    pub(crate) fn clear_deadline(&self) {
        self.deadline.store(NEVER, Relaxed);
    }

    pub(crate) fn set_write_deadline(&self, at: u64) {
        self.write_deadline.store(at, Relaxed);
    }

    pub(crate) fn clear_write_deadline(&self) {
        self.write_deadline.store(NEVER, Relaxed);
    }

    pub(crate) fn count_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    /// The body of request number `request` is waited for.
    pub(crate) fn start_reading(&self, request: u64, rate: DataRate) {
        let mut slow = self.slow();
        match &mut slow.reading {
            Some(reading) if reading.request == request => reading.on = true,
            reading => *reading = Some(Reading { request, rate, on: true, elapsed: 0, first: self.read.load(Relaxed) }),
        }
    }

    pub(crate) fn pause_reading(&self) {
        if let Some(reading) = &mut self.slow().reading {
            reading.on = false;
        }
    }

    /// Whether it is the body of this request that came too slowly: what was fired may be about the one before.
    pub(crate) fn is_late(&self, request: u64) -> bool {
        self.slow().late == request
    }

    /// What happened since the last call.
    pub(crate) fn take(&self) -> Fired {
        // Almost always nothing, and a plain load is cheaper than a swap.
        if self.fired.load(Relaxed) == 0 {
            return Fired(0);
        }
        Fired(self.fired.swap(0, Relaxed))
    }

    /// Tells the connection something, and wakes it.
    pub(crate) fn fire(&self, what: Fired) {
        self.fired.fetch_or(what.0, Relaxed);
        let waker = self.slow().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Looks at the connection, `since` milliseconds after the last look.
    pub(crate) fn check(&self, now: u64, since: u64) {
        for (deadline, what) in [(&self.deadline, Fired::DEADLINE), (&self.write_deadline, Fired::WRITE)] {
            let at = deadline.load(Relaxed);
            // The connection may set another one meanwhile: then this one is void.
            if now >= at && deadline.compare_exchange(at, NEVER, Relaxed, Relaxed).is_ok() {
                self.fire(what);
            }
        }
        if self.reads_too_slowly(since) {
            self.fire(Fired::READ);
        }
    }

    fn reads_too_slowly(&self, since: u64) -> bool {
        let total = self.read.load(Relaxed);
        let mut slow = self.slow();
        let Some(reading) = &mut slow.reading else { return false };
        if !reading.on {
            return false;
        }
        reading.elapsed += since;
        let seconds = Duration::from_millis(reading.elapsed);
        let slow_now = seconds > reading.rate.grace_period
            && ((total - reading.first) as f64) < reading.rate.bytes_per_second * seconds.as_secs_f64();
        if slow_now {
            (slow.late, slow.reading) = (reading.request, None);
        }
        slow_now
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_body_is_that_of_its_request() {
        let beat = Beat::new();
        beat.start_reading(7, DataRate { bytes_per_second: 240.0, grace_period: Duration::from_secs(5) });
        beat.check(5000, 5000);
        assert!(!beat.take().contains(Fired::READ));
        beat.check(6000, 1000);
        assert!(beat.take().contains(Fired::READ));
        assert!(beat.is_late(7) && !beat.is_late(8));
    }
}
