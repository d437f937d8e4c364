//! What a server counts, and the text that Prometheus reads.
//!
//! Counters that requests touch lie in stripes, one for a few threads each, so that threads do not share cache lines.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::head::Method;

const STRIPES: usize = 8;
const METHODS: [&str; 10] = ["other", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Upper bounds of the histograms, in nanoseconds and as Prometheus' label.
const BOUNDS: [(u64, &str); 16] = [
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (10_000_000_000, "10"),
];

/// The counters of a server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    stripes: [Stripe; STRIPES],
    pub(crate) accepted: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) accept_failures: AtomicU64,
    /// Requests that held an I/O thread, and those without a response elsewhere, for too long.
    pub(crate) slow: [AtomicU64; 2],
    refused: Mutex<BTreeMap<u16, u64>>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Stripe {
    pub(crate) begun: AtomicU64,
    pub(crate) ended: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) inline: AtomicU64,
    pub(crate) pool: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) cut: AtomicU64,
    answered: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    pub(crate) total: Histogram,
    pub(crate) handle: Histogram,
    pub(crate) wait: Histogram,
    pub(crate) send: Histogram,
}

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Metrics {
    /// The counters of this thread.
    pub(crate) fn mine(&self) -> &Stripe {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let mine = MINE.try_with(|mine| {
            if mine.get() == usize::MAX {
                mine.set(NEXT.fetch_add(1, Relaxed));
            }
            mine.get()
        });
        &self.stripes[mine.unwrap_or(0) % STRIPES]
    }

    /// A request was refused before the application saw it.
    pub(crate) fn refused(&self, status: u16) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    pub(crate) fn in_flight(&self) -> u64 {
        // In this order, so that one that ends meanwhile does not make the difference negative.
        let ended = self.sum(|stripe| &stripe.ended);
        self.sum(|stripe| &stripe.begun).saturating_sub(ended)
    }

    fn sum(&self, of: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
        self.stripes.iter().map(|stripe| of(stripe).load(Relaxed)).sum()
    }

    pub(crate) fn write(&self, out: &mut Exposition) {
        let mut requests = out.counter("polyhost_http_requests_total", "Requests that have ended, by the status sent.");
        for (method, name) in METHODS.iter().enumerate() {
            for (class, code) in CLASSES.iter().enumerate() {
                let count = self.sum(|stripe| &stripe.answered[method][class]);
                if count > 0 {
                    requests.sample(&[("method", name), ("code", code)], count);
                }
            }
        }
        out.gauge("polyhost_http_requests_in_flight", "Requests that have not ended.").sample(&[], self.in_flight());
        out.counter(
            "polyhost_http_requests_aborted_total",
            "Requests that ended before their response did, and by whom.",
        )
        .sample(&[("by", "client")], self.sum(|stripe| &stripe.lost))
        .sample(&[("by", "server")], self.sum(|stripe| &stripe.cut));
        let mut refused =
            out.counter("polyhost_http_requests_refused_total", "Requests that the application has not seen.");
        for (status, count) in &*self.refused.lock().unwrap_or_else(PoisonError::into_inner) {
            refused.sample(&[("code", &status.to_string())], count);
        }
        out.counter("polyhost_http_dispatched_total", "Requests by where they were handled.")
            .sample(&[("to", "inline")], self.sum(|stripe| &stripe.inline))
            .sample(&[("to", "pool")], self.sum(|stripe| &stripe.pool));
        out.counter("polyhost_http_received_bytes_total", "Bytes read from clients.")
            .sample(&[], self.sum(|stripe| &stripe.received));
        out.counter("polyhost_http_sent_bytes_total", "Bytes written to clients.")
            .sample(&[], self.sum(|stripe| &stripe.sent));
        out.counter("polyhost_http_connections_accepted_total", "Connections that were accepted.")
            .sample(&[], self.accepted.load(Relaxed));
        out.counter("polyhost_http_connections_refused_total", "Connections closed because too many were open.")
            .sample(&[], self.turned_away.load(Relaxed));
        out.counter("polyhost_http_accept_failures_total", "Accepting failed, as where file descriptors ran out.")
            .sample(&[], self.accept_failures.load(Relaxed));
        out.counter("polyhost_http_requests_slow_total", "Requests that were slow, by where; /requests lists them.")
            .sample(&[("place", "io_thread")], self.slow[0].load(Relaxed))
            .sample(&[("place", "application")], self.slow[1].load(Relaxed));
        self.write_times(out);
    }

    fn write_times(&self, out: &mut Exposition) {
        let name = "polyhost_http_request_duration_seconds";
        let help = "Time from the end of the request head to the last byte written.";
        self.histogram(&mut out.histogram(name, help), &[], |stripe| &stripe.total);
        let name = "polyhost_http_request_stage_seconds";
        let help =
            "The same in parts: handle, on the I/O thread; wait, until the response begins; send, until it is written.";
        let mut stages = out.histogram(name, help);
        self.histogram(&mut stages, &[("stage", "handle")], |stripe| &stripe.handle);
        self.histogram(&mut stages, &[("stage", "wait")], |stripe| &stripe.wait);
        self.histogram(&mut stages, &[("stage", "send")], |stripe| &stripe.send);
    }

    fn histogram(&self, family: &mut Family<'_>, labels: &[(&str, &str)], of: impl Fn(&Stripe) -> &Histogram) {
        let mut below = 0;
        let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (index, bound) in bounds.enumerate() {
            below += self.sum(|stripe| &of(stripe).counts[index]);
            family.part("_bucket", &[labels, &[("le", bound)]].concat(), below);
        }
        let seconds = Duration::from_nanos(self.sum(|stripe| &of(stripe).nanoseconds)).as_secs_f64();
        family.part("_sum", labels, seconds);
        family.part("_count", labels, below);
    }
}

