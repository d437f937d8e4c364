//! Makes the messages of guests/greeter.proto, without a protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=guests/greeter.proto");
    let messages = protox::compile(["greeter.proto"], ["guests"])?;
    prost_build::Config::new().compile_fds(messages)?;
    // Nothing else tells the program at run time where its libpython is. // @cpython
    pyo3_build_config::add_libpython_rpath_link_args(); // @cpython
    Ok(())
}
