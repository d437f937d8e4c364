//! The pages of an example in Chromium, driven by a script in Node.

use std::fs;
use std::path::PathBuf;

use polyhost_toolchain::Machine;

use crate::common::checkout;
use crate::running::serve;
use crate::tools::{find_example, find_node, start};

/// What the browser is called, by distributions.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What a visitor does.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    application: &'static str,
}

pub(crate) const SCENARIOS: [Scenario; 2] =
    [Scenario { name: "bookshelf", application: "Bookshelf" }, Scenario { name: "chat", application: "Chat" }];

/// Runs one; what is missing is an error, as it was asked for.
pub(crate) fn run(scenario: &Scenario) -> Result<(), String> {
    let browser = browser()?;
    let app = find_example(scenario.application)?;
    let mut node = find_node("browser_client.js")?;
    let pictures = checkout().join("target/web");
    fs::create_dir_all(&pictures).map_err(|error| format!("{}: {error}", pictures.display()))?;
    let home = tempfile::tempdir().map_err(|error| format!("a folder for keys: {error}"))?;
    let mut command = serve(&app, &["--listen", "127.0.0.1:0"]);
    // Keys of cookies go there.
    command.env("HOME", home.path());
    let server = start(command, &app);
    node.arg(scenario.name).arg(browser).arg(server.address().to_string()).arg(&pictures);
    let output = node.output().map_err(|error| format!("node: {error}"))?;
    let said = server.stop();
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    Err(format!("{told}\nthe server:\n{said}"))
}

fn browser() -> Result<PathBuf, String> {
    let machine = Machine::current();
    let found = BROWSERS.iter().find_map(|name| machine.on_path(name).into_iter().next());
    found.ok_or_else(|| "no Chromium on PATH (Debian: apt-get install chromium)".to_owned())
}
