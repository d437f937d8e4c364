//! Timeouts, ends, and threads.

mod support;

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use polyhost_http::limits::Limits;
use polyhost_http::{Data, ExchangeId, HttpApp, SendFlags, Server, Turn};
use support::{Client, Fixture, LAST, Probe, answer, app, connect, echo, head, watched};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

fn probe() -> Fixture {
    Fixture::new(Arc::new(Probe::default()))
}

/// Time that has passed on the paused clock is between a limit and the beats after it.
fn check_elapsed(start: Instant, limit: u64) {
    let elapsed = start.elapsed().as_secs();
    assert!((limit..=limit + 3).contains(&elapsed), "{elapsed} s, expected {limit}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends() {
    let mut fixture = probe();
    let start = Instant::now();
    assert_eq!((String::new(), true), fixture.client.rest().await);
    check_elapsed(start, 130);
}

#[tokio::test(start_paused = true)]
async fn a_connection_idles_anew_after_a_request() {
    let mut fixture = probe();
    tokio::time::sleep(Duration::from_secs(100)).await;
    fixture.client.get("/hello").await;
    fixture.client.body(5).await;
    let start = Instant::now();
    assert_eq!((String::new(), true), fixture.client.rest().await);
    check_elapsed(start, 130);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_takes_too_long_is_answered() {
    let mut fixture = probe();
    fixture.client.send("GET / HT").await;
    let start = Instant::now();
    assert!(fixture.client.rest().await.0.starts_with("HTTP/1.1 408 "));
    check_elapsed(start, 30);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_too_slowly_fails() {
    let mut fixture = probe();
    fixture.client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await;
    let start = Instant::now();
    assert!(fixture.client.until("too slowly").await.starts_with("HTTP/1.1 400 "));
    check_elapsed(start, 5);
}

#[tokio::test(start_paused = true)]
async fn a_steady_body_may_take_long() {
    let mut fixture = probe();
    fixture.client.send("POST /echo HTTP/1.0\r\nContent-Length: 30000\r\n\r\n").await;
    for _ in 0..100 {
        fixture.client.send("x".repeat(300)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(fixture.client.rest().await.0.ends_with(&"x".repeat(30_000)));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_taken_is_cut() {
    let mut fixture = Fixture::with(
        app(|exchange| {
            let _ = exchange.send(Some(head(200, None)), Data::Owned(vec![b'x'; 4000].into()), LAST);
        }),
        Limits::default(),
        1000,
    );
    fixture.client.get("/").await;
    let start = Instant::now();
    while fixture.server.connections() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // All but the 1,000 bytes that the pipe takes, at 240 a second.
    check_elapsed(start, 13);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_taken_steadily_may_take_long() {
    let handle = app(|exchange| {
        tokio::spawn(async move {
            // The limit of the first bytes that wait is not that of those behind them.
            let _ = exchange.send(Some(head(200, Some(60_100))), Data::Copied(&[b'x'; 100]), SendFlags::NONE);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = exchange.send(None, Data::Copied(&[b'x'; 60_000]), LAST);
        });
    });
    let mut fixture = Fixture::with(handle, Limits::default(), 16);
    fixture.client.get("/").await;
    let mut taken = 0;
    loop {
        let mut piece = [0; 1000];
        match fixture.client.io.read(&mut piece).await.unwrap() {
            0 => break,
            n => taken += n,
        }
        // 16 bytes at a time, at 256 a second: just fast enough.
        tokio::time::sleep(Duration::from_millis(62)).await;
        if taken > 60_100 {
            return;
        }
    }
    panic!("it ended after {taken} bytes");
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_an_unread_body_has_five_seconds() {
    let mut fixture = probe();
    fixture.client.send("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await;
    let start = Instant::now();
    assert!(fixture.client.rest().await.0.ends_with("ignored"));
    check_elapsed(start, 5);
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_requests_finish() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let Fixture { server, mut client } = Fixture::new(app(move |exchange| tx.send(exchange).unwrap()));
    let mut idle = connect(&server, 1024);
    client.get("/").await;
    let exchange = rx.recv().await.unwrap();
    let stopped = tokio::spawn(server.stop(Duration::from_secs(30)));
    assert_eq!((String::new(), true), idle.rest().await);
    answer(exchange, 200, b"done");
    let (text, _) = client.rest().await;
    assert!(text.contains("Connection: close") && text.ends_with("done"), "{text}");
    assert_eq!(0, stopped.await.unwrap().cut);
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_what_was_sent_before_it() {
    let server = Server::builder(Arc::new(Probe::default())).start().unwrap();
    let (ours, theirs) = tokio::io::duplex(1024);
    let mut client = Client::new(ours);
    client.get("/hello").await;
    server.connect(theirs, polyhost_http::Endpoint::Unnamed, polyhost_http::Endpoint::Unnamed, false);
    // Nobody has read it yet when the stop comes, as there is one thread, and this has it.
    let mut stopping = Box::pin(server.stop(Duration::from_secs(30)));
    assert!(stopping.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let (text, _) = client.rest().await;
    assert!(text.contains("Connection: close") && text.ends_with("hello"), "{text}");
    drop(client);
    assert_eq!(0, stopping.await.cut);
}

#[tokio::test(start_paused = true)]
async fn empty_lines_are_no_request_that_a_stop_waits_for() {
    for lines in ["\r", "\r\n", "\r\n\r\n"] {
        let Fixture { server, mut client } = probe();
        client.send(format!("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n{lines}")).await;
        assert_eq!("hello", client.body(5).await);
        let start = Instant::now();
        assert_eq!(0, server.stop(Duration::from_secs(20)).await.cut, "{lines:?}");
        assert_eq!(Duration::ZERO, start.elapsed(), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn empty_lines_do_not_begin_a_request() {
    let mut fixture = probe();
    fixture.client.send("\r\n").await;
    let start = Instant::now();
    assert_eq!((String::new(), true), fixture.client.rest().await);
    check_elapsed(start, 130);
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_what_does_not_finish() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let Fixture { server, mut client } = Fixture::new(app(move |exchange| tx.send(exchange).unwrap()));
    client.get("/").await;
    let exchange = rx.recv().await.unwrap();
    let start = Instant::now();
    assert_eq!(1, server.stop(Duration::from_secs(30)).await.cut);
    check_elapsed(start, 30);
    assert_eq!("", client.rest().await.0);
    // The application was told, and releases late.
    std::future::poll_fn(|cx| exchange.poll_aborted(cx)).await;
    exchange.release();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_is_told_after_the_last_release() {
    #[derive(Debug, Default)]
    struct Late {
        exchange: Mutex<Option<ExchangeId>>,
        closed: Mutex<Vec<u32>>,
        seen: tokio::sync::Notify,
    }
    impl HttpApp for Late {
        fn handle(&self, exchange: ExchangeId, turn: &mut Turn<'_>) {
            turn.kept = 7;
            *self.exchange.lock().unwrap() = Some(exchange);
            self.seen.notify_one();
        }
        fn connection_closed(&self, kept: u32) {
            self.closed.lock().unwrap().push(kept);
        }
    }
    let app = Arc::new(Late::default());
    let Fixture { server, mut client } = Fixture::new(app.clone());
    client.get("/").await;
    app.seen.notified().await;
    assert_eq!(1, server.stop(Duration::ZERO).await.cut);
    client.rest().await;
    assert!(app.closed.lock().unwrap().is_empty());
    app.exchange.lock().unwrap().unwrap().release();
    assert_eq!([7], app.closed.lock().unwrap()[..]);
}

#[tokio::test]
async fn answers_over_tcp_from_another_thread() {
    watched(async {
        let server =
            Server::builder(Arc::new(Probe::default())).listen("127.0.0.1:0".parse().unwrap()).start().unwrap();
        let polyhost_http::Address::Tcp(address) = server.addresses()[0].clone() else { panic!() };
        let mut client = Client::new(TcpStream::connect(address).await.unwrap());
        for _ in 0..100 {
            client.get("/thread").await;
            assert_eq!("helloworld", client.body(10).await);
        }
        client.get("/kept").await;
        assert_eq!("1", client.body(1).await);
    })
    .await;
}

#[tokio::test]
async fn a_cut_connection_is_reset() {
    watched(async {
        let server =
            Server::builder(Arc::new(Probe::default())).listen("127.0.0.1:0".parse().unwrap()).start().unwrap();
        let polyhost_http::Address::Tcp(address) = server.addresses()[0].clone() else { panic!() };
        let mut client = Client::new(TcpStream::connect(address).await.unwrap());
        client.send("GET /cut HTTP/1.0\r\n\r\n").await;
        let mut bytes = Vec::new();
        let error = client.io.read_to_end(&mut bytes).await.unwrap_err();
        assert_eq!(std::io::ErrorKind::ConnectionReset, error.kind());
    })
    .await;
}

#[tokio::test]
async fn sends_files_over_sockets() {
    watched(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: String = (0..400_000).map(|n| format!("{n}\n")).collect();
        std::fs::write(&path, &content).unwrap();
        let socket = folder.path().join("socket");
        let file = path.clone();
        let server = Server::builder(app(move |exchange| {
            let length = std::fs::metadata(&file).unwrap().len();
            let sent = exchange.send_file(Some(head(200, Some(length))), &file, 0, None, SendFlags::NONE);
            let _ = sent.unwrap();
            let _ = exchange.send(None, Data::None, LAST);
        }))
        .listen("127.0.0.1:0".parse().unwrap())
        .listen(polyhost_http::Address::Unix(socket.clone()))
        .start()
        .unwrap();
        let polyhost_http::Address::Tcp(address) = server.addresses()[0].clone() else { panic!() };
        let mut tcp = Client::new(TcpStream::connect(address).await.unwrap());
        tcp.get("/").await;
        assert!(content == tcp.body(content.len()).await);
        let mut unix = Client::new(UnixStream::connect(&socket).await.unwrap());
        unix.get("/").await;
        assert!(content == unix.body(content.len()).await);
        server.stop(Duration::from_secs(5)).await;
        assert!(!socket.exists());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn echoes_much_on_several_threads() {
    watched(async {
        let server = Server::builder(app(|exchange| {
            tokio::spawn(echo(exchange));
        }))
        .listen("127.0.0.1:0".parse().unwrap())
        .start()
        .unwrap();
        let polyhost_http::Address::Tcp(address) = server.addresses()[0].clone() else { panic!() };
        let clients: Vec<_> = (0..8).map(|n| tokio::spawn(echo_much(address, n))).collect();
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(0, server.stop(Duration::from_secs(30)).await.cut);
    })
    .await;
}

/// Sends two megabytes and receives them at the same time, some times on one connection.
async fn echo_much(address: std::net::SocketAddr, seed: u8) {
    let body: Vec<u8> = (0..2_000_000_u32).map(|n| (n.wrapping_mul(31) >> 3) as u8 ^ seed).collect();
    let (mut from, mut to) = TcpStream::connect(address).await.unwrap().into_split();
    for _ in 0..3 {
        let sent = body.clone();
        let sender = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sent.len());
            to.write_all(head.as_bytes()).await.unwrap();
            to.write_all(&sent).await.unwrap();
            to
        });
        assert!(body == read_chunked(&mut from).await);
        to = sender.await.unwrap();
    }
}

async fn read_chunked(from: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut buffered = tokio::io::BufReader::with_capacity(1, from);
    let mut body = Vec::new();
    while read_line(&mut buffered).await != "\r\n" {}
    loop {
        let size = usize::from_str_radix(read_line(&mut buffered).await.trim(), 16).unwrap();
        let start = body.len();
        body.resize(start + size, 0);
        buffered.read_exact(&mut body[start..]).await.unwrap();
        assert_eq!("\r\n", read_line(&mut buffered).await);
        if size == 0 {
            return body;
        }
    }
}

async fn read_line(from: &mut (impl tokio::io::AsyncBufReadExt + Unpin)) -> String {
    let mut line = String::new();
    from.read_line(&mut line).await.unwrap();
    line
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let error = Server::builder(Arc::new(Probe::default())).listen(address.into()).start().unwrap_err();
    assert_eq!(
        format!(
            "cannot listen on http://{address}: the address is in use by another process; stop that, or listen on another"
        ),
        error.to_string()
    );
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let start =
        || Server::builder(Arc::new(Probe::default())).listen(polyhost_http::Address::Unix(path.clone())).start();
    // Closing a listener leaves its file.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = start().unwrap();
    assert!(start().is_err());
    server.stop(Duration::ZERO).await;
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    assert!(start().is_err());
    assert_eq!("precious", std::fs::read_to_string(&path).unwrap());
}

#[tokio::test]
async fn refuses_connections_over_the_limit() {
    watched(async {
        let server = Server::builder(Arc::new(Probe::default()))
            .listen("127.0.0.1:0".parse().unwrap())
            .max_connections(1)
            .start()
            .unwrap();
        let polyhost_http::Address::Tcp(address) = server.addresses()[0].clone() else { panic!() };
        let mut first = Client::new(TcpStream::connect(address).await.unwrap());
        first.get("/hello").await;
        assert_eq!("hello", first.body(5).await);
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(0, second.read(&mut [0; 16]).await.unwrap_or(0));
        first.get("/hello").await;
        assert_eq!("hello", first.body(5).await);
    })
    .await;
}

#[tokio::test]
async fn only_some_threads_are_inside() {
    use polyhost_http::app::InlineLimit;
    use polyhost_http::{ConnectionInfo, Endpoint};
    let limit = InlineLimit::new(1);
    let info = Arc::new(ConnectionInfo::new(1, Endpoint::Unnamed, Endpoint::Unnamed, false));
    let mut first = Turn::new(0, &info, &limit);
    let mut second = Turn::new(0, &info, &limit);
    assert!(first.try_inline() && first.try_inline());
    assert!(!second.try_inline());
    drop(first);
    assert!(second.try_inline());
}
