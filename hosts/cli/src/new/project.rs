//! The files of a project, and writing them.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use polyhost::{Error, ErrorKind};
use polyhost_toolchain::{Machine, dotnet};

use super::Kind;
use super::name::Name;
use super::rust::Runtime;
use super::templates::{self, Template};
use crate::failure::Failure;

/// What stands in the templates for the project's name. Each is a name in every language, so that the templates are good
/// sources as they are.
const SNAKE: &str = "my_project";
const PASCAL: &str = "MyProject";

/// What ends a line of a template that is there for Python alone.
const FOR_PYTHON: &str = "@cpython";

/// The files of a project.
#[derive(Debug, Default)]
pub(crate) struct Project {
    files: Vec<File>,
    /// What a person should know about this machine.
    note: Option<String>,
    /// Where in the README the commands are that come next.
    commands_under: &'static str,
}

#[derive(Debug)]
struct File {
    path: String,
    what: &'static str,
    content: Cow<'static, [u8]>,
}

impl Project {
    /// A guest.
    pub(crate) fn guest(kind: Kind, name: &Name) -> Project {
        let mut project = Project { files: rendered(kind, name), ..Project::default() };
        project.files.extend(library(kind));
        if kind == Kind::Clr {
            project.look_for_sdk();
        }
        project
    }

    /// A project in Rust, with these runtimes. `dependency` is where the crate `polyhost` is.
    pub(crate) fn in_rust(kind: Kind, name: &Name, runtimes: &[Runtime], dependency: &str) -> Project {
        let mut files = rendered(kind, name);
        for file in &mut files {
            let text = with_crate(&String::from_utf8_lossy(&file.content), dependency, runtimes);
            file.content = text.into_bytes().into();
        }
        Project { files, ..Project::default() }
    }

    /// The guest library alone.
    ///
    /// # Errors
    /// [`Failure::Usage`] where projects of the kind have none.
    pub(crate) fn library(kind: Kind) -> Result<Project, Failure> {
        let files = library(kind);
        if files.is_empty() {
            let what = "--update: a project in Rust has no copy of a library; its Cargo.toml says which it uses";
            return Err(Failure::Usage(what.to_owned()));
        }
        Ok(Project { files, ..Project::default() })
    }

    /// The files' paths, and what each is.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.files.iter().map(|file| (&*file.path, file.what))
    }

    /// What a person should know about this machine.
    pub(crate) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// What to type next: the first commands of the README, below a heading.
    pub(crate) fn commands(&self) -> Vec<String> {
        let readme = self.files.iter().find(|file| file.path == "README.md");
        let text = readme.map(|file| String::from_utf8_lossy(&file.content).into_owned()).unwrap_or_default();
        let below = text.split_once(self.commands_under).map_or("", |(_, below)| below);
        let block = below.split_once("```sh\n").and_then(|(_, block)| block.split_once("```"));
        block.map(|(block, _)| block.lines().map(str::to_owned).collect()).unwrap_or_default()
    }

    /// Writes the files into a new folder.
    ///
    /// # Errors
    /// Where there is something already, or it can't be written; nothing is left then.
    pub(crate) fn create(&self, folder: &Path) -> Result<(), Failure> {
        let was_there = match fs::read_dir(folder) {
            Ok(entries) => {
                if let Some(entry) = entries.flatten().find(|entry| entry.file_name() != ".git") {
                    return Err(not_empty(folder, &entry.path()));
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(Failure::Failed(Error::new(
                    ErrorKind::Config,
                    format!("{} is there already, and no folder; choose another name", folder.display()),
                )));
            }
            Err(error) => return Err(Failure::io(folder.display(), error)),
        };
        let outcome = self.files.iter().try_for_each(|file| file.write(folder));
        if outcome.is_err() && !was_there {
            // All in it is ours. What can't be removed is told by the next attempt.
            let _ = fs::remove_dir_all(folder);
        }
        outcome
    }

    /// Writes the files over those of a project that is there.
    ///
    /// # Errors
    /// Where there is none of them, or they can't be written.
    pub(crate) fn overwrite(&self, folder: &Path) -> Result<(), Failure> {
        let first = self.files.first().map(|file| folder.join(&file.path)).unwrap_or_default();
        if !first.is_file() {
            let message = format!("no {}; name the folder of a project that `polyhost new` made", first.display());
            return Err(Failure::Failed(Error::new(ErrorKind::Config, message)));
        }
        self.files.iter().try_for_each(|file| file.write(folder))
    }

    /// A machine without an SDK compiles the guest from its sources, and needs what NuGet would bring.
    fn look_for_sdk(&mut self) {
        let machine = Machine::current();
        let wanted = dotnet::Wanted { sdk: true, ..dotnet::Wanted::default() };
        if let Some(sdk) = dotnet::search(&machine, None, &wanted).found {
            if machine.on_path("dotnet").is_empty() {
                let root = crate::inspect::quoted(&sdk.root.display().to_string());
                self.note = Some(format!("the .NET SDK is not on PATH; for this shell: export PATH={root}:\"$PATH\""));
            }
            return;
        }
        self.commands_under = "\n## Without an SDK\n";
        let found = machine.var_path(dotnet::LOCAL).map(|folder| folder.join("protobuf/Google.Protobuf.dll"));
        self.note = Some(match found.and_then(|file| fs::read(file).ok()) {
            Some(content) => {
                let path = "lib/Google.Protobuf.dll".to_owned();
                self.files.push(File {
                    path,
                    what: "messages, where there is no SDK to get it",
                    content: content.into(),
                });
                "there is no .NET SDK here: the guest runs from its sources".to_owned()
            }
            None => {
                "there is no .NET SDK here: README.md says how the guest runs from its sources, and what to put into \
                     lib/"
                    .to_owned()
            }
        });
    }
}