impl Stripe {
    pub(crate) fn answered(&self, method: Method, status: u16) {
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        self.answered[method as usize][class].fetch_add(1, Relaxed);
    }
}

impl Histogram {
    pub(crate) fn add(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[BOUNDS.partition_point(|(bound, _)| *bound < nanoseconds)].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }
}

/// Metrics in the text format of Prometheus, version 0.0.4.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// One metric of an [`Exposition`], with all its samples.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Exposition {
    /// The type of the text, for the Content-Type header.
    pub const TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins something that only grows; `name` ends in `_total`.
    pub fn counter<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.family(name, "counter", help)
    }

    /// Begins something that goes up and down.
    pub fn gauge<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.family(name, "gauge", help)
    }

    fn histogram<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.family(name, "histogram", help)
    }

    fn family<'a>(&'a mut self, name: &'a str, kind: &str, help: &str) -> Family<'a> {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        put(&mut self.text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.text, name }
    }

    /// The whole text.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds a value. Label values may be any text.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.part("", labels, value);
        self
    }

    fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        put(self.text, format_args!("{}{suffix}", self.name));
        for (index, (name, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            put(self.text, format_args!("{}{name}=\"{value}\"", if index == 0 { '{' } else { ',' }));
        }
        put(self.text, format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }
}

fn put(text: &mut String, what: fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_in_their_bucket_and_all_above() {
        let metrics = Metrics::default();
        metrics.mine().total.add(Duration::from_micros(50));
        metrics.mine().total.add(Duration::from_secs(60));
        let mut out = Exposition::default();
        metrics.write(&mut out);
        let text = out.into_text();
        for line in [
            "polyhost_http_request_duration_seconds_bucket{le=\"0.00005\"} 1\n",
            "polyhost_http_request_duration_seconds_bucket{le=\"10\"} 1\n",
            "polyhost_http_request_duration_seconds_bucket{le=\"+Inf\"} 2\n",
            "polyhost_http_request_duration_seconds_sum 60.00005\n",
            "polyhost_http_request_duration_seconds_count 2\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn label_values_are_escaped() {
        let mut out = Exposition::default();
        out.gauge("a", "b\\\nc").sample(&[("x", "\\\"\n"), ("y", "z")], 1.5);
        assert_eq!("# HELP a b\\\\\\nc\n# TYPE a gauge\na{x=\"\\\\\\\"\\n\",y=\"z\"} 1.5\n", out.into_text());
    }
}
