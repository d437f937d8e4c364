//! A native application that does what its request's path says, and a client of raw bytes.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part")]

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use polyhost_http::limits::Limits;
use polyhost_http::{Data, Endpoint, ExchangeId, HttpApp, Read, ResponseHead, SendFlags, Sent, Server, Turn, packed};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub const LAST: SendFlags = SendFlags::from_bits(3);

/// What the application saw.
#[derive(Debug, Default)]
pub struct Probe {
    pub stale: Mutex<Option<ExchangeId>>,
    pub closed: Mutex<Vec<u32>>,
    pub connections: AtomicUsize,
    pub aborted: tokio::sync::Notify,
    pub go: tokio::sync::Notify,
    pub seen: tokio::sync::Notify,
    pub errors: Mutex<Vec<String>>,
    pub sent: AtomicUsize,
}

impl HttpApp for Probe {
    fn handle(&self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        if turn.kept == 0 {
            turn.kept = self.connections.fetch_add(1, Ordering::Relaxed) as u32 + 1;
        }
        let path = exchange.request(|head| String::from_utf8(head.path().to_vec()).unwrap()).unwrap();
        let method = exchange.request(|head| head.method_text().to_vec()).unwrap();
        match path.as_str() {
            "/hello" => answer(exchange, 200, b"hello"),
            "/empty" => {
                let _ = exchange.send(Some(head(200, None)), Data::None, LAST);
            }
            "/method" => answer(exchange, 200, &method),
            "/nobody" => answer(exchange, 204, b""),
            "/kept" => answer(exchange, 200, turn.kept.to_string().as_bytes()),
            "/close" => {
                exchange.request_close();
                answer(exchange, 200, b"bye");
            }
            "/ignore" => answer(exchange, 200, b"ignored"),
            "/unlimited" => {
                assert!(exchange.set_max_body(None));
                tokio::spawn(echo(exchange));
            }
            "/echo" => {
                tokio::spawn(echo(exchange));
            }
            "/informational" => {
                let mut headers = BytesMut::new();
                packed::push(&mut headers, b"Link", b"</a.css>; rel=preload");
                let early = ResponseHead { status: 103, headers: &headers, ..ResponseHead::default() };
                assert_eq!(Sent::Accepted, exchange.send(Some(early), Data::None, SendFlags::NONE));
                answer(exchange, 200, b"hello");
            }
            "/trailers" => {
                let mut trailers = BytesMut::new();
                packed::push(&mut trailers, b"grpc-status", b"0");
                let _ = exchange.send(Some(head(200, None)), Data::Copied(b"hello"), SendFlags::NONE);
                let _ = exchange.send_trailers(&trailers);
                let _ = exchange.send(None, Data::None, LAST);
            }
            "/thread" => {
                std::thread::spawn(move || {
                    let _ = exchange.send(Some(head(200, Some(10))), Data::Copied(b"hello"), SendFlags::NONE);
                    let _ = exchange.send(None, Data::Copied(b"world"), SendFlags::END);
                    exchange.release();
                });
            }
            "/short" => {
                let _ = exchange.send(Some(head(200, Some(10))), Data::Copied(b"hello"), LAST);
            }
            "/long" => {
                let _ = exchange.send(Some(head(200, Some(2))), Data::Copied(b"hello"), LAST);
            }
            "/cut" => {
                let _ = exchange.send(Some(head(200, None)), Data::Copied(b"hello"), SendFlags::NONE);
                exchange.abort();
                exchange.release();
            }
            "/forgotten" => exchange.release(),
            "/badhead" => {
                let mut headers = BytesMut::new();
                packed::push(&mut headers, b"X", b"a\r\nb");
                let head = ResponseHead { status: 200, headers: &headers, ..ResponseHead::default() };
                let _ = exchange.send(Some(head), Data::Copied(b"hello"), LAST);
            }
            "/stale" => {
                *self.stale.lock().unwrap() = Some(exchange);
                answer(exchange, 200, b"hello");
            }
            "/two" => {
                let _ = exchange.send(Some(head(200, None)), Data::Copied(b"one"), SendFlags::NONE);
                let _ = exchange.send(None, Data::Owned(Bytes::from(vec![b'x'; 2000])), LAST);
            }
            _ => unreachable!("{path}"),
        }
    }

    fn connection_closed(&self, kept: u32) {
        self.closed.lock().unwrap().push(kept);
    }
}

/// An application made of a function.
pub struct App<F>(pub F);

impl<F> std::fmt::Debug for App<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