impl File {
    fn write(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(&self.path);
        let told = |error| Failure::io(format_args!("can't write {}", path.display()), error);
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(told)?;
        fs::write(&path, &self.content).map_err(told)?;
        if self.path.ends_with(".sh") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(told)?;
        }
        Ok(())
    }
}

/// The templates of a kind, with the project's name.
fn rendered(kind: Kind, name: &Name) -> Vec<File> {
    let render = |text: &str| text.replace(SNAKE, &name.snake).replace(PASCAL, &name.pascal);
    let file =
        |it: &Template| File { path: render(it.path), what: it.what, content: render(it.text).into_bytes().into() };
    templates::of(kind).iter().map(file).collect()
}

/// What comes out of the crates that hosts have their guest libraries from.
fn library(kind: Kind) -> Vec<File> {
    let file = |path: &str, what, content: &'static [u8]| File { path: path.to_owned(), what, content: content.into() };
    match kind {
        Kind::Clr => vec![
            file("lib/Polyhost.Guest.dll", "the guest library", polyhost_dotnet::GUEST),
            file(
                "lib/Polyhost.Guest.xml",
                "its documentation, for editors",
                polyhost_dotnet::GUEST_DOCUMENTATION.as_bytes(),
            ),
        ],
        Kind::Py => {
            let files = polyhost_python::PACKAGE.iter().chain(polyhost_python::TYPES);
            let path = |path| PathBuf::from("lib/polyhost").join(path).to_string_lossy().into_owned();
            files
                .map(|it| file(&path(it.path), "the guest library, for tests and editors", it.text.as_bytes()))
                .collect()
        }
        Kind::Lua => vec![file("lib/polyhost.lua", "the guest library, for editors", polyhost_lua::LIBRARY.as_bytes())],
        Kind::C => vec![file("polyhost.h", "what host and guest agree on", polyhost::abi::HEADER.as_bytes())],
        Kind::Rust | Kind::Host => Vec::new(),
    }
}

/// What the files say of the crate, and without what is there for a Python that nobody wants.
fn with_crate(text: &str, dependency: &str, runtimes: &[Runtime]) -> String {
    let python = runtimes.contains(&Runtime::Cpython);
    let mut features: Vec<_> = runtimes.iter().map(|it| format!("\"{}\"", it.feature())).collect();
    features.sort();
    features.dedup();
    let crate_line = match &*features {
        [] => format!("{{ {dependency} }}"),
        features => format!("{{ {dependency}, features = [{}] }}", features.join(", ")),
    };
    let mut kept = String::new();
    for line in text.lines() {
        match line.split_once(FOR_PYTHON) {
            Some((line, _)) if python => kept += line.trim_end_matches(['/', '#', ' ']),
            Some(_) => continue,
            None => kept += line,
        }
        kept.push('\n');
    }
    kept.replace("\"@polyhost@\"", &crate_line)
}

#[cold]
fn not_empty(folder: &Path, entry: &Path) -> Failure {
    let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let message = format!(
        "{} is not empty (there is {name}); choose another name, or a folder that is not there yet",
        folder.display()
    );
    Failure::Failed(Error::new(ErrorKind::Config, message))
}
