//! The modules that are measured, reached through the trait, so that a new host needs no new code here.

use std::path::Path;
use std::sync::Arc;

use polyhost::{Function, LoadOptions, Module, ModuleSource, Registry, Result};

const PYTHON: &str = include_str!("../../guests/bench_guest.py");
const LUA: &str = include_str!("../../guests/bench_guest.lua");
/// Built by `make setup`, like all C# of the project.
const ASSEMBLY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests/Bench/Bench.dll");

/// Loads the guest of a runtime; `instances` matters to LuaJIT alone.
///
/// # Errors
/// What the host says.
pub(crate) fn load(registry: &Registry, scheme: &str, instances: usize) -> Result<Arc<dyn Module>> {
    let text = |name: &str, text: &str| ModuleSource::Text { name: name.into(), text: text.into() };
    let source = match scheme {
        "py" => text("bench_guest.py", PYTHON),
        "lua" => text("bench_guest.lua", LUA),
        _ => ModuleSource::Path(Path::new(ASSEMBLY).into()),
    };
    registry.runtime(scheme)?.load(&source, &LoadOptions::new().instances(instances))
}

/// Why the guest of a runtime is not there, where it is not: those in Python and Lua always are.
pub(crate) fn missing_guest(scheme: &str) -> Option<String> {
    let missing = scheme == "clr" && !Path::new(ASSEMBLY).is_file();
    missing.then(|| format!("{ASSEMBLY} is not built; run `make setup`"))
}

/// The export that returns its request, in every guest.
pub(crate) const ECHO: &str = "bench/Echo";

/// Loads the guest of a runtime and finds its echo.
///
/// # Errors
/// What the host says.
pub(crate) fn echo(registry: &Registry, scheme: &str) -> Result<Arc<dyn Function>> {
    load(registry, scheme, 1)?.function(ECHO)
}
