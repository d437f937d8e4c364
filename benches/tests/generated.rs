//! The gRPC services that are checked in are what their .proto files give.
//!
//! `POLYHOST_BLESS=1 cargo test -p polyhost-bench --test generated` writes them anew.

use std::fs;
use std::path::Path;

const FILES: [&str; 2] = ["bench/v1/workloads.proto", "bench/v1/middleware.proto"];

/// Those that are called by gRPC.
const SERVICES: [&str; 4] = ["Bench", "Host", "Middleware", "Stages"];

#[test]
fn the_services_match_the_proto_files() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let protos = crate_root.parent().expect("a folder of the checkout").join("proto");
    let mut descriptors = protox::compile(FILES, [&protos]).expect("the .proto files compile");
    for file in &mut descriptors.file {
        file.service.retain(|service| SERVICES.contains(&service.name()));
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("services");
    fs::create_dir_all(&out).expect("temporary folder");
    tonic_prost_build::configure()
        .extern_path(".bench.v1", "::polyhost_proto::bench::v1")
        .build_transport(false)
        .out_dir(&out)
        .compile_fds(descriptors)
        .expect("tonic generates");
    let fresh = fs::read_to_string(out.join("bench.v1.rs")).expect("what was generated");
    let checked_in = crate_root.join("src/peer/gen/bench.v1.rs");
    if std::env::var_os("POLYHOST_BLESS").is_some() {
        fs::create_dir_all(checked_in.parent().expect("a folder")).expect("the folder can be made");
        fs::write(&checked_in, &fresh).expect("the file can be written");
    }
    let same = fs::read_to_string(&checked_in).is_ok_and(|text| text == fresh);
    assert!(same, "{} is not what its .proto files give; run the test with POLYHOST_BLESS=1", checked_in.display());
}
