//! The admin pages of a server whose threads are all held by its application.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use polyhost_http::admin::Admin;
use polyhost_http::observe::{Observer, ObserverConfig};
use polyhost_http::{Address, HttpApp, Server, Turn};
use support::{App, answer};
use tokio::runtime::Builder;

fn address(server: &Server) -> SocketAddr {
    let Address::Tcp(address) = server.addresses()[0] else { panic!("it listens on TCP") };
    address
}

fn get(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

fn response(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn admin_pages_tell_while_all_threads_are_held() {
    const THREADS: usize = 2;
    let (held, holds) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let app: Arc<dyn HttpApp> = Arc::new(App(move |exchange, _: &mut Turn<'_>| {
        held.send(()).unwrap();
        // Until the test lets go of the other end.
        let _ = gate.lock().unwrap().recv();
        answer(exchange, 200, b"hello");
    }));
    let slow_inline = Duration::ZERO;
    let observer = Arc::new(Observer::new(ObserverConfig { slow_inline, ..ObserverConfig::default() }));
    let (threads, own) = (
        Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
    );
    let start = |runtime: &tokio::runtime::Runtime, app, observer: Option<&Arc<Observer>>| {
        let _inside = runtime.enter();
        let builder = Server::builder(app).listen("127.0.0.1:0".parse().unwrap());
        observer.cloned().into_iter().fold(builder, |builder, observer| builder.observe(observer)).start().unwrap()
    };
    let server = start(&threads, app, Some(&observer));
    let admin = start(&own, Arc::new(Admin::new(observer.clone(), || Ok(()))), None);

    let waiting: Vec<_> = (0..THREADS).map(|n| get(address(&server), &format!("/held/{n}"))).collect();
    for _ in 0..THREADS {
        holds.recv().unwrap();
    }
    assert!(response(get(address(&admin), "/healthz")).ends_with("\r\n\r\nlive\n"));
    assert!(response(get(address(&admin), "/readyz")).ends_with("\r\n\r\nready\n"));
    let metrics = response(get(address(&admin), "/metrics"));
    assert!(metrics.contains("\npolyhost_http_requests_in_flight 2\n"), "{metrics}");
    let requests = response(get(address(&admin), "/requests"));
    for n in 0..THREADS {
        let part = format!("\"path\":\"/held/{n}\",\"place\":\"io_thread\",\"for_ms\":");
        assert!(requests.contains(&part), "{part} is not in {requests}");
    }
    drop(go);
    for stream in waiting {
        assert!(response(stream).ends_with("hello"));
    }
}
