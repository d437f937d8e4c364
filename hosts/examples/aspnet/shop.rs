//! The shop: one route in Rust, all others in an ASP.NET Core application, on one port.

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

/// How long requests and the application may take to finish.
const GRACE: Duration = Duration::from_secs(10);

/// A shop that is served.
pub(crate) struct Shop {
    app: AspNetApp,
    server: Server,
}

impl Shop {
    /// Starts the application in this process and serves it, with the route in Rust, at `address`.
    ///
    /// # Errors
    /// Where the application does not start, or nobody can listen there.
    pub(crate) async fn open(dll: &Path, address: Address) -> Result<Shop, BoxError> {
        let config = AspNetConfig::new(dll);
        let app = tokio::task::spawn_blocking(|| AspNetApp::start(config)).await??;
        // Moved to Rust already; the next one is a line here. The application keeps its own for `dotnet Shop.dll`.
        let router = Router::new().route("/coffees/espresso", get(espresso)).fallback_service(app.clone());
        // Our front and not `axum::serve`: it refuses what Kestrel would before a route sees it, with Kestrel's limits
        // and statuses, and the application learns the addresses of the connection.
        let front = Server::builder(Arc::new(TowerApp::new(router))).limits(app.settings().limits);
        Ok(Shop { app, server: front.listen(address).start()? })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.server.addresses()[0]
    }

    /// Lets requests finish, then the application.
    ///
    /// # Errors
    /// Where its `Main` threw or goes on.
    pub(crate) async fn close(self) -> Result<(), BoxError> {
        self.server.stop(GRACE).await;
        let app = self.app.clone();
        if !tokio::task::spawn_blocking(move || app.stop(GRACE)).await? {
            return Err(format!("the application's Main did not end within {GRACE:?}").into());
        }
        Ok(self.app.ended().await?)
    }
}

/// What goes wrong in programs.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn espresso() -> Response {
    let headers =
        [(HeaderName::from_static("x-answered-by"), "Rust"), (CONTENT_TYPE, "application/json; charset=utf-8")];
    (StatusCode::OK, headers, r#"{"name":"espresso","price":2.20}"#).into_response()
}

/// A request that shows something, and the status that it gets.
pub(crate) struct Wish {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) body: &'static str,
    pub(crate) status: u16,
}

/// A tour: reads, a route in Rust among them, writes, a mistake.
pub(crate) const TOUR: [Wish; 6] = [
    Wish { method: "GET", path: "/coffees", body: "", status: 200 },
    Wish { method: "GET", path: "/coffees/espresso", body: "", status: 200 },
    Wish { method: "GET", path: "/coffees/latte", body: "", status: 200 },
    Wish { method: "POST", path: "/orders", body: r#"{"coffee":"latte","count":2}"#, status: 201 },
    Wish { method: "GET", path: "/orders/1", body: "", status: 200 },
    Wish { method: "POST", path: "/orders", body: r#"{"coffee":"tea","count":1}"#, status: 400 },
];

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) by: String,
    pub(crate) body: String,
}

/// Sends a request over a connection of its own.
///
/// # Errors
/// Where the connection fails, or what comes back is no response of a status.
pub(crate) fn ask(address: SocketAddr, wish: &Wish) -> io::Result<Answer> {
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
    Ok(Answer { status, by, body })
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

/// Takes the tour; a line for each request.
///
/// # Errors
/// Where an answer fails, or has another status than it should.
pub(crate) fn tour(address: &Address) -> Result<Vec<String>, BoxError> {
    let Address::Tcp(address) = *address else { return Err(format!("{address} is no TCP address").into()) };
    let mut lines = Vec::new();
    for wish in &TOUR {
        let Answer { status, by, body } = ask(address, wish)?;
        let line = format!("{:4} {:18} {:28} {status} by {by}: {body}", wish.method, wish.path, wish.body);
        if status != wish.status {
            return Err(format!("{line}\nand not {}", wish.status).into());
        }
        lines.push(line);
    }
    Ok(lines)
}
