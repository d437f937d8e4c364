//! Finding CPython: an interpreter with a shared library and virtual environments.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Machine, NotFound, Search, Version};

/// The oldest CPython that Polyhost runs on.
pub const MINIMUM: Version = Version::new(3, 9, 0);

/// Names the interpreter to use, before any other.
pub const VARIABLE: &str = "POLYHOST_PYTHON";

const ADVICE: &str = "install CPython 3.9 or newer with its shared library and venv (Debian: apt-get install \
                      python3-dev python3-venv), or set POLYHOST_PYTHON to one";

/// Prints what decides whether an interpreter will do, one `key=value` a line. It runs on any Python 3.
const PROBE: &str = "
import sys, sysconfig, platform, os
from importlib.util import find_spec
get = sysconfig.get_config_var
print('implementation=' + sys.implementation.name)
print('version=' + platform.python_version())
print('executable=' + (sys.executable or ''))
print('base=' + sys.base_prefix)
print('shared=' + str(int(bool(get('Py_ENABLE_SHARED')))))
print('library=' + os.path.join(get('LIBDIR') or '', get('LDLIBRARY') or ''))
print('headers=' + str(int(os.path.isfile(os.path.join(sysconfig.get_path('include'), 'Python.h')))))
print('venv=' + str(int(find_spec('venv') is not None and find_spec('ensurepip') is not None)))
print('free_threaded=' + str(int(bool(get('Py_GIL_DISABLED')))))
";

/// An interpreter that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// Its own path: a launcher on `PATH`, such as pyenv's, is resolved.
    pub executable: PathBuf,
    /// Its version.
    pub version: Version,
    /// The shared library that a program is linked with.
    pub library: PathBuf,
    /// The prefix of the installation; of the one it was made from, in a virtual environment.
    pub base: PathBuf,
    /// Whether the C headers are there. PyO3 does not read them; packages built from source do.
    pub headers: bool,
    /// The place that named it.
    pub found_by: String,
}

/// Searches for an interpreter that will do: `POLYHOST_PYTHON`, the active virtual environment, `python3` and then
/// `python3.15` down to `python3.9` on `PATH`. Each is run once, isolated, to ask what it is.
pub fn search(machine: &Machine) -> Search<Python> {
    let mut search = Search::new("CPython 3.9 or newer".to_owned(), ADVICE);
    for (place, program) in candidates(machine) {
        match program {
            Some(program) if program.exists() => {
                let verdict = inspect(&program, &place);
                search.judge(&place, program, verdict);
            }
            nothing => search.absent(&place, nothing),
        }
        if search.found.is_some() {
            break;
        }
    }
    search
}

/// Like [`search`] on this machine.
///
/// # Errors
/// [`NotFound`] with every place that was looked at and what was seen there.
pub fn find() -> Result<Python, NotFound> {
    search(&Machine::current()).into_result()
}

/// Asks an interpreter what it is.
///
/// # Errors
/// Says why it will not do.
pub fn inspect(program: &Path, found_by: &str) -> Result<Python, String> {
    let output = Command::new(program)
        .args(["-I", "-c", PROBE])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("does not start: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        return Err(format!("is no Python 3 that runs: {}", last.unwrap_or("it says nothing").trim()));
    }
    judge(&String::from_utf8_lossy(&output.stdout), found_by)
}

fn candidates(machine: &Machine) -> Vec<(String, Option<PathBuf>)> {
    let mut list = vec![(VARIABLE.to_owned(), named(machine))];
    let active = machine.var_path("VIRTUAL_ENV").map(|folder| folder.join("bin/python"));
    list.push(("VIRTUAL_ENV".to_owned(), active));
    let names = (9..=15).rev().map(|minor| format!("python3.{minor}"));
    for name in std::iter::once("python3".to_owned()).chain(names) {
        let place = format!("{name} on PATH");
        let programs = machine.on_path(&name);
        if programs.is_empty() && name == "python3" {
            list.push((place.clone(), None));
        }
        for program in programs {
            list.push((place.clone(), Some(program)));
        }
    }
    list
}

/// `POLYHOST_PYTHON` may be a path or the name of a program on `PATH`.
fn named(machine: &Machine) -> Option<PathBuf> {
    let value = machine.var_path(VARIABLE)?;
    if value.components().count() > 1 {
        return Some(value);
    }
    let on_path = value.to_str().map(|name| machine.on_path(name));
    on_path.and_then(|list| list.into_iter().next()).or(Some(value))
}

