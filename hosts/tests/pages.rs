//! What pages say is so: the tests that `bridge/docs/what-can-go-wrong.md` names, and the capabilities in the README.
//!
//! `POLYHOST_BLESS=1 cargo test -p polyhost --features full --test pages` writes the README's table anew.

mod subjects;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use polyhost::Capabilities;
use polyhost_testkit::Subject;

const WHAT_CAN_GO_WRONG: &str = include_str!("../../bridge/docs/what-can-go-wrong.md");

/// The columns of a host on the page, and which of its cases are known to fail.
const HOSTS: [(&str, &[&str]); 4] = [
    (".NET", &[include_str!("expectations/clr.txt"), include_str!("expectations/clr-before-10.txt")]),
    ("CPython", &[include_str!("expectations/cpython.txt")]),
    ("LuaJIT", &[include_str!("expectations/luajit.txt")]),
    ("native", &[include_str!("expectations/native.txt"), include_str!("expectations/library.txt")]),
];

/// A row of the page: who does what, what comes of it in each host, what to do, which tests show it.
struct Row {
    cells: Vec<&'static str>,
    tests: Vec<&'static str>,
}

impl Row {
    fn hosts(&self) -> &[&'static str] {
        &self.cells[1..=HOSTS.len()]
    }
}

#[test]
fn every_row_names_tests_that_there_are() {
    let cases: BTreeSet<_> = polyhost_testkit::cases().iter().map(|case| case.name()).collect();
    for row in rows() {
        assert!(!row.tests.is_empty(), "no test shows: {}", row.cells[0]);
        for name in &row.tests {
            match name.split_once("::") {
                Some((file, test)) if file.contains('/') => {
                    let text = std::fs::read_to_string(in_workspace(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
                    assert!(is_in(&text, test), "no test {test} in {file}");
                }
                _ => assert!(cases.contains(name), "no case {name} in the suite"),
            }
        }
    }
}

#[test]
fn what_is_known_to_fail_has_a_row_and_is_bold_there() {
    let rows = rows();
    for (column, (host, files)) in HOSTS.iter().enumerate() {
        let known: BTreeSet<_> = files.iter().flat_map(|file| known_failures(file)).collect();
        for row in &rows {
            let (cell, expected) = (row.hosts()[column], row.tests.iter().any(|test| known.contains(test)));
            assert_eq!(expected, cell.contains("**"), "{host}, {}: {cell}", row.cells[0]);
        }
        let told: BTreeSet<_> = rows.iter().flat_map(|row| row.tests.iter().copied()).collect();
        let missing: Vec<_> = known.difference(&told).collect();
        assert!(missing.is_empty(), "known failures of {host} without a row: {missing:?}");
    }
}

fn rows() -> Vec<Row> {
    let lines = WHAT_CAN_GO_WRONG.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let rows = lines.map(|line| {
        let cells = cells(line);
        assert_eq!(HOSTS.len() + 3, cells.len(), "not a row: {line}");
        let tests = cells[HOSTS.len() + 2].split('`').skip(1).step_by(2).collect();
        Row { cells, tests }
    });
    let (heads, rows): (Vec<_>, Vec<_>) = rows.partition(|row| row.cells.ends_with(&["what to do", "shown by"]));
    for head in heads {
        assert_eq!(HOSTS.map(|(host, _)| host), head.hosts());
    }
    assert!(rows.len() > 50, "{} rows", rows.len());
    rows
}

fn known_failures(file: &'static str) -> impl Iterator<Item = &'static str> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").expect("`case-name: why`").0)
}

/// Whether a file has this test: a function that is marked as one, or the name of a case of libtest-mimic.
fn is_in(text: &str, test: &str) -> bool {
    if test.contains("::") || text.contains("libtest_mimic") {
        return text.contains(&format!("\"{test}\""));
    }
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let is_marked = |at: usize| {
        let mut attributes = lines[..at].iter().rev().take_while(|line| line.starts_with(['#', '[']));
        attributes.any(|line| matches!(*line, "#[test]" | "[Fact]" | "[Theory]"))
    };
    let head = format!(" {test}(");
    lines.iter().enumerate().any(|(at, line)| line.contains(&head) && is_marked(at))
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

const BEGIN: &str =
    "<!-- By hosts/tests/pages.rs, of what the suite proves; what follows an answer is written by hand. -->\n";
const END: &str = "<!-- End of what the suite proves. -->\n";

/// The columns of the README's table, by the names of their subjects.
const COLUMNS: [(&str, &str); 4] =
    [(".NET", "clr"), ("CPython", "cpython"), ("LuaJIT", "luajit"), ("native", "native")];

/// The rows of the README's table: the first capability that is proven gives the answer, and `no` where none is.
const CAPABILITIES: [(&str, &[(Capabilities, &str)]); 11] = [
    ("calls run side by side in one instance", &[(Capabilities::PARALLEL, "yes")]),
    ("calls that wait let others in", &[(Capabilities::CONCURRENT_WAIT, "yes")]),
    ("a module may have several instances", &[(Capabilities::INSTANCES, "yes")]),
    (
        "a loop without end is stopped",
        &[(Capabilities::INTERRUPT, "yes"), (Capabilities::COOPERATIVE_CANCEL, "if it asks")],
    ),
    ("recursion without end is an error", &[(Capabilities::STACK_GUARD, "yes")]),
    ("`async` without a thread held", &[(Capabilities::NATIVE_ASYNC, "yes")]),
    (
        "a limit on memory",
        &[(Capabilities::MEMORY_LIMIT, "for each instance"), (Capabilities::RUNTIME_MEMORY_LIMIT, "for all together")],
    ),
    ("limits on replies, depth, calls, log", &[(Capabilities::BRIDGE_LIMITS, "yes")]),
    ("unloads", &[(Capabilities::UNLOAD, "yes")]),
    ("a changed file takes the place of the old under calls", &[(Capabilities::RELOAD, "yes")]),
    ("loads source text", &[(Capabilities::SOURCE_TEXT, "yes")]),
];

#[test]
fn the_readme_has_the_capabilities_that_the_suite_proves() {
    let path = in_workspace("README.md");
    let readme = std::fs::read_to_string(&path).expect("is there");
    let (before, rest) = readme.split_once(BEGIN).expect("the table begins");
    let (old, after) = rest.split_once(END).expect("the table ends");
    let subjects = subjects::all();
    let new = table(old, &subjects);
    if std::env::var_os("POLYHOST_BLESS").is_some() {
        std::fs::write(path, [before, BEGIN, &new, END, after].concat()).expect("written");
        return;
    }
    assert_eq!(new, old, "the README's table is not what the suite proves; run the test with POLYHOST_BLESS=1");
}

#[test]
fn every_capability_is_in_the_readme() {
    let told: BTreeSet<_> =
        CAPABILITIES.iter().flat_map(|(_, answers)| answers.iter()).flat_map(|(flag, _)| flag.names()).collect();
    for subject in subjects::all() {
        let Some(runtime) = subject.require() else { continue };
        let claimed: BTreeSet<_> = runtime.capabilities().names().collect();
        assert!(claimed.is_subset(&told), "{} claims what no row tells: {claimed:?}", subject.name());
    }
}

/// The table, with the cells of the old one where they give the same answer, and where a host is not at hand.
fn table(old: &str, subjects: &[Subject]) -> String {
    let old: Vec<_> = old.lines().map(cells).collect();
    let hosts = COLUMNS.map(|(host, _)| host).join(" | ");
    let mut table = format!("\n| | {hosts} |\n|{}\n", " --- |".repeat(COLUMNS.len() + 1));
    for (what, answers) in CAPABILITIES {
        let row = old.iter().find(|cells| cells[0] == what);
        table += &format!("| {what} |");
        for (column, (_, name)) in COLUMNS.iter().enumerate() {
            let cell = row.and_then(|cells| cells.get(column + 1)).copied().unwrap_or_default();
            let answer = subjects.iter().find(|it| it.name() == *name).and_then(|it| answer(it, answers));
            let same = answer.is_none_or(|answer| {
                cell.strip_prefix(answer).is_some_and(|rest| rest.is_empty() || rest.starts_with([',', ':']))
            });
            table += &format!(" {} |", if same { cell } else { answer.unwrap_or_default() });
        }
        table.push('\n');
    }
    table + "\n"
}

/// `None` where the runtime is missing.
fn answer<'a>(subject: &Subject, answers: &[(Capabilities, &'a str)]) -> Option<&'a str> {
    for (capability, answer) in answers {
        if subject.proves(*capability)? {
            return Some(answer);
        }
    }
    Some("no")
}

fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is hosts/").join(path)
}
