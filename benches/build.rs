//! Lets this package's programs find the libpython they were linked with: nothing else tells them at run time.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    pyo3_build_config::add_libpython_rpath_link_args();
}