/// Reads the probe's answer.
fn judge(answer: &str, found_by: &str) -> Result<Python, String> {
    let get = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    let is = |key: &str| get(key) == "1";
    // `platform.python_version()` writes previews as 3.15.0b1 and local builds with a plus.
    let text: String = get("version").chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let version: Version = text.parse().map_err(|e| format!("{e}"))?;
    if get("implementation") != "cpython" {
        return Err(format!("is {}, not CPython", get("implementation")));
    }
    if version < MINIMUM {
        return Err(format!("too old: Python {version}"));
    }
    if is("free_threaded") {
        return Err(format!("Python {version} is a free-threaded build"));
    }
    let Version { major, minor, .. } = version;
    let library = PathBuf::from(get("library"));
    if !is("shared") {
        return Err(format!("Python {version} has no shared library (built without --enable-shared)"));
    }
    if !library.is_file() {
        return Err(format!(
            "Python {version} lacks {} (Debian: apt-get install libpython{major}.{minor}-dev)",
            library.display()
        ));
    }
    if !is("venv") {
        return Err(format!(
            "Python {version} lacks venv or ensurepip (Debian: apt-get install python{major}.{minor}-venv)"
        ));
    }
    Ok(Python {
        executable: PathBuf::from(get("executable")),
        version,
        library,
        base: PathBuf::from(get("base")),
        headers: is("headers"),
        found_by: found_by.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// An answer as the probe prints it, with some lines replaced; the library is a file that exists.
    fn answer(changes: &[(&str, &str)]) -> String {
        let library = std::env::current_exe().expect("this test").display().to_string();
        let mut lines = vec![
            ("implementation", "cpython"),
            ("version", "3.11.7"),
            ("executable", "/usr/bin/python3"),
            ("base", "/usr"),
            ("shared", "1"),
            ("library", &library),
            ("headers", "1"),
            ("venv", "1"),
            ("free_threaded", "0"),
        ];
        for (key, value) in changes {
            lines.retain(|(k, _)| k != key);
            lines.push((key, value));
        }
        lines.iter().map(|(k, v)| format!("{k}={v}\n")).collect()
    }

    #[test]
    fn takes_what_has_all_of_it() {
        let python = judge(&answer(&[("version", "3.15.0b1+")]), "test").expect("good");
        assert_eq!(python.version, Version::new(3, 15, 0));
        let python = judge(&answer(&[("headers", "0")]), "test").expect("good without headers");
        assert!(!python.headers);
    }

    #[test]
    fn says_what_is_missing_and_what_to_install() {
        for (change, part) in [
            (("implementation", "pypy"), "is pypy, not CPython"),
            (("version", "3.8.18"), "too old: Python 3.8.18"),
            (("version", ""), "no version number"),
            (("shared", "0"), "built without --enable-shared"),
            (("library", "/nowhere/libpython3.11.so"), "libpython3.11-dev"),
            (("venv", "0"), "python3.11-venv"),
            (("free_threaded", "1"), "free-threaded"),
        ] {
            let why = judge(&answer(&[change]), "test").expect_err("bad");
            assert!(why.contains(part), "`{part}` is not in: {why}");
        }
    }

    #[test]
    fn runs_the_real_interpreter() {
        let machine = Machine::current().without(VARIABLE);
        if machine.on_path("python3").is_empty() {
            println!("skipped: no python3 on PATH");
            return;
        }
        let search = search(&machine);
        for place in &search.looked {
            println!("{place}");
        }
        if let Some(python) = search.found {
            assert!(python.executable.is_absolute());
            assert!(python.library.is_file());
        }
    }

    #[cfg(unix)]
    #[test]
    fn goes_on_after_an_interpreter_that_will_not_do() {
        use std::os::unix::fs::PermissionsExt;
        let disk = tempfile::TempDir::new().expect("a temporary folder");
        let program = |name: &str, script: String| {
            let path = disk.path().join(name);
            fs::write(&path, script).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
            path
        };
        let broken = program("broken", "#!/bin/sh\necho out of order >&2; exit 3\n".into());
        let old = answer(&[("version", "3.8.1")]);
        program("python3", format!("#!/bin/sh\nprintf '%s' '{old}'\n"));
        program("python3.12", format!("#!/bin/sh\nprintf '%s' '{}'\n", answer(&[("version", "3.12.1")])));
        let machine = Machine::at(disk.path()).with(VARIABLE, &broken).with("PATH", disk.path());
        let search = search(&machine);
        let seen: Vec<String> = search.looked.iter().map(ToString::to_string).collect();
        assert!(seen[0].contains("out of order"), "{seen:?}");
        assert!(seen[1].starts_with("VIRTUAL_ENV: not set"), "{seen:?}");
        assert!(seen[2].contains("too old: Python 3.8.1"), "{seen:?}");
        let found = search.found.expect("the third");
        assert_eq!(found.version, Version::new(3, 12, 1));
        assert_eq!(found.found_by, "python3.12 on PATH");
    }
}
