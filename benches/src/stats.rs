//! Medians and what can be said of them: bootstrap intervals, comparisons, verdicts against a target.
//!
//! No clock in here, so that it can be tested on samples with a known answer.

pub mod compare;
pub(crate) mod steady;

use serde::{Deserialize, Serialize};

/// An estimate with the interval that holds the true value for 95 % of all such samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The median of the samples.
    pub value: f64,
    /// The lower end of the 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Draws for each interval. Its ends move by less than a tenth of its width from run to run with so many.
const DRAWS: usize = 2000;

impl Estimate {
    /// The median of `samples` with its bootstrap interval.
    ///
    /// # Panics
    /// For no samples at all.
    pub fn median_of(samples: &[f64], random: &mut fastrand::Rng) -> Estimate {
        let mut redraw = Redraw::new(samples);
        let value = median(&mut samples.to_vec());
        Estimate::from_draws(value, samples.len(), || redraw.median(random))
    }

    /// The sample that a share of `samples` does not pass, with its bootstrap interval.
    ///
    /// # Panics
    /// For no samples at all.
    pub(crate) fn quantile_of(samples: &[f64], share: f64, random: &mut fastrand::Rng) -> Estimate {
        let mut redraw = Redraw::new(samples);
        let place = place_of(samples.len(), share);
        let value = redraw.sorted[place];
        Estimate::from_draws(value, samples.len(), || redraw.drawn(place, random))
    }

    /// A value of so many samples, with the interval of what `draw` gives.
    fn from_draws(value: f64, samples: usize, draw: impl FnMut() -> f64) -> Estimate {
        let mut draws: Vec<f64> = std::iter::repeat_with(draw).take(DRAWS).collect();
        draws.sort_by(f64::total_cmp);
        let tail = tail(samples);
        let at = |share: f64| draws[((DRAWS - 1) as f64 * share).round() as usize];
        Estimate { value, low: at(tail), high: at(1.0 - tail) }
    }

    /// A number that has no spread.
    pub fn exact(value: f64) -> Estimate {
        Estimate { value, low: value, high: value }
    }

    /// The same in another unit.
    pub fn scaled(self, factor: f64) -> Estimate {
        Estimate { value: self.value * factor, low: self.low * factor, high: self.high * factor }
    }

    /// Whether the interval holds this number.
    pub fn holds(self, number: f64) -> bool {
        self.low <= number && number <= self.high
    }

    /// Whether the two intervals overlap, so that nothing can be said of which is the larger.
    pub fn indistinguishable(self, other: Estimate) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// The share of draws beyond each end of a 95 % interval.
///
/// 2.5 % for many samples. Draws of few spread too little, and their interval holds the true value too rarely; so the
/// share is what makes an interval of normal samples as wide as Student's: Hesterberg, What Teachers Should Know About
/// the Bootstrap, 2015, 4.2.
fn tail(samples: usize) -> f64 {
    let Some(freedom) = samples.checked_sub(1).filter(|it| *it > 0) else { return 0.0 };
    let (n, freedom) = (samples as f64, freedom as f64);
    // The 97.5 % quantile of Student's distribution: Abramowitz and Stegun, 26.7.5.
    let student = 1.96 + 2.372 / freedom + 2.823 / (freedom * freedom);
    normal_beyond(student * (n / freedom).sqrt())
}

/// The share of a normal distribution beyond so many standard deviations: Abramowitz and Stegun, 26.2.17.
fn normal_beyond(deviations: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * deviations);
    let sum = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let density = (-deviations * deviations / 2.0).exp() / std::f64::consts::TAU.sqrt();
    density * sum.into_iter().fold(0.0, |all, it| (all + it) * t)
}

/// Medians of samples drawn anew.
struct Redraw {
    sorted: Vec<f64>,
    /// How often each was drawn.
    counts: Vec<u32>,
}

impl Redraw {
    fn new(samples: &[f64]) -> Redraw {
        assert!(!samples.is_empty(), "no samples");
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Redraw { counts: vec![0; sorted.len()], sorted }
    }

    /// The median of as many samples as there are.
    fn median(&mut self, random: &mut fastrand::Rng) -> f64 {
        let n = self.sorted.len();
        self.draw(random);
        (self.at((n - 1) / 2) + self.at(n / 2)) / 2.0
    }

    /// The sample at a place of as many as there are.
    fn drawn(&mut self, place: usize, random: &mut fastrand::Rng) -> f64 {
        self.draw(random);
        self.at(place)
    }

    fn draw(&mut self, random: &mut fastrand::Rng) {
        let n = self.sorted.len();
        self.counts.fill(0);
        (0..n).for_each(|_| self.counts[random.usize(..n)] += 1);
    }

    /// The one at this place of those drawn, in order.
    fn at(&self, place: usize) -> f64 {
        let mut before = 0;
        let found = self.counts.iter().position(|count| {
            before += *count as usize;
            before > place
        });
        self.sorted[found.expect("as many were drawn as there are")]
    }
}

