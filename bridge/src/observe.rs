//! What is seen of calls: spans and events of `tracing`, and what is counted of them.
//!
//! A call has a span `call` of the target `polyhost::call` and the level DEBUG, made in one place for every host:
//! [`Lifecycle::call`](crate::Lifecycle::call). As long as no subscriber wants that level it pays one load.
//! [observability.md](https://github.com/polyhost/polyhost/blob/main/bridge/docs/observability.md) has all names.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::span::EnteredSpan;
use tracing::{Span, field};

use crate::boundary;
use crate::call::CallContext;
use crate::error::{Error, Result};
#[cfg(feature = "metrics")]
use crate::metrics;
use crate::output::Output;
use crate::trace::TraceParent;

/// An export as spans, logs and metrics name it. Cheap to clone. Made by [`Lifecycle::callee`](crate::Lifecycle::callee).
#[derive(Clone)]
pub struct Callee(Arc<Names>);

struct Names {
    runtime: &'static str,
    module: Arc<str>,
    export: Box<str>,
    #[cfg(feature = "metrics")]
    counted: metrics::Counted,
}

impl Callee {
    pub(crate) fn new(runtime: &'static str, module: Arc<str>, export: &str) -> Self {
        #[cfg(feature = "metrics")]
        let counted = metrics::Counted::new(runtime, &module, export);
        Callee(Arc::new(Names {
            runtime,
            module,
            export: export.into(),
            #[cfg(feature = "metrics")]
            counted,
        }))
    }

    /// Counts a call that has ended.
    #[inline]
    fn count(&self, error: Option<&Error>) {
        #[cfg(feature = "metrics")]
        self.0.counted.count(error);
        #[cfg(not(feature = "metrics"))]
        let _ = error;
    }

    /// The name of its module.
    pub fn module(&self) -> &str {
        &self.0.module
    }

    /// Its own name.
    pub fn export(&self) -> &str {
        &self.0.export
    }

    /// The span of a call that begins; none where nobody wants it.
    fn span(&self, cx: &CallContext, bytes_in: usize) -> Span {
        let Names { runtime, module, export, .. } = &*self.0;
        tracing::debug_span!(
            target: "polyhost::call",
            "call",
            runtime,
            module = &**module,
            export = &**export,
            trace_id = cx.trace_parent().map(TraceParent::trace_id),
            bytes_in,
            bytes_out = field::Empty,
            waiting_ns = field::Empty,
            guest_ns = field::Empty,
            error = field::Empty,
        )
    }

    #[cold]
    fn named(&self, error: Error) -> Error {
        match error.operation_name() {
            Some(_) => error,
            None => error.operation(format!("call {}", self.export())),
        }
    }
}

impl fmt::Debug for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Callee").field(&self.module()).field(&self.export()).finish()
    }
}

/// Whether any subscriber may want the spans of calls. One load.
#[inline]
pub(crate) fn spans() -> bool {
    STATIC_MAX_LEVEL >= LevelFilter::DEBUG && LevelFilter::current() >= LevelFilter::DEBUG
}

/// Makes a call on this thread, and shows it to those who look.
#[inline]
pub(crate) fn call(
    callee: &Callee,
    cx: &CallContext,
    input: &[u8],
    output: &mut Output,
    run: impl FnOnce(&mut Output) -> Result<()>,
) -> Result<()> {
    let seen = if spans() { OnThread::begin(callee, cx, input.len()) } else { None };
    let before = output.len();
    let outcome = boundary::works_for(Some(callee), || run(output));
    callee.count(outcome.as_ref().err());
    if let Some(seen) = seen {
        (*seen).end(output.len().saturating_sub(before), outcome.as_ref().err());
    }
    outcome.map_err(|error| callee.named(error))
}

/// The span of a call that runs on this thread from begin to end.
struct OnThread {
    span: EnteredSpan,
    begun: Instant,
    /// What the call that this one is nested in has waited so far.
    outer: Duration,
}

impl OnThread {
    /// `None` where nobody wants it.
    #[cold]
    #[inline(never)]
    fn begin(callee: &Callee, cx: &CallContext, bytes_in: usize) -> Option<Box<OnThread>> {
        let span = callee.span(cx, bytes_in);
        if span.is_disabled() {
            return None;
        }
        let outer = WAITED.replace(Duration::ZERO);
        Some(Box::new(OnThread { span: span.entered(), begun: Instant::now(), outer }))
    }

