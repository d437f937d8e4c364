//! Real clients: what they print against Kestrel they print against the server under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use libtest_mimic::{Completion, Failed};

use crate::server::{self, Pair, in_workspace};

/// A program without its arguments, or why it cannot run here.
type Find = fn() -> Result<Command, String>;

pub(crate) struct Client {
    pub name: &'static str,
    find: Find,
    /// The name in `POLYHOST_REQUIRE` that makes it a failure where it cannot run.
    needs: &'static str,
    /// One run for each line of arguments, of which `{address}` is the server's.
    runs: &'static [&'static str],
    /// Whether a run that fails may be what is wanted.
    may_fail: bool,
}

pub(crate) const CLIENTS: &[Client] = &[
    Client { name: "curl", find: || tool("curl"), needs: "clr", runs: CURL, may_fail: true },
    Client { name: "HttpClient_and_ClientWebSocket", find: dotnet, needs: "clr", runs: ADDRESS, may_fail: false },
    Client {
        name: "Python_websockets",
        find: || python("websockets", "websockets_client.py"),
        needs: "cpython",
        runs: ADDRESS,
        may_fail: false,
    },
    Client { name: "npm_ws", find: || node("ws", "ws_client.js"), needs: "node", runs: ADDRESS, may_fail: false },
    Client {
        name: "npm_signalr",
        find: || node("@microsoft/signalr", "signalr_client.js"),
        needs: "node",
        runs: ADDRESS,
        may_fail: false,
    },
];

const ADDRESS: &[&str] = &["{address}"];

const CURL: &[&str] = &[
    "-w %{http_code}:%{num_connects} http://{address}/text",
    "-w %{num_connects}; http://{address}/text http://{address}/json http://{address}/pieces http://{address}/empty",
    "-I -w %{http_code}:%{size_download} -o /dev/null http://{address}/alphabet.txt",
    "--http1.0 http://{address}/pieces",
    "--http1.0 --keepalive -w %{num_connects}; http://{address}/text http://{address}/length",
    "--range 3-5 http://{address}/alphabet.txt",
    "--range 20- --range -3 http://{address}/file/range",
    "--data a=1&b=two%20words http://{address}/form",
    "--form a=1 --form b=two;type=text/plain http://{address}/form",
    "--data-binary @{file} http://{address}/body/hash",
    "--upload-file {file} http://{address}/body/hash",
    "-H Transfer-Encoding:chunked --data-binary @{file} http://{address}/body/hash",
    "-H Expect:100-continue --data-binary @{file} http://{address}/body/hash",
    "-H Expect:100-continue --data-binary @{file} http://{address}/body/none",
    "-H Expect: --data-binary @{file} http://{address}/body/pipe -o /dev/null -w %{size_download}",
    "--path-as-is http://{address}/a/../b/%2e/%2F",
    "-X OPTIONS --request-target * http://{address}/",
    "--cookie a=1;b=2 http://{address}/cookies",
    "--head http://{address}/status/204 -o /dev/null -w %{http_code}",
    "--limit-rate 20M -o /dev/null -w %{size_download} http://{address}/large?size=3000000",
    "-w %{http_code}:%{exitcode} http://{address}/throw/after-flush",
    "-w %{http_code}:%{exitcode} http://{address}/abort/before",
    "-w %{http_code}:%{exitcode} -o /dev/null http://{address}/length?declare=5&write=4",
    "--parallel --parallel-max 8 --stderr /dev/null -o /dev/null -w %{http_code}; http://{address}/large?size=[100000-100020]",
    "-H X-Empty; -H User-Agent: -H Host:other http://{address}/echo",
    "--compressed http://{address}/text",
];

/// Runs a client against both servers.
pub(crate) fn compare(client: &Client, pair: &Pair) -> Result<Completion, Failed> {
    if let Err(reason) = (client.find)() {
        let needs = client.needs;
        if server::is_required(needs) {
            return Err(format!("{reason}, and POLYHOST_REQUIRE asks for {needs}").into());
        }
        return Ok(Completion::ignored_with(reason));
    }
    for line in client.runs {
        let (kestrel, ours) = (run(client, line, &pair.kestrel)?, run(client, line, &pair.tested)?);
        if kestrel != ours {
            let (name, ours_name) = (&pair.kestrel.name, &pair.tested.name);
            return Err(format!("{line}\n--- {name} ---\n{kestrel}\n--- {ours_name} ---\n{ours}").into());
        }
    }
    Ok(Completion::Completed)
}

fn run(client: &Client, line: &str, server: &server::Server) -> Result<String, Failed> {
    let address = server.address.to_string();
    let file = in_workspace("Cargo.lock").display().to_string();
    let mut command = (client.find)()?;
    command.args(line.split(' ').map(|word| word.replace("{address}", &address).replace("{file}", &file)));
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let told = told(&output).replace(&address, "ADDRESS");
    if !client.may_fail && !output.status.success() {
        return Err(format!("{server}: {told}").into());
    }
    Ok(told)
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

fn tool(name: &str) -> Result<Command, String> {
    let mut command = Command::new(name);
    command.args(["--silent", "--no-progress-meter", "--max-time", "60"]);
    let found = Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    if found { Ok(command) } else { Err(format!("no {name} on PATH")) }
}

fn dotnet() -> Result<Command, String> {
    let program = built("HttpClients/HttpClients.dll")?;
    server::dotnet(&program)
}

fn built(path: &str) -> Result<PathBuf, String> {
    let path = in_workspace("target/guests").join(path);
    if path.exists() { Ok(path) } else { Err(format!("{} was not built; run `make setup`", path.display())) }
}

/// A script for the Python of the project's environment, where it has the package.
fn python(package: &str, script: &str) -> Result<Command, String> {
    let program = in_workspace(".venv/bin/python");
    let has = Command::new(&program).args(["-c", &format!("import {package}")]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        return Err(format!("no Python package {package} in .venv; run `make setup`"));
    }
    let mut command = Command::new(program);
    command.arg(scripts().join(script));
    Ok(command)
}

/// A script for Node, with the packages that `make setup` has got.
fn node(package: &str, script: &str) -> Result<Command, String> {
    let modules = in_workspace(".npm/node_modules");
    if !modules.join(package).is_dir() {
        let modules = modules.display();
        return Err(format!("no npm package {package} in {modules}; run `make setup` where Node and npm are"));
    }
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules).arg(scripts().join(script));
    Ok(command)
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/clients")
}
