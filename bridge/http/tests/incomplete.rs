//! Requests and responses that do not come to their proper end.

mod support;

use std::future::poll_fn;
use std::sync::Arc;

use polyhost_http::limits::Limits;
use polyhost_http::{BodyError, Data, ExchangeId, Read, ResponseHead, SendFlags, Server, listen::Address};
use support::{Client, Fixture, LAST, Probe, answer, app, head, read};
use tokio::net::TcpStream;

const FAILED: SendFlags = SendFlags::from_bits(32 | 2);

fn fail(exchange: ExchangeId) {
    let _ = exchange.send(Some(head(200, None)), Data::Copied(b"hello"), SendFlags::NONE);
    let _ = exchange.send(None, Data::None, FAILED);
}

#[tokio::test(start_paused = true)]
async fn sends_what_a_response_had_before_it_failed() {
    let mut fixture = Fixture::new(app(fail));
    fixture.client.get("/").await;
    let (text, proper) = fixture.client.rest().await;
    assert!(text.ends_with("\r\n\r\n5\r\nhello\r\n"), "{text}");
    assert!(proper && !text.contains("Connection: close"), "{text}");
}

#[tokio::test]
async fn resets_a_failed_response_that_would_look_complete() {
    let server = Server::builder(app(fail)).listen("127.0.0.1:0".parse().unwrap()).start().unwrap();
    let Address::Tcp(address) = server.addresses()[0] else { panic!("it listens on TCP") };
    let mut client = Client::new(TcpStream::connect(address).await.unwrap());
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let (_, proper) = client.rest().await;
    assert!(!proper);
}

#[tokio::test(start_paused = true)]
async fn ends_the_connection_though_a_failed_response_has_no_body() {
    let mut fixture = Fixture::new(app(|exchange| {
        let _ = exchange.send(Some(head(204, None)), Data::None, FAILED);
    }));
    fixture.client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!("HTTP/1.1 204 No Content\r\nServer: Polyhost\r\n\r\n", fixture.client.rest().await.0);
}

#[tokio::test(start_paused = true)]
async fn frames_an_open_head_as_one_of_unknown_length() {
    let mut fixture = Fixture::new(app(|exchange| {
        let head = ResponseHead { status: 200, open: true, ..ResponseHead::default() };
        let _ = exchange.send(Some(head), Data::None, LAST);
    }));
    fixture.client.get("/").await;
    let text = fixture.client.until("0\r\n\r\n").await;
    assert!(text.contains("Transfer-Encoding: chunked") && !text.contains("Content-Length"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn closes_after_a_body_that_is_too_large() {
    let limits = Limits { max_request_body_size: Some(3), ..Limits::default() };
    let handle = app(|exchange| {
        tokio::spawn(async move {
            assert_eq!(Read::Failed(BodyError::TooLarge), read(exchange).await);
            answer(exchange, 200, b"caught");
        });
    });
    let mut fixture = Fixture::with(handle, limits, 64 * 1024);
    fixture.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd").await;
    assert!(fixture.client.rest().await.0.contains("Connection: close"));
}

#[tokio::test(start_paused = true)]
async fn gives_nothing_out_of_a_body_that_is_found_malformed() {
    let handle = app(|exchange| {
        let failed = matches!(exchange.read(), Read::Failed(BodyError::Malformed));
        answer(exchange, if failed { 400 } else { 200 }, b"x");
    });
    let mut fixture = Fixture::new(handle);
    fixture.client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnone\r\n").await;
    assert!(fixture.client.rest().await.0.starts_with("HTTP/1.1 400 "));
}

#[tokio::test(start_paused = true)]
async fn counts_trailers_with_the_headers() {
    let limits = Limits { max_request_header_count: 3, ..Limits::default() };
    let handle = app(|exchange| {
        tokio::spawn(async move {
            let outcome = poll_fn(|cx| exchange.poll_read(cx)).await;
            answer(exchange, if outcome == Read::End { 200 } else { 431 }, b"x");
        });
    });
    for (trailers, status) in [("A: b\r\n", "200"), ("A: b\r\nC: d\r\n", "431")] {
        let mut fixture = Fixture::with(handle.clone(), limits.clone(), 64 * 1024);
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        fixture.client.send(format!("{head}0\r\n{trailers}\r\n")).await;
        assert!(fixture.client.until("\r\n").await.contains(status), "{trailers}");
    }
}

#[tokio::test(start_paused = true)]
async fn goes_on_after_an_answer_that_did_not_wait_for_the_body() {
    let mut fixture = Fixture::new(Arc::new(Probe::default()));
    fixture.client.send("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    let text = fixture.client.until("ignored").await;
    assert!(!text.contains("Connection: close") && !text.contains("100 Continue"), "{text}");
    fixture.client.send("late!").await;
    fixture.client.get("/hello").await;
    assert_eq!("hello", fixture.client.body(5).await);
}
