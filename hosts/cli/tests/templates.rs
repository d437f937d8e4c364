//! What `dotnet new webapi`, `mvc` and `webapp` make, left alone: published, served by `polyhost serve`, and asked.
//!
//! They are made by the SDK of this machine at each run, so a new SDK's templates are tested as they come.
#![cfg(feature = "aspnet")]

mod common;

#[path = "serve/running.rs"]
mod running;
#[path = "web/visitor.rs"]
mod visitor;

use std::path::{Path, PathBuf};
use std::process::Output;

use polyhost_toolchain::Machine;
use polyhost_toolchain::setup::{Project, dotnet, guests};
use tempfile::TempDir;

use common::{checkout, required};
use running::{Running, serve};
use visitor::Visitor;

#[test]
fn webapi_answers_with_json() {
    let Some(served) = Served::start("webapi") else { return };
    let mut visitor = served.visitor();
    let forecast = visitor.get("/weatherforecast");
    assert_eq!(200, forecast.status, "{forecast:?}");
    assert_eq!(Some("application/json; charset=utf-8"), forecast.header("content-type"));
    let days: serde_json::Value = serde_json::from_str(&forecast.body).expect("the forecast is JSON");
    assert_eq!(5, days.as_array().map_or(0, Vec::len), "{days}");
    assert_eq!(404, visitor.get("/").status);
    served.server.stop();
}

#[test]
fn mvc_answers_with_pages_and_files() {
    check_pages("mvc", "/Home/Privacy");
}

#[test]
fn webapp_answers_with_pages_and_files() {
    check_pages("webapp", "/Privacy");
}

/// Pages, a style sheet by the name that the page has for it, and that it is cached.
fn check_pages(template: &str, privacy: &str) {
    let Some(served) = Served::start(template) else { return };
    let mut visitor = served.visitor();
    let home = visitor.get("/");
    assert_eq!((200, Some("text/html; charset=utf-8")), (home.status, home.header("content-type")), "{home:?}");
    assert!(home.body.contains("Welcome"), "{}", home.body);
    assert!(visitor.get(privacy).body.contains("Privacy Policy"));

    let link = home.body.split('"').find(|text| text.starts_with("/css/site.")).expect("the page has a style sheet");
    let style = visitor.get(link);
    assert_eq!((200, Some("text/css")), (style.status, style.header("content-type")), "{style:?}");
    let etag = style.header("etag").expect("a static file has an ETag");
    // Fingerprinted from .NET 9 on: what has its hash in its name never changes.
    if link != "/css/site.css" && !link.contains('?') {
        assert!(style.header("cache-control").is_some_and(|it| it.contains("immutable")), "{style:?}");
    }
    let again = visitor.ask("GET", link, &format!("If-None-Match: {etag}\r\n"), "");
    assert_eq!((304, ""), (again.status, again.body.as_str()), "{again:?}");
    assert_eq!(404, visitor.get("/no/such/page").status);
    served.server.stop();
}

/// A served application; ends with the test.
struct Served {
    server: Running,
    /// Where it was made.
    _folder: TempDir,
}

impl Served {
    /// Makes, publishes and serves what a template makes. `None` where this machine can't, with the reason told.
    fn start(template: &str) -> Option<Served> {
        let folder = tempfile::tempdir().expect("a folder");
        match publish(template, folder.path()) {
            Ok(dll) => {
                let mut command = serve(&dll, &["--listen", "127.0.0.1:0"]);
                // Where it lies, as a service's working folder is: that is the content root. Keys go to its home.
                command.current_dir(dll.parent().expect("it is in a folder")).env("HOME", folder.path());
                Some(Served { server: Running::start_silent(command), _folder: folder })
            }
            Err(reason) => {
                assert!(!required("clr"), "dotnet new {template}: {reason}, and POLYHOST_REQUIRE asks for clr");
                println!("skipped: dotnet new {template}: {reason}");
                None
            }
        }
    }

    fn visitor(&self) -> Visitor {
        Visitor::new(self.server.address())
    }
}

/// The published assembly.
///
/// # Errors
/// Why that can't be done here: no SDK, no packages.
fn publish(template: &str, folder: &Path) -> Result<PathBuf, String> {
    let project = Project::around(checkout(), Machine::current()).map_err(|e| e.to_string())?;
    let root = dotnet::find(&project).filter(|root| !root.sdks.is_empty()).ok_or("there is no .NET SDK")?;
    let muxer = root.muxer().ok_or("there is no .NET SDK")?;
    let dotnet = |arguments: &[&str]| {
        let mut command = guests::dotnet_command(&project, &muxer);
        let output = command.args(arguments).current_dir(folder).output().expect("the SDK's program runs");
        check(arguments[0], &output)
    };
    // The project takes its folder's name.
    dotnet(&["new", template, "--no-restore", "--output", "App"])?;
    let mut arguments = vec!["publish", "App", "--output", "out", "-p:Configuration=Release", "-p:NuGetAudit=false"];
    // A program of its own takes a package, and only `dotnet App.dll` is served.
    arguments.push("-p:UseAppHost=false");
    let feed = project.feed().map(|feed| format!("-p:RestoreSources={}", feed.display()));
    arguments.extend(feed.as_deref());
    dotnet(&arguments)?;
    Ok(folder.join("out/App.dll"))
}

/// What NuGet says where it gets no packages: none of that name, none of that version, no answer. All else is wrong.
const NO_PACKAGES: [&str; 3] = ["error NU1101", "error NU1102", "error NU1301"];

/// # Errors
/// Where the command failed because packages can't be had here; where it failed otherwise, it panics.
fn check(command: &str, output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    match text.lines().find(|line| NO_PACKAGES.iter().any(|code| line.contains(code))) {
        Some(line) => Err(format!("no NuGet packages: {}", line.trim())),
        None => panic!("dotnet {command}: {text}"),
    }
}
