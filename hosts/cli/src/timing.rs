//! A quick timing of one export: how long single calls take, with the same request each time.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// What was measured so far.
pub(crate) struct Timing {
    /// Nanoseconds, with three digits of precision.
    calls: Histogram<u64>,
    first: Option<Duration>,
    total: Duration,
}

impl Timing {
    pub(crate) fn new() -> Self {
        // An hour is the longest it tells apart.
        let calls = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are in order");
        Timing { calls, first: None, total: Duration::ZERO }
    }

    /// Runs one call and counts its time if it went well.
    pub(crate) fn measure<T, E>(&mut self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let start = Instant::now();
        let reply = call()?;
        self.count(start.elapsed());
        Ok(reply)
    }

    fn count(&mut self, took: Duration) {
        self.first.get_or_insert(took);
        self.total += took;
        self.calls.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// For programs; nanoseconds.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "timing": {
                "calls": self.calls.len(),
                "calls_per_second": self.per_second(),
                "first_ns": self.first.unwrap_or_default().as_nanos() as u64,
                "min_ns": self.calls.min(),
                "mean_ns": self.mean().as_nanos() as u64,
                "p50_ns": self.calls.value_at_quantile(0.5),
                "p99_ns": self.calls.value_at_quantile(0.99),
                "max_ns": self.calls.max(),
            }
        })
    }

    /// For people, on one line.
    pub(crate) fn to_text(&self) -> String {
        let quantile = |q| Duration::from_nanos(self.calls.value_at_quantile(q));
        format!(
            "{} calls: p50 {:.1?}, p99 {:.1?}, min {:.1?}, mean {:.1?}, max {:.1?}, first {:.1?}; {} calls/s",
            self.calls.len(),
            quantile(0.5),
            quantile(0.99),
            Duration::from_nanos(self.calls.min()),
            self.mean(),
            Duration::from_nanos(self.calls.max()),
            self.first.unwrap_or_default(),
            self.per_second(),
        )
    }

    fn mean(&self) -> Duration {
        let nanos = self.total.as_nanos() / u128::from(self.calls.len().max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn per_second(&self) -> u64 {
        (self.calls.len() as f64 / self.total.as_secs_f64().max(1e-9)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_it_counted() {
        let mut timing = Timing::new();
        (1..=100).rev().for_each(|millis| timing.count(Duration::from_millis(millis)));
        let json = timing.to_json();
        let check = |key: &str, millis: u64| {
            let nanos = json["timing"][key].as_u64().expect("a number");
            // Three digits.
            assert!(nanos.abs_diff(millis * 1_000_000) <= millis * 1_000, "{key} is {nanos} ns");
        };
        check("first_ns", 100);
        check("min_ns", 1);
        check("p50_ns", 50);
        check("p99_ns", 99);
        check("max_ns", 100);
        assert_eq!(
            (Some(100), Some(50_500_000)),
            (json["timing"]["calls"].as_u64(), json["timing"]["mean_ns"].as_u64())
        );
        assert_eq!(Some(19), json["timing"]["calls_per_second"].as_u64());
        assert!(timing.to_text().starts_with("100 calls: p50 50."), "{}", timing.to_text());
    }

    #[test]
    fn a_call_that_fails_does_not_count() {
        let mut timing = Timing::new();
        assert_eq!(Ok(1), timing.measure(|| Ok::<_, ()>(1)));
        assert_eq!(Err(()), timing.measure(|| Err::<(), _>(())));
        assert_eq!(1, timing.calls.len());
    }
}
