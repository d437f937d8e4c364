//! Lets this package's programs find the libpython they were linked with, which nothing else tells them at run time,
//! and keeps what can't be asked of a program that is built.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    pyo3_build_config::add_libpython_rpath_link_args();
    // The folder of an environment's packages: `python3.11`.
    println!("cargo:rustc-env=POLYHOST_BENCH_PYTHON=python{}", pyo3_build_config::get().version());
    let compiler = std::env::var_os("RUSTC").expect("cargo sets it");
    let told = Command::new(compiler).arg("--version").output().expect("it has just been asked by cargo");
    println!("cargo:rustc-env=POLYHOST_BENCH_RUSTC={}", String::from_utf8_lossy(&told.stdout).trim());
}
