//! An axum router behind our front, and an application behind axum's.

mod support;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body as AxumBody;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use polyhost_http::tower::{AppService, TowerApp};
use polyhost_http::{ConnectionInfo, Data, ExchangeId, HttpApp, Read, SendFlags, Turn};
use support::{Fixture, Probe, head};
use tower_service::Service;

fn router() -> Router {
    Router::new()
        .route("/hello", get(async || "hello"))
        .route(
            "/later",
            get(async || {
                tokio::task::yield_now().await;
                "later"
            }),
        )
        .route("/echo", post(async |body: AxumBody| body))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/id", get(async |info: Extension<Arc<ConnectionInfo>>| info.id().to_string()))
        .route("/query", get(async |request: Request<AxumBody>| request.uri().to_string()))
}

fn fixture() -> Fixture {
    Fixture::new(Arc::new(TowerApp::new(router())))
}

#[tokio::test(start_paused = true)]
async fn a_router_answers() {
    let mut fixture = fixture();
    for (path, body) in [("/hello", "hello"), ("/later", "later"), ("/id", "1"), ("/query?a=b", "/query?a=b")] {
        fixture.client.get(path).await;
        assert_eq!(body, fixture.client.body(body.len()).await, "{path}");
    }
    fixture.client.get("/none").await;
    assert!(fixture.client.until("\r\n\r\n").await.starts_with("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_router_reads_and_streams() {
    let mut fixture = fixture();
    fixture.client.send("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await;
    fixture.client.send("x".repeat(100_000)).await;
    assert_eq!("100000", fixture.client.body(6).await);
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    fixture.client.send(format!("{request}5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")).await;
    assert!(fixture.client.until("0\r\nx-sum: 1\r\n\r\n").await.contains("5\r\nhello\r\n"));
}

fn service() -> AppService<Probe> {
    AppService::new(Arc::new(Probe::default()))
}

fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "a")
}

fn empty() -> Full<Bytes> {
    Full::default()
}

#[tokio::test(start_paused = true)]
async fn an_application_answers_as_a_service() {
    let response = service().call(request("GET", "/hello").body(empty()).unwrap()).await.unwrap();
    assert_eq!(200, response.status());
    assert_eq!("5", response.headers()["content-length"]);
    assert_eq!("hello", response.into_body().collect().await.unwrap().to_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_service_checks_what_a_parser_checks() {
    let without_host = Request::get("/hello").body(empty()).unwrap();
    assert_eq!(400, service().call(without_host).await.unwrap().status());
    let framed_twice = request("POST", "/echo").header("content-length", 5).header("transfer-encoding", "chunked");
    let response = service().call(framed_twice.body(Full::from("hello")).unwrap()).await.unwrap();
    assert_eq!(400, response.status());
}

#[tokio::test(start_paused = true)]
async fn a_service_streams_both_ways() {
    let body = "x".repeat(300_000);
    let length = body.len();
    let request = request("POST", "/echo").header("content-length", length).body(Full::from(body.clone())).unwrap();
    let response = service().call(request).await.unwrap();
    assert_eq!(body, response.into_body().collect().await.unwrap().to_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_service_passes_trailers() {
    let response = service().call(request("GET", "/trailers").body(empty()).unwrap()).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!("0", collected.trailers().unwrap()["grpc-status"]);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_complete_fails() {
    for path in ["/short", "/cut"] {
        let response = service().call(request("GET", path).body(empty()).unwrap()).await;
        let failed = match response {
            Ok(response) => response.into_body().collect().await.is_err(),
            Err(_) => true,
        };
        assert!(failed, "{path}");
    }
}

#[derive(Debug, Default)]
struct Waits {
    exchange: std::sync::Mutex<Option<ExchangeId>>,
    closed: std::sync::atomic::AtomicU32,
}

impl HttpApp for Waits {
    fn handle(&self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        turn.kept = 3;
        let _ = exchange.send(Some(head(200, None)), Data::Copied(b"first"), SendFlags::NONE);
        *self.exchange.lock().unwrap() = Some(exchange);
    }
    fn connection_closed(&self, kept: u32) {
        self.closed.store(kept, std::sync::atomic::Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_is_a_connection_of_its_own() {
    let app = Arc::new(Probe::default());
    let mut service = AppService::new(app.clone());
    for kept in ["1", "2"] {
        let response = service.call(request("GET", "/kept").body(empty()).unwrap()).await.unwrap();
        assert_eq!(kept, response.into_body().collect().await.unwrap().to_bytes());
    }
    assert_eq!([1, 2], app.closed.lock().unwrap()[..]);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_body_aborts() {
    let app = Arc::new(Waits::default());
    let mut service = AppService::new(app.clone());
    let response = service.call(request("GET", "/").body(empty()).unwrap()).await.unwrap();
    let mut body = pin!(Some(response.into_body()));
    let first = poll_fn(|cx| {
        let body = body.as_mut().as_pin_mut().unwrap();
        http_body::Body::poll_frame(body, cx)
    });
    assert_eq!("first", first.await.unwrap().unwrap().into_data().unwrap());
    body.set(None);
    let exchange = app.exchange.lock().unwrap().unwrap();
    poll_fn(|cx| exchange.poll_aborted(cx)).await;
    assert_eq!(Read::Failed(polyhost_http::BodyError::Aborted), exchange.read());
    assert_eq!(0, app.closed.load(std::sync::atomic::Ordering::Relaxed));
    exchange.release();
    assert_eq!(3, app.closed.load(std::sync::atomic::Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn an_application_is_nested_in_a_router_behind_our_front() {
    let app = Arc::new(Probe::default());
    let mut service = AppService::new(app);
    let fallback = tower_fn(move |request: Request<AxumBody>| {
        let response = service.call(request);
        async move { Ok::<_, Infallible>(response.await.unwrap().map(AxumBody::new)) }
    });
    let router = router().fallback_service(fallback);
    let mut fixture = Fixture::new(Arc::new(TowerApp::new(router)));
    for (path, body) in [("/hello", "hello"), ("/kept", "1"), ("/thread", "helloworld")] {
        fixture.client.get(path).await;
        assert_eq!(body, fixture.client.body(body.len()).await, "{path}");
    }
}

/// A service made of a function.
fn tower_fn<F>(function: F) -> TowerFn<F> {
    TowerFn(function)
}

#[derive(Clone)]
struct TowerFn<F>(F);

impl<F, T, R> Service<Request<AxumBody>> for TowerFn<F>
where
    F: FnMut(Request<AxumBody>) -> T,
    T: Future<Output = Result<R, Infallible>>,
{
    type Response = R;
    type Error = Infallible;
    type Future = T;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<AxumBody>) -> T {
        (self.0)(request)
    }
}
