//! `polyhost-bench report`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Failure, show};
use crate::report::{csv, html, markdown, readme, terminal};
use crate::result;

/// Shows a result, or makes a page, a table or a text of it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Report {
    /// A result, as `run --out` has written it (`-`: from standard input)
    file: PathBuf,
    /// What to make; without it, what the name of --out says
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Writes to this file, not to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  polyhost-bench report result.json
  polyhost-bench report result.json --out result.html
  polyhost-bench report result.json --format csv | column -ts,";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables, as wide as the terminal
    Terminal,
    /// All tables, for an issue
    Markdown,
    /// The few numbers that a README has
    Readme,
    /// A row for each contender and cell; without cold starts
    Csv,
    /// One page with plots, which needs no other file, no script and no network
    Html,
    /// The result itself
    Json,
}

pub(super) fn report(arguments: &Report) -> Result<ExitCode, Failure> {
    let format = arguments.format.or_else(|| arguments.out.as_deref().and_then(Format::of)).unwrap_or(Format::Terminal);
    let result = result::read(&arguments.file)?;
    let text = match format {
        Format::Terminal if arguments.out.is_some() => terminal::within(&result, None),
        Format::Terminal => terminal::render(&result),
        Format::Markdown => markdown::render(&result),
        Format::Readme => readme::render(&result),
        Format::Csv => csv::render(&result),
        Format::Html => html::render(&result),
        Format::Json => serde_json::to_string(&result)? + "\n",
    };
    match &arguments.out {
        Some(path) => std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?,
        None => show(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Format {
    fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "md" => Some(Format::Markdown),
            "csv" => Some(Format::Csv),
            "html" | "htm" => Some(Format::Html),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn made(out: &str, format: Option<Format>) -> Result<String, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, out) = (folder.path().join("a.json"), folder.path().join(out));
        result::write(&sample::standard(), &file).expect("it can be written");
        report(&Report { file, format, out: Some(out.clone()) })?;
        Ok(std::fs::read_to_string(out).expect("it was written"))
    }

    #[test]
    fn the_name_says_the_format_unless_one_is_given() {
        for (out, format, begins) in [
            ("a.html", None, "<!DOCTYPE html>"),
            ("a.CSV", None, "workload,"),
            ("a.md", None, "# polyhost-bench"),
            ("b.json", None, "{\"schema\":\"polyhost-bench/2\""),
            ("a", None, "polyhost-bench, plan"),
            ("a.html", Some(Format::Csv), "workload,"),
        ] {
            let text = made(out, format).expect("it can be made");
            assert!(text.starts_with(begins), "{out}: {}", &text[..60]);
        }
    }

    #[test]
    fn what_cannot_be_read_or_written_is_told_with_its_name() {
        assert!(made("none/a.html", None).expect_err("no such folder").to_string().contains("cannot write"));
        let none = Report { file: "none.json".into(), format: None, out: None };
        assert!(report(&none).expect_err("no such file").to_string().contains("cannot read none.json"));
    }
}
