//! Builds guests as their authors would.

use std::path::{Path, PathBuf};

/// Builds a shared library from C with the compiler that `cc` finds.
pub(crate) fn c(folder: &Path, name: &str, source: &str, headers: &str) -> PathBuf {
    let (library, file) = (folder.join(name), folder.join(name).with_extension("c"));
    std::fs::write(&file, source).expect("the folder can be written to");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cc::Build::new();
    build.cargo_metadata(false).host(&target).target(&target).opt_level(1).include(headers);
    let mut command = build.get_compiler().to_command();
    command.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-shared", "-fPIC"]);
    let built = command.arg(&file).arg("-o").arg(&library).output().expect("there is a C compiler");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}
