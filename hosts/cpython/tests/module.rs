//! Loading and unloading.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Folder, ask, call, load, load_with, python, text};
use polyhost_bridge::{ErrorKind, LoadOptions, Module, ModuleSource, UnloadVerdict};

const PATIENCE: Duration = Duration::from_secs(60);

fn load_source(source: &ModuleSource, options: &LoadOptions) -> Arc<dyn Module> {
    python().load(source, options).unwrap_or_else(|error| panic!("{error:?}"))
}

/// A guest whose answer tells which of its modules it got, and how often it was asked.
const COUNTER: &str = "
from polyhost import export
import helper
import json

count = 0

@export('ask')
def ask(data: bytes) -> bytes:
    global count
    count += 1
    import later
    return f'{helper.NAME} {later.NAME} {count} {json.dumps([1])}'.encode()
";

#[test]
fn a_file_imports_what_lies_beside_it_and_each_load_has_its_own() {
    let files = |name: &'static str| {
        let helper = format!("NAME = 'helper of {name}'\n");
        Folder::new(name, &[("main.py", COUNTER), ("helper.py", &helper), ("later.py", "NAME = 'later'\n")])
    };
    let (one, two) = (files("one"), files("two"));
    let first = load_source(&one.file("main.py"), &LoadOptions::new());
    let again = load_source(&one.file("main.py"), &LoadOptions::new());
    let other = load_source(&two.file("main.py"), &LoadOptions::new());
    assert_eq!("helper of one later 1 [1]", ask(&*first, "ask", ""));
    assert_eq!("helper of one later 2 [1]", ask(&*first, "ask", ""));
    assert_eq!("helper of one later 1 [1]", ask(&*again, "ask", ""));
    assert_eq!("helper of two later 1 [1]", ask(&*other, "ask", ""));
    let names: Vec<_> = [&first, &again, &other].iter().map(|it| it.name().to_owned()).collect();
    assert_eq!(["main", "main", "main"], names[..]);
}

#[test]
fn a_package_imports_relatively_and_by_its_own_name() {
    let folder = Folder::new(
        "a_package",
        &[
            ("app/__init__.py", "from polyhost import export\nfrom . import state\nfrom .deep import inner\n"),
            ("app/state.py", "count = 0\n"),
            ("app/deep/__init__.py", ""),
            (
                "app/deep/inner.py",
                "
from polyhost import export
import app.state
from app import state
from .. import state as relative
import app.deep.inner as myself
from dataclasses import dataclass
import typing

@dataclass
class Value:
    next: 'typing.Optional[Value]' = None

@export('ask')
def ask(data: bytes) -> bytes:
    assert app.state is state is relative
    assert myself.ask is ask
    assert typing.get_type_hints(Value)['next'] == typing.Optional[Value]
    state.count += 1
    return str(state.count).encode()
",
            ),
            ("beside.py", "NAME = 1\n"),
        ],
    );
    for source in [folder.file("app"), folder.file("app/__init__.py")] {
        let one = load_source(&source, &LoadOptions::new());
        let two = load_source(&source, &LoadOptions::new());
        assert_eq!(
            ["1", "2", "1"],
            [&one, &one, &two].map(|module| ask(&**module, "ask", "")).each_ref().map(|it| &**it)
        );
    }
    let options = LoadOptions::new().option("path", folder.path().display().to_string());
    for name in ["app", "app.deep.inner"] {
        let module = load_source(&ModuleSource::Name(name.into()), &options);
        assert_eq!("1", ask(&*module, "ask", ""), "{name}");
        assert_eq!(name, module.name());
    }
}

#[test]
fn what_is_installed_is_shared_and_what_is_beside_does_not_hide_the_standard_library() {
    let folder = Folder::new(
        "shadows",
        &[
            (
                "main.py",
                "from polyhost import export\nimport json, google.protobuf, sys\n@export('f')\ndef f(data: bytes) -> bytes:\n    assert json is sys.modules['json']\n    return json.__file__.encode()\n",
            ),
            ("json.py", "raise ImportError('the wrong json')\n"),
            ("google/mine.txt", ""),
        ],
    );
    let module = load_source(&folder.file("main.py"), &LoadOptions::new());
    assert!(ask(&*module, "f", "").contains("json/__init__.py"));
}

