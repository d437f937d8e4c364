//! Lets this package's programs find the libpython they were linked with: nothing else tells them at run time.

use std::env::var_os;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let features = [("clr", "CLR"), ("cpython", "CPYTHON"), ("luajit", "LUAJIT")];
    let built = features.iter().filter(|(_, name)| var_os(format!("CARGO_FEATURE_{name}")).is_some());
    let runtimes: Vec<_> = std::iter::once("native").chain(built.map(|(runtime, _)| *runtime)).collect();
    // `--version` tells it.
    println!("cargo:rustc-env=POLYHOST_RUNTIMES={}", runtimes.join(", "));
    if runtimes.contains(&"cpython") {
        pyo3_build_config::add_libpython_rpath_link_args();
        // `doctor` compares it with the version that was loaded. Where the build knows no interpreter it has no patch
        // number.
        let python = pyo3_build_config::get();
        let version = python
            .run_python_script("import platform; print(platform.python_version(), end='')")
            .unwrap_or_else(|_| python.version().to_string());
        println!("cargo:rustc-env=POLYHOST_BUILT_FOR_PYTHON={version}");
    }
}
