//! One contender against another, in one run and across runs.

use super::{Estimate, Redraw, median};

/// The ratio of two contenders whose rounds ran next to each other: what both suffered in a round cancels out.
///
/// # Panics
/// Where there is no round.
pub fn ratio_by_round(one: &[f64], other: &[f64], random: &mut fastrand::Rng) -> Estimate {
    let ratios: Vec<f64> = one.iter().zip(other).map(|(one, other)| one / other).collect();
    Estimate::median_of(&ratios, random)
}

/// What one takes above the other, round by round.
///
/// # Panics
/// Where there is no round.
pub fn difference_by_round(one: &[f64], other: &[f64], random: &mut fastrand::Rng) -> Estimate {
    let differences: Vec<f64> = one.iter().zip(other).map(|(one, other)| one - other).collect();
    Estimate::median_of(&differences, random)
}

/// The ratio of two medians of runs that have nothing to do with each other.
///
/// # Panics
/// Where one has no samples.
pub fn ratio_of_medians(one: &[f64], other: &[f64], random: &mut fastrand::Rng) -> Estimate {
    let value = median(&mut one.to_vec()) / median(&mut other.to_vec());
    let (mut a, mut b) = (Redraw::new(one), Redraw::new(other));
    Estimate::from_draws(value, one.len().min(other.len()), || a.median(random) / b.median(random))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{covered, of_median_1_5};
    use super::*;

    fn samples(count: usize, factor: f64, random: &mut fastrand::Rng) -> Vec<f64> {
        (0..count).map(|_| factor * of_median_1_5(random)).collect()
    }

    #[test]
    fn what_both_suffer_in_a_round_cancels_out() {
        let covered = covered(1000, 1, |random| {
            // The machine gets slower by an unknown factor each round, for both alike.
            let slow: Vec<f64> = (0..10).map(|_| 1.0 + 10.0 * random.f64()).collect();
            let noisy = |random: &mut fastrand::Rng, of| {
                slow.iter().map(|it| it * (of + 0.01 * random.f64())).collect::<Vec<_>>()
            };
            let (one, other) = (noisy(random, 1.3), noisy(random, 1.0));
            let ratio = ratio_by_round(&one, &other, &mut random.fork());
            ratio.holds(1.305 / 1.005) && ratio.high - ratio.low < 0.03
        });
        assert!((0.93..=0.99).contains(&covered), "covered {covered}");
    }

    #[test]
    fn the_interval_of_a_difference_covers_it() {
        let covered = covered(1000, 2, |random| {
            let (one, other) = (samples(15, 1.0, random), samples(15, 1.0, random));
            let longer: Vec<f64> = one.iter().map(|it| it + 10.0).collect();
            difference_by_round(&longer, &other, &mut random.fork()).holds(10.0)
        });
        assert!((0.93..=0.99).contains(&covered), "covered {covered}");
    }

    #[test]
    fn the_interval_of_a_ratio_of_runs_covers_it() {
        let covered = covered(1000, 3, |random| {
            let (one, other) = (samples(15, 1.1, random), samples(20, 1.0, random));
            ratio_of_medians(&one, &other, &mut random.fork()).holds(1.1)
        });
        assert!((0.93..=0.99).contains(&covered), "covered {covered}");
    }

    #[test]
    fn the_same_twice_is_indistinguishable() {
        let told_apart = covered(1000, 4, |random| {
            let (one, other) = (samples(10, 1.0, random), samples(10, 1.0, random));
            let estimate = |samples: &[f64]| Estimate::median_of(samples, &mut fastrand::Rng::with_seed(1));
            !estimate(&one).indistinguishable(estimate(&other))
        });
        // Two intervals of 95 % that don't overlap are rarer than 5 %.
        assert!(told_apart < 0.02, "told apart {told_apart}");
    }
}
