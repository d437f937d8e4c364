//! Whether a warm-up has done its work.

use super::{median, spread};

/// Slices that are looked at together.
const WINDOW: usize = 5;
/// A gain below this is none.
const LEAST: f64 = 0.02;

/// Whether the last slices of a warm-up, in nanoseconds a call, no longer got faster.
///
/// A compiler that swaps in faster code while a program runs shows as a step; so the last slices are compared with
/// those before them. They count as steady where the gain is lost in their spread, or is below 2 %.
pub(crate) fn is_steady(slices: &[f64]) -> bool {
    let Some(rest) = slices.len().checked_sub(2 * WINDOW) else { return false };
    let (before, last) = slices[rest..].split_at(WINDOW);
    let (was, is) = (median(&mut before.to_vec()), median(&mut last.to_vec()));
    // 1.48 spreads are a standard deviation of normal samples; the difference of two medians of five has 0.76 of it.
    let lost = 2.0 * 1.48 * 0.76 * spread(before).max(spread(last));
    was - is <= lost.max(LEAST * is)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(values: impl Iterator<Item = f64>, share: f64, seed: u64) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        values.map(|it| it * (1.0 + share * (random.f64() - 0.5))).collect()
    }

    /// After how many slices it says so first.
    fn steady_after(slices: &[f64]) -> Option<usize> {
        (1..=slices.len()).find(|n| is_steady(&slices[..*n]))
    }

    #[test]
    fn few_slices_say_nothing() {
        assert!(!is_steady(&[1.0; 9]));
        assert!(is_steady(&[1.0; 10]));
    }

    #[test]
    fn flat_times_are_steady_in_spite_of_noise() {
        let steady = (0..1000).filter(|seed| is_steady(&noisy((0..10).map(|_| 100.0), 0.2, *seed))).count();
        assert!(steady > 900, "{steady} of 1000");
    }

    #[test]
    fn a_program_that_still_gets_faster_is_not_steady() {
        let decay = noisy((0..60).map(|i| 100.0 + 400.0 * (-f64::from(i) / 10.0).exp()), 0.02, 1);
        let after = steady_after(&decay).expect("it settles");
        assert!((25..50).contains(&after), "{after}");
    }

    #[test]
    fn a_step_in_the_last_slices_is_seen() {
        let step = |at: usize| noisy((0..20).map(|i| if i < at { 200.0 } else { 100.0 }), 0.02, 1);
        assert!(is_steady(&step(8)));
        for at in 13..=17 {
            assert!(!is_steady(&step(at)), "{at}");
        }
    }

    #[test]
    fn getting_slower_is_no_warming_up() {
        assert!(is_steady(&noisy((0..20).map(|i| 100.0 + f64::from(i)), 0.0, 1)));
    }
}
