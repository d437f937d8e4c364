//! Where the guests are in a checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The middleware in C, built unless it is there and newer than what it is built from.
///
/// # Errors
/// Says why it could not be built.
pub(crate) fn c_library() -> Result<PathBuf, String> {
    let source = root().join("hosts/examples/middleware/c/middleware.c");
    let header = root().join("bridge/include/polyhost.h");
    let library = root().join("target/guests/middleware-c/libmiddleware.so");
    let changed = |file: &Path| file.metadata().and_then(|it| it.modified()).ok();
    if changed(&source).max(changed(&header)) < changed(&library) {
        return Ok(library);
    }
    let folder = library.parent().expect("it is in a folder");
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    // Beside its place and renamed: a library must not be written to while somebody has it mapped.
    let part = folder.join(format!("libmiddleware.so.part-{}", std::process::id()));
    let mut compiler = c_compiler(header.parent().expect("it is in a folder"))?;
    compiler.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]).arg(&source).arg("-o").arg(&part);
    let output = compiler.output().map_err(|e| format!("{:?}: {e}", compiler.get_program()))?;
    if !output.status.success() {
        return Err(format!("{}: {}", source.display(), String::from_utf8_lossy(&output.stderr).trim()));
    }
    std::fs::rename(&part, &library).map_err(|e| format!("{}: {e}", library.display()))?;
    Ok(library)
}

fn c_compiler(headers: &Path) -> Result<Command, String> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cc::Build::new();
    build.cargo_metadata(false).host(&target).target(&target).opt_level(2).include(headers);
    build.try_get_compiler().map(|compiler| compiler.to_command()).map_err(|e| format!("no C compiler: {e}"))
}
