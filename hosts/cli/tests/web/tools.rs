//! The examples as they were built, and Node with the packages that `make setup` gets.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{checkout, required};
use crate::running::{Running, muxer};

/// A published example. `None`, with the reason told, where it can't be run.
pub(crate) fn example(name: &str) -> Option<PathBuf> {
    let app = checkout().join(format!("target/guests/{name}/{name}.dll"));
    if !app.exists() {
        return skip("clr", format!("{} was not built; run `make setup`", app.display()));
    }
    if muxer().is_none() {
        return skip("clr", "there is no .NET with ASP.NET Core".to_owned());
    }
    Some(app)
}

/// Starts a server where its application lies: that is where its pages are.
#[track_caller]
pub(crate) fn start(mut command: Command, app: &Path) -> Running {
    command.current_dir(app.parent().expect("it is in a folder"));
    Running::start_silent(command)
}

/// A script of this folder, for Node. `None`, with the reason told, where it can't be run.
pub(crate) fn node(script: &str) -> Option<Command> {
    let modules = checkout().join(".npm/node_modules");
    if !modules.is_dir() {
        return skip("node", format!("no npm packages in {}; run `make setup` where Node is", modules.display()));
    }
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules).arg(checkout().join("hosts/cli/tests/web").join(script));
    command.stdin(Stdio::null());
    Some(command)
}

fn skip<T>(name: &str, reason: String) -> Option<T> {
    assert!(!required(name), "{reason}, and POLYHOST_REQUIRE asks for {name}");
    println!("skipped: {reason}");
    None
}
