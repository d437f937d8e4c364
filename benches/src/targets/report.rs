//! Results for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::report::units::{digits, round};
use crate::result::schema::Environment;
use crate::stats::{Estimate, Target, Verdict};

/// One named check of the suite `targets`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Check {
    /// Such as `echo.clr`.
    pub(crate) name: &'static str,
    /// What was measured, with its unit.
    pub(crate) what: String,
    /// What it should be.
    pub(crate) target: Target,
    /// What it is; absent where it could not be measured.
    pub(crate) measured: Option<Estimate>,
    /// How the two compare; absent where it could not be measured.
    pub(crate) verdict: Option<Verdict>,
    /// What is not there, where that is why it could not be measured.
    pub(crate) skipped: Option<String>,
    /// What failed, where that is why.
    pub(crate) failed: Option<String>,
    /// The numbers behind the ratio.
    pub(crate) detail: String,
}

impl Check {
    /// A check that was measured.
    pub(crate) fn measured(
        name: &'static str,
        what: impl Into<String>,
        target: Target,
        measured: Estimate,
        detail: impl Into<String>,
    ) -> Check {
        Check {
            name,
            what: what.into(),
            target,
            measured: Some(measured),
            verdict: Some(target.judge(measured)),
            skipped: None,
            failed: None,
            detail: detail.into(),
        }
    }

    /// A check that could not be measured.
    pub(crate) fn unmeasured(name: &'static str, what: impl Into<String>, target: Target, reason: Unmeasured) -> Check {
        let (skipped, failed) = match reason {
            Unmeasured::Skipped(reason) => (Some(reason), None),
            Unmeasured::Failed(reason) => (None, Some(reason)),
        };
        Check { name, what: what.into(), target, measured: None, verdict: None, skipped, failed, detail: String::new() }
    }

    /// Whether a run with this check is none to be content with; `required` says that nothing may be skipped.
    pub(crate) fn is_bad(&self, required: bool) -> bool {
        self.verdict == Some(Verdict::Missed) || self.failed.is_some() || (required && self.skipped.is_some())
    }

    /// One line for a terminal.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{:<24} {:<12} target {:<8}", self.name, self.outcome(), show_target(self.target));
        if let Some(Estimate { value, low, high }) = self.measured {
            let _ = write!(line, " measured {} [{}, {}]", digits(value), digits(low), digits(high));
        }
        let _ = write!(line, "  {}", self.what);
        match self.skipped.as_ref().or(self.failed.as_ref()) {
            Some(reason) => {
                let _ = write!(line, ": {reason}");
            }
            None if !self.detail.is_empty() => {
                let _ = write!(line, " ({})", self.detail);
            }
            None => {}
        }
        line
    }

    fn outcome(&self) -> &'static str {
        match self.verdict {
            Some(Verdict::Reached) => "reached",
            Some(Verdict::Inconclusive) => "inconclusive",
            Some(Verdict::Missed) => "MISSED",
            None if self.failed.is_some() => "FAILED",
            None => "skipped",
        }
    }
}

/// Why there is no number.
#[derive(Debug, Clone)]
pub(crate) enum Unmeasured {
    /// The runtime or its guest is not there.
    Skipped(String),
    /// They are, and something went wrong.
    Failed(String),
}

impl Unmeasured {
    /// Without which of the two it is.
    pub(crate) fn reason(self) -> String {
        let (Unmeasured::Skipped(reason) | Unmeasured::Failed(reason)) = self;
        reason
    }
}

impl From<polyhost::Error> for Unmeasured {
    fn from(error: polyhost::Error) -> Self {
        Unmeasured::Failed(error.to_string())
    }
}

fn show_target(target: Target) -> String {
    match target {
        Target::AtMost(limit) => format!("≤ {}", round(&digits(limit))),
        Target::AtLeast(limit) => format!("≥ {}", round(&digits(limit))),
    }
}

/// Everything a run found out, as it is written to a file.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The version of this format.
    pub(crate) schema: u32,
    /// The suite that ran.
    pub(crate) suite: &'static str,
    /// Fewer and shorter rounds than the numbers need; good for trying out only.
    pub(crate) quick: bool,
    /// The seed of the payloads, the order of rounds and the intervals.
    pub(crate) seed: u64,
    /// Where it ran.
    pub(crate) machine: Environment,
    /// Names and versions of the runtimes that started.
    pub(crate) runtimes: Vec<String>,
    /// The checks.
    pub(crate) checks: Vec<Check>,
}
