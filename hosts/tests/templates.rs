//! What `dotnet new webapi`, `mvc` and `webapp` make, left alone: published, served by `polyhost serve`, and asked.
//!
//! They are made by the SDK of this machine at each run, so a new SDK's templates are tested as they come.
#![cfg(feature = "aspnet")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use polyhost_toolchain::Machine;
use polyhost_toolchain::setup::{Project, dotnet, guests};

#[test]
fn webapi_answers_with_json() {
    let Some(served) = serve("webapi") else { return };
    let forecast = served.get("/weatherforecast", "");
    assert_eq!(200, forecast.status, "{forecast:?}");
    assert_eq!(Some("application/json; charset=utf-8"), forecast.header("content-type"));
    let days: serde_json::Value = serde_json::from_str(&forecast.body).expect("the forecast is JSON");
    assert_eq!(5, days.as_array().map_or(0, Vec::len), "{days}");
    assert_eq!(404, served.get("/", "").status);
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
    let Some(served) = serve(template) else { return };
    let home = served.get("/", "");
    assert_eq!((200, Some("text/html; charset=utf-8")), (home.status, home.header("content-type")), "{home:?}");
    assert!(home.body.contains("Welcome"), "{}", home.body);
    assert!(served.get(privacy, "").body.contains("Privacy Policy"));

    let link = home.body.split('"').find(|text| text.starts_with("/css/site.")).expect("the page has a style sheet");
    let style = served.get(link, "");
    assert_eq!((200, Some("text/css")), (style.status, style.header("content-type")), "{style:?}");
    let etag = style.header("etag").expect("a static file has an ETag");
    // Fingerprinted from .NET 9 on: what has its hash in its name never changes.
    if link != "/css/site.css" && !link.contains('?') {
        assert!(style.header("cache-control").is_some_and(|it| it.contains("immutable")), "{style:?}");
    }
    let again = served.get(link, &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((304, ""), (again.status, again.body.as_str()), "{again:?}");
    assert_eq!(404, served.get("/no/such/page", "").status);
}

/// A served application; ends with the test.
struct Served {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have died already, which the test has seen.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes, publishes and serves what a template makes. `None` where this machine can't, with the reason told.
fn serve(template: &str) -> Option<Served> {
    match publish(template) {
        Ok((folder, dll)) => Some(start(folder, &dll)),
        Err(reason) => {
            eprintln!("skipped: dotnet new {template}: {reason}");
            None
        }
    }
}

/// The folder of the project and the published assembly.
///
/// # Errors
/// Why that can't be done here: no SDK, no packages, no program that serves.
fn publish(template: &str) -> Result<(PathBuf, PathBuf), String> {
    let project =
        Project::around(Path::new(env!("CARGO_MANIFEST_DIR")), Machine::current()).map_err(|e| e.to_string())?;
    let root = dotnet::find(&project).filter(|root| !root.sdks.is_empty()).ok_or("there is no .NET SDK")?;
    let muxer = root.muxer().ok_or("there is no .NET SDK")?;
    if !program().is_file() {
        return Err(format!("{} is not there; build it with `cargo build -p polyhost-cli`", program().display()));
    }
    let folder = std::env::temp_dir().join(format!("polyhost-{template}-{}", std::process::id()));
    // The project takes its folder's name.
    let source = folder.join("App");
    let dotnet = |arguments: &[&str]| {
        let mut command = guests::dotnet_command(&project, &muxer);
        let output = command.args(arguments).current_dir(&folder).output().expect("the SDK's program runs");
        told(&output)
    };
    fs::create_dir_all(&folder).expect("the folder for temporary files can be written to");
    dotnet(&["new", template, "--no-restore", "--output", "App"])?.unwrap_or_else(|said| panic!("dotnet new: {said}"));
    let mut arguments = vec!["publish", "App", "--output", "out", "-p:Configuration=Release", "-p:NuGetAudit=false"];
    // A program of its own takes a package, and only `dotnet App.dll` is served.
    arguments.push("-p:UseAppHost=false");
    let feed = project.feed().map(|feed| format!("-p:RestoreSources={}", feed.display()));
    arguments.extend(feed.as_deref());
    dotnet(&arguments)?.unwrap_or_else(|said| panic!("dotnet publish of {}: {said}", source.display()));
    let dll = folder.join("out/App.dll");
    Ok((folder, dll))
}

/// What a command has said where it failed. The outer error is one of this machine: packages that can't be had.
fn told(output: &Output) -> Result<Result<(), String>, String> {
    if output.status.success() {
        return Ok(Ok(()));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    match text.lines().find(|line| line.contains("error NU1")) {
        Some(line) => Err(format!("no NuGet packages: {}", line.trim())),
        None => Ok(Err(text)),
    }
}

fn start(folder: PathBuf, dll: &Path) -> Served {
    let mut command = Command::new(program());
    command.arg("serve").arg(dll).args(["--listen", "127.0.0.1:0"]).env_remove("ASPNETCORE_URLS");
    // Where they lie, as a service's working folder is: that is the content root.
    command.current_dir(dll.parent().expect("it is in a folder"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    let mut said = String::new();
    let address = lines.by_ref().find_map(|line| {
        said = format!("{said}{line}\n");
        let (_, rest) = line.split_once("http://")?;
        rest.split(' ').next()?.parse().ok()
    });
    // Read on, so that it never waits for us.
    std::thread::spawn(move || lines.for_each(drop));
    Served { child, folder, address: address.unwrap_or_else(|| panic!("polyhost serve: {said}")) }
}

/// The program of the build that this test is of.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows where it is");
    test.ancestors().nth(2).expect("it is in deps").join("polyhost")
}

#[derive(Debug)]
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }
}

impl Served {
    fn get(&self, path: &str, headers: &str) -> Response {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        let address = self.address;
        // HTTP/1.0, so that the body is as it is, and ends with the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n").expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers in text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("GET {path}: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status line");
        Response { status, head: head.to_owned(), body: body.to_owned() }
    }
}