#[test]
fn an_installed_package_can_be_loaded_by_name() {
    // Of the standard library, which is shared: it exports nothing.
    let module = load_source(&ModuleSource::Name("json".into()), &LoadOptions::new());
    assert!(module.exports().is_empty() && module.descriptors().is_none());
    let error = module.function("f").expect_err("exports nothing");
    assert_eq!(ErrorKind::NotFound, error.kind());
}

#[test]
fn a_package_without_init_can_be_loaded_by_name() {
    let guest = "from polyhost import export\n@export('x')\ndef x(data: bytes) -> bytes: return __name__.encode()\n";
    let folder = Folder::new("namespace", &[("company/guests/one.py", guest)]);
    // As where it is installed: on the path of the interpreter, and not of the module alone.
    let text = format!("import sys\nsys.path.append({:?})\n", folder.path());
    load(&text);
    let source = ModuleSource::Name("company.guests.one".into());
    let (one, two) = (load_source(&source, &LoadOptions::new()), load_source(&source, &LoadOptions::new()));
    assert_ne!(ask(&*one, "x", ""), ask(&*two, "x", ""));
}

#[test]
fn a_file_may_have_dots_in_its_name() {
    let guest = "from polyhost import export\n@export('x')\ndef x(data: bytes) -> bytes: return data\n";
    let folder = Folder::new("dots", &[("my.guest.v1.py", guest), ("pack.v1/__init__.py", guest)]);
    for name in ["my.guest.v1.py", "pack.v1"] {
        let module = load_source(&ModuleSource::Path(folder.path().join(name)), &LoadOptions::new());
        assert_eq!("hi", ask(&*module, "x", "hi"));
    }
    let text = ModuleSource::Text { name: "my.guest".into(), text: guest.into() };
    assert_eq!("hi", ask(&*load_source(&text, &LoadOptions::new()), "x", "hi"));
}

#[test]
fn exports_have_names_types_and_descriptions_in_order() {
    let module = load(
        "
from polyhost import export

@export('b')
def second(data: bytes) -> bytes:
    '''Does b.

        Indented.
    '''

@export('a')
def first(data):
    'Does a.'
",
    );
    let found: Vec<_> = module.exports().iter().map(|it| (it.name(), it.doc())).collect();
    assert_eq!([("a", "Does a."), ("b", "Does b.\n\nIndented.")], found[..]);
    assert!(module.descriptors().is_none());
}

#[test]
fn text_keeps_its_own_lines_in_errors() {
    let one = load("from polyhost import export\n@export('f')\ndef f(d):\n    raise ValueError('one')\n");
    let two = load("from polyhost import export\n\n@export('f')\ndef f(d):\n    raise ValueError('two')\n");
    for (module, line, text) in [(&one, 4, "raise ValueError('one')"), (&two, 5, "raise ValueError('two')")] {
        let error = call(&**module, "f", b"").expect_err("raises");
        let frame = &error.guest().expect("raised").frames[0];
        assert_eq!((line, text), (frame.line, &*frame.text));
    }
}

#[test]
fn text_keeps_its_own_lines_in_pythons_tracebacks() {
    // Loaded before and after Python has what shows lines. It knows texts by their names, so each has its own.
    for (name, import) in [("before.py", ""), ("after.py", "import linecache")] {
        let text = format!(
            "{import}
from polyhost import export

@export('f')
def f(data: bytes) -> bytes:
    import traceback
    try:
        raise ValueError('with its line')
    except ValueError:
        return traceback.format_exc().encode()
"
        );
        let module = load_source(&ModuleSource::Text { name: name.into(), text }, &LoadOptions::new());
        let traceback = ask(&*module, "f", "");
        assert!(traceback.contains("    raise ValueError('with its line')"), "{traceback}");
    }
}

