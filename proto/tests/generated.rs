//! The generated code that is checked in is what its sources give.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FILES: &[&str] = &[
    "polyhost/v1/error.proto",
    "conformance/v1/conformance.proto",
    "bench/v1/middleware.proto",
    "bench/v1/workloads.proto",
];

#[test]
fn generated_code_matches_the_proto_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let gen_dir = root.join("src/gen");
    let fresh = generate(root);
    if std::env::var_os("POLYHOST_BLESS").is_some() {
        for (name, content) in &fresh {
            std::fs::write(gen_dir.join(name), content).expect("write generated file");
        }
    }
    let mut checked_in = BTreeMap::new();
    for entry in std::fs::read_dir(&gen_dir).expect("src/gen exists") {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        checked_in.insert(name, std::fs::read(&path).expect("read generated file"));
    }
    let names = |m: &BTreeMap<String, Vec<u8>>| m.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&fresh), names(&checked_in), "run POLYHOST_BLESS=1 cargo test -p polyhost-proto");
    for (name, content) in &fresh {
        assert!(
            content == &checked_in[name],
            "src/gen/{name} differs from its source; run POLYHOST_BLESS=1 cargo test -p polyhost-proto"
        );
    }
}

fn generate(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let files: Vec<PathBuf> = FILES.iter().map(|f| root.join(f)).collect();
    let descriptors = protox::compile(&files, [root]).expect("the .proto files compile");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gen");
    std::fs::create_dir_all(&out).expect("temporary folder");
    for old in std::fs::read_dir(&out).expect("temporary folder").flatten() {
        std::fs::remove_file(old.path()).expect("empty the temporary folder");
    }
    prost_build::Config::new()
        .out_dir(&out)
        .btree_map(["."])
        .enable_type_names()
        .compile_fds(descriptors.clone())
        .expect("prost generates");
    std::fs::write(out.join("descriptors.binpb"), encode(&descriptors)).expect("write descriptors");
    std::fs::read_dir(&out)
        .expect("generated files")
        .flatten()
        .filter(|e| e.file_name() != "google.protobuf.rs")
        .map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read(e.path()).expect("read")))
        .collect()
}

fn encode(descriptors: &prost_types::FileDescriptorSet) -> Vec<u8> {
    // Comments are for the reader of the .proto file; positions would make the bytes change with every edit.
    let mut stripped = descriptors.clone();
    for file in &mut stripped.file {
        file.source_code_info = None;
    }
    prost::Message::encode_to_vec(&stripped)
}
