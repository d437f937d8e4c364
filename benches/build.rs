//! Lets this package's programs find the libpython they were linked with, which nothing else tells them at run time;
//! and builds the guest in C.
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    pyo3_build_config::add_libpython_rpath_link_args();
    c_guest();
}

/// A shared library, as its users would build it. Where there is no compiler there is no contender.
fn c_guest() {
    const SOURCE: &str = "guests/c/bench.c";
    const HEADERS: &str = "../bridge/include";
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-changed={HEADERS}/polyhost.h");
    let library = Path::new(&std::env::var_os("OUT_DIR").expect("cargo sets it")).join("libbench.so");
    println!("cargo:rustc-env=POLYHOST_BENCH_C_GUEST={}", library.display());
    let mut build = cc::Build::new();
    build.opt_level(2).debug(false).include(HEADERS);
    let mut command = build.get_compiler().to_command();
    command.args(["-std=c11", "-Wall", "-Wextra", "-Wno-unused-function", "-shared", "-fPIC", SOURCE, "-o"]);
    match command.arg(&library).status() {
        Ok(status) if status.success() => {}
        Ok(status) => println!("cargo:warning=the guest in C does not compile: {status}"),
        Err(error) => println!("cargo:warning=no C compiler for the guest in C: {error}"),
    }
}
