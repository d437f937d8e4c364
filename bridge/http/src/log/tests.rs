use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::app::Endpoint;
use crate::head::{RequestHead, Version};
use crate::limits::Limits;

fn entry(head: &str) -> Entry {
    let mut request = RequestHead::new();
    let parsed = crate::h1::parse::parse_head(head.as_bytes(), &mut 0, &Limits::default(), &mut request);
    assert_eq!(Ok(Some(head.len())), parsed);
    Entry {
        begun: UNIX_EPOCH + Duration::from_millis(1_795_273_205_678),
        remote: Endpoint::Ip("[::1]:50000".parse().unwrap()),
        connection: 33,
        number: 10,
        version: Some(Version::Http11),
        status: 200,
        bytes: 5,
        total: Duration::from_micros(1500),
        handle: Duration::from_micros(1000),
        first: Some(Duration::from_micros(1250)),
        inline: true,
        outcome: Outcome::Complete,
        texts: Texts::of(&request),
    }
}

fn check(expected: &str, format: LogFormat, entry: &Entry) {
    let mut out = Vec::new();
    line::write(&mut out, format, entry, &mut line::Dates::default());
    assert_eq!(expected, String::from_utf8(out).unwrap());
}

const PLAIN: &str = "GET /a?b=\"c\" HTTP/1.1\r\nHost: h\r\n\r\n";
const RICH: &str = "GET / HTTP/1.1\r\nHost: h\r\nReferer: http://x/\"\\\r\nUser-Agent: a\tä\u{9b}1m\r\ntraceparent: \
                    00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";

#[test]
fn a_common_line() {
    let line = "::1 - - [21/Nov/2026:15:00:05 +0000] \"GET /a?b=\\x22c\\x22 HTTP/1.1\" 200 5\n";
    check(line, LogFormat::Common, &entry(PLAIN));
}

#[test]
fn a_combined_line() {
    let line = "::1 - - [21/Nov/2026:15:00:05 +0000] \"GET / HTTP/1.1\" 200 5 \"http://x/\\x22\\x5C\" \
                \"a\\x09\\xC3\\xA4\\xC2\\x9B1m\"\n";
    check(line, LogFormat::Combined, &entry(RICH));
}

#[test]
fn a_line_without_bytes_or_headers() {
    let entry = Entry { bytes: 0, status: 204, remote: Endpoint::Unnamed, ..entry(PLAIN) };
    let line = "- - - [21/Nov/2026:15:00:05 +0000] \"GET /a?b=\\x22c\\x22 HTTP/1.1\" 204 - \"-\" \"-\"\n";
    check(line, LogFormat::Combined, &entry);
}

#[test]
fn a_json_line() {
    let line = "{\"time\":\"2026-11-21T15:00:05.678Z\",\"remote\":\"[::1]:50000\",\"connection\":\"0000000000011\",\
                \"request\":\"0000000000011:0000000A\",\"method\":\"GET\",\"target\":\"/\",\"host\":\"h\",\
                \"referrer\":\"http://x/\\\"\\\\\",\"user_agent\":\"a\\u0009ä\\u009b1m\",\
                \"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":5,\
                \"duration_ms\":1.500,\"handle_ms\":1.000,\"first_byte_ms\":1.250,\"inline\":true,\"outcome\":\"complete\"}\n";
    check(line, LogFormat::Json, &entry(RICH));
}

#[test]
fn bytes_of_any_encoding_stay_on_their_line_and_in_their_string() {
    let limits = Limits { any_header_encoding: true, ..Limits::default() };
    let head = b"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: \xff\xc2\x85\xe2\x80\"\\\r\n\r\n";
    let mut request = RequestHead::new();
    assert_eq!(Ok(Some(head.len())), crate::h1::parse::parse_head(head, &mut 0, &limits, &mut request));
    let entry = Entry { texts: Texts::of(&request), remote: Endpoint::Unnamed, ..entry(PLAIN) };
    let line = r#"- - - [21/Nov/2026:15:00:05 +0000] "GET / HTTP/1.1" 200 5 "-" "\xFF\xC2\x85\xE2\x80\x22\x5C""#;
    check(&format!("{line}\n"), LogFormat::Combined, &entry);
    let mut out = Vec::new();
    line::write(&mut out, LogFormat::Json, &entry, &mut line::Dates::default());
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\"user_agent\":\"\u{fffd}\\u0085\u{fffd}\\\"\\\\\","), "{text}");
}

#[test]
fn a_refused_request_has_no_text() {
    let refused = || Entry {
        version: None,
        texts: Texts::default(),
        status: 400,
        bytes: 0,
        begun: SystemTime::UNIX_EPOCH,
        remote: Endpoint::Unnamed,
        outcome: Outcome::Refused,
        ..entry(PLAIN)
    };
    check("- - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 -\n", LogFormat::Common, &refused());
    let line = "{\"time\":\"1970-01-01T00:00:00.000Z\",\"connection\":\"0000000000011\",\"status\":400,\"bytes\":0,\
                \"duration_ms\":1.500,\"outcome\":\"refused\"}\n";
    check(line, LogFormat::Json, &refused());
}

/// Takes nothing until it is let.
struct Gate(mpsc::Receiver<()>, mpsc::Sender<()>);

impl Write for Gate {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let _ = self.1.send(());
        match self.0.recv() {
            Ok(()) => Ok(text.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_beyond_the_bound_are_dropped_and_counted() {
    let ((go, gate), (entered, writing)) = (mpsc::channel(), mpsc::channel());
    let log = AccessLog::start(LogFormat::Common, Gate(gate, entered)).unwrap();
    log.put(entry(PLAIN));
    writing.recv().unwrap();
    for _ in 0..LINES + 3 {
        log.put(entry(PLAIN));
    }
    assert_eq!(LogCounts { written: 0, dropped: 3 }, log.counts());
    assert!(!log.flush(Duration::ZERO));
    // From here on the writer fails, which counts, too, and ends the wait.
    go.send(()).unwrap();
    drop(go);
    assert!(log.flush(Duration::from_secs(60)));
    assert_eq!(LogCounts { written: 1, dropped: LINES as u64 + 3 }, log.counts());
}
