//! Gets what a checkout of Polyhost needs onto the machine; `make` and CI run it.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::process::ExitCode;

use polyhost_toolchain::Machine;
use polyhost_toolchain::dotnet::DotnetRoot;
use polyhost_toolchain::setup::{
    Error, Project, Result, cargo_config, cmark, conformance, dotnet, guests, lua, node, protoc, python, report, roslyn,
};

const HELP: &str = "\
Gets what a checkout of Polyhost needs onto the machine. It can be run again at any time.

usage: polyhost-setup ensure [--require RUNTIMES] [dotnet|python|node|guests|protoc|conformance|all]...
       polyhost-setup report [--json]
       polyhost-setup csharp-tests [--require RUNTIMES]
       polyhost-setup dotnet ARGUMENTS...
       polyhost-setup features | scope

ensure        makes sure of .NET (dotnet), a Python environment (python), npm packages where Node is (node), the C#
              guests (guests) or all of them; if asked, of the protoc that makes C# messages (protoc), and of the runner
              of protobuf's conformance test (conformance), and prints their paths
report        tells what is found on this machine, and where
csharp-tests  builds the C# tests and runs them; skips them where there is no SDK to do it
dotnet        runs the SDK's own program with the project's settings
features      prints the features of the crate `polyhost` that can be built here
scope         prints the arguments with which cargo takes everything that can be built here

--require RUNTIMES  fail unless these are there: a list out of clr,cpython,luajit,node,conformance (default:
                    POLYHOST_REQUIRE)
--root FOLDER       the checkout (default: the one around the working folder)

