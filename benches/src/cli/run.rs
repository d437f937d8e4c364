//! `polyhost-bench run`.

mod outcome;
mod suite;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};

use super::{Failure, progress, show, signals};
use crate::contenders;
use crate::matrix::{Choice, Extent, Plan, Point};
use crate::project::{Whose, registry};
use crate::report::terminal;
use crate::run::{Entrant, Setup};
use crate::workloads::custom::{Case, Custom};
use crate::{run as harness, workloads};

/// Measures contenders against each other, or runs a suite of checks.
///
/// Without options: the standard matrix of workloads, payloads and callers, all contenders, in less than ten minutes.
/// What a contender needs and does not find is printed, and the rest goes on; so it does where one crashes, hangs or
/// replies something wrong. Contenders that POLYHOST_REQUIRE names (clr,cpython) may not be skipped: exit code 1.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Run {
    /// Runs a suite of checks in place of the matrix
    #[arg(long, value_enum)]
    suite: Option<Suite>,
    /// Only the checks whose name begins with this, such as `echo` or `start.clr`
    #[arg(long, value_name = "PREFIX", requires = "suite")]
    only: Option<String>,
    /// Writes the suite's result as JSON to this file (`-`: to standard output)
    #[arg(long, value_name = "FILE", requires = "suite")]
    json: Option<PathBuf>,

    /// Only these workloads; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "What")]
    workload: Vec<String>,
    /// Only these contenders, by name or runtime, such as clr or py; may be repeated
    #[arg(long, alias = "runtime", value_name = "NAME", value_delimiter = ',', help_heading = "What")]
    contender: Vec<String>,
    /// Only payloads of this size, such as 0, 64, 1K or 1M; may be repeated
    #[arg(long, value_name = "SIZE", value_delimiter = ',', value_parser = size, help_heading = "What")]
    payload: Vec<usize>,
    /// Only with so many callers at the same time; may be repeated
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = callers, help_heading = "What")]
    concurrency: Vec<usize>,
    /// Measures an open loop too: so many calls a second, with times from the intended send
    ///
    /// A closed loop asks a contender that stalls nothing until it is over, and so hides what callers who don't wait
    /// for each other would see.
    #[arg(long, value_name = "CALLS", value_parser = rate, help_heading = "What")]
    rate: Option<f64>,

    /// A module of yours, such as clr:path/My.dll; give several to compare them on the same requests
    ///
    /// Shared libraries (native:...) become part of a process of their own; load none that you would not run.
    #[arg(long, value_name = "LOCATION", requires_all = ["export", "input"], help_heading = "Your own modules",
        conflicts_with_all = ["workload", "contender", "payload", "suite"])]
    module: Vec<String>,
    /// The export to call, once for all modules or once for each
    #[arg(long, value_name = "NAME", requires = "module", help_heading = "Your own modules")]
    export: Vec<String>,
    /// A file with the request as JSON, or a list of requests; the bytes themselves for an export of raw bytes
    #[arg(long, value_name = "FILE", requires = "module", help_heading = "Your own modules")]
    input: Vec<PathBuf>,
    /// Lets the modules' replies differ, where they hold a time or a count, say; by default one that replies something
    /// else than the first is not measured
    #[arg(long, requires = "module", help_heading = "Your own modules")]
    unchecked: bool,

    /// Everything: all payloads and callers, longer, in some hours
    #[arg(long, conflicts_with = "quick", help_heading = "How")]
    full: bool,
    /// Few and short rounds, to see that everything runs; its numbers mean little
    #[arg(long, help_heading = "How")]
    quick: bool,
    /// The seed of payloads, orders and intervals
    #[arg(long, default_value_t = 1, help_heading = "How")]
    seed: u64,
    /// How many seconds longer than it should a contender may take, before it is held to hang
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = value_parser!(u64).range(1..),
        help_heading = "How")]
    patience: u64,

    /// What you call this machine; no host name gets into a result
    #[arg(long, value_name = "NAME", default_value = "local", value_parser = label, help_heading = "Result")]
    label: String,
    /// Writes the result: to this file, or into this folder, as DATE-LABEL.json with a page of plots beside it
    #[arg(long, value_name = "FILE|FOLDER", help_heading = "Result")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  polyhost-bench run --quick --workload echo --contender native,clr,cpython
  polyhost-bench run --workload echo --payload 1K --rate 20000
  polyhost-bench run --workload http --payload 0,1K --concurrency 1,16 --rate 5000
  polyhost-bench run --module clr:bin/My.dll --module py:my.py --export my.Svc/Do --input request.json";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Suite {
    /// One check for each number the project wants to reach
    Targets,
}

pub(super) fn run(arguments: &Run) -> Result<ExitCode, Failure> {
    if let Some(Suite::Targets) = arguments.suite {
        let only = arguments.only.as_deref().unwrap_or_default();
        return suite::targets(only, arguments.json.as_deref(), arguments.quick, arguments.seed, &arguments.label);
    }
    let setup = arguments.setup()?;
    let cells = setup.cells();
    eprintln!("{cells} cell{}, {} at most", if cells == 1 { "" } else { "s" }, minutes(setup.longest()));
    let place = arguments.out.as_deref().map(outcome::Place::new).transpose()?;
    let interrupted = setup.interrupted.clone();
    signals::watch(&interrupted)?;
    let mut progress = progress::for_stderr();
    let result = harness::run(setup, &mut *progress);
    show(&terminal::render(&result))?;
    if let Some(place) = place {
        eprintln!("written to {}", place.write(&result)?.display());
    }
    let required = std::env::var("POLYHOST_REQUIRE").unwrap_or_default();
    Ok(ExitCode::from(outcome::exit_code(&result, &required)))
}

