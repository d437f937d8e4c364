//! What guests raise, as errors.

mod common;

use common::{Folder, call, load, load_error, python, text};
use polyhost_bridge::{Code, Error, ErrorKind, ModuleSource};

fn raised(body: &str) -> Error {
    let module = load(&format!("from polyhost import *\n@export('f')\ndef f(data: bytes) -> bytes:\n{body}"));
    call(&*module, "f", b"").expect_err("it raises")
}

#[test]
fn frames_have_file_line_and_text() {
    let error = raised("    return inner()\n\ndef inner():\n    raise KeyError('k')\n");
    let guest = error.guest().expect("was raised");
    assert_eq!(("KeyError", "'k'"), (&*guest.type_name, &*guest.message));
    let frames: Vec<_> = guest.frames.iter().map(|it| (&*it.function, &*it.file, it.line, &*it.text)).collect();
    let expected = [("inner", "guest.py", 7, "raise KeyError('k')"), ("f", "guest.py", 4, "return inner()")];
    assert_eq!(expected, frames[..]);
    assert_eq!("call f: KeyError: 'k'", error.to_string());
}

#[test]
fn causes_contexts_and_notes_are_kept() {
    let cause = |error: &Error| error.guest().and_then(|it| it.cause.clone()).map(|it| it.type_name);
    let error = raised("    try:\n        1 / 0\n    except Exception as e:\n        raise ValueError('v') from e\n");
    assert_eq!(Some("ZeroDivisionError".to_owned()), cause(&error));
    let error = raised("    try:\n        1 / 0\n    except Exception:\n        raise ValueError('v')\n");
    assert_eq!(Some("ZeroDivisionError".to_owned()), cause(&error));
    let error = raised("    try:\n        1 / 0\n    except Exception:\n        raise ValueError('v') from None\n");
    assert_eq!(None, cause(&error));
    let error = raised("    e = ValueError('v')\n    e.__notes__ = ['a note', 'another']\n    raise e\n");
    assert_eq!("v\na note\nanother", error.guest().expect("raised").message);
    let error = raised("    e = ValueError('v')\n    e.__cause__ = e\n    raise e\n");
    assert_eq!(ErrorKind::Guest, error.kind());
}

#[test]
fn types_of_guests_have_their_modules_name() {
    let error = raised("    raise Own('x')\n\nclass Own(Exception):\n    pass\n");
    assert_eq!("guest.Own", error.guest().expect("raised").type_name);
    let error = raised("    raise StatusError(Code.NOT_FOUND, 'x')\n");
    let guest = error.guest().expect("raised");
    assert_eq!(("polyhost.StatusError", "x", Some(Code::NotFound)), (&*guest.type_name, &*guest.message, guest.status));
    assert_eq!("call f: NOT_FOUND: x", error.to_string());
}

#[test]
fn what_does_not_load_says_where_in_its_line() {
    let message = |guest: &str| load_error(&text(guest)).message().to_owned();
    assert_eq!("guest.py:2: ValueError: no", message("\nraise ValueError('no')\n"));
    assert_eq!("guest.py:3: SyntaxError: invalid syntax", message("\n\nx = = 2\n"));
    let lacking = message("raise ModuleNotFoundError(\"No module named 'google'\")");
    assert!(lacking.contains("python -m pip install protobuf"), "{lacking}");
    let other = message("import nothing_of_that_name");
    assert_eq!("guest.py:1: ModuleNotFoundError: No module named 'nothing_of_that_name'", other);
}

#[test]
fn exceptions_that_can_not_be_described_are_errors_too() {
    let error = raised(
        "    raise Bad()\n\nclass Bad(Exception):\n    def __str__(self):\n        raise RuntimeError('no text')\n",
    );
    assert!(error.to_string().contains("guest.Bad"), "{error:?}");
    let error =
        raised("    raise Worse\n\nclass Worse(BaseException):\n    def __str__(self):\n        raise SystemExit\n");
    assert!(error.to_string().contains("Worse"), "{error:?}");
}

#[test]
fn the_exits_of_python_are_errors() {
    for (raise, name) in [("raise SystemExit(3)", "SystemExit"), ("raise KeyboardInterrupt", "KeyboardInterrupt")] {
        let error = raised(&format!("    {raise}\n"));
        assert_eq!((ErrorKind::Guest, name), (error.kind(), &*error.guest().expect("raised").type_name));
    }
}

#[test]
fn endless_recursion_is_an_error_and_its_stack_is_cut() {
    let error = raised("    return f(data)\n");
    let guest = error.guest().expect("raised");
    assert_eq!("RecursionError", guest.type_name);
    assert!((60..80).contains(&guest.frames.len()), "{}", guest.frames.len());
    assert!(guest.frames.iter().any(|it| it.function.contains("more")));
}

#[test]
fn recursion_in_c_is_an_error_on_a_small_stack() {
    let module = load(
        "
from polyhost import export
import functools, json

@export('repr')
def deep_repr(data: bytes) -> bytes:
    nested = []
    for _ in range(200_000):
        nested = [nested]
    try:
        return repr(nested).encode()
    finally:
        while nested:
            nested = nested[0]

@export('json')
def deep_json(data: bytes) -> bytes:
    json.loads('[' * 200_000)

@export('map')
def deep_map(data: bytes) -> bytes:
    return next(map(deep_map, [data]))
",
    );
    let run = move || {
        for export in ["repr", "json", "map"] {
            let error = call(&*module, export, b"").expect_err("it is deep");
            assert_eq!("RecursionError", error.guest().expect("raised").type_name, "{error:?}");
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread").join().expect("it lives");
}

#[test]
fn what_can_not_be_loaded_says_why() {
    let folder = Folder::new(
        "what_can_not_be_loaded",
        &[
            ("data.txt", "x"),
            ("empty/data.txt", "x"),
            ("syntax.py", "x = 1\nif x\n    y = 2\n"),
            ("package/__init__.py", ""),
        ],
    );
    let check = |source: &ModuleSource, parts: &[&str]| {
        let error = load_error(source);
        assert_eq!(ErrorKind::Load, error.kind(), "{error:?}");
        parts.iter().for_each(|part| assert!(format!("{error:?}").contains(part), "{part} is not in {error:?}"));
        error
    };
    check(&folder.file("missing.py"), &["missing.py", "no Python module at"]);
    check(&folder.file("data.txt"), &["data.txt", "does not end in .py"]);
    check(&folder.file("empty"), &["empty", "no __init__.py in it"]);
    let error = check(&folder.file("syntax.py"), &["SyntaxError"]);
    let frame = &error.guest().expect("Python says so").frames[0];
    assert_eq!((2, "if x"), (frame.line, &*frame.text));
    assert!(frame.file.ends_with("syntax.py"));
    check(&ModuleSource::Name("no_such".into()), &["no module named no_such; looked in: ", "site-packages"]);
    check(&ModuleSource::Name("json.no_such".into()), &["no json.no_such in it"]);
    check(&ModuleSource::Name("no/name".into()), &["is no name of a module"]);
    let error = check(&text("import nothing_like_it\n"), &["nothing_like_it", "guest.py"]);
    assert_eq!("ModuleNotFoundError", error.guest().expect("Python says so").type_name);
    check(&text("raise SystemExit('at once')"), &["SystemExit", "at once"]);
    let bytes = ModuleSource::Bytes { name: "x".into(), bytes: vec![0] };
    let error = python().load(&bytes, &Default::default()).expect_err("no bytes");
    assert_eq!(ErrorKind::Unsupported, error.kind());
}
