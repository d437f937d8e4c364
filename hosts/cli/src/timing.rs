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
        let calls = Histogram::new(3).expect("three digits are among those a histogram can have");
        Timing { calls, first: None, total: Duration::ZERO }
    }

    /// Runs one call and counts its time if it went well.
    pub(crate) fn measure<T, E>(&mut self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let start = Instant::now();
        let reply = call()?;
        let took = start.elapsed();
        self.first.get_or_insert(took);
        self.total += took;
        self.calls.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        Ok(reply)
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
            "{} calls: p50 {:.3?}, p99 {:.3?}, min {:.3?}, mean {:.3?}, max {:.3?}, first {:.3?}; {} calls/s",
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
    fn counts_what_went_well() {
        let mut timing = Timing::new();
        for i in 0..10 {
            let outcome = timing.measure(|| if i == 3 { Err(()) } else { Ok(()) });
            assert_eq!(i == 3, outcome.is_err());
        }
        let json = timing.to_json();
        let get = |key: &str| json["timing"][key].as_u64().expect("a number");
        assert_eq!(9, get("calls"));
        assert!(get("min_ns") <= get("p50_ns") && get("p50_ns") <= get("p99_ns") && get("p99_ns") <= get("max_ns"));
        assert!(get("min_ns") <= get("first_ns") + 1 && get("first_ns") <= get("max_ns") + 1);
        assert!(timing.to_text().starts_with("9 calls: p50 "));
    }
}
