//! A browser loads the pages of the examples and clicks through them: `make test-web`. Without `--ignored` it does not
//! run, as `make test` has to work where there is no browser.

use std::process::ExitCode;

#[cfg(feature = "aspnet")]
mod common;
#[cfg(feature = "aspnet")]
#[path = "web/pages.rs"]
mod pages;
#[cfg(feature = "aspnet")]
#[path = "serve/running.rs"]
mod running;
#[cfg(feature = "aspnet")]
#[path = "web/tools.rs"]
mod tools;

#[cfg(feature = "aspnet")]
fn main() -> ExitCode {
    let trials = pages::SCENARIOS.iter().map(|scenario| {
        let run = move || pages::run(scenario).map_err(libtest_mimic::Failed::from);
        libtest_mimic::Trial::test(format!("browser::{}", scenario.name), run).with_ignored_flag(true)
    });
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials.collect()).exit_code()
}

#[cfg(not(feature = "aspnet"))]
fn main() -> ExitCode {
    println!("skipped: aspnet is not in this build");
    ExitCode::SUCCESS
}
