//! Numbers as people read them: three digits, and the unit that fits.

use crate::stats::Estimate;

/// A time.
pub(crate) fn nanos(nanos: f64) -> String {
    match nanos.abs() {
        n if n < 1e3 => format!("{} ns", digits(nanos)),
        n if n < 1e6 => format!("{} µs", digits(nanos / 1e3)),
        n if n < 1e9 => format!("{} ms", digits(nanos / 1e6)),
        _ => format!("{} s", digits(nanos / 1e9)),
    }
}

/// The interval of a time, in the unit of its upper end.
pub(crate) fn nanos_interval(it: Estimate) -> String {
    let (unit, factor) = match it.high.abs() {
        n if n < 1e3 => ("ns", 1.0),
        n if n < 1e6 => ("µs", 1e3),
        n if n < 1e9 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    format!("{}–{} {unit}", digits(it.low / factor), digits(it.high / factor))
}

/// A time with its interval.
pub(crate) fn nanos_with_interval(it: Estimate) -> String {
    format!("{} [{}]", nanos(it.value), nanos_interval(it))
}

/// Milliseconds, in the unit that fits.
pub(crate) fn millis(millis: f64) -> String {
    nanos(millis * 1e6)
}

/// Bytes.
pub(crate) fn bytes(bytes: u64) -> String {
    let b = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", digits(b / 1024.0)),
        1_048_576..1_073_741_824 => format!("{} MiB", digits(b / 1_048_576.0)),
        _ => format!("{} GiB", digits(b / 1_073_741_824.0)),
    }
}

/// How many.
pub(crate) fn count(count: f64) -> String {
    match count.abs() {
        n if n < 1e3 => digits(count),
        n if n < 1e6 => format!("{} k", digits(count / 1e3)),
        n if n < 1e9 => format!("{} M", digits(count / 1e6)),
        _ => format!("{} G", digits(count / 1e9)),
    }
}

/// How many times as much.
pub(crate) fn times(ratio: f64) -> String {
    if ratio.abs() >= 9999.5 { format!("{}×", count(ratio)) } else { format!("{}×", digits(ratio)) }
}

/// How much more or less, in percent.
pub(crate) fn change(ratio: f64) -> String {
    let percent = (ratio - 1.0) * 100.0;
    match percent.abs() {
        p if p >= 1000.0 => times(ratio),
        p if p < 0.05 => "±0 %".to_owned(),
        p => format!(
            "{}{} %",
            if percent < 0.0 { '−' } else { '+' },
            if p < 10.0 { format!("{p:.1}") } else { format!("{p:.0}") }
        ),
    }
}

/// Numbers at an axis: without the zeros that only show how exact a measured number is.
pub(crate) fn round(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number}{unit}")
}

/// `1 caller`, `2 callers`.
pub(crate) fn callers(concurrency: usize) -> String {
    if concurrency == 1 { "1 caller".to_owned() } else { format!("{concurrency} callers") }
}

/// Three significant digits; an exponent where there would be many zeros.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        a if !a.is_finite() => "–".to_owned(),
        a if a >= 99_999.5 || (a > 0.0 && a < 0.0005) => format!("{value:.1e}"),
        a if a >= 99.95 || value.fract() == 0.0 => format!("{value:.0}"),
        a if a >= 9.995 => format!("{value:.1}"),
        a if a >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_the_unit_that_fits() {
        assert_eq!(["6.83 ns", "41.2 ns", "1.50 µs", "123 ms", "2 s"], [6.83, 41.2, 1500.0, 123.4e6, 2e9].map(nanos));
        assert_eq!(["0 B", "1023 B", "1 KiB", "1.50 MiB", "2 GiB"], [0, 1023, 1024, 1_572_864, 2 << 30].map(bytes));
        assert_eq!(["12", "1.20 k", "3.40 M"], [12.0, 1200.0, 3.4e6].map(count));
        assert_eq!(["0.123", "100", "10.0", "0", "1.0e-9"], [0.123, 99.99, 9.999, 0.0, 1e-9].map(digits));
        assert_eq!(["1×", "4.13×", "12 k×"], [1.0, 4.13, 12_000.0].map(times));
        assert_eq!(["–", "–"], [f64::NAN, f64::INFINITY].map(digits));
    }

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(["0.5×", "1.5 µs", "100 ns", "20"], ["0.500×", "1.50 µs", "100 ns", "20"].map(round));
    }

    #[test]
    fn changes_have_a_sign() {
        assert_eq!(["+5.0 %", "−12 %", "±0 %", "20×"], [1.05, 0.88, 1.0, 20.0].map(change));
    }

    #[test]
    fn both_ends_of_an_interval_share_a_unit() {
        let interval = nanos_interval(Estimate { value: 1000.0, low: 900.0, high: 1100.0 });
        assert_eq!("0.900–1.10 µs", interval);
    }
}
