//! Makes the messages of greeter.proto, without a protoc, and their descriptors.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=greeter.proto");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file("greeter.proto")?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.binpb"),
        compiler.encode_file_descriptor_set(),
    )?;
    prost_build::Config::new()
        .enable_type_names()
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
