//! The suite judges right: what fails, what is skipped, and with which words.

use std::process::{Command, ExitCode, Output};
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use polyhost_bridge::{
    Capabilities, Error, ErrorKind, LoadOptions, Module, ModuleSource, Result, Runtime, RuntimeInfo,
};
use polyhost_testkit::{Case, Subject, case, main_with};

/// Tells this program, started again, to be a suite of this name.
const SUITE: &str = "POLYHOST_TESTKIT_SUITE";

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(SUITE) {
        let (subject, cases) = suite(&name);
        return main_with([subject], cases);
    }
    libtest_mimic::run(&Arguments::from_args(), trials()).exit_code()
}

/// A subject with cases, by name.
fn suite(name: &str) -> (Subject, Vec<Case>) {
    let good = || case("group::good").once().run(|_| {});
    let bad = || case("group::bad").run(|_| panic!("as it should"));
    match name {
        "good" => (subject(Capabilities::none()), vec![good()]),
        "bad" => (subject(Capabilities::none()), vec![good(), bad()]),
        "known" => (subject(Capabilities::none()).expectations("group::bad: nobody has mended it"), vec![bad()]),
        "mended" => (subject(Capabilities::none()).expectations("group::good: it was broken"), vec![good()]),
        "unknown" => (subject(Capabilities::none()).expectations("group::gone: it was there"), vec![good()]),
        "missing" => {
            let start = || Err(Error::new(ErrorKind::Load, "there is none on this machine"));
            (Subject::new("mine", start, source()), vec![good(), case("group::alone").once().run_alone(|_| {})])
        }
        "needs" => (subject(Capabilities::none()), vec![good().needs(Capabilities::INTERRUPT)]),
        "lacks" => (subject(Capabilities::INTERRUPT), vec![good().lacks(Capabilities::INTERRUPT)]),
        "proven" => (subject(Capabilities::INTERRUPT), vec![good().needs(Capabilities::INTERRUPT)]),
        "alone" => {
            let alone = case("group::alone").once().run_alone(|_| panic!("in its own process"));
            let skips = case("group::skips").once().run_alone(|cx| cx.skip("for want of a moon"));
            (subject(Capabilities::none()), vec![alone, skips])
        }
        "child" => {
            let ends = |cx: &polyhost_testkit::Cx<'_>| assert_eq!(Some(3), cx.child().code);
            (subject(Capabilities::none()), vec![case("group::ends").child(|_| std::process::exit(3)).run(ends)])
        }
        other => panic!("no suite {other}"),
    }
}

fn trials() -> Vec<Trial> {
    vec![
        check("a_case_that_passes_passes", "good", true, &["mine::group::good", "ok", "0 failed"]),
        check(
            "a_case_that_panics_fails_in_both_modes_and_says_where",
            "bad",
            false,
            &["mine::call::group::bad", "mine::call_async::group::bad", "as it should", "suite.rs:", "2 failed"],
        ),
        check("a_known_failure_is_no_failure_and_shows_its_reason", "known", true, &["nobody has mended it"]),
        check("a_known_failure_that_passes_is_a_failure", "mended", false, &["remove the line"]),
        check("an_expectation_without_its_case_is_a_failure", "unknown", false, &["no case group::gone"]),
        check("a_missing_runtime_is_skipped_with_its_reason", "missing", true, &["there is none on this machine"]),
        check_required(),
        check("a_capability_that_is_not_claimed_skips_its_cases", "needs", true, &["needs interrupt"]),
        check("a_case_for_others_is_skipped", "lacks", false, &["is about runtimes without interrupt"]),
        check("a_claim_without_a_case_is_a_failure", "lacks", false, &["claimed without a case", "interrupt"]),
        check("a_claim_with_a_case_is_none", "proven", true, &["0 failed"]),
        check(
            "a_case_in_a_process_of_its_own_fails_and_skips_as_any",
            "alone",
            false,
            &["in its own process", "for want of a moon", "1 failed"],
        ),
        check("a_case_may_judge_how_its_child_ends", "child", true, &["0 failed"]),
    ]
}

/// Runs a suite and checks whether it succeeds, and what it says.
fn check(name: &str, suite: &'static str, succeeds: bool, says: &'static [&'static str]) -> Trial {
    Trial::test(name, move || judge(&run(suite, ""), succeeds, says))
}

fn check_required() -> Trial {
    Trial::test("a_missing_runtime_that_is_required_is_a_failure", || {
        judge(&run("missing", "other, mine"), false, &["there is none on this machine", "POLYHOST_REQUIRE", "4 failed"])
    })
}

fn run(suite: &str, required: &str) -> Output {
    let program = std::env::current_exe().expect("the program knows where it is");
    let mut command = Command::new(program);
    command.env(SUITE, suite).env("POLYHOST_REQUIRE", required).output().expect("it can be started again")
}

fn judge(output: &Output, succeeds: bool, says: &[&str]) -> Result<(), libtest_mimic::Failed> {
    let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    let missing: Vec<_> = says.iter().filter(|part| !said.contains(**part)).collect();
    if output.status.success() == succeeds && missing.is_empty() {
        return Ok(());
    }
    Err(format!("{}, without {missing:?}:\n{said}", output.status).into())
}

fn subject(capabilities: Capabilities) -> Subject {
    let info = RuntimeInfo::new("mine", "mine", "1");
    let runtime: Arc<dyn Runtime> = Arc::new(Empty { info, capabilities });
    Subject::new("mine", move || Ok(runtime.clone()), source())
}

fn source() -> ModuleSource {
    ModuleSource::Name("none".into())
}

/// A runtime that loads nothing.
#[derive(Debug)]
struct Empty {
    info: RuntimeInfo,
    capabilities: Capabilities,
}

impl Runtime for Empty {
    fn info(&self) -> &RuntimeInfo {
        &self.info
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn load(&self, _source: &ModuleSource, _options: &LoadOptions) -> Result<Arc<dyn Module>> {
        Err(Error::new(ErrorKind::Unsupported, "it loads nothing"))
    }

    fn shutdown(&self, _grace: Duration) -> Result<()> {
        Ok(())
    }
}
