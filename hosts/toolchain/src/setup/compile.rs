//! Compiling the C# guests without an SDK: Polyhost hosts the compiler itself (`polyhost-csc`).
//!
//! A guest's project file is read for what it needs; only what needs nothing but Google.Protobuf can be built so.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::files::{Part, write_if_changed};
use super::guests::{collect, copy_folder, name, place};
use super::protobuf::{self, LIBRARY, Protobuf};
use super::{Error, Project, Result, say};

/// The one package that there is without NuGet.
const PACKAGE: &str = "Google.Protobuf";

/// What can be compiled here, and what can't, with its reason.
#[derive(Default)]
pub(crate) struct Plan {
    pub guests: Vec<Guest>,
    pub left_out: Vec<String>,
}

/// A guest as its project file has it.
pub(crate) struct Guest {
    pub project: PathBuf,
    sources: Vec<PathBuf>,
    is_program: bool,
    is_web: bool,
}

impl Plan {
    /// Reads the project files.
    ///
    /// # Errors
    /// When one can't be read.
    pub(crate) fn of(projects: &[PathBuf]) -> Result<Self> {
        let mut plan = Plan::default();
        for path in projects {
            let text = fs::read_to_string(path).map_err(|e| Error::about(path.display(), e))?;
            match Guest::read(path, &text) {
                Ok(guest) => plan.guests.push(guest),
                Err(why) => plan.left_out.push(format!("{} {why}", name(path))),
            }
        }
        Ok(plan)
    }

    /// Compiles all of them, each to its place.
    ///
    /// # Errors
    /// When one does not compile, or there is no Google.Protobuf to be had.
    pub(crate) fn compile(&self, project: &Project) -> Result<()> {
        let mut requests = Vec::new();
        let library = match protobuf::ensure(project)? {
            Protobuf::Library(library) => library,
            Protobuf::Sources(folder) => {
                let library = project.dotnet().join("protobuf").join(LIBRARY);
                requests.push(protobuf_request(&folder, &library));
                library
            }
        };
        let mut parts = Vec::new();
        for guest in &self.guests {
            let part = Part::beside(&place(project, &guest.project))?;
            requests.push(guest.request(part.path(), &library));
            parts.push((guest, part));
        }
        let list = project.work().join("csc.json");
        write_if_changed(&list, &format!("{:#}\n", Value::from(requests)))?;
        say(format_args!("compiling {} C# guests with Polyhost itself, which is built for it", self.guests.len()));
        let mut csc = project.command(&cargo())?;
        csc.args(["run", "--quiet", "--package", "polyhost-clr", "--bin", "polyhost-csc", "--"]).arg(&list);
        project.run("guests-compile", csc.env("POLYHOST_DOTNET", project.dotnet()))?;
        for (guest, part) in parts {
            let copy = part.path().join(LIBRARY);
            fs::copy(&library, &copy).map_err(|e| Error::about(copy.display(), e))?;
            let content = guest.project.with_file_name("wwwroot");
            if guest.is_web && content.is_dir() {
                let copied = copy_folder(&content, &part.path().join("wwwroot"));
                copied.map_err(|e| Error::about(content.display(), e))?;
            }
            let folder = part.path().to_owned();
            part.replace(&folder, &place(project, &guest.project))?;
        }
        Ok(())
    }
}

/// The cargo that runs this program, where one does.
fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

