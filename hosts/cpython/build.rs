//! Asks the interpreter that pyo3 links with who it is, and lets this package's programs find its library: nothing else
//! tells them at run time.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
    let python = pyo3_build_config::get();
    // A configuration file names no interpreter; then the version has no patch number, and none is compared.
    let version = python
        .run_python_script("import platform; print(platform.python_version(), end='')")
        .unwrap_or_else(|_| python.version().to_string());
    println!("cargo:rustc-env=POLYHOST_CPYTHON_VERSION={version}");
    println!("cargo:rustc-env=POLYHOST_CPYTHON_EXECUTABLE={}", python.executable().unwrap_or_default());
}
