//! The shop: an ASP.NET Core application that moves to Rust one route at a time, on one port.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use polyhost::aspnet::{AspNetApp, AspNetConfig};
use polyhost::http::tower::TowerApp;
use polyhost::http::{Address, Server};

/// How far the move has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    AllInAspNet,
    OneRouteInRust,
    AnotherRouteInRust,
}

impl Step {
    pub(crate) const ALL: [Step; 3] = [Step::AllInAspNet, Step::OneRouteInRust, Step::AnotherRouteInRust];
}

/// The routes of a step. What is not here is the application's; it keeps its own of what has moved, for
/// `dotnet Shop.dll` and the way back.
fn routes(step: Step, shop: &AspNetApp) -> Router {
    let mut router = Router::new();
    if step >= Step::OneRouteInRust {
        // With a fallback of its own, as axum refuses the path's other methods with 405 where there is none.
        router = router.route("/coffees/{name}", get(coffee).fallback_service(shop.clone()));
    }
    if step >= Step::AnotherRouteInRust {
        router = router.route("/coffees", get(coffees).fallback_service(shop.clone()));
    }
    router.fallback_service(shop.clone())
}

const PRICES: [(&str, &str); 3] = [("espresso", "2.20"), ("cappuccino", "3.10"), ("latte", "3.40")];

async fn coffee(axum::extract::Path(wanted): axum::extract::Path<String>) -> Response {
    match PRICES.iter().find(|(name, _)| *name == wanted) {
        Some((name, price)) => json(format!(r#"{{"name":"{name}","price":{price}}}"#)),
        None => (StatusCode::NOT_FOUND, [BY_RUST]).into_response(),
    }
}

async fn coffees() -> Response {
    let names = PRICES.map(|(name, _)| format!(r#""{name}""#));
    json(format!("[{}]", names.join(",")))
}

const BY_RUST: (HeaderName, &str) = (HeaderName::from_static("x-answered-by"), "Rust");

fn json(body: String) -> Response {
    ([BY_RUST, (CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

/// How long requests and the application may take to finish.
const GRACE: Duration = Duration::from_secs(10);

/// The application, started in this process.
pub(crate) struct Shop {
    app: AspNetApp,
}

impl Shop {
    /// Starts it.
    ///
    /// # Errors
    /// Where it does not start.
    pub(crate) async fn open(dll: &Path) -> Result<Shop, BoxError> {
        let config = AspNetConfig::new(dll);
        Ok(Shop { app: tokio::task::spawn_blocking(|| AspNetApp::start(config)).await?? })
    }

    /// Serves it at an address, with the routes of a step before it.
    ///
    /// # Errors
    /// Where nobody can listen there.
    pub(crate) fn serve(&self, step: Step, address: Address) -> Result<Counter, BoxError> {
        let router = routes(step, &self.app);
        // Our front and not `axum::serve`: it refuses what Kestrel would before a route sees it, with Kestrel's limits
        // and statuses, and the application learns the addresses of the connection.
        let front = Server::builder(Arc::new(TowerApp::new(router))).limits(self.app.settings().limits);
        Ok(Counter { step, server: front.listen(address).start()? })
    }

    /// Lets the application finish.
    ///
    /// # Errors
    /// Where its `Main` threw or goes on.
    pub(crate) async fn close(self) -> Result<(), BoxError> {
        let app = self.app.clone();
        if !tokio::task::spawn_blocking(move || app.stop(GRACE)).await? {
            return Err(format!("the application's Main did not end within {GRACE:?}").into());
        }
        Ok(self.app.ended().await?)
    }
}

/// Where the shop is served.
pub(crate) struct Counter {
    step: Step,
    server: Server,
}

impl Counter {
    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.server.addresses()[0]
    }

    /// Takes the tour.
    ///
    /// # Errors
    /// As [`tour`].
    pub(crate) async fn tour(&self) -> Result<Vec<Answer>, BoxError> {
        let (step, address) = (self.step, self.address().clone());
        tokio::task::spawn_blocking(move || tour(step, &address)).await?
    }

    /// Lets requests finish.
    pub(crate) async fn close(self) {
        self.server.stop(GRACE).await;
    }
}

/// What goes wrong in programs.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request that shows something, the status that it gets, and the step from which on Rust answers it.
#[derive(Debug)]
pub(crate) struct Wish {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    status: u16,
    pub(crate) moves: Option<Step>,
}

/// A tour: reads, some of which move to Rust, writes, mistakes.
pub(crate) const TOUR: [Wish; 8] = [
    read("/coffees", 200, Some(Step::AnotherRouteInRust)),
    read("/coffees/espresso", 200, Some(Step::OneRouteInRust)),
    read("/coffees/tea", 404, Some(Step::OneRouteInRust)),
    // The path has moved; this method of it has not.
    Wish { method: "DELETE", path: "/coffees/latte", body: "", status: 405, moves: None },
    Wish { method: "POST", path: "/orders", body: r#"{"coffee":"latte","count":2}"#, status: 201, moves: None },
    read("/orders/1", 200, None),
    read("/orders/0", 404, None),
    Wish { method: "POST", path: "/orders", body: r#"{"coffee":"tea","count":1}"#, status: 400, moves: None },
];

const fn read(path: &'static str, status: u16, moves: Option<Step>) -> Wish {
    Wish { method: "GET", path, body: "", status, moves }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    wish: &'static Wish,
    pub(crate) status: u16,
    pub(crate) by: String,
    pub(crate) body: String,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { wish: Wish { method, path, body: sent, .. }, status, by, body } = self;
        write!(f, "{method:6} {path:18} {sent:28} {status} by {by}: {body}")
    }
}

/// Sends a request over a connection of its own.
///
/// # Errors
/// Where the connection fails, or what comes back is no response of a status.
fn ask(address: SocketAddr, wish: &'static Wish) -> io::Result<Answer> {
    let Wish { method, path, body, .. } = wish;
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    let content = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Type: application/json\r\nContent-Length: {length}\r\n")
    };
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{content}\r\n{body}")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let strange = || io::Error::new(io::ErrorKind::InvalidData, format!("{method} {path} got {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(strange)?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).ok_or_else(strange)?;
    let by = head.lines().find_map(|line| line.strip_prefix("x-answered-by: ")).unwrap_or("nobody").to_owned();
    let body = if head.contains("Transfer-Encoding: chunked") {
        unchunked(body).ok_or_else(strange)?
    } else {
        body.to_owned()
    };
    Ok(Answer { wish, status, by, body })
}

/// The content of chunks.
fn unchunked(mut text: &str) -> Option<String> {
    let mut content = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(content);
        }
        content += rest.get(..size)?;
        text = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

/// Takes the tour.
///
/// # Errors
/// Where an answer fails, has another status than it should, or is not of whoever should answer at this step.
fn tour(step: Step, address: &Address) -> Result<Vec<Answer>, BoxError> {
    let Address::Tcp(address) = *address else { return Err(format!("{address} is no TCP address").into()) };
    let mut answers = Vec::new();
    for wish in &TOUR {
        let answer = ask(address, wish)?;
        if answer.status != wish.status {
            return Err(format!("{step:?}: {answer}\nand not {}", wish.status).into());
        }
        if (answer.by == "Rust") != wish.moves.is_some_and(|moves| moves <= step) {
            return Err(format!("{step:?}: {answer}\nby the wrong one").into());
        }
        answers.push(answer);
    }
    Ok(answers)
}
