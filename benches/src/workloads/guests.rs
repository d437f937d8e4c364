//! Where the guests are that implement the workloads.

use polyhost::ModuleSource;

use super::Guest;
use crate::targets::report::Unmeasured;

// As the demo finds and builds its own.
#[path = "../../../hosts/examples/middleware/files.rs"]
#[expect(dead_code, reason = "the guests of the demo are found by their paths here")]
pub(crate) mod files;

use files::root;

/// `export` of the guest that has all workloads without a library.
///
/// # Errors
/// [`Unmeasured::Skipped`] where the language has none.
pub(crate) fn workloads(scheme: &str, export: &str) -> Result<Guest, Unmeasured> {
    let source = match scheme {
        "clr" => assembly("Workloads")?,
        "py" => file("benches/guests/python/workloads.py"),
        "lua" => file("benches/guests/lua/workloads.lua"),
        "native" => c_library("workloads", &[], &[])?,
        other => return Err(no_guest(other)),
    };
    Ok(guest(scheme, source, export))
}

/// `export` of the demo's middleware.
///
/// # Errors
/// [`Unmeasured::Skipped`] where the language has none.
pub(crate) fn middleware(scheme: &str, export: &str) -> Result<Guest, Unmeasured> {
    let source = match scheme {
        "clr" => assembly("Middleware")?,
        "py" => file("hosts/examples/middleware/python/middleware_guest.py"),
        "lua" => file("hosts/examples/middleware/lua/middleware.lua"),
        "native" => {
            let why = "the demo's middleware in C rewrites path and headers alone: C has no JSON and no HMAC at hand";
            return Err(Unmeasured::Skipped(why.to_owned()));
        }
        other => return Err(no_guest(other)),
    };
    Ok(guest(scheme, source, export))
}

/// `export` of the guest that renders Markdown by a library.
///
/// # Errors
/// [`Unmeasured::Skipped`] where the language has none, or the library is not there.
pub(crate) fn render(scheme: &str, export: &str) -> Result<Guest, Unmeasured> {
    let source = match scheme {
        "clr" => assembly("Render")?,
        "py" => file("benches/guests/python/render.py"),
        "lua" if !root().join(".lua/markdown.lua").is_file() => {
            return Err(Unmeasured::Skipped(".lua/markdown.lua is not there; `make setup` gets it".to_owned()));
        }
        "lua" => file("benches/guests/lua/render.lua"),
        "native" => c_renderer()?,
        other => return Err(no_guest(other)),
    };
    Ok(guest(scheme, source, export))
}

fn guest(scheme: &str, source: ModuleSource, export: &str) -> Guest {
    let mut options = Vec::new();
    if scheme == "lua" {
        let place = |folder: &str| root().join(folder).display().to_string();
        options.push(("proto_path", place("proto")));
        options.push(("path", place(".lua")));
    }
    Guest { source, export: export.to_owned(), options }
}

fn no_guest(scheme: &str) -> Unmeasured {
    Unmeasured::Skipped(format!("nobody has written this workload for {scheme}"))
}

fn file(path: &str) -> ModuleSource {
    ModuleSource::Path(root().join(path))
}

fn assembly(name: &str) -> Result<ModuleSource, Unmeasured> {
    let path = format!("target/guests/{name}/{name}.dll");
    if root().join(&path).is_file() {
        return Ok(file(&path));
    }
    Err(Unmeasured::Skipped(format!("{path} is not there; `make setup` builds it, or says why it can't")))
}

fn c_library(name: &str, objects: &[&str], includes: &[&str]) -> Result<ModuleSource, Unmeasured> {
    let source = format!("benches/guests/c/{name}.c");
    let library = files::shared_library(&format!("bench-{name}"), &source, includes, objects);
    library.map(ModuleSource::Path).map_err(Unmeasured::Skipped)
}

/// With cmark linked in.
fn c_renderer() -> Result<ModuleSource, Unmeasured> {
    let library = ".cmark/libcmark.a";
    if !root().join(library).is_file() {
        return Err(Unmeasured::Skipped(format!("no library: {library} is not there; `make setup` gets it")));
    }
    c_library("render", &[library], &[".cmark"])
}