impl<F: Fn(ExchangeId, &mut Turn<'_>) + Send + Sync + 'static> HttpApp for App<F> {
    fn handle(&self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        (self.0)(exchange, turn);
    }
}

pub fn app(handle: impl Fn(ExchangeId) + Send + Sync + 'static) -> Arc<dyn HttpApp> {
    Arc::new(App(move |exchange, _: &mut Turn<'_>| handle(exchange)))
}

pub fn head<'a>(status: u16, content_length: Option<u64>) -> ResponseHead<'a> {
    ResponseHead { status, content_length, ..ResponseHead::default() }
}

pub fn answer(exchange: ExchangeId, status: u16, body: &[u8]) {
    let length = if body.is_empty() { None } else { Some(body.len() as u64) };
    let data = if body.is_empty() { Data::None } else { Data::Copied(body) };
    assert_eq!(Sent::Accepted, exchange.send(Some(head(status, length)), data, LAST));
}

pub async fn read(exchange: ExchangeId) -> Read {
    poll_fn(|cx| exchange.poll_read(cx)).await
}

/// Sends the body back as it comes, and its trailers; a failure as a 400 with the error.
pub async fn echo(exchange: ExchangeId) {
    let mut first = true;
    loop {
        let head = first.then(|| head(200, None));
        match read(exchange).await {
            Read::Data(bytes) => {
                first = false;
                if exchange.send(head, Data::Owned(bytes), SendFlags::NONE) == Sent::Pending {
                    poll_fn(|cx| exchange.poll_writable(cx)).await;
                }
            }
            Read::End => {
                if let Some(trailers) = exchange.request_trailers() {
                    let _ = exchange.send_trailers(&trailers);
                }
                let _ = exchange.send(head, Data::None, LAST);
                return;
            }
            Read::Failed(error) => {
                if first {
                    answer(exchange, 400, error.to_string().as_bytes());
                }
                exchange.release();
                return;
            }
            Read::Pending | Read::Gone => unreachable!(),
        }
    }
}

/// A server without listeners, and a connection to it through memory.
pub struct Fixture {
    pub server: Server,
    pub client: Client<DuplexStream>,
}

impl Fixture {
    pub fn new(app: Arc<dyn HttpApp>) -> Self {
        Self::with(app, Limits::default(), 64 * 1024)
    }

    pub fn with(app: Arc<dyn HttpApp>, limits: Limits, pipe: usize) -> Self {
        let server = Server::builder(app).limits(limits).start().unwrap();
        let client = connect(&server, pipe);
        Fixture { server, client }
    }
}

pub fn connect(server: &Server, pipe: usize) -> Client<DuplexStream> {
    let (ours, theirs) = tokio::io::duplex(pipe);
    server.connect(theirs, Endpoint::Unnamed, Endpoint::Unnamed, false);
    Client::new(ours)
}

pub struct Client<T> {
    pub io: T,
    pub buffer: Vec<u8>,
}

impl<T: AsyncReadExt + AsyncWriteExt + Unpin> Client<T> {
    pub fn new(io: T) -> Self {
        Client { io, buffer: Vec::new() }
    }

    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.io.write_all(text.as_ref()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Sends a request without a body.
    pub async fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    }

    /// All bytes up to and with `mark`, without the Date line.
    pub async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark.as_bytes()) {
                let text: Vec<u8> = self.buffer.drain(..at + mark.len()).collect();
                return undated(&text);
            }
            let mut more = vec![0; 4096];
            let n = self.io.read(&mut more).await.expect("the connection is not reset");
            assert_ne!(0, n, "the connection ended before {mark:?}: {:?}", undated(&self.buffer));
            self.buffer.extend_from_slice(&more[..n]);
        }
    }

    /// All bytes until the connection ends, and whether it ended properly.
    pub async fn rest(&mut self) -> (String, bool) {
        let ended = self.io.read_to_end(&mut self.buffer).await;
        (undated(&std::mem::take(&mut self.buffer)), ended.is_ok())
    }

    /// The text of a whole response of [`answer`], for checks of the body only.
    pub async fn body(&mut self, len: usize) -> String {
        self.until("\r\n\r\n").await;
        while self.buffer.len() < len {
            let mut more = vec![0; 64 * 1024];
            let n = self.io.read(&mut more).await.unwrap();
            assert_ne!(0, n, "the connection ended");
            self.buffer.extend_from_slice(&more[..n]);
        }
        String::from_utf8(self.buffer.drain(..len).collect()).unwrap()
    }
}

pub fn undated(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        if !line.starts_with("Date: ") {
            out.push_str(line);
        }
    }
    out
}

/// Runs a test that waits for events of other threads; a lost one fails it after a minute.
pub async fn watched<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test waits for something that does not come")
}
