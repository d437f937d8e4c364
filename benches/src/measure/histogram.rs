//! Distributions of times: HDR histograms of nanoseconds, in three digits.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use crate::result::schema::Latency;

/// Times in nanoseconds.
pub(crate) type Times = Histogram<u64>;

/// Longer times count as this long: an hour.
const LONGEST: u64 = 3_600_000_000_000;

/// An empty one. It has its size from the start, so that it does not grow within a measurement.
pub(crate) fn empty() -> Times {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are allowed")
}

/// As text: V2, deflated, in base64.
pub(crate) fn to_text(times: &Times) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(times, &mut bytes).expect("writing to memory does not fail");
    BASE64_STANDARD.encode(bytes)
}

/// From text.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn from_text(text: &str) -> Result<Times, String> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|e| format!("a histogram is no base64: {e}"))?;
    Deserializer::new().deserialize(&mut &bytes[..]).map_err(|e| format!("a histogram does not decode: {e}"))
}

/// What is told of a distribution; `None` for an empty one.
pub(crate) fn latency(times: &Times) -> Option<Latency> {
    let at = |quantile| times.value_at_quantile(quantile) as f64;
    (!times.is_empty()).then(|| Latency {
        count: times.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: times.max() as f64,
        histogram: to_text(&coarse(times)),
    })
}

/// The same in two digits, a percent: as exact as a plot shows it, in a file that a repository can hold.
fn coarse(times: &Times) -> Times {
    let mut coarse = Histogram::new_with_bounds(1, LONGEST, 2).expect("the bounds are allowed");
    for bucket in times.iter_recorded() {
        coarse.saturating_record_n(bucket.value_iterated_to(), bucket.count_at_value());
    }
    coarse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_comes_back_as_it_was() {
        let mut times = empty();
        (1..=10_000_u64).for_each(|n| times.record(n * 1000).expect("it grows"));
        let latency = latency(&times).expect("it has samples");
        assert_eq!(10_000, latency.count);
        for (expected, is) in [(5e6, latency.p50), (9e6, latency.p90), (9.9e6, latency.p99), (9.99e6, latency.p999)] {
            assert!((is / expected - 1.0).abs() < 0.001, "{is} in place of {expected}");
        }
        assert_eq!(times, from_text(&to_text(&times)).expect("it is one"));
        let kept = from_text(&latency.histogram).expect("it is one");
        assert_eq!(times.len(), kept.len());
        for quantile in [0.01, 0.5, 0.99] {
            let (is, was) = (kept.value_at_quantile(quantile) as f64, times.value_at_quantile(quantile) as f64);
            assert!((is / was - 1.0).abs() < 0.01, "{is} in place of {was}");
        }
        assert!(latency.histogram.len() < 2_000, "{}", latency.histogram.len());
    }

    #[test]
    fn what_is_no_histogram_is_told() {
        assert!(from_text("?").is_err_and(|e| e.contains("base64")));
        assert!(from_text("AAAA").is_err_and(|e| e.contains("decode")));
        assert_eq!(None, latency(&empty()).map(|it| it.count));
    }
}
