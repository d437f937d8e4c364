//! Asks the interpreter that pyo3 links with who it is, has it compile the guest package, and lets this package's
//! programs find its library: nothing else tells them at run time.

use std::fs;
use std::path::{Path, PathBuf};

/// Compiles each file of a folder, and writes the code under CPython's number of its bytecode; prints the version.
const COMPILE: &str = r#"
import importlib.util, marshal, os, platform
folder, codes = os.environ["POLYHOST_PACKAGE"], {}
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        code = compile(file.read(), f"<polyhost>/{name}", "exec", dont_inherit=True, optimize=0)
    codes[name] = marshal.dumps(code)
with open(os.environ["POLYHOST_COMPILED"], "wb") as file:
    file.write(importlib.util.MAGIC_NUMBER + marshal.dumps(codes))
print(platform.python_version(), end="")
"#;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
    let python = pyo3_build_config::get();
    assert!(
        !python.is_free_threaded(),
        "Python {} is a free-threaded build, which Polyhost does not host; let PYO3_PYTHON name one with a GIL",
        python.version()
    );
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let (package, compiled) = (out.join("package"), out.join("package.marshal"));
    write_package(&package);
    fs::write(&compiled, "").expect("cargo's folder can be written");
    // A configuration file names no interpreter; then the version has no patch number, none is compared, and the
    // guest package is compiled at each start.
    let version = python.executable().and_then(|_| {
        let envs = [("POLYHOST_PACKAGE", &package), ("POLYHOST_COMPILED", &compiled)];
        let version = python.run_python_script_with_envs(COMPILE, envs);
        version.inspect_err(|e| println!("cargo:warning=the guest package is not compiled: {e}")).ok()
    });
    let version = version.unwrap_or_else(|| python.version().to_string());
    println!("cargo:rustc-env=POLYHOST_CPYTHON_VERSION={version}");
    println!("cargo:rustc-env=POLYHOST_CPYTHON_EXECUTABLE={}", python.executable().unwrap_or_default());
}

fn write_package(folder: &Path) {
    // An earlier build may have left files that are no more.
    let _ = fs::remove_dir_all(folder);
    fs::create_dir(folder).expect("cargo's folder can be written");
    for file in polyhost_python::PACKAGE {
        fs::write(folder.join(file.path), file.text).expect("cargo's folder can be written");
    }
}