#[test]
fn functions_are_taken_for_what_they_are() {
    let module = load(
        "
import functools, inspect
from polyhost import CallContext, export

def decorated(function):
    @functools.wraps(function)
    def run(*args):
        return function(*args) + b'!'
    return run

@export('plain')
def plain(data):
    return data

@export('context by name')
def by_name(data: bytes, context=None) -> bytes:
    return data if isinstance(context, CallContext) else b'none'

@export('no context')
def no_context(data: bytes, times: int = 2) -> bytes:
    return data * times

@export('keyword')
def keyword(data: bytes, *, upper: bool = True) -> bytes:
    return data.upper() if upper else data

@export('any')
def any_number(*args) -> bytes:
    return args[0]

@export('decorated')
@decorated
def inner(data: bytes, context: CallContext) -> bytes:
    '''Has a description.

        And more
            of it.
    '''
    return data if isinstance(context, CallContext) else b'none'

export('partial')(functools.partial(no_context, times=3))

@export('async')
async def later(data: bytes) -> bytes:
    return data
",
    );
    let replies = [
        ("plain", "x"),
        ("context by name", "x"),
        ("no context", "xx"),
        ("keyword", "X"),
        ("any", "x"),
        ("decorated", "x!"),
        ("partial", "xxx"),
        ("async", "x"),
    ];
    for (export, reply) in replies {
        assert_eq!(reply, ask(&*module, export, "x"), "{export}");
    }
    let decorated = module.exports().iter().find(|export| export.name() == "decorated").expect("is exported");
    assert_eq!("Has a description.\n\nAnd more\n    of it.", decorated.doc());
}

#[test]
fn what_a_module_leaves_behind_is_told() {
    let verdict = |guest: &str| {
        let module = load(&format!("from polyhost import export\nimport sys, threading\n{guest}"));
        let _ = call(&*module, "f", b"");
        module.unload(PATIENCE)
    };
    assert_eq!(UnloadVerdict::Unloaded, verdict("@export('f')\ndef f(d):\n    raise ValueError\n"));
    assert_eq!(UnloadVerdict::Unloaded, verdict("cycle = []\ncycle.append(cycle)\n@export('f')\ndef f(d): return d\n"));
    let held = verdict("@export('f')\ndef f(d):\n    sys.kept_for_test = f\n    return d\n");
    let UnloadVerdict::StillAlive { what } = &held else { panic!("{held:?}") };
    assert!(what.iter().any(|line| line.starts_with("f is held by")), "{what:?}");
    let running = verdict(
        "
go = threading.Event()
sys.go_for_test = go
def run():
    go.wait()
@export('f')
def f(d):
    threading.Thread(target=run, daemon=True).start()
    return d
",
    );
    assert!(matches!(running, UnloadVerdict::StillAlive { .. }), "{running:?}");
    let end = load(
        "from polyhost import export\nimport sys\n@export('end')\ndef end(d):\n    sys.go_for_test.set()\n    del sys.kept_for_test, sys.go_for_test\n    return d\n",
    );
    call(&*end, "end", b"").unwrap_or_else(|error| panic!("{error:?}"));
}

#[test]
fn unloading_again_looks_again() {
    let module = load(
        "from polyhost import export\nimport sys\n@export('f')\ndef f(d):\n    sys.kept_again = f\n    return d\n",
    );
    call(&*module, "f", b"").expect("keeps itself");
    assert!(matches!(module.unload(PATIENCE), UnloadVerdict::StillAlive { .. }));
    let other = load(
        "from polyhost import export\nimport sys\n@export('g')\ndef g(d):\n    del sys.kept_again\n    return d\n",
    );
    call(&*other, "g", b"").expect("lets go");
    assert_eq!(UnloadVerdict::Unloaded, module.unload(PATIENCE));
}

#[test]
fn a_module_that_is_only_dropped_is_let_go_of() {
    let module = load(
        "
from polyhost import export
import sys, weakref

class Witness:
    pass

witness = Witness()
sys.seen_for_test = weakref.ref(witness)

@export('f')
def f(d): return d
",
    );
    let function = module.function("f").expect("exported");
    drop(module);
    drop(function);
    // Python's own thread lets go of it when it comes to it; what it does later comes after that.
    let looking = load(
        "
from polyhost import export
import gc, sys

@export('gone')
def gone(d):
    gc.collect()
    return str(sys.seen_for_test() is None).encode()
",
    );
    let gone = || ask(&*looking, "gone", "") == "True";
    while !gone() {
        std::thread::yield_now();
    }
}

