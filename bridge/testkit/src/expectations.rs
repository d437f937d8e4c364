//! Known failures, with their reasons.

use std::collections::BTreeMap;

/// Which cases of a subject fail, and why.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expectations(BTreeMap<String, String>);

impl Expectations {
    /// Reads lines of `case-name: why`. Panics where a line is none: the text is part of a test.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        // Case names have `::` in them.
        let entry = |line: &str| {
            let (name, reason) = line.split_once(": ").unwrap_or_else(|| panic!("no `case-name: reason`: {line}"));
            (name.trim().to_owned(), reason.trim().to_owned())
        };
        Expectations(lines.map(entry).collect())
    }

    /// Why this case is known to fail, if it is.
    pub(crate) fn reason(&self, case: &str) -> Option<&str> {
        self.0.get(case).map(String::as_str)
    }

    pub(crate) fn cases(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