Variables:
POLYHOST_OFFLINE    a folder with dotnet/*.tar.xz and nuget/, to do without the network
POLYHOST_REQUIRE    what to require where --require does not say
POLYHOST_PYTHON     the Python to use, a path or a name on PATH; before VIRTUAL_ENV and PATH
DOTNET_ROOT         the .NET to use; DOTNET_ROOT_X64 or DOTNET_ROOT_ARM64 before it, PATH and the usual folders after it
POLYHOST_DOTNET     where all else looks for .NET last; here always the checkout's .dotnet, which .cargo/config.toml
                    names to what cargo runs
POLYHOST_PROTOBUF_CONFORMANCE
                    a folder with the runner of protobuf's conformance test, to use before .conformance
POLYHOST_ROSLYN     a folder with the C# compiler's two libraries, to use before that of an SDK
CC                  the C compiler (default: cc)
";

const COMMANDS: [&str; 6] = ["ensure", "report", "csharp-tests", "dotnet", "features", "scope"];

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
        "ensure" => return ensure(&project, arguments),
        "csharp-tests" => return csharp_tests(&project, arguments),
        "dotnet" => return dotnet_program(&project, arguments),
        "features" => println!("{}", features(&project)),
        "scope" => println!("{}", scope(&project)),
        "report" if arguments.json => println!("{:#}", report::json(&project)),
        _ => print!("{}", report::text(&project)),
    }
    Ok(true)
}

/// Runs the parts that were asked for and says how each went; false if something that must be there is not.
fn ensure(project: &Project, arguments: &Arguments) -> Result<bool> {
    let _lock = project.lock()?;
    let mut tally = Tally::new(arguments);
    if arguments.asked("python") {
        let ready = |path: PathBuf| format!("Python environment, {}", path.display());
        tally.add("cpython", python::ensure(project).map(ready));
    }
    // Before the guests: pages of examples take in what is in these packages.
    if arguments.asked("node") {
        let ready = |path: PathBuf| format!("npm packages, {}", path.display());
        tally.add("node", node::ensure(project).map(ready));
    }
    let mut root = None;
    if arguments.asked("dotnet") || arguments.asked("guests") {
        root = tally.add("clr", dotnet::ensure(project).map(Dotnet));
    }
    if root.is_some() {
        let ready = |path: PathBuf| format!("C# compiler, {}", path.display());
        tally.add("clr", roslyn::ensure(project).map(ready));
    }
    if arguments.asked("all") {
        tally.add("luajit", project.c_compiler());
        let ready = |path: PathBuf| format!("Lua library for the demo, {}", path.display());
        tally.add("markdown.lua", lua::ensure(project).map(ready));
        let ready = |path: PathBuf| format!("C library for the bench, {}", path.display());
        tally.add("cmark", cmark::ensure(project).map(ready));
    }
    if arguments.parts.iter().any(|part| part == "protoc") {
        let ready = |path: PathBuf| format!("{}, {}", protoc::VERSION, path.display());
        tally.add("protoc", protoc::program(project).map(ready));
    }
    if arguments.parts.iter().any(|part| part == "conformance") {
        let ready = |path: PathBuf| format!("protobuf's conformance test, {}", path.display());
        tally.add("conformance", conformance::ensure(project).map(ready));
    }
    cargo_config::write(project)?;
    if let Some(Dotnet(root)) = root
        && arguments.asked("guests")
    {
        tally.add("clr", guests::ensure(project, &root)?.map(Guests));
    }
    Ok(tally.good)
}

fn csharp_tests(project: &Project, arguments: &Arguments) -> Result<bool> {
    let _lock = project.lock()?;
    let mut tally = Tally::new(arguments);
    let outcome = match dotnet::find(project) {
        Some(root) => guests::test(project, &root)?,
        None => dotnet::ensure(project).map(|_| ()),
    };
    tally.add("clr", outcome.map(|()| "the C# tests have run"));
    Ok(tally.good)
}

/// Runs the SDK's own program with the project's settings; false if it fails.
fn dotnet_program(project: &Project, arguments: &Arguments) -> Result<bool> {
    let mut tally = Tally::new(arguments);
    let root = dotnet::find(project).filter(|root| !root.sdks.is_empty());
    let Some(muxer) = root.and_then(|root| root.muxer()) else {
        tally.add::<String>("clr", Err(Error::new("there is no .NET SDK")));
        return Ok(tally.good);
    };
    let mut command = guests::dotnet_command(project, &muxer);
    let status = command.args(&arguments.rest).status();
    let status = status.map_err(|error| Error::about(muxer.display(), error))?;
    Ok(status.success())
}

/// The features of `polyhost` that can be built here: pyo3 needs a Python at build time.
fn features(project: &Project) -> &'static str {
    if python::is_ready(project) { "full" } else { "aspnet,clr,luajit,json" }
}

/// The arguments with which cargo takes everything that can be built here.
fn scope(project: &Project) -> String {
    if python::is_ready(project) {
        "--workspace --all-features".to_owned()
    } else {
        // The default members leave out what needs Python.
        format!("--features {}", features(project))
    }
}

/// Tells what is there and what is not, and whether a runtime that is required is missing.
struct Tally<'a> {
    require: &'a [String],
    good: bool,
}

impl<'a> Tally<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        Self { require: &arguments.require, good: true }
    }

    fn add<T: Display>(&mut self, runtime: &str, outcome: Result<T>) -> Option<T> {
        match &outcome {
            Ok(ready) => eprintln!("setup: ready: {ready}"),
            Err(error) if self.require.iter().any(|name| name == runtime) => {
                eprintln!("setup: missing: {runtime} is required: {error}");
                self.good = false;
            }
            Err(error) => eprintln!("setup: skipped: {runtime}: {error}"),
        }
        outcome.ok()
    }
}

struct Dotnet(DotnetRoot);

impl Display for Dotnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&report::summary(&self.0))
    }
}

struct Guests(guests::Guests);

impl Display for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            guests::Guests::Built(count) => write!(f, "{count} C# guests, in target/guests"),
            guests::Guests::Compiled { count, why, left_out } => {
                write!(f, "{count} C# guests, compiled by Polyhost itself ({why}), in target/guests")?;
                left_out.iter().try_for_each(|reason| write!(f, "; left out: {reason}"))
            }
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
    /// What follows `dotnet`.
    rest: Vec<String>,
}

impl Arguments {
    /// Whether a part is to be made sure of; without a list, all are.
    fn asked(&self, part: &str) -> bool {
        let named = |name: &str| self.parts.iter().any(|p| p == name);
        self.parts.is_empty() || named("all") || named(part)
    }

    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            command: String::new(),
            parts: Vec::new(),
            require: list(&std::env::var("POLYHOST_REQUIRE").unwrap_or_default())?,
            root: PathBuf::from("."),
            json: false,
            help: false,
            rest: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            if parsed.command == "dotnet" {
                parsed.rest.push(argument);
                continue;
            }
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "-h" | "--help" => parsed.help = true,
                "--json" => parsed.json = true,
                "--require" => parsed.require = list(&value()?)?,
                "--root" => parsed.root = PathBuf::from(value()?),
                name if parsed.command.is_empty() && COMMANDS.contains(&name) => {
                    parsed.command = argument;
                }
                "dotnet" | "python" | "node" | "guests" | "protoc" | "conformance" | "all"
                    if parsed.command == "ensure" =>
                {
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
            "clr" | "cpython" | "luajit" | "node" | "conformance" => Ok(name.to_owned()),
            other => {
                Err(format!("`{other}` is nothing to require; there are clr, cpython, luajit, node and conformance"))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use polyhost_toolchain::setup::OFFLINE;
    use polyhost_toolchain::{dotnet, python, roslyn};

    #[test]
    fn the_help_names_every_variable_that_is_read() {
        let [arch, root] = dotnet::VARIABLES;
        let own = ["POLYHOST_REQUIRE", "VIRTUAL_ENV", "CC", "PATH"];
        for name in [OFFLINE, python::VARIABLE, roslyn::VARIABLE, dotnet::LOCAL, arch, root].iter().chain(&own) {
            assert!(HELP.contains(name), "{name}");
        }
    }
}
