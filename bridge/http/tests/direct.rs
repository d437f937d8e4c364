//! Whoever completes a response writes it.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use polyhost_http::{ExchangeId, Server};
use support::{answer, app};
use tokio::runtime::{Builder, Runtime};

const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
/// Far beyond what anything takes here: a test that hangs should fail.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

/// A server whose exchanges come out of a channel.
fn serve(runtime: &Runtime) -> (Server, TcpStream, mpsc::Receiver<ExchangeId>) {
    let _inside = runtime.enter();
    let (sender, exchanges) = mpsc::channel();
    let app = app(move |exchange| sender.send(exchange).expect("the test listens"));
    let server = Server::builder(app).listen("127.0.0.1:0".parse().unwrap()).start().unwrap();
    let client = connect(&server);
    (server, client, exchanges)
}

fn connect(server: &Server) -> TcpStream {
    let address = server.addresses()[0].to_string();
    let client = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    client.set_read_timeout(PATIENCE).unwrap();
    client
}

fn response(client: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"hello") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a response comes");
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

/// Lets the server work until it has handed over a request, and has nothing else to do.
fn next(runtime: &Runtime, exchanges: &mpsc::Receiver<ExchangeId>) -> ExchangeId {
    runtime.block_on(async {
        loop {
            match exchanges.try_recv() {
                Ok(exchange) => {
                    tokio::task::yield_now().await;
                    return exchange;
                }
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
}

#[test]
fn a_response_is_written_while_no_io_thread_runs() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (_server, mut client, exchanges) = serve(&runtime);
    for _ in 0..3 {
        client.write_all(REQUEST).unwrap();
        let exchange = next(&runtime, &exchanges);
        // From here on nothing polls the connection's task.
        thread::scope(|scope| scope.spawn(|| answer(exchange, 200, b"hello")).join()).unwrap();
        assert!(response(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn the_next_request_waits_for_the_io_thread() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (_server, mut client, exchanges) = serve(&runtime);
    client.write_all(&REQUEST.repeat(2)).unwrap();
    let first = next(&runtime, &exchanges);
    answer(first, 200, b"hello");
    assert!(exchanges.try_recv().is_err(), "an application is not called within its own call");
    let second = next(&runtime, &exchanges);
    answer(second, 200, b"hello");
    runtime.block_on(tokio::task::yield_now());
    for _ in 0..2 {
        response(&mut client);
    }
}

/// Threads complete responses while I/O threads read requests: every request gets its response, in its place.
#[test]
fn tasks_and_finishing_threads_take_turns() {
    let (threads, connections, rounds) = if cfg!(miri) { (2, 1, 2) } else { (4, 8, 200) };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (server, _client, exchanges) = serve(&runtime);
    let exchanges = Arc::new(std::sync::Mutex::new(exchanges));
    for _ in 0..threads {
        let exchanges = exchanges.clone();
        thread::spawn(move || {
            // Ends with the server, which holds the other end.
            while let Ok(exchange) = { exchanges.lock().unwrap().recv() } {
                answer(exchange, 200, b"hello");
            }
        });
    }
    thread::scope(|scope| {
        for depth in 0..connections {
            let mut client = connect(&server);
            scope.spawn(move || {
                for round in 0..rounds {
                    let requests = (depth + round) % 4 + 1;
                    client.write_all(&REQUEST.repeat(requests)).unwrap();
                    for _ in 0..requests {
                        assert!(response(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
                    }
                }
            });
        }
    });
    assert!(runtime.block_on(server.stop(Duration::from_secs(60))).cut == 0);
}
