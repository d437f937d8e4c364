//! Access log, metrics, slow requests, spans, and the admin pages that show them.

mod support;

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use polyhost_http::admin::Admin;
use polyhost_http::log::{AccessLog, LogFormat};
use polyhost_http::metrics::Exposition;
use polyhost_http::observe::{Observer, ObserverConfig};
use polyhost_http::{HttpApp, Server, Turn};
use support::{App, Client, Probe, answer, connect, watched};
use tokio::io::DuplexStream;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata};

const TRACE: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

/// Text that a log or a subscriber writes to.
#[derive(Debug, Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Text {
    fn read(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Watched {
    observer: Arc<Observer>,
    server: Server,
    client: Client<DuplexStream>,
    lines: Text,
}

impl Watched {
    fn new(app: Arc<dyn HttpApp>, format: LogFormat) -> Self {
        Self::with(app, format, ObserverConfig::default())
    }

    fn with(app: Arc<dyn HttpApp>, format: LogFormat, config: ObserverConfig) -> Self {
        notes();
        let lines = Text::default();
        let access = Some(AccessLog::start(format, lines.clone()).unwrap());
        let observer = Arc::new(Observer::new(ObserverConfig { access, ..config }));
        let server = Server::builder(app).inline_threads(1).observe(observer.clone()).start().unwrap();
        let client = connect(&server, 64 * 1024);
        Watched { observer, server, client, lines }
    }

    /// Ends the server and returns the log.
    async fn log(self) -> String {
        drop(self.client);
        self.server.stop(Duration::from_secs(60)).await;
        assert!(self.observer.access_log().unwrap().flush(Duration::from_secs(60)));
        self.lines.read()
    }

    fn check_metrics(&self, expected: &[&str]) {
        let mut out = Exposition::default();
        self.observer.write_metrics(&mut out);
        let text = out.into_text();
        for line in expected {
            assert!(text.lines().any(|it| it == *line), "{line} is not in\n{text}");
        }
    }
}

fn probe(format: LogFormat) -> Watched {
    Watched::new(Arc::new(Probe::default()), format)
}

/// What a JSON line says, but for its times.
fn check_json(line: &str, expected: &[&str]) {
    for part in expected {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[tokio::test]
async fn every_request_has_a_line() {
    let mut it = probe(LogFormat::Combined);
    it.client
        .send("GET /hello?q=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\n\r\nHEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    it.client.body(5).await;
    it.client.until("\r\n\r\n").await;
    it.client.get("/two").await;
    it.client.until("0\r\n\r\n").await;
    let log = it.log().await;
    let ends: Vec<_> = log.lines().map(|line| line.split_once("] ").unwrap().1).collect();
    let expected = [
        r#""GET /hello?q=1 HTTP/1.1" 200 5 "-" "me""#,
        r#""HEAD /hello HTTP/1.1" 200 - "-" "-""#,
        r#""GET /two HTTP/1.1" 200 2003 "-" "-""#,
    ];
    assert_eq!(expected, *ends);
}

#[tokio::test]
async fn a_json_line_has_the_ids() {
    let mut it = probe(LogFormat::Json);
    it.client.send(format!("GET /hello HTTP/1.1\r\nHost: a\r\n{TRACE}\r\n")).await;
    it.client.body(5).await;
    let expected = [
        r#""connection":"0000000000001","request":"0000000000001:00000001","method":"GET","target":"/hello""#,
        r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736""#,
        r#""status":200,"bytes":5,"duration_ms":"#,
        r#""inline":false,"outcome":"complete"}"#,
    ];
    check_json(&it.log().await, &expected);
}

#[tokio::test]
async fn requests_that_fail_have_a_line_too() {
    let mut it = probe(LogFormat::Json);
    it.client.get("/cut").await;
    it.client.rest().await;
    it.client = connect(&it.server, 64);
    it.client.get("/forgotten").await;
    it.client.rest().await;
    it.client = connect(&it.server, 1024);
    it.client.get("/badhead").await;
    it.client.rest().await;
    it.client = connect(&it.server, 64);
    it.client.send("GET / HTTP/1.1\r\n\r\n").await;
    it.client.rest().await;
    it.check_metrics(&[
        r#"polyhost_http_requests_refused_total{code="400"} 1"#,
        r#"polyhost_http_requests_aborted_total{by="server"} 2"#,
        r#"polyhost_http_requests_total{method="GET",code="5xx"} 3"#,
        "polyhost_http_requests_in_flight 0",
    ]);
    let log = it.log().await;
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(4, lines.len(), "{log}");
    check_json(lines[0], &[r#""target":"/cut""#, r#""outcome":"cut""#]);
    check_json(lines[1], &[r#""target":"/forgotten""#, r#""status":500,"bytes":0"#, r#""outcome":"cut""#]);
    check_json(lines[2], &[r#""target":"/badhead""#, r#""status":500,"bytes":0"#, r#""outcome":"complete""#]);
    check_json(lines[3], &[r#""status":400,"bytes":0"#, r#""outcome":"refused""#]);
}

#[tokio::test]
async fn what_a_stop_cuts_is_in_the_log_when_the_stop_is_over() {
    let mut it = Watched::new(Arc::new(Places::default()), LogFormat::Json);
    it.client.get("/later").await;
    while it.server.connections() == 0 || !it.observer.slow_requests().contains("\"in_flight\":1") {
        tokio::task::yield_now().await;
    }
    assert_eq!(1, it.server.stop(Duration::ZERO).await.cut);
    assert!(it.observer.access_log().unwrap().flush(Duration::from_secs(60)));
    check_json(&it.lines.read(), &[r#""target":"/later""#, r#""status":500,"bytes":0"#, r#""outcome":"cut""#]);
}

#[tokio::test]
async fn a_client_that_leaves_is_told_of() {
    let app = Arc::new(Probe::default());
    let mut it = Watched::new(app.clone(), LogFormat::Json);
    it.client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab").await;
    it.client.until("ab").await;
    check_json(&it.log().await, &[r#""status":200"#, r#""outcome":"client_gone""#]);
}

#[tokio::test]
async fn everything_is_counted() {
    let mut it = probe(LogFormat::Common);
    let request = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    it.client.send(request).await;
    it.client.body(5).await;
    it.client.send("POST /empty HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    it.client.until("\r\n\r\n").await;
    drop(it.client);
    it.server.stop(Duration::from_secs(60)).await;
    let mut out = Exposition::default();
    it.observer.write_metrics(&mut out);
    let text = out.into_text();
    for line in [
        r#"polyhost_http_requests_total{method="GET",code="2xx"} 1"#,
        r#"polyhost_http_requests_total{method="POST",code="2xx"} 1"#,
        "polyhost_http_requests_in_flight 0",
        r#"polyhost_http_dispatched_total{to="pool"} 2"#,
        "polyhost_http_received_bytes_total 84",
        "polyhost_http_connections_accepted_total 1",
        "polyhost_http_request_duration_seconds_count 2",
        r#"polyhost_http_request_stage_seconds_count{stage="wait"} 2"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("polyhost_http_sent_bytes_total 0"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_responses_does_not_fill_the_log() {
    use tokio::io::AsyncWriteExt;
    let mut it = probe(LogFormat::Json);
    it.client = connect(&it.server, 256);
    let request = format!("GET /hello HTTP/1.1\r\nHost: a\r\nUser-Agent: {}\r\n\r\n", "x".repeat(30_000));
    let mut sent = 0;
    // With the clock paused, time goes on only when nothing else does.
    while tokio::time::timeout(Duration::from_millis(100), it.client.io.write_all(request.as_bytes())).await.is_ok() {
        sent += 1;
        assert!(sent < 20, "{sent} requests wait for their lines");
    }
}

/// Answers `/inline` on the I/O thread, and `/later` when it is let.
#[derive(Debug, Default)]
struct Places {
    go: Arc<tokio::sync::Notify>,
}

impl HttpApp for Places {
    fn handle(&self, exchange: polyhost_http::ExchangeId, turn: &mut Turn<'_>) {
        if exchange.request(|head| head.path() == b"/inline") == Some(true) {
            assert!(turn.try_inline());
            return answer(exchange, 200, b"hello");
        }
        let go = self.go.clone();
        tokio::spawn(async move {
            go.notified().await;
            answer(exchange, 200, b"hello");
        });
    }
}

#[tokio::test]
async fn slow_requests_are_listed() {
    let app = Arc::new(Places::default());
    let config = ObserverConfig { slow_inline: Duration::ZERO, slow_request: Duration::ZERO, ..Default::default() };
    let mut it = Watched::with(app.clone(), LogFormat::Json, config);
    it.client.get("/inline").await;
    it.client.body(5).await;
    let slow = it.observer.slow_requests();
    let before = r#"{"in_flight":0,"now":[],"before":[{"method":"GET","path":"/inline","place":"io_thread","times":1,"#;
    assert!(slow.starts_with(before), "{slow}");
    it.client.get("/later").await;
    while !it.observer.slow_requests().contains("\"in_flight\":1") {
        tokio::task::yield_now().await;
    }
    let slow = it.observer.slow_requests();
    let now = r#"{"in_flight":1,"now":[{"method":"GET","path":"/later","place":"application","for_ms":"#;
    assert!(slow.starts_with(now) && slow.contains(r#""request":"0000000000001:00000002"}"#), "{slow}");
    app.go.notify_one();
    it.client.body(5).await;
    it.check_metrics(&[
        r#"polyhost_http_requests_slow_total{place="io_thread"} 2"#,
        r#"polyhost_http_requests_slow_total{place="application"} 1"#,
        r#"polyhost_http_dispatched_total{to="inline"} 1"#,
    ]);
    assert!(it.observer.slow_requests().contains(r#""now":[],"before":["#));
    check_json(it.log().await.lines().next().unwrap(), &[r#""inline":true"#]);
}

#[tokio::test]
async fn admin_pages_tell() {
    notes();
    let observer = Arc::new(Observer::new(ObserverConfig::default()));
    let ready = Arc::new(Mutex::new(Err("starting")));
    let asked = ready.clone();
    let admin = Admin::new(observer, move || *asked.lock().unwrap()).metrics(|out| {
        out.gauge("mine", "Something.").sample(&[("a", "b")], 7);
    });
    let server = Server::builder(Arc::new(admin)).start().unwrap();
    let mut client = connect(&server, 64 * 1024);
    let mut check = async |request: &str, status: &str, end: &str| {
        client.send(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let response = client.until(end).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    };
    check("GET /healthz", "200", "\r\n\r\nlive\n").await;
    check("GET /readyz", "503", "\r\n\r\nstarting\n").await;
    *ready.lock().unwrap() = Ok(());
    check("GET /readyz", "200", "\r\n\r\nready\n").await;
    check("GET /metrics", "200", "# TYPE mine gauge\nmine{a=\"b\"} 7\n").await;
    check("GET /requests", "200", "\r\n\r\n{\"in_flight\":0,\"now\":[],\"before\":[]}\n").await;
    check("HEAD /healthz", "200", "\r\n\r\n").await;
    check("POST /healthz", "405", "only GET and HEAD\n").await;
    check("GET /", "404", "/requests\n").await;
}

/// A subscriber that writes down spans and warnings, for the test of each thread.
///
/// One for the process, set before any test does something: tracing keeps what a subscriber of one thread wants for all.
struct Notes;

thread_local! {
    static NOTES: Text = Text::default();
}

/// What is written down on this thread from now on.
fn notes() -> Text {
    static SET: Once = Once::new();
    SET.call_once(|| tracing::subscriber::set_global_default(Notes).unwrap());
    NOTES.with(|notes| {
        // An earlier test may have run on this thread.
        notes.0.lock().unwrap().clear();
        notes.clone()
    })
}

impl Notes {
    fn add(&self, what: fmt::Arguments<'_>) {
        NOTES.with(|notes| writeln!(&mut notes.clone(), "{what}").unwrap());
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "milliseconds" {
            self.0 += &format!(" {field}={value:?}");
        }
    }
}

impl tracing::Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "polyhost::http" && (metadata.is_span() || *metadata.level() == tracing::Level::WARN)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(String::new());
        span.record(&mut fields);
        self.add(format_args!("span {}{}", span.metadata().name(), fields.0));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut fields = Fields(String::new());
        values.record(&mut fields);
        self.add(format_args!("record{}", fields.0));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.add(format_args!("event{}", fields.0));
    }

    fn enter(&self, _: &Id) {
        self.add(format_args!("enter"));
    }

    fn exit(&self, _: &Id) {
        self.add(format_args!("exit"));
    }

    fn try_close(&self, _: Id) -> bool {
        self.add(format_args!("close"));
        true
    }
}

#[tokio::test]
async fn a_request_is_a_span() {
    let notes = notes();
    let server = Server::builder(Arc::new(Probe::default())).start().unwrap();
    let mut client = connect(&server, 64 * 1024);
    client.send(format!("GET /hello?q HTTP/1.1\r\nHost: a\r\n{TRACE}\r\n")).await;
    client.body(5).await;
    let expected = "span request method=\"GET\" path=\"/hello\" trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"\nenter\n\
                    exit\nrecord status=200\nclose\n";
    assert_eq!(expected, notes.read());
}

#[tokio::test]
async fn a_slow_kind_of_request_is_warned_of_once() {
    let notes = notes();
    let config = ObserverConfig { slow_inline: Duration::ZERO, ..Default::default() };
    let app = App(|exchange, _: &mut Turn<'_>| answer(exchange, 200, b"hello"));
    let mut it = Watched::with(Arc::new(app), LogFormat::Json, config);
    for _ in 0..3 {
        it.client.get("/a").await;
        it.client.body(5).await;
    }
    let notes = notes.read();
    let warnings: Vec<_> = notes.lines().filter(|line| line.starts_with("event")).collect();
    assert_eq!(1, warnings.len(), "{notes}");
    assert!(warnings[0].contains("method=\"GET\" path=\"/a\""), "{notes}");
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_warns_of_a_request_that_goes_on() {
    let notes = notes();
    let config = ObserverConfig { slow_request: Duration::ZERO, ..Default::default() };
    let app = Arc::new(Places::default());
    let mut it = Watched::with(app.clone(), LogFormat::Json, config);
    it.client.get("/later").await;
    watched(async {
        while !notes.read().contains("has no response yet") {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    })
    .await;
    app.go.notify_one();
    it.client.body(5).await;
    it.check_metrics(&[r#"polyhost_http_requests_slow_total{place="application"} 1"#]);
}
