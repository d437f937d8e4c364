//! What must not be lost, or lost silently, when application, client or file do not do their part.

mod support;

use std::fs::File;
use std::future::poll_fn;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use polyhost_http::exchange::FileRange;
use polyhost_http::limits::Limits;
use polyhost_http::{Address, Data, ExchangeId, HttpApp, Read, SendFlags, Sent, Server, Turn};
use support::{Client, Fixture, LAST, Probe, answer, app, connect, head, read, watched};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Panics where its request's path says so.
#[derive(Debug, Default)]
struct Panics {
    exchange: Mutex<Option<ExchangeId>>,
    closed: Mutex<Vec<u32>>,
}

impl HttpApp for Panics {
    fn handle(&self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        assert!(turn.try_inline(), "an earlier one has not left");
        turn.kept = 7;
        *self.exchange.lock().unwrap() = Some(exchange);
        let path = exchange.request(|head| head.path().to_vec()).unwrap();
        match &path[..] {
            b"/at-once" => panic!("on purpose"),
            b"/begun" => {
                let _ = exchange.send(Some(head(200, None)), Data::Copied(b"hello"), SendFlags::NONE);
                panic!("on purpose");
            }
            b"/answered" => {
                answer(exchange, 200, b"hello");
                panic!("on purpose");
            }
            _ => answer(exchange, 200, b"hello"),
        }
    }

