//! The files of each kind of project, embedded. They lie in `templates/` as they are written, but for the project's name.

use super::Kind;

/// A file of a project.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template {
    /// Where it goes.
    pub(crate) path: &'static str,
    /// What it is, for people.
    pub(crate) what: &'static str,
    pub(crate) text: &'static str,
}

macro_rules! templates {
    ($($path:literal from $file:literal: $what:literal,)*) => {
        &[$(Template { path: $path, what: $what, text: include_str!(concat!("../../templates/", $file)) }),*]
    };
}

/// What is written by hand, in the order in which it is told. What comes from a guest library is in `project`.
pub(crate) fn of(kind: Kind) -> &'static [Template] {
    match kind {
        Kind::Clr => CLR,
        Kind::Py => PY,
        Kind::Lua => LUA,
        Kind::C => C,
        Kind::Rust => RUST,
        Kind::Host => HOST,
    }
}

const CLR: &[Template] = templates![
    "README.md" from "clr/README.md": "how to build, call and test it",
    "greeter.proto" from "greeter.proto": "what callers and guest agree on",
    "src/GreeterGuest.cs" from "clr/src/GreeterGuest.cs": "the exports",
    "src/gen/Greeter.cs" from "clr/src/gen/Greeter.cs": "the messages, made from greeter.proto",
    "src/MyProject.csproj" from "clr/src/MyProject.csproj": "how it is built",
    "tests/Program.cs" from "clr/tests/Program.cs": "the tests",
    "tests/MyProject.Tests.csproj" from "clr/tests/MyProject.Tests.csproj": "how they are built",
    ".gitignore" from "clr/gitignore": "keeps what is built out of git",
];

const PY: &[Template] = templates![
    "README.md" from "py/README.md": "how to call and test it",
    "greeter.proto" from "greeter.proto": "what callers and guest agree on",
    "my_project.py" from "py/my_project.py": "the exports",
    "greeter_pb2.py" from "py/greeter_pb2.py": "the messages, made from greeter.proto",
    "greeter_pb2.pyi" from "py/greeter_pb2.pyi": "their types",
    "tests/test_my_project.py" from "py/tests/test_my_project.py": "the tests",
    "pyproject.toml" from "py/pyproject.toml": "what it needs, and how it is tested",
    ".gitignore" from "py/gitignore": "keeps what is built out of git",
];

const LUA: &[Template] = templates![
    "README.md" from "lua/README.md": "how to call and test it",
    "greeter.proto" from "greeter.proto": "what callers and guest agree on",
    "my_project.lua" from "lua/my_project.lua": "the exports",
    "test.lua" from "lua/test.lua": "the tests",
    ".luarc.json" from "lua/luarc.json": "tells editors where the annotations are",
];

const C: &[Template] = templates![
    "README.md" from "c/README.md": "how to build, call and test it",
    "greeter.proto" from "greeter.proto": "what callers and guest agree on",
    "guest.c" from "c/guest.c": "the exports",
    "protobuf.h" from "c/protobuf.h": "a small reader and writer of messages",
    "descriptors.inc" from "c/descriptors.inc": "the types of the messages, made from greeter.proto",
    "test.sh" from "c/test.sh": "the tests",
    "Makefile" from "c/Makefile": "how it is built",
    ".gitignore" from "c/gitignore": "keeps what is built out of git",
];

const RUST: &[Template] = templates![
    "README.md" from "rust/README.md": "how to build, call and test it",
    "greeter.proto" from "greeter.proto": "what callers and guest agree on",
    "src/lib.rs" from "rust/src/lib.rs": "the exports and the tests",
    "build.rs" from "rust/build.rs": "makes the messages",
    "Cargo.toml" from "rust/Cargo.toml.in": "where the guest library is",
    ".gitignore" from "rust/gitignore": "keeps what is built out of git",
];

const HOST: &[Template] = templates![
    "README.md" from "host/README.md": "how to build, run and test it",
    "Cargo.toml" from "host/Cargo.toml.in": "the runtimes that it hosts",
    "build.rs" from "host/build.rs": "makes the messages",
    "src/main.rs" from "host/src/main.rs": "loads guests and calls them",
    "guests/greeter.proto" from "greeter.proto": "what host and guests agree on",
    "guests/greeter.lua" from "lua/my_project.lua": "a guest to begin with",
    ".gitignore" from "host/gitignore": "keeps what is built out of git",
];
