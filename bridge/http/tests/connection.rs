//! Connections, byte for byte.

mod support;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use polyhost_http::limits::Limits;
use polyhost_http::{Data, Read, SendFlags, Sent};
use support::{Fixture, LAST, Probe, answer, app, echo, head, read};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};

fn probe() -> Fixture {
    Fixture::new(Arc::new(Probe::default()))
}

/// Sends `request` and expects exactly `response`, then the end of the connection.
async fn check(request: &str, response: &str) {
    let mut fixture = probe();
    fixture.client.send(request).await;
    let (text, proper) = fixture.client.rest().await;
    assert_eq!(response, text);
    assert!(proper);
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
}

#[tokio::test(start_paused = true)]
async fn answers_with_a_length() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nServer: Polyhost\r\n\r\nhello";
    check(&get("/hello"), response).await;
}

#[tokio::test(start_paused = true)]
async fn answers_without_a_body() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nServer: Polyhost\r\n\r\n";
    check(&get("/empty"), response).await;
}

#[tokio::test(start_paused = true)]
async fn answers_in_chunks_where_the_length_is_unknown() {
    let mut fixture = probe();
    fixture.client.send(get("/two")).await;
    let (text, _) = fixture.client.rest().await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    assert_eq!(format!("3\r\none\r\n7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2000)), body);
}

#[tokio::test(start_paused = true)]
async fn ends_an_unknown_length_with_the_connection_on_http_1_0() {
    let mut fixture = probe();
    fixture.client.send("GET /two HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let (text, proper) = fixture.client.rest().await;
    assert!(text.ends_with(&format!("Connection: close\r\nServer: Polyhost\r\n\r\none{}", "x".repeat(2000))), "{text}");
    assert!(proper);
}

#[tokio::test(start_paused = true)]
async fn writes_no_body_to_head() {
    let request = get("/hello").replace("GET", "HEAD");
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nServer: Polyhost\r\n\r\n";
    check(&request, response).await;
}

#[tokio::test(start_paused = true)]
async fn writes_no_body_with_204() {
    check(&get("/nobody"), "HTTP/1.1 204 No Content\r\nConnection: close\r\nServer: Polyhost\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn refuses_and_closes() {
    let response = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\nServer: Polyhost\r\n\r\n";
    check("GET / HTTP/1.1\r\nHost : a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n", response).await;
}

#[tokio::test(start_paused = true)]
async fn refuses_half_a_head() {
    let mut fixture = probe();
    fixture.client.send("GET /hello HTTP/1.1\r\nHost").await;
    fixture.client.io.shutdown().await.unwrap();
    let (text, _) = fixture.client.rest().await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn answers_pipelined_requests_in_order() {
    let mut fixture = probe();
    let requests: String =
        ["/hello", "/thread", "/kept", "/hello"].map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).concat();
    fixture.client.send(requests + &get("/close")).await;
    let (text, _) = fixture.client.rest().await;
    let bodies: Vec<_> = text.split("\r\n\r\n").skip(1).map(|part| part.split("HTTP/1.1").next().unwrap()).collect();
    assert_eq!(["hello", "helloworld", "1", "hello", "bye"], bodies[..]);
}

#[tokio::test(start_paused = true)]
async fn closes_on_request_of_the_application() {
    let mut fixture = probe();
    fixture.client.get("/close").await;
    let (text, _) = fixture.client.rest().await;
    assert!(text.contains("Connection: close"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn keeps_the_number_of_the_application_and_tells_it_at_the_end() {
    let app = Arc::new(Probe::default());
    let mut fixture = Fixture::new(app.clone());
    for _ in 0..2 {
        fixture.client.get("/kept").await;
        assert_eq!("1", fixture.client.body(1).await);
    }
    drop(fixture.client);
    fixture.server.stop(std::time::Duration::from_secs(5)).await;
    assert_eq!([1], app.closed.lock().unwrap()[..]);
}

#[tokio::test(start_paused = true)]
async fn echoes_a_body_with_a_length() {
    let mut fixture = probe();
    fixture.client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").await;
    fixture.client.send("lo").await;
    assert!(fixture.client.until("0\r\n\r\n").await.contains("lo\r\n"));
    fixture.client.get("/hello").await;
    assert_eq!("hello", fixture.client.body(5).await);
}

#[tokio::test(start_paused = true)]
async fn echoes_chunks_and_trailers() {
    let mut fixture = probe();
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    fixture.client.send(format!("{request}5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")).await;
    assert!(fixture.client.until("x-sum: 1\r\n\r\n").await.contains("5\r\nhello\r\n0\r\n"));
    fixture.client.get("/hello").await;
    assert_eq!("hello", fixture.client.body(5).await);
}

#[tokio::test(start_paused = true)]
async fn writes_trailers() {
    let mut fixture = probe();
    fixture.client.get("/trailers").await;
    let text = fixture.client.until("0\r\ngrpc-status: 0\r\n\r\n").await;
    assert!(text.contains("5\r\nhello\r\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn writes_informational_heads() {
    let mut fixture = probe();
    fixture.client.get("/informational").await;
    let text = fixture.client.until("hello").await;
    assert!(
        text.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn writes_no_informational_heads_to_http_1_0() {
    let mut fixture = probe();
    fixture.client.send("GET /informational HTTP/1.0\r\n\r\n").await;
    assert!(fixture.client.rest().await.0.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test(start_paused = true)]
async fn says_continue_when_the_application_reads() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let mut fixture = Fixture::new(app(move |exchange| tx.send(exchange).unwrap()));
    fixture.client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    let exchange = rx.recv().await.unwrap();
    tokio::spawn(echo(exchange));
    assert_eq!("HTTP/1.1 100 Continue\r\n\r\n", fixture.client.until("\r\n\r\n").await);
    fixture.client.send("hello").await;
    assert!(fixture.client.until("0\r\n\r\n").await.contains("5\r\nhello\r\n"));
}

#[tokio::test(start_paused = true)]
async fn closes_when_a_client_that_expects_continue_is_refused() {
    let mut fixture = Fixture::new(app(|exchange| answer(exchange, 403, b"ignored")));
    fixture.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    let text = fixture.client.until("ignored").await;
    assert!(text.contains("Connection: close") && !text.contains("100 Continue"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn throws_an_unread_body_away() {
    let mut fixture = probe();
    fixture.client.send("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n").await;
    fixture.client.until("ignored").await;
    fixture.client.send("x".repeat(200_000)).await;
    fixture.client.get("/hello").await;
    assert_eq!("hello", fixture.client.body(5).await);
}

#[tokio::test(start_paused = true)]
async fn does_not_throw_more_away_than_the_limit() {
    let limits = Limits { max_request_body_size: Some(1000), ..Limits::default() };
    let mut fixture = Fixture::with(Arc::new(Probe::default()), limits, 64 * 1024);
    let start = tokio::time::Instant::now();
    fixture.client.send("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n").await;
    assert!(fixture.client.rest().await.0.ends_with("ignored"));
    assert_eq!(std::time::Duration::ZERO, start.elapsed(), "it was waited for");
}

#[tokio::test(start_paused = true)]
async fn limits_a_body_by_its_length_at_the_first_read() {
    let limits = Limits { max_request_body_size: Some(4), ..Limits::default() };
    let mut fixture = Fixture::with(Arc::new(Probe::default()), limits, 64 * 1024);
    fixture.client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
    assert!(fixture.client.rest().await.0.ends_with("the request body is larger than the limit"));
}

#[tokio::test(start_paused = true)]
async fn limits_a_body_in_chunks_as_it_comes() {
    let limits = Limits { max_request_body_size: Some(20), ..Limits::default() };
    let mut fixture = Fixture::with(Arc::new(Probe::default()), limits, 64 * 1024);
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    fixture.client.send(format!("{request}14\r\n{}\r\n", "x".repeat(20))).await;
    assert!(fixture.client.rest().await.0.ends_with("the request body is larger than the limit"));
}

#[tokio::test(start_paused = true)]
async fn lets_the_application_lift_the_limit() {
    let limits = Limits { max_request_body_size: Some(4), ..Limits::default() };
    let mut fixture = Fixture::with(Arc::new(Probe::default()), limits, 64 * 1024);
    fixture.client.send("POST /unlimited HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
    assert!(fixture.client.until("0\r\n\r\n").await.contains("5\r\nhello\r\n"));
}

#[tokio::test(start_paused = true)]
async fn tells_of_a_malformed_body() {
    let mut fixture = probe();
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    fixture.client.send(format!("{request}zz\r\n")).await;
    let (text, _) = fixture.client.rest().await;
    assert!(text.ends_with("the request body is malformed"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn cuts_what_is_not_complete() {
    for path in ["/short", "/long", "/cut", "/forgotten"] {
        let mut fixture = probe();
        let start = tokio::time::Instant::now();
        fixture.client.get(path).await;
        let (text, _) = fixture.client.rest().await;
        assert_eq!(std::time::Duration::ZERO, start.elapsed(), "{path} ends by a timeout");
        assert!(!text.ends_with("0\r\n\r\n"), "{path}: {text}");
        assert!(!text.contains("Connection: close"), "{path}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_500_to_a_head_that_cannot_be_written() {
    let mut fixture = probe();
    fixture.client.get("/badhead").await;
    assert!(fixture.client.rest().await.0.starts_with("HTTP/1.1 500 "));
}

#[tokio::test(start_paused = true)]
async fn a_released_exchange_is_gone() {
    let app = Arc::new(Probe::default());
    let mut fixture = Fixture::new(app.clone());
    fixture.client.get("/stale").await;
    assert_eq!("hello", fixture.client.body(5).await);
    let stale = app.stale.lock().unwrap().unwrap();
    assert_eq!(Sent::Gone, stale.send(Some(head(200, None)), Data::None, LAST));
    assert_eq!(Read::Gone, stale.read());
    assert!(stale.request(|_| ()).is_none());
    // Nor does it reach the next request of the slot.
    fixture.client.get("/hello").await;
    assert_eq!("hello", fixture.client.body(5).await);
    assert_eq!(Sent::Gone, stale.send(None, Data::Copied(b"x"), SendFlags::ABORT));
    fixture.client.get("/hello").await;
    assert_eq!("hello", fixture.client.body(5).await);
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_is_a_duplex() {
    let mut fixture = Fixture::new(app(|exchange| {
        let mut headers = bytes::BytesMut::new();
        polyhost_http::packed::push(&mut headers, b"Upgrade", b"echo");
        let head = polyhost_http::ResponseHead { status: 101, headers: &headers, ..Default::default() };
        assert_eq!(Sent::Accepted, exchange.send(Some(head), Data::None, SendFlags::UPGRADE));
        tokio::spawn(async move {
            loop {
                match read(exchange).await {
                    Read::Data(bytes) => {
                        assert_eq!(Sent::Accepted, exchange.send(None, Data::Owned(bytes), SendFlags::NONE))
                    }
                    Read::End => break,
                    other => panic!("{other:?}"),
                }
            }
            let _ = exchange.send(None, Data::Copied(b" bye"), LAST);
        });
    }));
    let client = &mut fixture.client;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst").await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n"), "{head}");
    client.until("first").await;
    client.send("second").await;
    client.until("second").await;
    client.io.shutdown().await.unwrap();
    assert_eq!((" bye".to_owned(), true), client.rest().await);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_client_aborts_what_is_pending() {
    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"] {
        let (tx, rx) = oneshot::channel();
        let tx = std::sync::Mutex::new(Some(tx));
        let mut fixture = Fixture::new(app(move |exchange| {
            let tx = tx.lock().unwrap().take().unwrap();
            tokio::spawn(async move {
                poll_fn(|cx| exchange.poll_aborted(cx)).await;
                let read = exchange.read();
                let sent = exchange.send(Some(head(200, None)), Data::None, LAST);
                tx.send((read, sent)).unwrap();
            });
        }));
        fixture.client.send(request).await;
        drop(fixture.client);
        assert_eq!((Read::Failed(polyhost_http::BodyError::Aborted), Sent::Gone), rx.await.unwrap());
        let stopped = fixture.server.stop(std::time::Duration::from_secs(1)).await;
        assert_eq!(0, stopped.cut);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_the_sender_back() {
    const TOTAL: usize = 4 * 1024 * 1024;
    let pending = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = pending.clone();
    let mut fixture = Fixture::with(
        app(move |exchange| {
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut first = Some(head(200, Some(TOTAL as u64)));
                for _ in 0..TOTAL / 4096 {
                    if exchange.send(first.take(), Data::Copied(&[b'x'; 4096]), SendFlags::NONE) == Sent::Pending {
                        counted.fetch_add(1, Ordering::Relaxed);
                        assert!(poll_fn(|cx| exchange.poll_writable(cx)).await);
                    }
                }
                let _ = exchange.send(None, Data::None, LAST);
            });
        }),
        Limits::default(),
        16 * 1024,
    );
    fixture.client.get("/").await;
    assert_eq!(TOTAL, fixture.client.body(TOTAL).await.len());
    assert!(pending.load(Ordering::Relaxed) > 10);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_does_not_read_holds_the_client_back() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let mut fixture = Fixture::with(app(move |exchange| tx.send(exchange).unwrap()), Limits::default(), 4 * 1024);
    fixture.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
    let exchange = rx.recv().await.unwrap();
    let written = async {
        let mut written = 0;
        // With the clock paused, time goes on only when nothing else does.
        while let Ok(n) = tokio::time::timeout(
            std::time::Duration::from_millis(100),
            fixture.client.io.write(&[b'x'; 4096][..4096.min(1_000_000 - written)]),
        )
        .await
        {
            written += n.unwrap();
        }
        written
    }
    .await;
    assert!((64 * 1024..200 * 1024).contains(&written), "{written}");
    let reader = tokio::spawn(async move {
        let mut total = 0;
        while let Read::Data(bytes) = read(exchange).await {
            total += bytes.len();
        }
        answer(exchange, 200, b"done");
        total
    });
    fixture.client.send("x".repeat(1_000_000 - written)).await;
    assert_eq!(1_000_000, reader.await.unwrap());
    assert_eq!("done", fixture.client.body(4).await);
}

#[tokio::test(start_paused = true)]
async fn kept_bytes_are_written_in_order() {
    let mut fixture = Fixture::new(app(|exchange| {
        let _ = exchange.send(Some(head(200, None)), Data::Copied(b"a"), SendFlags::NONE);
        let _ = exchange.send(None, Data::Owned(Bytes::from(vec![b'b'; 20_000])), SendFlags::NONE);
        let _ = exchange.send(None, Data::Copied(b"c"), SendFlags::NONE);
        let _ = exchange.send(None, Data::Owned(Bytes::from(vec![b'd'; 20_000])), LAST);
    }));
    fixture.client.send("GET / HTTP/1.0\r\n\r\n").await;
    let (text, _) = fixture.client.rest().await;
    let (b, d) = ("b".repeat(20_000), "d".repeat(20_000));
    assert!(text.ends_with(&format!("\r\n\r\na{b}c{d}")));
}

#[tokio::test(start_paused = true)]
async fn sends_files_in_pieces_where_it_must() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let content: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    std::io::Write::write_all(&mut file, content.as_bytes()).unwrap();
    let path = file.path().to_owned();
    let mut fixture = Fixture::new(app(move |exchange| {
        let length = exchange.send_file(None, std::path::Path::new("/none"), 0, None, LAST);
        assert!(length.is_err());
        let sent = exchange.send_file(Some(head(200, None)), &path, 10, Some(200_000), LAST);
        assert_eq!(Sent::Accepted, sent.unwrap());
    }));
    fixture.client.send("GET / HTTP/1.0\r\n\r\n").await;
    let (text, _) = fixture.client.rest().await;
    assert_eq!(&content[10..200_010], text.split_once("\r\n\r\n").unwrap().1);
}
