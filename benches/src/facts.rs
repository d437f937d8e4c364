//! Versions and settings that a contender's numbers depend on, asked of the contender itself where it can tell.

use std::process::{Command, Stdio};

use polyhost::{CallContext, Module, Output};

/// A name and what is to be known, for people.
pub(crate) type Fact = (String, String);

/// The export of guests that tells theirs: a line `NAME: VALUE` for each. It takes nothing.
const TELL: &str = "bench.v1.About/Facts";

/// The crates as they were locked when this was built: a built program can't be asked for the versions in it.
const LOCK: &str = include_str!("../../Cargo.lock");

/// A fact.
pub(crate) fn fact(name: &str, value: impl Into<String>) -> Fact {
    (name.to_owned(), value.into())
}

/// Of the workloads in Rust.
pub(crate) fn of_rust() -> Vec<Fact> {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    vec![
        fact("compiler", format!("{}, {build}", env!("POLYHOST_BENCH_RUSTC"))),
        fact("protobuf", locked("prost")),
        fact("markdown", locked("pulldown-cmark")),
    ]
}

/// A crate of this build with its version.
pub(crate) fn locked(name: &str) -> String {
    let package = LOCK.split("[[package]]").find(|package| value(package, "name") == Some(name));
    let version = package.and_then(|package| value(package, "version")).unwrap_or("of an unknown version");
    format!("{name} {version}")
}

fn value<'a>(package: &'a str, key: &str) -> Option<&'a str> {
    let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
    Some(line.trim_matches('"'))
}

/// Of a guest; nothing where it tells none.
pub(crate) fn of_guest(module: &dyn Module) -> Vec<Fact> {
    let mut output = Output::new();
    let Ok(tell) = module.function(TELL) else { return Vec::new() };
    match tell.call(&CallContext::none(), &[], &mut output) {
        Ok(()) => parsed(&String::from_utf8_lossy(output.as_slice())),
        Err(error) => vec![fact("facts", format!("not told: {error}"))],
    }
}

/// Of a program that prints them.
pub(crate) fn of_program(mut command: Command) -> Vec<Fact> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => parsed(&String::from_utf8_lossy(&output.stdout)),
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            vec![fact("facts", format!("not told: {}", errors.trim().lines().last().unwrap_or("it says nothing")))]
        }
        Err(error) => vec![fact("facts", format!("not told: {error}"))],
    }
}

/// As they are told.
pub(crate) fn lines(facts: &[Fact]) -> String {
    facts.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// As they were told.
pub(crate) fn parsed(text: &str) -> Vec<Fact> {
    text.lines().filter_map(|line| line.split_once(": ")).map(|(name, value)| fact(name, value)).collect()
}

/// Adds what is not known as yet.
pub(crate) fn add(facts: &mut Vec<Fact>, more: Vec<Fact>) {
    more.into_iter().for_each(|new| {
        if !facts.iter().any(|(name, _)| *name == new.0) {
            facts.push(new);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_have_their_locked_version() {
        let version = locked("prost");
        assert!(version.starts_with("prost 0.") && !version.contains('"'), "{version}");
        assert_eq!("no-such-crate of an unknown version", locked("no-such-crate"));
    }

    #[test]
    fn what_is_told_is_read() {
        let facts = of_rust();
        assert_eq!(facts, parsed(&lines(&facts)));
        assert!(facts.iter().any(|(name, value)| name == "compiler" && value.starts_with("rustc 1.")), "{facts:?}");
        let mut all = vec![fact("compiler", "gcc")];
        add(&mut all, facts);
        assert_eq!(("compiler", "gcc"), (all[0].0.as_str(), all[0].1.as_str()));
        assert_eq!(3, all.len());
    }

    #[test]
    fn a_program_that_fails_tells_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'no such thing' >&2; exit 3"]);
        assert_eq!(vec![fact("facts", "not told: no such thing")], of_program(command));
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'protobuf: none at all'"]);
        assert_eq!(vec![fact("protobuf", "none at all")], of_program(command));
    }
}
