//! The C# and Python messages of the examples, the bench and the templates are what their .proto files give, the golden
//! vectors what their text says, and what two packages need is the same in both.
//!
//! `POLYHOST_BLESS=1 cargo test -p polyhost --test generated` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyhost_toolchain::Machine;
use polyhost_toolchain::setup::{Project, protoc, python};
use prost::Message;

/// The messages of an example.
struct Messages {
    /// What imports are relative to, and the file.
    proto: (&'static str, &'static str),
    /// Where the C# is checked in, a file.
    csharp: &'static str,
    /// Where the Python is, a folder.
    python: &'static str,
}

const ALL: [Messages; 4] = [
    Messages {
        proto: ("hosts/examples/hello", "greeter.proto"),
        csharp: "hosts/examples/hello/clr/gen/Greeter.cs",
        python: "hosts/examples/hello/python",
    },
    Messages {
        proto: ("proto", "bench/v1/middleware.proto"),
        csharp: "hosts/examples/middleware/clr/Middleware/gen/Middleware.cs",
        python: "hosts/examples/middleware/python",
    },
    Messages {
        proto: ("proto", "bench/v1/workloads.proto"),
        csharp: "benches/guests/clr/Workloads/gen/Workloads.cs",
        python: "benches/guests/python",
    },
    Messages {
        proto: TEMPLATES,
        csharp: "hosts/cli/templates/clr/src/gen/Greeter.cs",
        python: "hosts/cli/templates/py",
    },
];

/// What `polyhost new` writes.
const TEMPLATES: (&str, &str) = ("hosts/cli/templates", "greeter.proto");

#[test]
fn csharp_matches_the_proto_files() {
    let project = project();
    for messages in &ALL {
        let Some(mut compiler) = protoc::find(&project) else {
            eprintln!("skipped: {} is not there; `make test` gets it", protoc::VERSION);
            return;
        };
        let file = Path::new(messages.csharp);
        let out = out("csharp");
        run(compiler.arg(format!("--csharp_out={}", out.display())), &project, messages);
        let name = file.file_name().expect("a file");
        compare(&out.join(name), &project.root().join(file));
    }
}

#[test]
fn python_matches_the_proto_files() {
    let project = project();
    let program = python::interpreter(&project);
    if !program.is_file() {
        let required = std::env::var("POLYHOST_REQUIRE").is_ok_and(|list| list.contains("cpython"));
        assert!(!required, "{} is not there, and POLYHOST_REQUIRE asks for cpython", program.display());
        eprintln!("skipped: {} is not there; `make setup` makes it", program.display());
        return;
    }
    for messages in &ALL {
        let out = out("python");
        let mut compiler = Command::new(&program);
        compiler.args(["-m", "grpc_tools.protoc"]);
        for kind in ["python", "pyi"] {
            compiler.arg(format!("--{kind}_out={}", out.display()));
        }
        run(&mut compiler, &project, messages);
        let stem = messages.proto.1.trim_end_matches(".proto");
        for file in [format!("{stem}_pb2.py"), format!("{stem}_pb2.pyi")] {
            compare(&out.join(&file), &project.root().join(messages.python).join(&file));
        }
    }
}

/// What `make descriptors` gives in a project of `polyhost new c`.
#[test]
fn the_descriptors_in_c_match_their_proto_file() {
    let project = project();
    let Some(mut compiler) = protoc::find(&project) else {
        eprintln!("skipped: {} is not there; `make test` gets it", protoc::VERSION);
        return;
    };
    let folder = project.root().join(TEMPLATES.0);
    let (binary, text) = (out("c").join("descriptors.binpb"), out("c").join("descriptors.inc"));
    let binary_is = format!("--descriptor_set_out={}", binary.display());
    assert!(compiler.current_dir(&folder).args([&binary_is, TEMPLATES.1]).status().expect("it starts").success());
    let bytes = fs::read(&binary).expect("it was written");
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("0x{byte:02x},")).collect::<String>() + "\n";
    fs::write(&text, bytes.chunks(16).map(line).collect::<String>()).expect("the file can be written");
    compare(&text, &folder.join("c/descriptors.inc"));
}

/// No package has files of another's, so what both need stands twice.
#[test]
fn the_template_in_c_reads_messages_as_the_examples_do() {
    let root = project().root().to_owned();
    let (source, copy) = ("hosts/examples/middleware/c/protobuf.h", "hosts/cli/templates/c/protobuf.h");
    compare(&root.join(source), &root.join(copy));
}

#[test]
fn golden_vectors_are_what_protoc_makes_of_their_text() {
    let project = project();
    let Some(mut compiler) = protoc::find(&project) else {
        eprintln!("skipped: {} is not there; `make test` gets it", protoc::VERSION);
        return;
    };
    let protos = project.root().join("proto");
    // Debian's protoc comes without the well-known types.
    let descriptors = protox::compile(["golden/v1/golden.proto"], [&protos]).expect("it compiles");
    let out = out("golden");
    fs::write(out.join("descriptors.binpb"), descriptors.encode_to_vec()).expect("the file can be written");
    let text = fs::File::open(protos.join("golden/v1/vectors.txtpb")).expect("it is in git");
    let output = compiler
        .arg(format!("--descriptor_set_in={}", out.join("descriptors.binpb").display()))
        .args(["--deterministic_output", "--encode=golden.v1.Vectors"])
        .stdin(text)
        .output()
        .expect("the compiler starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    compare_bytes(&output.stdout, &protos.join("golden/v1/vectors.binpb"));
}

/// The checkout.
fn project() -> Project {
    Project::around(Path::new(env!("CARGO_MANIFEST_DIR")), Machine::current()).expect("the crate lies in a checkout")
}

/// A folder to write to.
fn out(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated").join(name);
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

fn run(compiler: &mut Command, project: &Project, messages: &Messages) {
    let (folder, file) = messages.proto;
    let compiler = compiler.arg("-I").arg(project.root().join(folder)).arg(file);
    let output = compiler.output().expect("the compiler starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn compare(new: &Path, checked_in: &Path) {
    let bytes = fs::read(new).unwrap_or_default();
    assert!(!bytes.is_empty(), "the compiler has not written {}", new.display());
    compare_bytes(&bytes, checked_in);
}

fn compare_bytes(new: &[u8], checked_in: &Path) {
    if std::env::var_os("POLYHOST_BLESS").is_some() {
        fs::create_dir_all(checked_in.parent().expect("a folder")).expect("the folder can be made");
        fs::write(checked_in, new).expect("the file can be written");
        return;
    }
    let same = fs::read(checked_in).is_ok_and(|bytes| bytes == new);
    assert!(same, "{} is not what its source gives; run the test with POLYHOST_BLESS=1", checked_in.display());
}