    fn connection_closed(&self, kept: u32) {
        self.closed.lock().unwrap().push(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_panics_loses_that_request_only() {
    let app = Arc::new(Panics::default());
    let server = Server::builder(app.clone()).inline_threads(1).start().unwrap();
    let mut other = connect(&server, 64 * 1024);
    for (path, whole) in [("/at-once", false), ("/begun", false), ("/answered", true)] {
        let mut client = connect(&server, 64 * 1024);
        client.get(path).await;
        if whole {
            assert_eq!("hello", client.body(5).await);
            client.get("/hello").await;
            assert_eq!("hello", client.body(5).await, "{path}");
            drop(client);
        } else {
            let (text, _) = client.rest().await;
            assert!(!text.ends_with("0\r\n\r\n"), "{path}: {text}");
            let exchange = app.exchange.lock().unwrap().unwrap();
            assert_eq!(Sent::Gone, exchange.send(None, Data::Copied(b"late"), LAST), "{path}");
        }
        other.get("/hello").await;
        assert_eq!("hello", other.body(5).await, "{path}");
    }
    drop(other);
    assert_eq!(0, server.stop(Duration::from_secs(5)).await.cut);
    assert_eq!([7; 4], app.closed.lock().unwrap()[..]);
}

async fn over_tcp(app: Arc<dyn HttpApp>) -> (Server, Client<TcpStream>) {
    let server = Server::builder(app).listen("127.0.0.1:0".parse().unwrap()).start().unwrap();
    let Address::Tcp(address) = server.addresses()[0] else { panic!("it listens on TCP") };
    (server, Client::new(TcpStream::connect(address).await.unwrap()))
}

#[tokio::test]
async fn a_last_response_arrives_though_the_client_goes_on_sending() {
    watched(async {
        for (request, body) in [
            ("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "hello"),
            ("GET /hello HTTP/1.0\r\n\r\n", "hello"),
            ("GET /close HTTP/1.1\r\nHost: a\r\n\r\n", "bye"),
            ("GET / HTTP/9.9\r\nHost: a\r\n\r\n", "\r\n\r\n"),
        ] {
            let (_server, mut client) = over_tcp(Arc::new(Probe::default())).await;
            // More than is read ahead: what is left at the end would reset the connection.
            let more = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3000);
            client.send(request.to_owned() + &more).await;
            let (text, proper) = client.rest().await;
            assert!(proper && text.ends_with(body), "{request}: {text}");
            // Other systems than Linux would have thrown the response away by now.
            assert!(client.io.take_error().unwrap().is_none(), "{request}: reset");
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_that_became_shorter_cuts_its_response() {
    watched(async {
        let handle = app(|exchange| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&[b'x'; 100_000]).unwrap();
            let file: Arc<File> = Arc::new(file);
            let range = FileRange::new(file.clone(), 0, None).unwrap();
            file.set_len(10).unwrap();
            assert_eq!(Sent::Accepted, exchange.send_range(Some(head(200, None)), range, LAST));
        });
        for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let (_server, mut client) = over_tcp(handle.clone()).await;
            client.send(request).await;
            let (text, proper) = client.rest().await;
            // An orderly end would make it complete on HTTP/1.0.
            assert!(!proper, "{text}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_is_too_short_is_cut_on_a_thread_of_the_application() {
    watched(async {
        let (tx, mut rx) = mpsc::unbounded_channel();
        let mut fixture = Fixture::new(app(move |exchange| tx.send(exchange).unwrap()));
        fixture.client.get("/").await;
        let exchange = rx.recv().await.unwrap();
        // Where the connection's task waits by now, it is this thread that cuts it, and it has no runtime.
        let thread = std::thread::spawn(move || {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&[b'x'; 1000]).unwrap();
            let range = FileRange::new(Arc::new(file), 0, None).unwrap();
            let sent = exchange.send_range(Some(head(200, Some(2000))), range, LAST);
            assert_eq!(Sent::Accepted, sent);
        });
        thread.join().unwrap();
        let (text, _) = fixture.client.rest().await;
        assert!(text.is_empty() || text.contains("Content-Length: 2000"), "{text}");
    })
    .await;
}

/// Threads of an application come and go, and may be the ones that put slots back.
#[test]
fn slots_outlive_the_threads_that_put_them_back() {
    use polyhost_http::exchange::Front;
    use polyhost_http::head::{Parts, Version};
    use polyhost_http::{ConnectionInfo, Endpoint};

    const THREADS: usize = 100;
    let slots: std::collections::HashSet<usize> = (0..THREADS)
        .map(|_| {
            let thread = std::thread::spawn(|| {
                let info = Arc::new(ConnectionInfo::new(1, Endpoint::Unnamed, Endpoint::Unnamed, false));
                let headers = [(&b"host"[..], &b"a"[..])].into_iter();
                let version = Version::Http11;
                let parts = Parts { method: b"GET", target: b"/", version, host: None, headers, has_body: false };
                let mut front = Front::new();
                front.fill(|head| head.fill(parts, &Limits::default())).unwrap();
                let (exchange, ()) = front.begin(&info, &Limits::default(), |_| ());
                exchange.release();
                std::ptr::from_ref(exchange.parts().0) as usize
            });
            thread.join().unwrap()
        })
        .collect();
    // Other tests take some meanwhile.
    assert!(slots.len() < THREADS / 2, "{} slots", slots.len());
}

/// How much a client can send until nobody takes it. With the clock paused, time goes on only when nothing else does.
async fn sendable(client: &mut Client<tokio::io::DuplexStream>, bytes: &[u8]) -> usize {
    use tokio::io::AsyncWriteExt;
    let mut sent = 0;
    while sent < bytes.len() {
        let write = client.io.write(&bytes[sent..bytes.len().min(sent + 1024)]);
        match tokio::time::timeout(Duration::from_millis(100), write).await {
            Ok(n) => sent += n.unwrap(),
            Err(_) => break,
        }
    }
    sent
}

async fn rest_of_body(exchange: ExchangeId) -> usize {
    let mut total = 0;
    while let Read::Data(bytes) = read(exchange).await {
        total += bytes.len();
    }
    answer(exchange, 200, b"done");
    total
}

#[tokio::test(start_paused = true)]
async fn small_chunks_that_nobody_reads_take_little_memory() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let mut fixture = Fixture::with(app(move |exchange| tx.send(exchange).unwrap()), Limits::default(), 4 * 1024);
    fixture.client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let exchange = rx.recv().await.unwrap();
    let chunks = "1\r\nx\r\n".repeat(50_000) + "0\r\n\r\n";
    let sent = sendable(&mut fixture.client, chunks.as_bytes()).await;
    assert!(sent < 30_000, "{sent} bytes of chunks of one byte");
    let reader = tokio::spawn(rest_of_body(exchange));
    fixture.client.send(&chunks[sent..]).await;
    assert_eq!(50_000, reader.await.unwrap());
    assert_eq!("done", fixture.client.body(4).await);
}

#[tokio::test(start_paused = true)]
async fn the_request_buffer_may_be_small() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let limits = Limits { max_request_buffer_size: 1, ..Limits::default() };
    let mut fixture = Fixture::with(app(move |exchange| tx.send(exchange).unwrap()), limits, 1024);
    fixture.client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n").await;
    let exchange = rx.recv().await.unwrap();
    let body = vec![b'x'; 200_000];
    let sent = sendable(&mut fixture.client, &body).await;
    assert!(sent < 10_000, "{sent} bytes");
    let reader = tokio::spawn(rest_of_body(exchange));
    fixture.client.send(&body[sent..]).await;
    assert_eq!(200_000, reader.await.unwrap());
    assert_eq!("done", fixture.client.body(4).await);
}

#[tokio::test(start_paused = true)]
async fn the_response_buffer_may_be_none() {
    for most in [0, 1, 2] {
        let limits = Limits { max_response_buffer_size: most, ..Limits::default() };
        let handle = app(|exchange| {
            tokio::spawn(async move {
                let mut first = Some(head(200, Some(30_000)));
                for _ in 0..3 {
                    let sent = exchange.send(first.take(), Data::Copied(&[b'x'; 10_000]), SendFlags::NONE);
                    assert_eq!(Sent::Pending, sent);
                    assert!(poll_fn(|cx| exchange.poll_writable(cx)).await);
                }
                let _ = exchange.send(None, Data::None, LAST);
            });
        });
        let mut fixture = Fixture::with(handle, limits, 1024);
        fixture.client.get("/").await;
        watched(async { assert_eq!(30_000, fixture.client.body(30_000).await.len()) }).await;
    }
}

/// The same for who is told of events, as .NET is, and does not ask.
#[tokio::test(start_paused = true)]
async fn a_sender_that_was_told_to_wait_is_told_to_go_on() {
    use polyhost_http::Events;

    struct Told(tokio::sync::Notify);
    impl Events for Told {
        fn body_ready(&self, _: u32, _: u32) {}
        fn writable(&self, _: u32, _: u32) {
            self.0.notify_one();
        }
        fn aborted(&self, _: u32, _: u32) {}
    }
    static TOLD: Told = Told(tokio::sync::Notify::const_new());

    for most in [0, 1, 64 * 1024] {
        let limits = Limits { max_response_buffer_size: most, ..Limits::default() };
        let handle = app(|exchange| {
            tokio::spawn(async move {
                assert!(exchange.listen(&TOLD, 0));
                let sent = exchange.send(Some(head(200, None)), Data::Copied(&[b'x'; 100_000]), SendFlags::NONE);
                assert_eq!(Sent::Pending, sent);
                TOLD.0.notified().await;
                let _ = exchange.send(None, Data::Copied(b"the end"), LAST);
            });
        });
        let mut fixture = Fixture::with(handle, limits, 1024);
        fixture.client.get("/").await;
        watched(fixture.client.until("the end")).await;
    }
}
