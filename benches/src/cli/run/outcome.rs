//! What a run leaves behind: its file and its exit code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::result::schema::{Outcome, RunResult, StartOutcome};

/// The file of a result: `out` itself, or one in the folder that it is.
pub(super) fn path(out: &Path, result: &RunResult) -> PathBuf {
    let names_folder = out.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !out.is_dir() && !names_folder {
        return out.to_owned();
    }
    let date = result.started.split('T').next().unwrap_or_default();
    out.join(format!("{date}-{}.json", result.environment.label))
}

pub(super) fn exit_code(result: &RunResult) -> ExitCode {
    if result.partial {
        return ExitCode::from(130);
    }
    let cell_failed = result.cells.iter().any(|it| matches!(it.outcome, Outcome::Failed(_)));
    let start_failed = result.starts.iter().any(|it| matches!(it.outcome, StartOutcome::Failed(_)));
    if cell_failed || start_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