    #[cold]
    #[inline(never)]
    fn end(self, bytes_out: usize, error: Option<&Error>) {
        let waited = WAITED.replace(self.outer);
        record(&self.span, self.begun.elapsed(), waited, bytes_out, error);
    }
}

fn record(span: &Span, whole: Duration, waited: Duration, bytes_out: usize, error: Option<&Error>) {
    span.record("bytes_out", bytes_out);
    span.record("waiting_ns", nanos(waited));
    span.record("guest_ns", nanos(whole.saturating_sub(waited)));
    if let Some(error) = error {
        span.record("error", error.kind().name());
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

thread_local! {
    /// What the innermost call of this thread that has a span has waited for its turn.
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Runs `wait`, which takes a call's turn: a lock of the runtime, an instance. The time is waiting, and not the guest's.
/// For hosts.
#[inline]
pub fn waiting<R>(wait: impl FnOnce() -> R) -> R {
    let begun = if spans() { Some(Instant::now()) } else { None };
    let turn = wait();
    if let Some(begun) = begun {
        WAITED.set(WAITED.get() + begun.elapsed());
    }
    turn
}

/// How long those calls wait for a turn that have to, as a metric; for hosts. Without the feature `metrics` it does
/// nothing.
pub struct Waits {
    #[cfg(feature = "metrics")]
    histogram: ::metrics::Histogram,
}

impl Waits {
    /// For what `turn` names, `gate` or `vm`: of one module, or of a whole runtime.
    pub fn new(runtime: &'static str, turn: &'static str, module: Option<&str>) -> Waits {
        #[cfg(feature = "metrics")]
        return Waits { histogram: metrics::waits(runtime, turn, module) };
        #[cfg(not(feature = "metrics"))]
        {
            let _ = (runtime, turn, module);
            Waits {}
        }
    }

    /// Runs `wait`, on a way that only those get to who have to wait.
    pub fn time<R>(&self, wait: impl FnOnce() -> R) -> R {
        #[cfg(feature = "metrics")]
        let begun = Instant::now();
        let turn = wait();
        #[cfg(feature = "metrics")]
        self.histogram.record(begun.elapsed());
        turn
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits").finish_non_exhaustive()
    }
}

/// What a thread works at: a call of an export, in its span. For hosts whose calls go on on other threads.
#[derive(Clone, Debug)]
pub struct Work {
    callee: Option<Callee>,
    span: Span,
}

impl Work {
    /// What this thread is at.
    pub fn here() -> Work {
        Work { callee: boundary::callee(|callee| callee.cloned()), span: here() }
    }

    /// Runs `run` on this thread as part of it.
    #[inline]
    pub fn run<R>(&self, run: impl FnOnce() -> R) -> R {
        let _inside = (!self.span.is_none()).then(|| self.span.enter());
        boundary::works_for(self.callee.as_ref(), run)
    }
}

/// The span that this thread is in; none where calls have none.
#[inline]
pub(crate) fn here() -> Span {
    if spans() { Span::current() } else { Span::none() }
}

/// A call that no thread stays in from begin to end. For hosts that await.
#[derive(Debug)]
pub struct Awaited {
    callee: Callee,
    span: Span,
    begun: Option<Instant>,
}

impl Awaited {
    /// A call that begins.
    pub fn begin(callee: &Callee, cx: &CallContext, input: &[u8]) -> Awaited {
        let span = if spans() { callee.span(cx, input.len()) } else { Span::none() };
        let begun = (!span.is_none()).then(Instant::now);
        Awaited { callee: callee.clone(), span, begun }
    }

    /// What its threads work at.
    pub fn work(&self) -> Work {
        Work { callee: Some(self.callee.clone()), span: self.span.clone() }
    }

    /// The call has ended. A failure says what was called.
    ///
    /// # Errors
    /// That failure.
    pub fn end<T: AsRef<[u8]>>(&self, outcome: Result<T>) -> Result<T> {
        self.callee.count(outcome.as_ref().err());
        if let Some(begun) = self.begun {
            let bytes_out = outcome.as_ref().map_or(0, |reply| reply.as_ref().len());
            record(&self.span, begun.elapsed(), Duration::ZERO, bytes_out, outcome.as_ref().err());
        }
        outcome.map_err(|error| self.callee.named(error))
    }
}
