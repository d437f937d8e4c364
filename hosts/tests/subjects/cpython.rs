//! CPython.

use polyhost::ModuleSource;
use polyhost::cpython::{Cpython, CpythonConfig, MemoryLimits};
use polyhost_testkit::Subject;

use super::in_workspace;

pub(super) fn subject() -> Subject {
    let guest = in_workspace("python/tests/conformance_guest.py");
    let text = |name: &str, text: &str| ModuleSource::Text { name: name.into(), text: text.into() };
    Subject::new("cpython", || Cpython::start(&CpythonConfig::default()), ModuleSource::Path(guest))
        .limited(|| {
            let memory = MemoryLimits::new(240 << 20).hard(256 << 20);
            Cpython::start(&CpythonConfig::default().memory(memory))
        })
        .text(text("echo.py", ECHO))
        .endless(text("endless.py", "while True:\n    pass\n"))
        .broken("a name that is no module", ModuleSource::Name("no_such_module".into()), &["no_such_module"])
        .broken("a syntax error", text("syntax.py", "x = 1\ny = = 2\n"), &["syntax.py", "2", "SyntaxError"])
        .broken(
            "an error while it loads",
            text("raises.py", "\nraise KeyError('no luck')\n"),
            &["raises.py", "no luck"],
        )
        .broken("a missing import", text("imports.py", "import no_such_module\n"), &["imports.py", "no_such_module"])
        .versions("versions.py", VERSIONS, VERSIONS.replace("b\"1\"", "b\"2\""))
        .expectations(include_str!("../expectations/cpython.txt"))
}

const VERSIONS: &str = r#"
from polyhost import export, service


@export("raw/Tell")
def tell(data: bytes) -> bytes:
    return b"1"


@export("raw/Across")
def across(data: bytes) -> bytes:
    service("between")(data)
    return tell(data)
"#;

const ECHO: &str = r#"
from polyhost import export


@export("raw/Echo")
def echo(data: bytes) -> bytes:
    return data
"#;
