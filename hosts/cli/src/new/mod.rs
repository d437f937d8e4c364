//! `polyhost new`: the first files of a guest, or of a program that hosts guests.

mod name;
mod project;
mod rust;
mod templates;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::Global;
use crate::failure::Failure;
use crate::screen::{self, Paint};

use name::Name;
use project::Project;
use rust::Runtime;

/// Makes a project: a guest in a language of your choice, or a Rust program that hosts guests.
///
/// Each has the same service, greeter.v1.Greeter, in a .proto file, an export that greets, a test of it, the guest
/// library of this program's version, and a README.md with the commands to build, call and test it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct New {
    /// What it is to be.
    kind: Kind,
    /// Its folder, which is made; the last part is the project's name.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// Only writes the guest library of this program into the project that is there, in the place of an older one.
    #[arg(long)]
    update: bool,
    /// A host's runtimes, beside native code and Lua; .NET by default. May be repeated, or be a list with commas.
    #[arg(long = "with", value_enum, value_name = "RUNTIME", value_delimiter = ',', help_heading = "Projects in Rust")]
    runtimes: Vec<Runtime>,
    /// Where a project in Rust has the crate `polyhost` from: the folder of a checkout, a version, or the URL of a git repository.
    ///
    /// By default it is the checkout that this program was built in. The crates are on no registry yet.
    #[arg(long, value_name = "PATH|VERSION|URL", help_heading = "Projects in Rust")]
    polyhost: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  polyhost new lua greeter                                   # the quickest look: there is nothing to build
  polyhost new clr greeter-cs
  polyhost new rust greeter-rs --polyhost ~/src/polyhost     # with the crate out of that checkout
  polyhost new host app --with clr,cpython                   # a program that loads all of them
  polyhost new clr greeter-cs --update                       # after an update of polyhost: the guest library alone";

/// What can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A guest in C#: a class library, by an SDK or from its source
    #[value(alias = "csharp", alias = "dotnet")]
    Clr,
    /// A guest in Python: a typed module, with its pyproject.toml
    #[value(alias = "python", alias = "cpython")]
    Py,
    /// A guest in Lua: a file, with annotations for editors
    #[value(alias = "luajit")]
    Lua,
    /// A guest in C: a shared library behind polyhost.h, with a Makefile
    C,
    /// A guest in Rust: a shared library of closures, behind the same header
    Rust,
    /// A program in Rust that loads and calls guests
    Host,
}

impl Kind {
    /// As it is typed.
    fn word(self) -> &'static str {
        match self {
            Kind::Clr => "clr",
            Kind::Py => "py",
            Kind::Lua => "lua",
            Kind::C => "c",
            Kind::Rust => "rust",
            Kind::Host => "host",
        }
    }

    fn is_in_rust(self) -> bool {
        matches!(self, Kind::Rust | Kind::Host)
    }

    fn title(self) -> &'static str {
        match self {
            Kind::Clr => "a guest in C#",
            Kind::Py => "a guest in Python",
            Kind::Lua => "a guest in Lua",
            Kind::C => "a guest in C",
            Kind::Rust => "a guest in Rust",
            Kind::Host => "a host in Rust",
        }
    }
}

pub(crate) fn run(global: &Global, arguments: &New) -> Result<ExitCode, Failure> {
    let (kind, folder) = (arguments.kind, &*arguments.folder);
    if kind != Kind::Host && !arguments.runtimes.is_empty() {
        return Err(Failure::Usage("--with is for a host".to_owned()));
    }
    if !kind.is_in_rust() && arguments.polyhost.is_some() {
        return Err(Failure::Usage("--polyhost is for projects in Rust: rust, host".to_owned()));
    }
    if arguments.update {
        let project = Project::library(kind)?;
        project.overwrite(folder)?;
        tell(global, arguments, "updated", &project, &[])?;
    } else {
        let project = plan(arguments)?;
        project.create(folder)?;
        let next: Vec<_> = std::iter::once(format!("cd {}", quoted(folder))).chain(project.commands()).collect();
        tell(global, arguments, "made", &project, &next)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The project that was asked for.
fn plan(arguments: &New) -> Result<Project, Failure> {
    let New { kind, folder, runtimes, polyhost, .. } = arguments;
    let name = Name::of_folder(folder, *kind).map_err(Failure::Usage)?;
    if !kind.is_in_rust() {
        return Ok(Project::guest(*kind, &name));
    }
    let runtimes = match (kind, &**runtimes) {
        (Kind::Rust, _) => &[],
        (_, []) => &[Runtime::Clr, Runtime::Luajit][..],
        (_, chosen) => &[chosen, &[Runtime::Luajit]].concat(),
    };
    Ok(Project::in_rust(*kind, &name, runtimes, &rust::dependency(polyhost.as_deref())?))
}

/// Tells what was written, and what to do next.
fn tell(global: &Global, arguments: &New, done: &str, project: &Project, next: &[String]) -> Result<(), Failure> {
    let (folder, note) = (arguments.folder.display(), project.note());
    if global.json {
        let files: Vec<_> = project.files().map(|(path, what)| json!({ "path": path, "what": what })).collect();
        let kind = arguments.kind.word();
        let object = json!({ "kind": kind, "folder": folder.to_string(), "files": files, "note": note, "next": next });
        return screen::write(format!("{object:#}\n").as_bytes());
    }
    let paint = Paint::stdout();
    let mut text = format!("{}\n", paint.title(format!("{done} {folder}, {}", arguments.kind.title())));
    let entries = entries(project);
    let width = entries.iter().map(|(path, _)| path.len()).max().unwrap_or_default();
    for (path, what) in entries {
        let _ = writeln!(text, "  {path:width$}  {}", paint.faint(what));
    }
    if let Some(note) = note {
        let _ = writeln!(text, "\n{}", paint.warning(note));
    }
    if !next.is_empty() {
        text += "\nnext:\n";
    }
    for command in next {
        let _ = writeln!(text, "  {command}");
    }
    screen::write(text.as_bytes())
}

/// The files, but of several that are one thing their folder.
fn entries(project: &Project) -> Vec<(String, &str)> {
    let files: Vec<_> = project.files().collect();
    let entry = |same: &[(&str, &'static str)]| match same {
        [(path, what)] => ((*path).to_owned(), *what),
        _ => (format!("{}/", Path::new(same[0].0).parent().unwrap_or(Path::new("")).display()), same[0].1),
    };
    files.chunk_by(|one, other| one.1 == other.1).map(entry).collect()
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    crate::inspect::quoted(&path.display().to_string())
}
