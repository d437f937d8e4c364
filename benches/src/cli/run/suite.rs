//! `polyhost-bench run --suite targets`.

use std::path::Path;
use std::process::ExitCode;

use super::super::Failure;
use crate::result::environment;
use crate::targets::measure::Plan;
use crate::targets::report::Report;
use crate::targets::{NAMES, Targets};

/// Exit code 1 where a target is missed, its whole interval on the wrong side, or where something fails. A check is
/// skipped where its runtime or the guest for it is not there.
pub(super) fn targets(
    only: &str,
    json: Option<&Path>,
    quick: bool,
    seed: u64,
    label: &str,
) -> Result<ExitCode, Failure> {
    if !NAMES.iter().any(|(name, _)| name.starts_with(only)) {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        return Err(format!("no check begins with {only}; there are: {}", names.join(", ")).into());
    }
    if cfg!(debug_assertions) {
        eprintln!("polyhost-bench: this is a debug build; its numbers mean nothing");
    }
    let machine = environment::read(label);
    let plan = if quick { Plan::QUICK } else { Plan::STANDARD };
    let to_stdout = json.is_some_and(|path| path.as_os_str() == "-");
    let mut bench = Targets::new(plan, seed);
    let checks = bench.run(only, &mut |check| {
        if to_stdout {
            eprintln!("{}", check.line());
        } else {
            println!("{}", check.line());
        }
    });
    let required = std::env::var("POLYHOST_REQUIRE").is_ok_and(|required| !required.is_empty());
    let bad = checks.iter().any(|check| check.is_bad(required));
    let report = Report { schema: 2, suite: "targets", quick, seed, machine, runtimes: bench.runtimes(), checks };
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report)?;
        if to_stdout {
            println!("{text}");
        } else {
            std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        }
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
