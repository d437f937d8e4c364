//! The project's own Python environment, `.venv`, with the packages of `python/requirements.txt`.

use std::fs;
use std::path::PathBuf;

use super::files::{sha256, write_if_changed};
use super::{Error, Project, Result, say, say_passed_over};
use crate::python::{Python, VARIABLE, inspect, search};

/// How pip is called: it asks nothing, and gives up soon where no index can be reached.
pub(crate) const PIP_INSTALL: [&str; 8] =
    ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet", "--retries", "2"];

/// Makes sure of the environment; gives its interpreter.
///
/// # Errors
/// When there is no suitable Python, or its packages are not to be had.
pub fn ensure(project: &Project) -> Result<PathBuf> {
    let search = search(project.machine());
    say_passed_over(&search, &[VARIABLE, "VIRTUAL_ENV"]);
    let base = search.into_result().map_err(|e| Error::new(e.to_string()))?;
    let list = project.root().join("python/requirements.txt");
    let wanted = fs::read(&list).map_err(|e| Error::about(list.display(), e))?;
    let stamp = format!("{} {}\n{}\n", base.base.display(), base.version, sha256(&wanted));
    let program = interpreter(project);
    let stamp_file = stamp_file(project);
    if program.is_file() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok(program);
    }
    create(project, &base)?;
    say("installing the packages of python/requirements.txt into .venv");
    project.run(
        "python-packages",
        std::process::Command::new(&program)
            .args(PIP_INSTALL)
            .arg("--requirement")
            .arg(&list)
            .current_dir(project.root()),
    )?;
    write_if_changed(&stamp_file, &stamp)?;
    Ok(program)
}

/// The environment's interpreter, there or not.
pub fn interpreter(project: &Project) -> PathBuf {
    project.venv().join("bin/python")
}

/// Whether the environment is there, finished.
pub fn is_ready(project: &Project) -> bool {
    interpreter(project).is_file() && stamp_file(project).is_file()
}

fn stamp_file(project: &Project) -> PathBuf {
    project.venv().join("polyhost-setup.stamp")
}

/// Makes the environment, unless the one that is there was made from the same Python.
fn create(project: &Project, base: &Python) -> Result<()> {
    let program = interpreter(project);
    let same = inspect(&program, ".venv").is_ok_and(|old| old.version == base.version && old.base == base.base);
    if same {
        return Ok(());
    }
    say(format_args!("making .venv with Python {} ({})", base.version, base.executable.display()));
    project.run(
        "python-venv",
        std::process::Command::new(&base.executable)
            .args(["-m", "venv", "--clear"])
            .arg(project.venv())
            .current_dir(project.root()),
    )
}