/// The sample that a share of `samples` does not pass. Sorts them.
///
/// # Panics
/// For no samples at all.
pub(crate) fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[place_of(samples.len(), share)]
}

/// The place of a quantile among so many sorted samples.
fn place_of(samples: usize, share: f64) -> usize {
    ((samples as f64 * share).ceil() as usize).clamp(1, samples.max(1)) - 1
}

/// The median; of an even number, the mean of the middle two. Sorts `samples`.
///
/// # Panics
/// For no samples at all.
pub fn median(samples: &mut [f64]) -> f64 {
    assert!(!samples.is_empty(), "no samples");
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

/// The spread of `samples` about their median: the median of the distances from it.
pub(crate) fn spread(samples: &[f64]) -> f64 {
    let middle = median(&mut samples.to_vec());
    median(&mut samples.iter().map(|it| (it - middle).abs()).collect::<Vec<_>>())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// How many of `trials` estimates hold the true value.
    pub(crate) fn covered(trials: usize, seed: u64, mut holds: impl FnMut(&mut fastrand::Rng) -> bool) -> f64 {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..trials).filter(|_| holds(&mut random)).count() as f64 / trials as f64
    }

    /// A sum of three uniforms: no normal distribution, median 1.5.
    pub(crate) fn of_median_1_5(random: &mut fastrand::Rng) -> f64 {
        random.f64() + random.f64() + random.f64()
    }

    #[test]
    fn quantiles_are_samples_with_an_interval_around_them() {
        let samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let check = |expected: f64, share: f64| assert_eq!(expected, quantile(&mut samples.clone(), share));
        [(1.0, 0.0), (100.0, 0.5), (198.0, 0.99), (200.0, 1.0)].into_iter().for_each(|(value, at)| check(value, at));
        let estimate = Estimate::quantile_of(&samples, 0.99, &mut fastrand::Rng::with_seed(1));
        assert!(estimate.value == 198.0 && estimate.low < 198.0 && estimate.high > 198.0, "{estimate:?}");
    }

    #[test]
    fn medians_of_odd_and_even_numbers_of_samples() {
        assert_eq!(2.0, median(&mut [3.0, 1.0, 2.0]));
        assert_eq!(2.5, median(&mut [4.0, 1.0, 2.0, 3.0]));
        assert_eq!(1.0, spread(&[1.0, 2.0, 3.0, 4.0, 100.0]));
    }

    #[test]
    fn the_interval_covers_the_true_median_as_often_as_it_says() {
        for (samples, seed) in [(10, 3), (15, 5), (41, 7)] {
            let covered = covered(1000, seed, |random| {
                let samples: Vec<f64> = (0..samples).map(|_| of_median_1_5(random)).collect();
                Estimate::median_of(&samples, &mut random.fork()).holds(1.5)
            });
            // An interval of few samples ends at one of them, and so holds the median a little too often. Four standard
            // deviations of a binomial with p = 0.95 are 0.028.
            assert!((0.93..=0.99).contains(&covered), "{samples} samples: covered {covered}");
        }
    }

    #[test]
    fn a_tail_does_not_move_the_interval_of_a_median() {
        // One sample in ten is a stall of a thousand times the rest.
        let covered = covered(1000, 11, |random| {
            let stalled = |random: &mut fastrand::Rng| if random.f64() < 0.1 { 1000.0 } else { 1.0 };
            let samples: Vec<f64> = (0..15).map(|_| of_median_1_5(random) * stalled(random)).collect();
            let estimate = Estimate::median_of(&samples, &mut random.fork());
            // The median of the mixture: 0.9 F(x) = 0.5, a little above 1.5.
            estimate.holds(1.574) && estimate.low < 2.0
        });
        assert!((0.93..=0.99).contains(&covered), "covered {covered}");
    }

    #[test]
    fn few_samples_need_more_of_their_draws() {
        let near = |expected: f64, is: f64| assert!((is / expected - 1.0).abs() < 0.02, "{is} in place of {expected}");
        near(0.025, normal_beyond(1.96));
        near(0.001_35, normal_beyond(3.0));
        // As the paper's table has them.
        [(10, 0.0086), (15, 0.0132), (20, 0.0157), (100, 0.0231)].into_iter().for_each(|(n, it)| near(it, tail(n)));
        assert_eq!(0.0, tail(1));
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

    #[test]
    fn intervals_that_touch_say_nothing_of_which_is_larger() {
        let of = |low, high| Estimate { value: (low + high) / 2.0, low, high };
        assert!(of(1.0, 2.0).indistinguishable(of(2.0, 3.0)));
        assert!(of(1.0, 4.0).indistinguishable(of(2.0, 3.0)));
        assert!(!of(1.0, 2.0).indistinguishable(of(2.1, 3.0)));
        assert!(!of(2.1, 3.0).indistinguishable(of(1.0, 2.0)));
    }
}
