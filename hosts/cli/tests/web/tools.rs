//! The examples as they were built, and Node with the packages that `make setup` gets.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use polyhost_toolchain::Machine;

use crate::common::{checkout, required};
use crate::running::{Running, muxer};

/// A published example, or why it can't be run here.
pub(crate) fn find_example(name: &str) -> Result<PathBuf, String> {
    let app = checkout().join(format!("target/guests/{name}/{name}.dll"));
    if !app.exists() {
        return Err(format!("{} was not built; run `make setup`", app.display()));
    }
    muxer().map(|_| app).ok_or_else(|| "there is no .NET with ASP.NET Core".to_owned())
}

/// A published example. `None`, with the reason told, where it can't be run.
pub(crate) fn example(name: &str) -> Option<PathBuf> {
    or_skip("clr", find_example(name))
}

/// Starts a server where its application lies: that is where its pages are.
#[track_caller]
pub(crate) fn start(mut command: Command, app: &Path) -> Running {
    command.current_dir(app.parent().expect("it is in a folder"));
    Running::start_silent(command)
}

/// A script of this folder, for Node, or why it can't be run here.
pub(crate) fn find_node(script: &str) -> Result<Command, String> {
    let modules = checkout().join(".npm/node_modules");
    if !modules.is_dir() {
        return Err(format!("no npm packages in {}; run `make setup` where Node and npm are", modules.display()));
    }
    let node = Machine::current().on_path("node").into_iter().next().ok_or("no node on PATH")?;
    let mut command = Command::new(node);
    command.env("NODE_PATH", modules).arg(checkout().join("hosts/cli/tests/web").join(script));
    command.stdin(Stdio::null());
    Ok(command)
}

/// A script of this folder, for Node. `None`, with the reason told, where it can't be run.
pub(crate) fn node(script: &str) -> Option<Command> {
    or_skip("node", find_node(script))
}

fn or_skip<T>(name: &str, found: Result<T, String>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(reason) => {
            assert!(!required(name), "{reason}, and POLYHOST_REQUIRE asks for {name}");
            println!("skipped: {reason}");
            None
        }
    }
}
