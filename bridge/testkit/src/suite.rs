//! Every case for every subject, as trials of libtest-mimic.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use polyhost_bridge::Capabilities;

use crate::case::{Body, Case, Cx, Mode, Skip};
use crate::child;
use crate::subject::Subject;

/// All cases of the suite.
pub fn cases() -> Vec<Case> {
    crate::cases::all()
}

/// Runs all cases for the subjects, as the command line says (see `--help`).
pub fn main(subjects: impl IntoIterator<Item = Subject>) -> ExitCode {
    main_with(subjects, cases())
}

/// Runs `cases`, which may hold some of one's own.
pub fn main_with(subjects: impl IntoIterator<Item = Subject>, cases: Vec<Case>) -> ExitCode {
    quiet_panics();
    let cases: Arc<[Case]> = cases.into();
    let tasks: Vec<Task> = subjects.into_iter().flat_map(|subject| tasks(Arc::new(subject), &cases)).collect();
    if let Some(trial) = std::env::args().skip(1).find_map(|it| it.strip_prefix(child::ARGUMENT).map(str::to_owned)) {
        let task = tasks.into_iter().find(|task| task.name == trial);
        return task.unwrap_or_else(|| panic!("there is no trial {trial}")).run_child();
    }
    let trials = tasks.into_iter().map(Task::into_trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// One case for one subject in one mode.
struct Task {
    name: String,
    subject: Arc<Subject>,
    case: Case,
    mode: Mode,
}

fn tasks(subject: Arc<Subject>, cases: &Arc<[Case]>) -> Vec<Task> {
    let of_suite = [expectations_name_cases(cases.clone()), claims_have_cases(cases.clone())];
    let mut tasks = Vec::new();
    for case in cases.iter().cloned().chain(of_suite) {
        let modes: &[(Mode, &str)] =
            if case.calls { &[(Mode::Call, "call::"), (Mode::CallAsync, "call_async::")] } else { &[(Mode::Call, "")] };
        for (mode, prefix) in modes {
            let name = format!("{}::{prefix}{}", subject.name, case.name);
            tasks.push(Task { name, subject: subject.clone(), case: case.clone(), mode: *mode });
        }
    }
    tasks
}

fn expectations_name_cases(cases: Arc<[Case]>) -> Case {
    crate::case("suite::expectations_name_cases_that_there_are").once().run(move |cx| {
        for name in cx.subject.expectations.cases() {
            assert!(cases.iter().any(|case| case.name == name), "no case {name}");
        }
    })
}

fn claims_have_cases(cases: Arc<[Case]>) -> Case {
    crate::case("suite::every_capability_claimed_has_a_case").once().run(move |cx| {
        let proven = cases.iter().fold(Capabilities::none(), |all, case| all.with(case.needs));
        let unproven: Vec<_> =
            cx.runtime().capabilities().names().filter(|&name| !proven.names().any(|it| it == name)).collect();
        assert!(unproven.is_empty(), "claimed without a case that needs it: {}", unproven.join(", "));
    })
}

/// What became of a case.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

impl Task {
    fn into_trial(self) -> Trial {
        Trial::ignorable_test(self.name.clone(), move || {
            let known = self.subject.expectations.reason(self.case.name).map(str::to_owned);
            match (self.run(), known) {
                (Outcome::Skipped(reason), _) => Ok(Completion::ignored_with(reason)),
                (Outcome::Passed, None) => Ok(Completion::Completed),
                (Outcome::Failed(message), None) => Err(Failed::from(message)),
                (Outcome::Failed(_), Some(reason)) => Ok(Completion::ignored_with(format!("known failure: {reason}"))),
                (Outcome::Passed, Some(reason)) => Err(Failed::from(format!(
                    "passes, though the expectations say it fails: {reason}; remove the line"
                ))),
            }
        })
    }

    fn run(self) -> Outcome {
        // A case in a process of its own must not find the runtime started by this one: it is the child that looks.
        let Some(body) = self.case.body.clone() else {
            return on_thread(&self.name.clone(), move || {
                self.subject.prepare_children();
                let exit = child::run(&self.name);
                if exit.code == Some(child::SKIPPED.into()) {
                    std::panic::panic_any(Skip(exit.stdout));
                }
                exit.expect_success();
            });
        };
        on_thread(&self.name.clone(), move || {
            if self.case.child.is_some() {
                self.subject.prepare_children();
            }
            self.run_here(&body);
        })
    }

    fn run_here(&self, body: &Body) {
        let started = if self.case.limited { self.subject.limited_runtime() } else { self.subject.runtime().cloned() };
        let runtime = match started {
            Ok(runtime) => runtime,
            Err(report) if self.subject.is_required() => {
                panic!("POLYHOST_REQUIRE names it, and it is missing: {report}")
            }
            Err(report) => std::panic::panic_any(Skip(format!("no runtime: {report}"))),
        };
        let (has, name) = (runtime.capabilities(), &self.subject.name);
        let list = |of: Capabilities| of.names().collect::<Vec<_>>().join(", ");
        if !has.contains(self.case.needs) {
            std::panic::panic_any(Skip(format!("needs {}, which {name} does not claim", list(self.case.needs))));
        }
        if self.case.lacks != Capabilities::none() && has.contains(self.case.lacks) {
            std::panic::panic_any(Skip(format!("is about runtimes without {}", list(self.case.lacks))));
        }
        body(&Cx { subject: &self.subject, runtime, mode: self.mode, trial: &self.name });
    }

    /// In the process of the child.
    fn run_child(self) -> ExitCode {
        let body = self.case.child.clone().unwrap_or_else(|| panic!("{} has no child", self.name));
        match on_thread(&self.name.clone(), move || self.run_here(&body)) {
            Outcome::Passed => ExitCode::SUCCESS,
            Outcome::Failed(message) => {
                eprintln!("{message}");
                ExitCode::from(101)
            }
            Outcome::Skipped(reason) => {
                print!("{reason}");
                ExitCode::from(child::SKIPPED)
            }
        }
    }
}

/// Runs a case on a thread of its own, with a stack like those of the workers, and says so when it takes long.
fn on_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Outcome {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(4 << 20).spawn(move || {
        PANIC.set(Some(String::new()));
        let outcome = catch_unwind(AssertUnwindSafe(run));
        let report = PANIC.take().unwrap_or_default();
        // The thread that waits is there until this arrives.
        let _ = done.send(match outcome {
            Ok(()) => Outcome::Passed,
            Err(payload) => match payload.downcast::<Skip>() {
                Ok(skip) => Outcome::Skipped(skip.0),
                Err(_) => Outcome::Failed(report),
            },
        });
    });
    let thread = thread.expect("a thread can be started");
    let outcome = loop {
        match is_done.recv_timeout(Duration::from_secs(60)) {
            Ok(outcome) => break outcome,
            Err(mpsc::RecvTimeoutError::Timeout) => eprintln!("{name} has been running for more than a minute"),
            Err(mpsc::RecvTimeoutError::Disconnected) => break Outcome::Failed("its thread is gone".into()),
        }
    };
    // Its thread-local destructors belong to the case: what they do to the runtime, they do before the next one.
    match thread.join() {
        Ok(()) => outcome,
        Err(payload) => Outcome::Failed(format!("its thread panicked at its end: {}", text_of(&*payload))),
    }
}

thread_local! {
    /// On the thread of a case: what panicked.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what a case panics with for its report, and keeps quiet about panics that are part of a case.
fn quiet_panics() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().is::<Skip>() || text_of(info.payload()).starts_with("on purpose") {
            return;
        }
        let place = info.location().map(|at| format!("{}:{}: ", at.file(), at.line())).unwrap_or_default();
        let mine = PANIC.try_with(|panic| match &mut *panic.borrow_mut() {
            Some(report) => {
                *report += &format!("{place}{}\n", text_of(info.payload()));
                true
            }
            None => false,
        });
        if mine != Ok(true) {
            others(info);
        }
    }));
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a value that is no text")
}
