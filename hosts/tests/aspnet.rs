//! ASP.NET Core applications as a library: each case in a process of its own, as .NET starts once in one.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http_body_util::BodyExt;
use libtest_mimic::{Arguments, Completion, Trial};
use polyhost::aspnet::{AspNetApp, AspNetConfig};
use polyhost::clr::{Aspnet, Clr, ClrConfig};
use polyhost::{CallContext, LoadOptions, Module, ModuleSource, Output};
use serde_json::Value;
use tower_service::Service;

const CHILD: &str = "POLYHOST_ASPNET_CHILD";

/// More than any start takes.
const PATIENCE: Duration = Duration::from_secs(60);

const CASES: [(&str, fn()); 8] = [
    ("an_application_then_a_module", application_then_module),
    ("a_module_then_an_application", module_then_application),
    ("plain_dotnet_then_an_application", plain_then_application),
    ("two_applications", two_applications),
    ("a_call_without_http_between", call),
    ("a_request_to_warm_up", warm_up),
    ("the_exit_code_of_a_main_without_a_result", exit_code),
    ("the_fallback_of_an_axum_router", fallback),
];

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(CHILD) {
        let (_, case) = CASES.into_iter().find(|(known, _)| *known == name).expect("the parent knows the cases");
        case();
        return ExitCode::SUCCESS;
    }
    let trials = CASES.into_iter().map(|(name, _)| {
        Trial::ignorable_test(name, move || {
            if let Some(reason) = reason_to_skip() {
                return Ok(Completion::ignored_with(reason));
            }
            let mut child = Command::new(std::env::current_exe()?);
            let output = child.env(CHILD, name).env("DOTNET_gcServer", "0").output()?;
            let (said, status) = (String::from_utf8_lossy(&output.stderr), output.status);
            assert!(status.success(), "{status}\n{}\n{said}", String::from_utf8_lossy(&output.stdout));
            Ok(Completion::Completed)
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn reason_to_skip() -> Option<String> {
    let missing = [guest("Takeover"), guest("HttpContract")].into_iter().find(|path| !path.is_file())?;
    let missing = format!("{} is not built; run `make setup`", missing.display());
    let required = std::env::var("POLYHOST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name.trim() == "clr"), "POLYHOST_REQUIRE names clr, and {missing}");
    Some(missing)
}

fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/guests/{name}/{name}.dll"))
}

fn folder(name: &str) -> PathBuf {
    let path = guest(name).canonicalize().expect("it is built");
    path.parent().expect("a folder").to_owned()
}

/// Starts one whose content lies beside it.
fn start(name: &str, way: &str) -> AspNetApp {
    let mut config = AspNetConfig::new(guest(name));
    config.arguments = vec!["--contentRoot".to_owned(), folder(name).display().to_string()];
    config.environment = vec![("TAKEOVER_WAY".to_owned(), way.to_owned())];
    AspNetApp::start(config).unwrap_or_else(|error| panic!("{error:?}"))
}

fn module() -> Arc<dyn Module> {
    let clr = Clr::start(&ClrConfig::default()).unwrap_or_else(|error| panic!("{error:?}"));
    clr.load(&ModuleSource::Path(guest("Conformance")), &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"))
}

/// What the module answers to a message.
fn echoed(module: &dyn Module) -> Vec<u8> {
    let echo = module.function("conformance.v1.Conformance/Echo").expect("it exports that");
    let mut reply = Output::new();
    echo.call(&CallContext::none(), b"\x0a\x01a", &mut reply).unwrap_or_else(|error| panic!("{error:?}"));
    reply.as_ref().to_vec()
}

/// The answer to a GET: status and body.
async fn ask(app: &AspNetApp, path: &str) -> (u16, String) {
    let request = http::Request::get(path).header("host", "localhost").body(Body::empty()).expect("a request");
    let response = app.call(request).await.expect("it never fails");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

fn asked(app: &AspNetApp, path: &str) -> (u16, String) {
    runtime().block_on(ask(app, path))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn env(app: &AspNetApp) -> Value {
    serde_json::from_str(&asked(app, "/env").1).expect("JSON")
}

fn stop(app: &AspNetApp) {
    assert!(app.stop(PATIENCE), "its Main does not end");
    runtime().block_on(app.ended()).unwrap_or_else(|error| panic!("{error:?}"));
}

fn application_then_module() {
    let app = start("Takeover", "create");
    let module = module();
    let both = || {
        assert_eq!(echoed(&*module), b"\x0a\x01a");
        assert_eq!((200, "Hello".to_owned()), asked(&app, "/hello"));
    };
    both();
    both();
    assert_eq!(true, env(&app)["is default context"]);
    stop(&app);
    assert_eq!(echoed(&*module), b"\x0a\x01a");
}

fn module_then_application() {
    let module = module();
    assert_eq!(echoed(&*module), b"\x0a\x01a");
    let app = start("Takeover", "create");
    assert_eq!(echoed(&*module), b"\x0a\x01a");
    assert_eq!((200, "Hello".to_owned()), asked(&app, "/hello"));
    assert_eq!((200, "static\n".to_owned()), asked(&app, "/static.txt"));
    let env = env(&app);
    assert_eq!("Takeover", env["application"]);
    assert_eq!(
        folder("Takeover").display().to_string(),
        env["base directory"].as_str().unwrap_or("").trim_end_matches('/')
    );
    assert_eq!(false, env["is default context"]);
    stop(&app);
    assert_eq!(echoed(&*module), b"\x0a\x01a");
}

/// What has started without the framework can't add it: the error names it, and where to ask for it.
fn plain_then_application() {
    let mut plain = ClrConfig::default();
    plain.aspnet = Aspnet::Never;
    let clr = Clr::start(&plain).unwrap_or_else(|error| panic!("{error:?}"));
    let module = clr.load(&ModuleSource::Path(guest("Conformance")), &LoadOptions::new());
    let module = module.unwrap_or_else(|error| panic!("{error:?}"));
    let refused = |clr: ClrConfig, says: &[&str]| {
        let mut config = AspNetConfig::new(guest("Takeover"));
        config.clr = clr;
        let error = AspNetApp::start(config).expect_err("ASP.NET Core is not there").to_string();
        says.iter().for_each(|part| assert!(error.contains(part), "{part:?} is not in: {error}"));
        assert_eq!(echoed(&*module), b"\x0a\x01a");
    };
    refused(ClrConfig::default(), &["aspnet is Never, not IfPresent"]);
    refused(plain, &["Microsoft.AspNetCore.App", "ClrConfig::aspnet"]);
}

/// Two of the same assembly, and one of another: each has its statics, its name and its folder.
fn two_applications() {
    let apps = [start("Takeover", "create"), start("Takeover", "slim"), start("HttpContract", "")];
    assert_eq!("1", asked(&apps[0], "/count").1);
    assert_eq!("2", asked(&apps[0], "/count").1);
    assert_eq!("1", asked(&apps[1], "/count").1);
    assert_eq!(
        ("Takeover".into(), true.into()),
        (env(&apps[0])["application"].take(), env(&apps[0])["is default context"].take())
    );
    assert_eq!(
        ("Takeover".into(), false.into()),
        (env(&apps[1])["application"].take(), env(&apps[1])["is default context"].take())
    );
    let root = env(&apps[1])["content root"].as_str().unwrap_or_default().trim_end_matches('/').to_owned();
    assert_eq!(folder("Takeover").display().to_string(), root);
    assert_ne!("static\n", asked(&apps[2], "/static.txt").1);
    assert_eq!((200, "static\n".to_owned()), asked(&apps[1], "/static.txt"));
    stop(&apps[0]);
    assert_eq!("2", asked(&apps[1], "/count").1);
    assert_eq!(503, asked(&apps[0], "/count").0);
    stop(&apps[1]);
    stop(&apps[2]);
}

fn call() {
    let app = start("Takeover", "generic");
    assert_eq!((404, String::new()), asked(&app, "/nothing"));
    let body = Body::from("12345");
    let request = http::Request::post("/length").header("host", "a").body(body).expect("a request");
    let answer =
        runtime().block_on(async { app.call(request).await.expect("it never fails").into_body().collect().await });
    assert_eq!("5", answer.expect("a body").to_bytes());
    stop(&app);
}

fn warm_up() {
    let app = start("Takeover", "create");
    let status = |path| runtime().block_on(app.warm_up(path)).map_err(|error| error.to_string());
    assert_eq!((Ok(200), Ok(404)), (status("/count"), status("/nothing?a=b")));
    assert_eq!("2", asked(&app, "/count").1);
    let error = status("no path").expect_err("it is none");
    assert!(error.contains("no path"), "{error}");
    stop(&app);
}

fn exit_code() {
    let mut config = AspNetConfig::new(guest("HttpContract"));
    config.arguments = vec!["--contentRoot".to_owned(), folder("HttpContract").display().to_string()];
    config.environment = vec![("HTTP_CONTRACT_EXIT_CODE".to_owned(), "4".to_owned())];
    let app = AspNetApp::start(config).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(app.stop(PATIENCE), "its Main does not end");
    let error = runtime().block_on(app.ended()).expect_err("it did not go well");
    assert!(error.context().any(|fact| fact == ("exit_code", "4")), "{error:?}");
}

fn fallback() {
    let app = start("Takeover", "create");
    let mut router = Router::new().route("/hello", get(|| async { "from Rust" })).fallback_service(app.clone());
    runtime().block_on(async {
        for (path, expected) in [("/hello", "from Rust"), ("/count", "1")] {
            let request = http::Request::get(path).header("host", "a").body(Body::empty()).expect("a request");
            let response = router.call(request).await.expect("it never fails");
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(expected, body);
        }
    });
    stop(&app);
}