impl Run {
    fn setup(&self) -> Result<Setup, Failure> {
        let (entrants, names) = if self.module.is_empty() { self.ours()? } else { self.modules()? };
        let supports = |point: &Point| contenders::supporting(entrants.iter().map(|it| &*it.start), point);
        let extent = match (self.full, self.quick) {
            (true, _) => Extent::Full,
            (_, true) => Extent::Quick,
            _ => Extent::Standard,
        };
        let choice = Choice {
            workloads: self.workload.clone(),
            payloads: if self.module.is_empty() { self.payload.clone() } else { vec![0] },
            concurrency: self.concurrency.clone(),
            rate: self.rate,
        };
        let plan = Plan::new(extent, &names, &choice, supports);
        let patience = Duration::from_secs(self.patience);
        let interrupted = Arc::new(AtomicBool::new(false));
        let (label, unchecked) = (self.label.clone(), self.unchecked);
        Ok(Setup { plan, entrants, seed: self.seed, label, patience, unchecked, interrupted })
    }

    /// Contenders and workloads of ours.
    fn ours(&self) -> Result<(Vec<Entrant>, Vec<String>), Failure> {
        for name in &self.workload {
            workloads::named(name)?;
        }
        let mut entrants: Vec<_> = contenders::chosen(&self.contender)?.into_iter().map(Entrant::of).collect();
        let mut names: Vec<_> = workloads::all().iter().map(|it| it.name().to_owned()).collect();
        names.retain(|name| self.workload.is_empty() || self.workload.contains(name));
        let idle = |entrant: &Entrant| !names.iter().any(|name| entrant.knows(name));
        match entrants.iter().find(|entrant| idle(entrant)) {
            Some(entrant) if !self.contender.is_empty() => {
                let names = names.join(", ");
                return Err(
                    format!("{} has no part in {names}; `polyhost-bench list` tells who has", entrant.name).into()
                );
            }
            _ => entrants.retain(|entrant| !idle(entrant)),
        }
        names.retain(|name| entrants.iter().any(|entrant| entrant.knows(name)));
        Ok((entrants, names))
    }

    /// The user's own.
    fn modules(&self) -> Result<(Vec<Entrant>, Vec<String>), Failure> {
        let registry = registry(Whose::Users);
        let mut cases = Vec::new();
        for (i, location) in self.module.iter().enumerate() {
            registry.parse(location)?;
            let export = one_for_each("--export", &self.export, self.module.len(), i)?;
            let path = one_for_each("--input", &self.input, self.module.len(), i)?;
            let input = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
            cases.push(Case { location: location.clone(), export: export.clone(), input });
        }
        Ok((Entrant::of_cases(cases), vec![Custom::NAME.to_owned()]))
    }
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs().div_ceil(60) {
        1 => "a minute".to_owned(),
        more => format!("{more} minutes"),
    }
}

/// The value of a module: its own, or the one for all.
fn one_for_each<'a, T>(option: &str, values: &'a [T], modules: usize, i: usize) -> Result<&'a T, Failure> {
    match values {
        [one] => Ok(one),
        many if many.len() == modules => Ok(&many[i]),
        many => {
            Err(format!("{option} is given {} times for {modules} modules; give it once, or once for each", many.len())
                .into())
        }
    }
}

fn size(text: &str) -> Result<usize, String> {
    let (digits, factor) = match text.trim().to_ascii_uppercase() {
        t if t.ends_with('K') => (t[..t.len() - 1].to_owned(), 1 << 10),
        t if t.ends_with('M') => (t[..t.len() - 1].to_owned(), 1 << 20),
        t => (t, 1),
    };
    let number: usize = digits.parse().map_err(|_| "a size is a number of bytes, or one with K or M behind it")?;
    // Replies are limited to 64 MiB.
    number.checked_mul(factor).filter(|size| *size <= 32 << 20).ok_or_else(|| "32M is the most".to_owned())
}

fn callers(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=256).contains(number));
    number.ok_or_else(|| "from 1 to 256 callers".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate >= 1.0 && *rate <= 1e7);
    rate.ok_or_else(|| "from 1 to 10000000 calls a second".to_owned())
}

fn label(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.len() <= 64 && !text.starts_with('.') && text.chars().all(fine) {
        return Ok(text.to_owned());
    }
    Err("a label is made of letters, digits, - _ and ., for it gets into the name of a file".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_a_limit() {
        assert_eq!([Ok(0), Ok(64), Ok(1 << 10), Ok(2 << 20)], ["0", "64", "1K", "2m"].map(size));
        assert!(["", "K", "-1", "1.5", "1G", "64M", "99999999999999999999"].iter().all(|text| size(text).is_err()));
    }

    #[test]
    fn what_can_not_be_measured_is_refused() {
        assert_eq!(Ok(2), callers("2"));
        assert!(["0", "257", "x"].iter().all(|text| callers(text).is_err()));
        assert_eq!(Ok(2.5), rate("2.5"));
        assert!(["0", "-1", "NaN", "inf", "1e9"].iter().all(|text| rate(text).is_err()));
        assert_eq!(Ok("my-laptop_2.0".to_owned()), label("my-laptop_2.0"));
        assert!(["", "a b", "../a", "a/b", ".a"].iter().all(|text| label(text).is_err()));
    }

    #[test]
    fn an_option_counts_for_all_modules_or_for_each() {
        assert_eq!(7, *one_for_each("--export", &[7], 3, 2).expect("one for all"));
        assert_eq!(9, *one_for_each("--export", &[7, 8, 9], 3, 2).expect("one for each"));
        let error = one_for_each("--export", &[7, 8], 3, 2).expect_err("neither").to_string();
        assert!(error.contains("--export is given 2 times for 3 modules"), "{error}");
    }
}
