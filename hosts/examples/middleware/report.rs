//! What came of it, as a table for people and as JSON for programs.

use std::fmt::{self, Write};

use serde::Serialize;

use crate::measure::{self, Speed};

/// Everything the demo has to tell.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The seed of the requests.
    pub(crate) seed: u64,
    /// How many there were.
    pub(crate) requests: usize,
    /// What a look at the clock costs, in nanoseconds: every percentile includes it.
    pub(crate) clock_ns: u64,
    /// In the order in which they were started.
    pub(crate) languages: Vec<Row>,
    /// Libraries nobody here wrote.
    pub(crate) libraries: Vec<Line>,
    /// The requests to an ASP.NET Core application, each with its answer.
    pub(crate) served: Option<Outcome<Vec<String>>>,
}

/// A language.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// For people, such as `C#`.
    pub(crate) language: &'static str,
    /// Name and version of its runtime, where that started.
    pub(crate) runtime: Option<String>,
    /// What came of it.
    #[serde(flatten)]
    pub(crate) outcome: Outcome<Figures>,
}

/// What came of a library.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// For people, such as `Markdig (C#)`.
    pub(crate) library: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub(crate) outcome: Outcome<String>,
}

/// What came of an attempt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome<T> {
    /// It went well.
    Ran(T),
    /// It can't be done here; why.
    Skipped(String),
    /// It went wrong; how.
    Failed(String),
}

/// What a language cost.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// From before the start of the runtime until the first reply.
    pub(crate) start: Start,
    /// By how much the process grew until the first reply, in bytes of RAM.
    pub(crate) start_bytes: i64,
    /// By how much it grew until the last reply.
    pub(crate) end_bytes: i64,
    /// How many replies agreed with those of the native row.
    pub(crate) agreed: usize,
    /// `bench.v1.Middleware/Handle`, where the language has it.
    pub(crate) handle: Option<Speed>,
    /// `bench.v1.Middleware/Rewrite`.
    pub(crate) rewrite: Speed,
}

/// Times in milliseconds, one after the other.
#[derive(Debug, Serialize)]
pub(crate) struct Start {
    /// Until the runtime runs; nearly nothing where another language had started it.
    pub(crate) runtime_ms: f64,
    /// Until the module is loaded and its functions are found.
    pub(crate) load_ms: f64,
    /// Until the first call returns.
    pub(crate) call_ms: f64,
}

impl Start {
    fn total(&self) -> f64 {
        self.runtime_ms + self.load_ms + self.call_ms
    }
}

impl Report {
    /// Without rows.
    pub(crate) fn new(seed: u64, requests: usize) -> Self {
        Report {
            seed,
            requests,
            clock_ns: measure::clock_ns(),
            languages: Vec::new(),
            libraries: Vec::new(),
            served: None,
        }
    }

    /// Whether something went wrong.
    pub(crate) fn failed(&self) -> bool {
        let languages = self.languages.iter().any(|row| matches!(row.outcome, Outcome::Failed(_)));
        let served = matches!(self.served, Some(Outcome::Failed(_)));
        served || languages || self.libraries.iter().any(|line| matches!(line.outcome, Outcome::Failed(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = ["calls/s", "p50 µs", "p99 µs"];
        writeln!(f, "{:37}{:>16}{:>25}{:>27}", "", "memory MiB", "Handle", "Rewrite")?;
        write!(f, "{:29}{:>8}{:>8}{:>8}", "", "start ms", "start", "end")?;
        for name in columns.into_iter().chain(columns) {
            write!(f, "{name:>9}")?;
        }
        writeln!(f)?;
        for row in &self.languages {
            row.outcome.write(f, &row.title(), Figures::columns)?;
        }
        writeln!(f)?;
        for line in &self.libraries {
            line.outcome.write(f, line.library, |what| format!(" {what}"))?;
        }
        writeln!(f, "\n{NOTE}A look at the clock, {} ns, is in p50 and p99.", self.clock_ns)?;
        match &self.served {
            Some(Outcome::Ran(lines)) => {
                writeln!(f, "\nASP.NET Core, served by this process, with one route in Rust on the same port")?;
                lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
                writeln!(f, "\n{TRY}")
            }
            Some(other) => {
                writeln!(f)?;
                other.write(f, "ASP.NET Core", |_| String::new())
            }
            None => Ok(()),
        }
    }
}

/// What to do with it by hand.
const TRY: &str = "\
Try it: cargo run --release -p polyhost-cli -- serve target/guests/Shop/Shop.dll --listen 127.0.0.1:8080
        curl -i http://127.0.0.1:8080/coffees
With the route in Rust: cargo run --release -p polyhost --features aspnet --example aspnet";

/// What to know before anybody quotes a number.
const NOTE: &str = "\
The runtimes were started one after the other in this process, in the order of the table; start ms and memory
count from there to the first reply, and to the last. One thread called with a different request each time.
This is a glance: `make bench` measures, in rounds and with intervals.
";

impl<T> Outcome<T> {
    /// All of it on a line, or more for a failure.
    pub(crate) fn told(&self, show: impl Fn(&T) -> String) -> String {
        match self {
            Outcome::Ran(it) => show(it),
            Outcome::Skipped(reason) => format!("skipped: {reason}"),
            Outcome::Failed(reason) => format!("FAILED: {reason}"),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, title: &str, show: impl Fn(&T) -> String) -> fmt::Result {
        match self {
            Outcome::Ran(it) => writeln!(f, "{title:29}{}", show(it)),
            Outcome::Skipped(reason) => writeln!(f, "{title:29} skipped: {}", shortened(reason)),
            Outcome::Failed(reason) => writeln!(f, "{title:29} FAILED: {}", shortened(reason)),
        }
    }
}

/// What fits beside a title; the JSON has all of it.
fn shortened(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    match line.char_indices().nth(100) {
        Some((at, _)) => format!("{} …", &line[..at]),
        None => line.to_owned(),
    }
}

impl Row {
    fn title(&self) -> String {
        match &self.runtime {
            Some(runtime) => format!("{} ({runtime})", self.language),
            None => self.language.to_owned(),
        }
    }
}

impl Figures {
    fn columns(&self) -> String {
        let mut line = format!("{:8.2}{:>8}{:>8}", self.start.total(), mib(self.start_bytes), mib(self.end_bytes));
        for speed in [self.handle.as_ref(), Some(&self.rewrite)] {
            let written = match speed {
                Some(it) => write!(line, "{:>9.0}{:>9.1}{:>9.1}", it.calls_per_second, it.p50_us, it.p99_us),
                None => write!(line, "{:>9}{:>9}{:>9}", "–", "–", "–"),
            };
            written.expect("a String takes everything");
        }
        line
    }
}

fn mib(bytes: i64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}
