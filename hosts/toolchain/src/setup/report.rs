//! What is on the machine, for people and for programs.

use serde_json::{Value, json};

use super::{Project, node, protobuf};
use crate::dotnet::{DotnetRoot, has_icu};
use crate::{Search, dotnet, python, roslyn};

/// Everything that the searches see, as JSON.
pub fn json(project: &Project) -> Value {
    let machine = project.machine();
    let dotnet = dotnet::search_for_host(machine, None);
    let compiler = roslyn::search(machine, dotnet.found.as_ref());
    let python = python::search(machine);
    json!({
        "dotnet": {
            "found": dotnet.found.as_ref().map(describe_dotnet),
            "icu": has_icu(machine),
            "looked": looked(&dotnet),
        },
        "roslyn": { "found": compiler.found, "looked": looked(&compiler) },
        "protobuf": protobuf::find(project).map(|found| match found {
            protobuf::Protobuf::Library(path) => json!({ "library": path }),
            protobuf::Protobuf::Sources(path) => json!({ "sources": path }),
        }),
        "python": {
            "found": python.found.as_ref().map(|p| json!({
                "executable": p.executable,
                "version": p.version.to_string(),
                "library": p.library,
                "headers": p.headers,
                "found_by": p.found_by,
            })),
            "looked": looked(&python),
        },
        "npm": node::is_ready(project).then(|| project.npm()),
        "offline": project.offline(),
        "feed": project.feed(),
    })
}

/// The same for people, a place a line.
pub fn text(project: &Project) -> String {
    let machine = project.machine();
    let dotnet = dotnet::search_for_host(machine, None);
    let compiler = roslyn::search(machine, dotnet.found.as_ref());
    let python = python::search(machine);
    let mut text = String::new();
    section(&mut text, &dotnet, dotnet.found.as_ref().map(summary));
    let icu = if has_icu(machine) { "found" } else { "absent: cultures are invariant" };
    text += &format!("  ICU: {icu}\n");
    let path = compiler.found.as_ref().map(|p| p.display().to_string());
    section(&mut text, &compiler, path);
    let found = python.found.as_ref().map(|p| format!("Python {} at {}", p.version, p.executable.display()));
    section(&mut text, &python, found);
    let packages = project.npm().display().to_string();
    let packages = if node::is_ready(project) { &packages } else { "none; `make setup` gets them where Node is" };
    text += &format!("npm packages: {packages}\n");
    text
}

/// A root on one line.
pub fn summary(root: &DotnetRoot) -> String {
    let version = |name| root.newest(name).map(ToString::to_string);
    let mut line = format!(".NET {}", version(dotnet::CORE).unwrap_or_default());
    if let Some(aspnet) = version(dotnet::ASPNET) {
        line += &format!(", ASP.NET Core {aspnet}");
    }
    if let Some(sdk) = root.sdks.first() {
        line += &format!(", SDK {sdk}");
    }
    format!("{line}, at {} (by {})", root.root.display(), root.found_by)
}

fn describe_dotnet(root: &DotnetRoot) -> Value {
    let texts = |list: &[crate::Version]| -> Vec<String> { list.iter().map(ToString::to_string).collect() };
    let runtimes: serde_json::Map<String, Value> =
        root.runtimes.iter().map(|(name, versions)| (name.clone(), json!(texts(versions)))).collect();
    json!({
        "root": root.root,
        "hostfxr": root.hostfxr,
        "hostfxr_version": root.hostfxr_version.to_string(),
        "runtimes": runtimes,
        "sdks": texts(&root.sdks),
        "found_by": root.found_by,
    })
}

fn looked<T>(search: &Search<T>) -> Vec<String> {
    search.looked.iter().map(ToString::to_string).collect()
}

fn section<T>(text: &mut String, search: &Search<T>, found: Option<String>) {
    let found = found.unwrap_or_else(|| format!("none; {}", search.advice));
    *text += &format!("{}: {found}\n", search.wanted);
    for place in &search.looked {
        *text += &format!("  {place}\n");
    }
}
