//! The numbers in the README are those of the newest result that is committed.
//!
//! `POLYHOST_BLESS=1 cargo test -p polyhost-bench --test readme` writes them anew.

use std::path::{Path, PathBuf};
use std::process::Command;

use polyhost_bench::result;

const BEGIN: &str = "<!-- By benches/tests/readme.rs, of the newest of benches/results. -->\n";
const END: &str = "<!-- End of the result. -->\n";

#[test]
fn the_readme_has_the_numbers_of_the_newest_result() {
    let path = in_workspace("README.md");
    let readme = std::fs::read_to_string(&path).expect("it is there");
    let (before, rest) = readme.split_once(BEGIN).expect("the numbers begin");
    let (old, after) = rest.split_once(END).expect("the numbers end");
    let Some(newest) = newest() else {
        assert_eq!("", old, "there are numbers without a result in benches/results");
        eprintln!("no result is committed");
        return;
    };
    let new = numbers(&newest);
    if std::env::var_os("POLYHOST_BLESS").is_some() {
        std::fs::write(path, [before, BEGIN, &new, END, after].concat()).expect("written");
        return;
    }
    assert_eq!(new, old, "other numbers than {newest} has; run the test with POLYHOST_BLESS=1");
}

#[test]
fn results_have_a_page_and_are_small() {
    let Some(newest) = newest() else { return };
    for name in [newest.clone(), newest.replace(".json", ".html")] {
        let bytes = std::fs::metadata(results().join(&name)).unwrap_or_else(|e| panic!("{name}: {e}")).len();
        assert!(bytes < 300_000, "{name} has {bytes} bytes");
    }
    let result = result::read(&results().join(&newest)).expect("it is one");
    assert!(!result.partial && result.plan == "standard" && result.environment.build == "release", "{newest}");
}

/// The name of the newest result: they begin with their dates.
fn newest() -> Option<String> {
    let entries = std::fs::read_dir(results()).ok()?.flatten();
    let names = entries.filter_map(|it| it.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".json") && !name.ends_with("-targets.json")).max()
}

fn numbers(name: &str) -> String {
    let file = results().join(name);
    let label = result::read(&file).expect("it is a result").environment.label;
    let mut report = Command::new(env!("CARGO_BIN_EXE_polyhost-bench"));
    let made = report.arg("report").arg(&file).args(["--format", "readme"]).output().expect("it starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let page = name.replace(".json", ".html");
    format!(
        "`make bench LABEL={label}` has written [all numbers with plots](benches/results/{page}) and the \
         [result](benches/results/{name}).\n{}",
        String::from_utf8(made.stdout).expect("it is text")
    )
}

fn results() -> PathBuf {
    in_workspace("benches/results")
}

fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
