//! Gets what a checkout of Polyhost needs onto the machine; `make` and CI run it.

use std::path::PathBuf;
use std::process::ExitCode;

use polyhost_toolchain::Machine;
use polyhost_toolchain::setup::{Project, Result, cargo_config, dotnet, guests, python, report};

const HELP: &str = "\
Gets what a checkout of Polyhost needs onto the machine. It can be run again at any time.

usage: polyhost-setup ensure [--require RUNTIMES] [dotnet|python|guests|all]...
       polyhost-setup report [--json]

ensure    makes sure of .NET (dotnet), a Python environment (python), the C# guests (guests) or all of them
report    tells what is found on this machine, and where

--require RUNTIMES  fail unless these are there: a list out of clr,cpython,luajit (default: POLYHOST_REQUIRE)
--root FOLDER       the checkout (default: the one around the working folder)

POLYHOST_OFFLINE    a folder with dotnet/*.tar.xz and nuget/, to do without the network
POLYHOST_PYTHON     the Python to use
DOTNET_ROOT         the .NET to use
";

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("polyhost-setup: {message}; see --help");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("polyhost-setup: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.help {
        print!("{HELP}");
        return Ok(true);
    }
    let project = Project::around(&arguments.root, Machine::current())?;
    match arguments.command.as_str() {
        "report" if arguments.json => println!("{:#}", report::json(&project)),
        "report" => print!("{}", report::text(&project)),
        _ => return ensure(&project, arguments),
    }
    Ok(true)
}

/// Runs the parts that were asked for and says how each went; false if something that must be there is not.
fn ensure(project: &Project, arguments: &Arguments) -> Result<bool> {
    let _lock = project.lock()?;
    let asked = |part: &str| {
        let list = &arguments.parts;
        list.is_empty() || list.iter().any(|p| p == part || p == "all")
    };
    let mut outcomes = Vec::new();
    if asked("python") {
        let python = python::ensure(project).map(|path| format!("Python environment, {}", path.display()));
        outcomes.push(("cpython", python));
    }
    if asked("dotnet") || asked("guests") {
        let root = dotnet::ensure(project);
        let line = root.clone().map(|root| report::summary(&root));
        outcomes.push(("clr", line));
        if let Ok(root) = root
            && asked("guests")
        {
            let built = guests::ensure(project, &root)?;
            outcomes.push(("clr", Ok(describe(&built))));
        }
    }
    cargo_config::write(project)?;
    let mut good = true;
    for (runtime, outcome) in outcomes {
        match outcome {
            Ok(line) => eprintln!("setup: ready: {line}"),
            Err(error) if arguments.require.iter().any(|r| r == runtime) => {
                eprintln!("setup: missing: {runtime} is required: {error}");
                good = false;
            }
            Err(error) => eprintln!("setup: skipped: {runtime}: {error}"),
        }
    }
    Ok(good)
}

fn describe(built: &guests::Built) -> String {
    match built {
        guests::Built::BySdk(count) => format!("{count} C# guests, in target/guests"),
        guests::Built::LeftToPolyhost(why) => {
            format!("C# guests are compiled from source by Polyhost when loaded, because {why}")
        }
    }
}

struct Arguments {
    command: String,
    parts: Vec<String>,
    require: Vec<String>,
    root: PathBuf,
    json: bool,
    help: bool,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            command: String::new(),
            parts: Vec::new(),
            require: list(&std::env::var("POLYHOST_REQUIRE").unwrap_or_default())?,
            root: PathBuf::from("."),
            json: false,
            help: false,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "-h" | "--help" => parsed.help = true,
                "--json" => parsed.json = true,
                "--require" => parsed.require = list(&value()?)?,
                "--root" => parsed.root = PathBuf::from(value()?),
                "ensure" | "report" if parsed.command.is_empty() => parsed.command = argument,
                "dotnet" | "python" | "guests" | "all" if parsed.command == "ensure" => {
                    parsed.parts.push(argument);
                }
                other => return Err(format!("`{other}` is not understood here")),
            }
        }
        if parsed.command.is_empty() && !parsed.help {
            return Err("no command".to_owned());
        }
        Ok(parsed)
    }
}

/// A list of runtimes, as in `POLYHOST_REQUIRE`.
fn list(text: &str) -> Result<Vec<String>, String> {
    let names = text.split(',').map(str::trim).filter(|n| !n.is_empty());
    names
        .map(|name| match name {
            "clr" | "cpython" | "luajit" => Ok(name.to_owned()),
            other => Err(format!("`{other}` is no runtime to require; there are clr, cpython and luajit")),
        })
        .collect()
}
