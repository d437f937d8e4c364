//! What a run leaves behind: its file and its exit code.

use std::path::{Path, PathBuf};

use crate::report::html;
use crate::result;
use crate::result::schema::{Outcome, RunResult, StartOutcome};

/// Where a result goes: `out` itself, or a file in the folder that it is.
pub(super) struct Place {
    out: PathBuf,
    is_folder: bool,
}

impl Place {
    /// Makes the folder where there is none, and sees that it can be written to: before the run, which takes long.
    pub(super) fn new(out: &Path) -> Result<Place, String> {
        let is_folder = out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/");
        let folder = if is_folder { Some(out) } else { out.parent() };
        let folder = folder.filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |e| format!("cannot write to {}: {e}", folder.display());
        std::fs::create_dir_all(folder).map_err(failed)?;
        tempfile::tempfile_in(folder).map_err(failed)?;
        Ok(Place { out: out.to_owned(), is_folder })
    }

    /// Writes it, and says where. A folder gets a page with plots beside it.
    pub(super) fn write(&self, result: &RunResult) -> Result<PathBuf, String> {
        let date = result.started.split('T').next().unwrap_or_default();
        let name = format!("{date}-{}.json", result.environment.label);
        let path = if self.is_folder { self.out.join(name) } else { self.out.clone() };
        result::write(result, &path)?;
        if self.is_folder {
            let page = path.with_extension("html");
            std::fs::write(&page, html::render(result)).map_err(|e| format!("cannot write {}: {e}", page.display()))?;
        }
        Ok(path)
    }
}

/// `required`: contenders that may not be skipped, by commas: `POLYHOST_REQUIRE`.
pub(super) fn exit_code(result: &RunResult, required: &str) -> u8 {
    if result.partial {
        return 130;
    }
    let cell_failed = result.cells.iter().any(|it| matches!(it.outcome, Outcome::Failed(_)));
    let start_failed = result.starts.iter().any(|it| matches!(it.outcome, StartOutcome::Failed(_)));
    let is_required = |name: &str| required.split(',').any(|it| it.trim() == name);
    let missed = result.contenders.iter().any(|it| it.skipped.is_some() && is_required(&it.name));
    let measured = result.cells.iter().any(|it| matches!(it.outcome, Outcome::Measured(_)));
    u8::from(cell_failed || start_failed || missed || !measured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::schema::Contender;
    use crate::selfcheck::tests::{measured_of, result_of};

    #[test]
    fn a_folder_gets_a_file_of_date_and_label() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut result = result_of(Vec::new());
        result.started = "2026-11-21T17:00:00Z".to_owned();
        result.environment.label = "laptop".to_owned();
        let of = |out: &str| Place::new(&folder.path().join(out)).and_then(|place| place.write(&result)).expect(out);
        assert_eq!(folder.path().join("2026-11-21-laptop.json"), of(""));
        assert_eq!(folder.path().join("new/results/2026-11-21-laptop.json"), of("new/results/"));
        assert_eq!(folder.path().join("new/a.json"), of("new/a.json"));
        assert!(folder.path().join("new/results/2026-11-21-laptop.json").is_file());
        assert!(folder.path().join("new/results/2026-11-21-laptop.html").is_file());
        assert!(!folder.path().join("new/a.html").exists());
        let error = Place::new(&folder.path().join("new/a.json/b.json")).err().expect("a file is no folder");
        assert!(error.contains("cannot write to") && error.contains("new/a.json"), "{error}");
    }

    #[test]
    fn the_exit_code_says_what_happened() {
        let mut result = result_of(vec![("clr", measured_of(1.0, 0.1, 1))]);
        assert_eq!(0, exit_code(&result, "clr"));
        let skipped = Some("no .NET".to_owned());
        result.contenders.push(Contender {
            name: "luajit".to_owned(),
            what: String::new(),
            facts: Vec::new(),
            skipped,
        });
        assert_eq!([0, 0, 1], ["", "clr,lua", "clr,luajit"].map(|required| exit_code(&result, required)));
        result.cells[0].outcome = Outcome::Skipped("no guest".to_owned());
        assert_eq!(1, exit_code(&result, ""), "nothing was measured");
        result.cells[0].outcome = Outcome::Failed("it crashed".to_owned());
        assert_eq!(1, exit_code(&result, ""));
        result.partial = true;
        assert_eq!(130, exit_code(&result, ""));
    }
}
