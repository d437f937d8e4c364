//! What came of it, as a table for people and as JSON for programs.

use std::fmt::{self, Write};

use serde::Serialize;

use crate::measure::Speed;

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
    /// From before the start of the runtime until the first reply, in milliseconds.
    pub(crate) start_ms: f64,
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

impl Report {
    /// Whether something went wrong.
    pub(crate) fn failed(&self) -> bool {
        let languages = self.languages.iter().any(|row| matches!(row.outcome, Outcome::Failed(_)));
        languages || self.libraries.iter().any(|line| matches!(line.outcome, Outcome::Failed(_)))
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
            write!(f, "{:29}", row.title())?;
            match &row.outcome {
                Outcome::Ran(figures) => writeln!(f, "{}", figures.columns())?,
                Outcome::Skipped(reason) => writeln!(f, " skipped: {reason}")?,
                Outcome::Failed(reason) => writeln!(f, " FAILED: {reason}")?,
            }
        }
        writeln!(f)?;
        for line in &self.libraries {
            match &line.outcome {
                Outcome::Ran(what) => writeln!(f, "{:29} {what}", line.library)?,
                Outcome::Skipped(reason) => writeln!(f, "{:29} skipped: {reason}", line.library)?,
                Outcome::Failed(reason) => writeln!(f, "{:29} FAILED: {reason}", line.library)?,
            }
        }
        Ok(())
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
        let mut line = format!("{:8.2}{:>8}{:>8}", self.start_ms, mib(self.start_bytes), mib(self.end_bytes));
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
