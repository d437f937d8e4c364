//! What can't be served is refused with one message: what, where, and what to do.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::running::{refuses, serve, takeover};

/// A copy of the application in a folder of its own.
fn copy(app: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(app.parent().expect("a folder")).expect("readable").flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
        }
    }
    folder
}

const WEB: &str = r#"{ "name": "Microsoft.AspNetCore.App", "version": "8.0.0" }"#;

/// A copy with another runtimeconfig.
fn configured(app: &Path, options: &str) -> tempfile::TempDir {
    let folder = copy(app);
    let text = format!(r#"{{ "runtimeOptions": {{ {options} }} }}"#);
    fs::write(folder.path().join("Takeover.runtimeconfig.json"), text).expect("written");
    folder
}

fn in_copy(folder: &tempfile::TempDir) -> Command {
    serve(&folder.path().join("Takeover.dll"), &["--listen", "127.0.0.1:0"])
}

#[test]
fn what_is_not_there_or_no_application() {
    let Some(app) = takeover() else { return };
    refuses(serve(Path::new("/nowhere/App.dll"), &[]), 1, &["no file /nowhere/App.dll"]);
    let empty = tempfile::tempdir().expect("a folder");
    let path = empty.path().display().to_string();
    refuses(serve(empty.path(), &[]), 1, &["no application in", &path, "dotnet publish"]);
    let library = empty.path().join("Library.dll");
    fs::copy(&app, &library).expect("copied");
    refuses(
        serve(&library, &[]),
        1,
        &["Library.dll", "is a library or was not published", "Library.runtimeconfig.json"],
    );
    let partial = copy(&app);
    fs::copy(env!("CARGO_BIN_EXE_polyhost"), partial.path().join("Takeover")).expect("copied");
    fs::remove_file(partial.path().join("Takeover.runtimeconfig.json")).expect("removed");
    refuses(serve(partial.path(), &[]), 1, &["Takeover.dll", "no Takeover.runtimeconfig.json"]);
    let two = copy(&app);
    fs::write(two.path().join("Other.runtimeconfig.json"), "{}").expect("written");
    refuses(serve(two.path(), &[]), 1, &["2 applications in", "Other, Takeover", "name the .dll"]);
}

#[test]
fn native_code_under_the_name_of_an_assembly() {
    let Some(app) = takeover() else { return };
    let folder = copy(&app);
    fs::copy(env!("CARGO_BIN_EXE_polyhost"), folder.path().join("Takeover.dll")).expect("copied");
    refuses(in_copy(&folder), 1, &["Takeover.dll"]);
    // A single-file publish has no .dll: its program is named.
    let program = folder.path().join("Takeover");
    fs::copy(env!("CARGO_BIN_EXE_polyhost"), &program).expect("copied");
    refuses(serve(&program, &[]), 1, &["Takeover"]);
}

#[test]
fn what_is_no_web_application() {
    let Some(app) = takeover() else { return };
    let console = configured(&app, r#""framework": { "name": "Microsoft.NETCore.App", "version": "8.0.0" }"#);
    refuses(in_copy(&console), 1, &["is no web application", "Microsoft.NETCore.App", "Microsoft.NET.Sdk.Web"]);
    // Well before the two minutes that a start may take.
    let mut worker = serve(&app, &["--listen", "127.0.0.1:0"]);
    worker.env("TAKEOVER_WAY", "worker");
    refuses(worker, 1, &["is no web application", "its host started and has no server"]);
    let mut no_host = serve(&app, &["--listen", "127.0.0.1:0"]);
    no_host.env("TAKEOVER_WAY", "none");
    refuses(no_host, 1, &["is no web application", "its Main returned 0"]);
}

#[test]
fn a_framework_that_is_not_there() {
    let Some(app) = takeover() else { return };
    let future = configured(&app, r#""framework": { "name": "Microsoft.AspNetCore.App", "version": "99.0.0" }"#);
    refuses(in_copy(&future), 1, &["99.0.0", "Microsoft.AspNetCore.App"]);
    let broken = copy(&app);
    fs::write(broken.path().join("Takeover.runtimeconfig.json"), "{").expect("written");
    refuses(in_copy(&broken), 1, &["Takeover.dll", "no JSON"]);
}

#[test]
fn self_contained_ones_without_their_runtime() {
    let Some(app) = takeover() else { return };
    let core = r#"{ "name": "Microsoft.NETCore.App", "version": "8.0.0" }"#;
    let alone = configured(&app, &format!(r#""includedFrameworks": [{core}, {WEB}]"#));
    refuses(in_copy(&alone), 1, &["is self-contained", "libhostfxr.so", "publish it again"]);
    for file in ["libhostfxr.so", "libhostpolicy.so", "libcoreclr.so"] {
        fs::write(alone.path().join(file), "").expect("written");
    }
    refuses(in_copy(&alone), 1, &["was trimmed", "PublishTrimmed"]);
}

#[test]
fn an_application_that_throws_as_it_starts() {
    let Some(app) = takeover() else { return };
    for (deed, parts) in [
        ("throw", ["InvalidOperationException: no database", "TimeoutException: db.example did not answer"]),
        ("throw-in-started", ["InvalidOperationException: the pipeline is broken", "Takeover.dll"]),
    ] {
        for way in ["create", "legacy", "async"] {
            let mut command = serve(&app, &["--listen", "127.0.0.1:0"]);
            command.env("TAKEOVER_DEED", deed).env("TAKEOVER_WAY", way);
            refuses(command, 1, &parts);
        }
    }
    let mut verbose = Command::new(env!("CARGO_BIN_EXE_polyhost"));
    verbose.arg("--verbose").arg("serve").arg(&app).env("TAKEOVER_DEED", "throw");
    refuses(verbose, 1, &["no database", "Misdeeds.Before()"]);
}

#[test]
fn an_application_that_never_starts() {
    let Some(app) = takeover() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("polyhost.toml"), "[app]\nstart_timeout = \"10ms\"\n").expect("written");
    let mut command = serve(&app, &[]);
    command.env("TAKEOVER_DEED", "never").current_dir(folder.path());
    refuses(command, 124, &["did not start a web server within 0.01 s", "its Main is still running"]);
}

#[test]
fn a_port_in_use() {
    let Some(app) = takeover() else { return };
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for way in ["create", "generic", "legacy"] {
        let mut command = serve(&app, &["--listen", &address]);
        command.env("TAKEOVER_WAY", way);
        refuses(command, 1, &[&address, "in use"]);
    }
}

#[test]
fn tls_alone() {
    let Some(app) = takeover() else { return };
    refuses(
        serve(&app, &["--", "--urls", "https://127.0.0.1:1"]),
        1,
        &["https://127.0.0.1:1", "TLS is not served yet", "--listen"],
    );
    let mut command = serve(&app, &[]);
    command.env("TAKEOVER_KESTREL", "https");
    refuses(command, 1, &["TLS is not served yet"]);
}

#[test]
fn mistakes_in_the_file_and_on_the_command_line() {
    let Some(app) = takeover() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("polyhost.toml");
    for (text, parts) in [
        ("[server]\nlsten = []\n", &["polyhost.toml:2:1: ", "lsten", "listen"][..]),
        ("[server]\nlisten = [\"127.0.0.1:99999\"]\n", &["polyhost.toml:2:", "\"127.0.0.1:99999\" is no address"]),
        ("[server\n", &["polyhost.toml:1:"]),
        ("[server]\nwarm_up = [\"health\"]\n", &["polyhost.toml:2:", "\"health\"", "begins with a slash"]),
        ("[server]\nthreads = 0\n", &["polyhost.toml:2:", "0"]),
        ("[limits]\nkeep_alive_timeout = \"0s\"\n", &["polyhost.toml:2:", "above 0"]),
    ] {
        fs::write(&file, text).expect("written");
        let mut command = serve(&app, &[]);
        command.current_dir(folder.path());
        refuses(command, 1, parts);
    }
    refuses(serve(&app, &["--config", "/nowhere.toml"]), 1, &["/nowhere.toml", "No such file"]);
    refuses(serve(&app, &["--listen", "unix:/nowhere/app.sock"]), 1, &["/nowhere/app.sock"]);
    refuses(serve(&app, &["--listen", "systemd:"]), 1, &["LISTEN_FDS"]);
    for (arguments, parts) in [
        (["--threads", "0"], ["--threads", "0"]),
        (["--listen", "nonsense"], ["--listen", "\"nonsense\" is no address"]),
        (["--listen", "https://127.0.0.1:1"], ["--listen", "TLS is not served"]),
        (["--admin", "9090"], ["--admin", "\"9090\" is no address"]),
        (["--inline", "health"], ["--inline", "begins with a slash"]),
        (["--grace", "soon"], ["--grace", "write 30s"]),
    ] {
        let output = serve(&app, &arguments).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && parts.iter().all(|part| said.contains(part)),
            "{arguments:?}:\n{said}"
        );
    }
}
