//! Where the guests are in a checkout.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The checkout that this was built in.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the checkout")
}

/// The location of a guest that stands in this example as it is run.
pub(crate) fn example(scheme: &str, file: &str) -> String {
    format!("{scheme}{}", root().join("hosts/examples/middleware").join(file).display())
}

/// The location of a C# guest, which setup builds.
///
/// # Errors
/// Says what to do where it is not there.
pub(crate) fn assembly(name: &str) -> Result<String, String> {
    let file = root().join(format!("target/guests/{name}/{name}.dll"));
    if file.is_file() {
        Ok(format!("clr:{}", file.display()))
    } else {
        Err(format!("target/guests/{name} is not there; `make setup` builds it, or says why it can't"))
    }
}

/// Where setup puts Lua libraries.
pub(crate) fn lua_libraries() -> PathBuf {
    root().join(".lua")
}

/// The middleware in C.
///
/// # Errors
/// As [`shared_library`].
pub(crate) fn c_library() -> Result<PathBuf, String> {
    shared_library("middleware", "hosts/examples/middleware/c/middleware.c", &[], &[])
}

/// Where headers of guests in C are.
const HEADERS: [&str; 2] = ["bridge/include", "hosts/examples/middleware/c"];

/// A guest in C, in `target/guests`, built unless it is there and newer than what it is built from: `source`, the
/// headers beside it, and `objects`.
///
/// # Errors
/// Says why it could not be built.
pub(crate) fn shared_library(name: &str, source: &str, includes: &[&str], objects: &[&str]) -> Result<PathBuf, String> {
    // Threads that want the same one would write into one file.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let library = root().join(format!("target/guests/{name}-c/lib{name}.so"));
    let within = |files: &[&str]| files.iter().map(|file| root().join(file)).collect::<Vec<_>>();
    let (source, objects, mut folders) = (root().join(source), within(objects), within(&HEADERS));
    folders.extend(source.parent().map(Path::to_owned));
    let headers = folders.iter().flat_map(|folder| headers(folder));
    let inputs = objects.iter().cloned().chain(headers).chain([source.clone()]);
    let changed = |file: &Path| file.metadata().and_then(|it| it.modified()).ok();
    if inputs.map(|file| changed(&file)).max().flatten() < changed(&library) {
        return Ok(library);
    }
    let folder = library.parent().expect("it is in a folder");
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    // Beside its place and renamed: a library must not be written to while somebody has it mapped.
    let part = folder.join(format!("lib{name}.so.part-{}", std::process::id()));
    folders.extend(within(includes));
    let mut compiler = c_compiler(&folders)?;
    compiler.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]);
    compiler.arg(&source).args(&objects).arg("-o").arg(&part);
    let output = compiler.output().map_err(|e| format!("{:?}: {e}", compiler.get_program()))?;
    if !output.status.success() {
        return Err(format!("{}: {}", source.display(), String::from_utf8_lossy(&output.stderr).trim()));
    }
    std::fs::rename(&part, &library).map_err(|e| format!("{}: {e}", library.display()))?;
    Ok(library)
}

/// The headers in a folder.
fn headers(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|file| file.extension().is_some_and(|it| it == "h")).collect()
}

fn c_compiler(includes: &[PathBuf]) -> Result<Command, String> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cc::Build::new();
    build.cargo_metadata(false).host(&target).target(&target).opt_level(2).includes(includes);
    build.try_get_compiler().map(|compiler| compiler.to_command()).map_err(|e| format!("no C compiler: {e}"))
}
