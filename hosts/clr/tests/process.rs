//! What concerns the whole process, each case in one of its own: starting, signals, stacks, and ways to end.
//!
//! A case is run by this program started again, on its main thread, which libtest does not give away.

mod common;

#[path = "process/death.rs"]
mod death;
#[path = "process/failures.rs"]
mod failures;
#[path = "process/signals.rs"]
mod signals;
#[path = "process/stacks.rs"]
mod stacks;
#[path = "process/start.rs"]
mod start;

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Completion, Trial};
use polyhost_bridge::{CallContext, Method, Module, Result};
use polyhost_proto::conformance::v1::misbehave_request::Deed;
use polyhost_proto::conformance::v1::{MisbehaveRequest, Nothing};

const CHILD: &str = "POLYHOST_CLR_CHILD";

const MISBEHAVE: Method<MisbehaveRequest, Nothing> = Method::new("conformance.v1.Conformance/Misbehave");

/// A case: what its process does, and what is expected of it.
struct Case {
    name: &'static str,
    child: fn(),
    expect: fn(&Exit),
}

/// How a process ended.
struct Exit(Output);

fn cases() -> Vec<Case> {
    [start::cases(), stacks::cases(), signals::cases(), death::cases(), failures::cases()]
        .into_iter()
        .flatten()
        .collect()
}

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(CHILD) {
        let case = cases().into_iter().find(|case| case.name == name).expect("the parent knows the cases");
        (case.child)();
        return ExitCode::SUCCESS;
    }
    let trials = cases().into_iter().map(|case| {
        Trial::ignorable_test(case.name, move || {
            if let Some(reason) = common::reason_to_skip() {
                return Ok(Completion::ignored_with(reason));
            }
            let program = std::env::current_exe()?;
            let exit = Exit(Command::new(program).env(CHILD, case.name).output()?);
            (case.expect)(&exit);
            Ok(Completion::Completed)
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// The case passes if its process does.
fn case(name: &'static str, child: fn()) -> Case {
    Case { name, child, expect: |exit| assert!(exit.0.status.success(), "{exit}") }
}

/// The case passes if `expect` does.
fn dies(name: &'static str, child: fn(), expect: fn(&Exit)) -> Case {
    Case { name, child, expect }
}

impl Exit {
    fn signal(&self) -> Option<i32> {
        self.0.status.signal()
    }

    fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n--- stdout ---\n{}\n--- stderr ---\n{}", self.0.status, self.stdout(), self.stderr())
    }
}

fn misbehave(module: &dyn Module, deed: Deed) -> Result<Nothing> {
    MISBEHAVE.of(module)?.call(&CallContext::none(), &MisbehaveRequest { deed: deed.into() })
}
