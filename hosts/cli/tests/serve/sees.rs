//! What an application sees around it is what it sees under `dotnet App.dll`.

use std::process::Command;

use serde_json::Value;

use crate::running::{Running, body, dotnet, serve, takeover};

/// Compares what the application tells under both; `prepare` gets each command.
fn check(way: &str, prepare: impl Fn(&mut Command)) {
    let Some(app) = takeover() else { return };
    let arguments = ["--urls", "http://127.0.0.1:0", "--setting", "an argument"];
    let (mut theirs, mut ours) = (dotnet(&app), serve(&app, &["--"]));
    let [theirs, ours] = [&mut theirs, &mut ours].map(|command| {
        command.args(arguments).env("TAKEOVER_WAY", way).env("TAKEOVER_SETTING", "a variable");
        prepare(command);
        let running = Running::start(std::mem::replace(command, Command::new("true")));
        let mut env = running.env();
        let port = running.address().port().to_string();
        running.stop();
        env["addresses"] = env["addresses"].to_string().replace(&port, "PORT").into();
        env
    });
    let (Value::Object(theirs), Value::Object(ours)) = (theirs, ours) else { panic!("objects") };
    assert_eq!("Polyhost.AspNetCore.HostServer", ours["server"]);
    for (name, value) in &theirs {
        if !["server", "lifetime"].contains(&&**name) {
            assert_eq!(value, &ours[name], "{name}");
        }
    }
}

#[test]
fn with_create_builder() {
    check("create", |_| {});
}

#[test]
fn with_create_slim_builder() {
    check("slim", |_| {});
}

#[test]
fn with_create_empty_builder() {
    check("empty", |_| {});
}

#[test]
fn with_the_generic_host() {
    check("generic", |_| {});
}

#[test]
fn with_the_legacy_builder() {
    check("legacy", |_| {});
}

#[test]
fn with_the_older_default_builder() {
    check("default", |_| {});
}

#[test]
fn with_a_main_that_awaits() {
    check("async", |_| {});
}

#[test]
fn in_its_own_folder_and_another_environment() {
    let Some(app) = takeover() else { return };
    check("create", |command| {
        command.current_dir(app.parent().expect("a folder")).env("ASPNETCORE_ENVIRONMENT", "Staging");
    });
}

/// As after `cd FOLDER`: whoever names a folder means what lies in it.
#[test]
fn a_folder_is_where_it_is_started() {
    let Some(app) = takeover() else { return };
    let elsewhere = tempfile::tempdir().expect("a folder");
    let mut command = serve(app.parent().expect("a folder"), &["--", "--urls", "http://127.0.0.1:0"]);
    let running = Running::start(std::mem::replace(command.current_dir(&elsewhere), Command::new("true")));
    assert_eq!("static\n", body(&running.get("/static.txt")));
    running.stop();
}

#[test]
fn static_files_come_from_the_folder_it_is_started_in() {
    let Some(app) = takeover() else { return };
    let elsewhere = tempfile::tempdir().expect("a folder");
    for (folder, status) in [(app.parent().expect("a folder"), "200"), (elsewhere.path(), "404")] {
        let mut commands = [dotnet(&app), serve(&app, &["--"])];
        for command in &mut commands {
            command.args(["--urls", "http://127.0.0.1:0"]).current_dir(folder);
            let running = Running::start(std::mem::replace(command, Command::new("true")));
            let answer = running.get("/static.txt");
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert_eq!(status == "200", body(&answer) == "static\n", "{answer}");
            running.stop();
        }
    }
}
