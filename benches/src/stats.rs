//! Medians and what can be said of them: bootstrap intervals, and verdicts against a target.
//!
//! No clock in here, so that it can be tested on samples with a known answer.

use serde::Serialize;

/// An estimate with the interval that holds the true value in 95 % of all runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Estimate {
    /// The median of the samples.
    pub(crate) value: f64,
    /// The lower end of the 95 % interval.
    pub(crate) low: f64,
    /// The upper end.
    pub(crate) high: f64,
}

/// Draws for each interval. Its ends move by less than a tenth of its width from run to run with so many.
const DRAWS: usize = 2000;

impl Estimate {
    /// The median of `samples` with its percentile-bootstrap interval.
    ///
    /// # Panics
    /// For no samples at all.
    pub(crate) fn median_of(samples: &[f64], random: &mut fastrand::Rng) -> Estimate {
        assert!(!samples.is_empty(), "no samples");
        let mut drawn = vec![0.0; samples.len()];
        let mut medians: Vec<f64> = (0..DRAWS)
            .map(|_| {
                drawn.fill_with(|| samples[random.usize(..samples.len())]);
                median(&mut drawn)
            })
            .collect();
        medians.sort_by(f64::total_cmp);
        let at = |share: f64| medians[((DRAWS - 1) as f64 * share).round() as usize];
        Estimate { value: median(&mut samples.to_vec()), low: at(0.025), high: at(0.975) }
    }

    /// A number that has no spread.
    pub(crate) fn exact(value: f64) -> Estimate {
        Estimate { value, low: value, high: value }
    }
}

/// The median; of an even number, the mean of the middle two. Sorts `samples`.
pub(crate) fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len() % 2 == 1 { samples[middle] } else { (samples[middle - 1] + samples[middle]) / 2.0 }
}

/// What a target asks of a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// How a measured number stands to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The whole interval is on the right side.
    Reached,
    /// The interval lies on both sides.
    Inconclusive,
    /// The whole interval is on the wrong side.
    Missed,
}

impl Target {
    /// Compares an estimate with the target.
    pub(crate) fn judge(self, estimate: Estimate) -> Verdict {
        let (best, worst) = match self {
            Target::AtMost(limit) => (estimate.low <= limit, estimate.high <= limit),
            Target::AtLeast(limit) => (estimate.high >= limit, estimate.low >= limit),
        };
        match (best, worst) {
            (_, true) => Verdict::Reached,
            (true, false) => Verdict::Inconclusive,
            (false, false) => Verdict::Missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers_of_samples() {
        assert_eq!(2.0, median(&mut [3.0, 1.0, 2.0]));
        assert_eq!(2.5, median(&mut [4.0, 1.0, 2.0, 3.0]));
    }

    #[test]
    fn the_interval_covers_the_true_median_as_often_as_it_says() {
        let mut random = fastrand::Rng::with_seed(7);
        let trials = 1000;
        let covered = (0..trials)
            .filter(|_| {
                // The sum of three uniforms: no normal distribution, median 1.5.
                let samples: Vec<f64> = (0..41).map(|_| random.f64() + random.f64() + random.f64()).collect();
                let estimate = Estimate::median_of(&samples, &mut random.fork());
                estimate.low <= 1.5 && 1.5 <= estimate.high
            })
            .count();
        // Binomial with p = 0.95: four standard deviations are 28.
        assert!((922..=978).contains(&covered), "covered {covered} of {trials}");
    }

    #[test]
    fn verdicts_need_the_whole_interval() {
        let estimate = Estimate { value: 1.2, low: 1.1, high: 1.3 };
        assert_eq!(Verdict::Reached, Target::AtMost(1.3).judge(estimate));
        assert_eq!(Verdict::Inconclusive, Target::AtMost(1.2).judge(estimate));
        assert_eq!(Verdict::Missed, Target::AtMost(1.0).judge(estimate));
        assert_eq!(Verdict::Reached, Target::AtLeast(1.1).judge(estimate));
        assert_eq!(Verdict::Inconclusive, Target::AtLeast(1.2).judge(estimate));
        assert_eq!(Verdict::Missed, Target::AtLeast(1.4).judge(estimate));
    }
}
