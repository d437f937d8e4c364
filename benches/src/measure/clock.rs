//! What the clock itself costs and shows.

use std::time::Instant;

use crate::stats::median;

/// The clock, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Clock {
    /// What one reading costs.
    pub(crate) cost: f64,
    /// The smallest difference that it shows.
    pub(crate) resolution: f64,
}

impl Clock {
    /// Tries it out, for a few milliseconds.
    pub(crate) fn calibrate() -> Clock {
        const READINGS: u32 = 10_000;
        let cost = || {
            let started = Instant::now();
            for _ in 0..READINGS {
                std::hint::black_box(Instant::now());
            }
            started.elapsed().as_nanos() as f64 / f64::from(READINGS)
        };
        let mut costs: Vec<f64> = std::iter::repeat_with(cost).take(15).collect();
        let readings: Vec<Instant> = std::iter::repeat_with(Instant::now).take(READINGS as usize).collect();
        let steps = readings.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| !step.is_zero());
        let resolution = steps.min().map_or(1.0, |step| step.as_nanos() as f64);
        Clock { cost: median(&mut costs), resolution }
    }

    /// How long a batch of calls has to be at least, so that the two readings around it don't show: 100 times what
    /// they can be wrong by.
    pub(crate) fn shortest_batch(self) -> f64 {
        100.0 * (self.cost + self.resolution)
    }

    /// Whether single calls of so many nanoseconds can be timed: the clock is in them with 3 % or so.
    pub(crate) fn can_time(self, nanos: f64) -> bool {
        nanos >= (30.0 * self.cost).max(1000.0)
    }
}

/// Nanoseconds from one reading to another.
pub(crate) fn nanos(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_has_a_cost_and_a_resolution() {
        let clock = Clock::calibrate();
        assert!(clock.cost > 0.0 && clock.resolution >= 1.0, "{clock:?}");
    }

    #[test]
    fn batches_are_long_against_the_clock() {
        let clock = Clock { cost: 25.0, resolution: 15.0 };
        assert_eq!(4000.0, clock.shortest_batch());
        assert!(!clock.can_time(999.0) && clock.can_time(1000.0));
        assert!(!Clock { cost: 100.0, resolution: 1.0 }.can_time(2900.0));
    }
}