#[test]
fn instances_are_refused() {
    for (instances, kind) in [(0, ErrorKind::Config), (2, ErrorKind::Unsupported)] {
        let error = python().load(&text(""), &LoadOptions::new().instances(instances)).expect_err("one it is");
        assert_eq!(kind, error.kind());
    }
    load_with("", &LoadOptions::new().name("named"));
}

#[test]
fn another_version_of_an_extension_in_c_is_refused_by_name() {
    let include = load(
        "
from polyhost import export
import sysconfig

@export('include')
def include(d):
    return sysconfig.get_paths()['include'].encode()
",
    );
    let include = String::from_utf8(call(&*include, "include", b"").expect("tells")).expect("text");
    let text =
        "import polyhost_sample\nfrom polyhost import export\n@export('f')\ndef f(d): return polyhost_sample.VERSION\n";
    let folder = Folder::new("extension", &[("guest.py", text)]);
    let build = |version: &str| {
        let (source, built) = (folder.path().join("sample.c"), folder.path().join("built"));
        std::fs::write(&source, EXTENSION.replace("THE_VERSION", version)).expect("written");
        let mut compiler = std::process::Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        compiler.args(["-shared", "-fPIC", "-I", &include, "-o"]).arg(&built).arg(&source);
        assert!(compiler.status().expect("there is a C compiler").success());
        std::fs::rename(&built, folder.path().join("polyhost_sample.so")).expect("renamed");
    };
    let load = || python().load(&folder.file("guest.py"), &LoadOptions::new());
    build("one");
    let (first, again) = (load().expect("loads"), load().expect("shares it"));
    build("two");
    let error = load().expect_err("C code is loaded once");
    assert_eq!(ErrorKind::Load, error.kind());
    let told = "the extension module polyhost_sample was loaded from";
    assert!(error.message().contains(told) && error.message().contains("has changed since"), "{error:?}");
    for module in [first, again] {
        assert_eq!(b"one", &*call(&*module, "f", b"").expect("goes on"));
    }
}

#[test]
fn another_schema_of_the_same_messages_is_refused_by_name() {
    let guest = "
from changing_pb2 import Thing
from polyhost import export

@export('field')
def field(d):
    return Thing.DESCRIPTOR.fields[0].name.encode()
";
    let folder = Folder::new("schema", &[("guest.py", guest), ("changing_pb2.py", MESSAGES)]);
    let load = || python().load(&folder.file("guest.py"), &LoadOptions::new());
    let first = load().unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!("name", ask(&*load().expect("shares it"), "field", ""));
    std::fs::write(folder.path().join("changing_pb2.py"), MESSAGES.replace("04name", "04nick")).expect("written");
    let error = load().expect_err("a schema is registered once");
    assert_eq!(ErrorKind::Load, error.kind());
    for part in ["changing.proto", "one pool", "start the process again"] {
        assert!(error.message().contains(part), "{error:?}");
    }
    assert_eq!("name", ask(&*first, "field", ""));
    std::fs::write(folder.path().join("changing_pb2.py"), MESSAGES).expect("written");
    load().expect("is the old one again");
}

/// What protoc makes of `message Thing { string name = 1; }`.
const MESSAGES: &str = r#"
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x0e\x63hanging.proto\x12\x0b\x63hanging.v1"\x15\n\x05Thing\x12\x0c\n\x04name\x18\x01 \x01(\tb\x06proto3')

_globals = globals()
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'changing_pb2', _globals)
"#;

const EXTENSION: &str = r#"
#include <Python.h>
static int fill(PyObject *module) {
    PyObject *version = PyBytes_FromString("THE_VERSION");
    return version == NULL ? -1 : PyModule_AddObject(module, "VERSION", version);
}
static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "polyhost_sample", NULL, 0, NULL, slots, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_polyhost_sample(void) { return PyModuleDef_Init(&definition); }
"#;