impl Guest {
    fn read(path: &Path, text: &str) -> Result<Self, String> {
        if let Some(package) = values(text, "PackageReference", "Include").find(|package| *package != PACKAGE) {
            return Err(format!("needs {package}, which comes by NuGet alone"));
        }
        // What else changes which files are compiled, or how.
        let beyond =
            ["<Compile Remove", "<Import ", "<Target ", "<Reference ", "<DefineConstants", "<EmbeddedResource"];
        if let Some(tag) = beyond.into_iter().find(|tag| text.contains(tag)) {
            return Err(format!("has {} in its project file, which takes an SDK", tag.trim_end()));
        }
        if values(text, "Compile", "Include").any(|file| file.contains(['*', '$'])) {
            return Err("has a pattern of files in its project file, which takes an SDK".to_owned());
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut files: Vec<_> = values(text, "Compile", "Include").map(|file| folder.join(file)).collect();
        collect(folder, &mut files);
        let ends_in = |file: &PathBuf, end: &str| file.extension().is_some_and(|extension| extension == end);
        if files.iter().any(|file| ends_in(file, "cshtml")) {
            return Err("has Razor views, which take an SDK".to_owned());
        }
        files.retain(|file| ends_in(file, "cs"));
        files.sort();
        Ok(Guest {
            project: path.to_owned(),
            sources: files,
            is_program: text.contains("<OutputType>Exe</OutputType>"),
            is_web: values(text, "Project", "Sdk").any(|sdk| sdk == "Microsoft.NET.Sdk.Web"),
        })
    }

    fn request(&self, folder: &Path, protobuf: &Path) -> Value {
        json!({
            "output": folder.join(format!("{}.dll", name(&self.project))),
            "sources": self.sources,
            "references": [protobuf],
            "kind": if self.is_program || self.is_web { "program" } else { "library" },
            "language": "12",
            "web": self.is_web,
        })
    }
}

fn protobuf_request(folder: &Path, library: &Path) -> Value {
    let mut sources = Vec::new();
    collect(folder, &mut sources);
    sources.retain(|file| file.extension().is_some_and(|extension| extension == "cs"));
    sources.sort();
    json!({
        "output": library,
        "sources": sources,
        "name": PACKAGE,
        "version": "3.21.12.0",
        "plain": true,
        "defines": ["GOOGLE_PROTOBUF_SUPPORT_FAST_STRING", "GOOGLE_PROTOBUF_SIMD"],
    })
}

/// The values of an attribute, in all elements of that name.
fn values<'a>(text: &'a str, element: &str, attribute: &str) -> impl Iterator<Item = &'a str> {
    let (open, key) = (format!("<{element} "), format!("{attribute}=\""));
    let elements: Vec<&str> = text.split(open.as_str()).skip(1).collect();
    elements.into_iter().filter_map(move |rest| {
        let inside = rest.split('>').next()?;
        let (_, value) = inside.split_once(key.as_str())?;
        value.split('"').next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: &str = "<Project Sdk=\"Microsoft.NET.Sdk.Web\">\n<ItemGroup>\n\
        <PackageReference Include=\"Google.Protobuf\" Version=\"3.25.1\" />\n</ItemGroup>\n</Project>\n";

    fn read(text: &str) -> Result<Guest, String> {
        Guest::read(Path::new("nowhere/App.csproj"), text)
    }

    #[test]
    fn reads_what_a_project_file_says() {
        let beside = PROJECT.replace("<ItemGroup>", "<ItemGroup><Compile Include=\"../gen/Some.cs\" />");
        let guest = read(&beside).expect("can be compiled");
        assert_eq!(vec![Path::new("nowhere/../gen/Some.cs")], guest.sources);
        assert!(guest.is_web && !guest.is_program);
        let request = guest.request(Path::new("/out"), Path::new("/protobuf.dll"));
        assert_eq!("/out/App.dll", request["output"]);
        assert_eq!("program", request["kind"]);
    }

    #[test]
    fn leaves_out_what_has_views() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("Views")).expect("made");
        fs::write(folder.path().join("Views/Index.cshtml"), "").expect("written");
        let read = Guest::read(&folder.path().join("App.csproj"), PROJECT).map(drop);
        assert_eq!(Err("has Razor views, which take an SDK".to_owned()), read);
    }

    #[test]
    fn leaves_out_what_takes_more() {
        let other = PROJECT.replace("\"Google.Protobuf\"", "\"Markdig\"");
        assert_eq!(Err("needs Markdig, which comes by NuGet alone".to_owned()), read(&other).map(drop));
        let exotic = PROJECT.replace("<ItemGroup>", "<ItemGroup><Compile Remove=\"x.cs\" />");
        assert_eq!(
            Err("has <Compile Remove in its project file, which takes an SDK".to_owned()),
            read(&exotic).map(drop)
        );
    }
}
