//! The same application under Kestrel and under `polyhost serve`: the same bytes to both, and what comes back compared.
//!
//! A difference is a bug, or a line of `expectations/http.txt` with its reason. `POLYHOST_HTTP_AGAINST=kestrel` compares
//! Kestrel with itself, which shows that the cases and the comparison are sound; `POLYHOST_HTTP_SHOW=1` prints what
//! Kestrel does in each case.

mod case;
mod client;
mod clients;
mod response;
mod server;
mod tables;
mod view;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use case::Case;
use client::Transcript;
use server::{Pair, Profile, Servers};

/// Most of the time of a case is spent waiting for a server.
const THREADS: usize = 12;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let servers = Arc::new(Servers::default());
    let cases = tables::all();
    let known = if servers.is_kestrel_alone() { BTreeMap::new() } else { known() };
    let mut trials = vec![check_names(&cases, &known)];
    for case in cases {
        let reason = known.get(&case.name).cloned();
        let servers = servers.clone();
        let name = case.name.clone();
        trials.push(Trial::ignorable_test(name, move || {
            on(&servers, case.profile, |pair| judge(compare(&case, pair), reason))
        }));
    }
    for client in clients::CLIENTS {
        let servers = servers.clone();
        trials.push(Trial::ignorable_test(format!("client::{}", client.name), move || {
            on(&servers, Profile::Plain, |pair| clients::compare(client, pair))
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    servers.end();
    conclusion.exit_code()
}

/// Runs a trial, unless there are no servers here.
fn on(
    servers: &Servers,
    profile: Profile,
    trial: impl FnOnce(&Pair) -> Result<Completion, Failed>,
) -> Result<Completion, Failed> {
    match servers.pair(profile) {
        Ok(pair) => trial(pair),
        Err(missing) if server::is_required("clr") => Err(Failed::from(missing.clone())),
        Err(missing) => Ok(Completion::ignored_with(missing.clone())),
    }
}

fn compare(case: &Case, pair: &Pair) -> Result<(), String> {
    let run = |server: &server::Server| client::run(&case.script, server.address).map_err(|e| format!("{server}: {e}"));
    let (kestrel, ours) = std::thread::scope(|scope| {
        let kestrel = scope.spawn(|| run(&pair.kestrel));
        let ours = run(&pair.tested);
        (kestrel.join().expect("a client does not panic"), ours)
    });
    let (kestrel, ours): (Transcript, Transcript) = (kestrel?, ours?);
    if std::env::var_os("POLYHOST_HTTP_SHOW").is_some() {
        println!("{}", view::show(case, &kestrel));
    }
    view::compare(case, (&pair.kestrel.name, &kestrel), (&pair.tested.name, &ours))
}

fn judge(outcome: Result<(), String>, known: Option<String>) -> Result<Completion, Failed> {
    match (outcome, known) {
        (Ok(()), None) => Ok(Completion::Completed),
        (Err(difference), None) => Err(Failed::from(difference)),
        (Err(_), Some(reason)) => Ok(Completion::ignored_with(format!("known difference: {reason}"))),
        (Ok(()), Some(reason)) => {
            Err(Failed::from(format!("no difference, though the expectations name one: {reason}; remove the line")))
        }
    }
}

/// The known differences: lines of `case-name: why`.
fn known() -> BTreeMap<String, String> {
    let text = include_str!("../expectations/http.txt");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entry = |line: &str| {
        let (name, reason) = line.split_once(": ").unwrap_or_else(|| panic!("no `case-name: reason`: {line}"));
        (name.trim().to_owned(), reason.trim().to_owned())
    };
    lines.map(entry).collect()
}

fn check_names(cases: &[Case], known: &BTreeMap<String, String>) -> Trial {
    let mut names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    let known: Vec<String> = known.keys().cloned().collect();
    Trial::test("suite::names_are_unique_and_expectations_name_cases", move || {
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Failed::from(format!("two cases named {}", pair[0])));
        }
        match known.iter().find(|name| names.binary_search(name).is_err()) {
            Some(name) => Err(Failed::from(format!("no case {name}"))),
            None => Ok(()),
        }
    })
}
