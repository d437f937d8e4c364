//! One request middleware, as API gateways run it, in Rust, C, Lua, Python and C#: called through one trait with
//! requests from a generator, compared reply by reply, and timed. Then an ASP.NET Core application is served by the same
//! process.
//!
//! `make demo` gets the runtimes and runs it; `-- --help` tells the options.

mod agreement;
mod files;
mod languages;
mod libraries;
mod measure;
mod native;
mod report;
mod requests;
mod run;
mod served;
#[cfg(feature = "aspnet")]
#[path = "../aspnet/shop.rs"]
mod shop;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use languages::LANGUAGES;
use measure::Stopwatch;
use report::Report;
use run::Input;

const HELP: &str = "\
Calls one service in Rust, C, Lua, Python and C#, compares what they reply, and times them. Then serves an ASP.NET Core
application, with a route in Rust before it, and asks both.

usage: middleware [--seed N] [--requests N] [--json]

--seed N      makes the requests from another seed (default 1)
--requests N  makes so many (default 3000)
--json        prints the figures as JSON

POLYHOST_REQUIRE  runtimes that must be there, a list out of clr,cpython,luajit; others are skipped with a reason

It ends with 1 if a language differs from Rust, fails, or is required and missing, and with 2 for a wrong option.
";

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) if arguments.help => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(arguments) => demo(&arguments),
        Err(message) => {
            eprintln!("middleware: {message}; see --help");
            ExitCode::from(2)
        }
    }
}

fn demo(arguments: &Arguments) -> ExitCode {
    let input = Input::new(requests::generate(arguments.seed, arguments.requests));
    let bytes: usize = input.encoded.iter().map(Vec::len).sum();
    let refused = input.handled.iter().filter(|reply| reply.status != 0).count();
    eprintln!(
        "demo: {} requests of {:.1} MiB in all, seed {}; {refused} of them are to be refused",
        arguments.requests,
        bytes as f64 / f64::from(1 << 20),
        arguments.seed
    );
    let registry = languages::registry();
    let mut stopwatch = Stopwatch::new();
    let mut report = Report::new(arguments.seed, arguments.requests);
    for language in &LANGUAGES {
        eprintln!("demo: {}: start, compare every reply, measure", language.name);
        let row = run::run(language, &registry, &input, &mut stopwatch);
        let told = row.outcome.told(|figures| format!("all {} replies are those of Rust", figures.agreed));
        eprintln!("demo: {}: {told}", language.name);
        report.languages.push(row);
    }
    eprintln!("demo: libraries that nobody here wrote, with the pages of this project");
    report.libraries = libraries::run(&registry);
    eprintln!("demo: an ASP.NET Core application, served by this process");
    report.served = Some(served::run(&registry));
    let text = if arguments.json {
        serde_json::to_string_pretty(&report).expect("a report is JSON") + "\n"
    } else {
        format!("\n{report}")
    };
    // Whoever reads it may have seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    for runtime in registry.started() {
        if let Err(error) = runtime.shutdown(Duration::from_secs(5)) {
            eprintln!("demo: {}: {error}", runtime.info().name);
            return ExitCode::FAILURE;
        }
    }
    if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

struct Arguments {
    seed: u64,
    requests: usize,
    json: bool,
    help: bool,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Arguments { seed: 1, requests: 3000, json: false, help: false };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse().ok());
                value.ok_or_else(|| format!("{argument} takes a number"))
            };
            match argument.as_str() {
                "-h" | "--help" => parsed.help = true,
                "--json" => parsed.json = true,
                "--seed" => parsed.seed = number()?,
                "--requests" => parsed.requests = usize::try_from(number()?).unwrap_or(usize::MAX),
                _ => return Err(format!("`{argument}` is not understood here")),
            }
        }
        if (1..=100_000).contains(&parsed.requests) {
            Ok(parsed)
        } else {
            Err("--requests takes a number from 1 to 100000".to_owned())
        }
    }
}
