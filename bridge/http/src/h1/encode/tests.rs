use std::time::Duration;

use super::*;
use crate::packed;

const GET: Request = Request { version: Version::Http11, method: Method::Get, keep_alive: true };
const OLD: Request = Request { version: Version::Http10, method: Method::Get, keep_alive: false };
const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

fn pack(lines: &[(&str, &str)]) -> BytesMut {
    let mut out = BytesMut::new();
    for (name, value) in lines {
        packed::push(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

fn server(date: &HttpDate) -> Server<'_> {
    Server { date, name: None }
}

fn date() -> HttpDate {
    HttpDate::at(SystemTime::UNIX_EPOCH + Duration::from_secs(784111777))
}

/// Status, Content-Length and completeness of a response, and its header lines.
type Answer<'a> = (u16, Option<u64>, Option<usize>, &'a [(&'a str, &'a str)]);

/// The lines between the status line and the date, and the framing.
fn write(
    request: Request,
    (status, content_length, complete, lines): Answer<'_>,
) -> Result<(String, Framing), EncodeError> {
    let headers = pack(lines);
    let response = Response { status, reason: b"", headers: &headers, content_length, complete };
    let mut out = BytesMut::from("before");
    let framing =
        response_head(&mut out, request, &response, &server(&date())).inspect_err(|_| assert_eq!(out, "before"))?;
    let text = String::from_utf8(out.to_vec()).unwrap();
    let lines = text.split_once("\r\n").unwrap().1.replace(DATE, "");
    assert!(lines.ends_with("\r\n") && text.contains(DATE));
    Ok((lines.replace("\r\n", "|").trim_end_matches('|').to_string(), framing))
}

#[test]
fn framing_is_kestrels() {
    let head = Request { method: Method::Head, ..GET };
    let connect = Request { method: Method::Connect, ..GET };
    let old_kept = Request { keep_alive: true, ..OLD };
    let closing = Request { keep_alive: false, ..GET };
    let te: &[(&str, &str)] = &[("Transfer-Encoding", "chunked")];
    let gzip: &[(&str, &str)] = &[("Transfer-Encoding", "gzip")];
    #[rustfmt::skip]
    let cases: &[(Request, Answer<'_>, &str, Body, bool)] = &[
        (GET, (200, Some(5), Some(5), &[]), "Content-Length: 5", Body::Length(5), true),
        (GET, (200, Some(5), None, &[]), "Content-Length: 5", Body::Length(5), true),
        (GET, (200, None, Some(0), &[]), "Content-Length: 0", Body::Length(0), true),
        (GET, (200, None, Some(5), &[]), "Transfer-Encoding: chunked", Body::Chunked, true),
        (GET, (200, None, None, &[]), "Transfer-Encoding: chunked", Body::Chunked, true),
        (GET, (404, None, Some(0), &[]), "Content-Length: 0", Body::Length(0), true),
        (GET, (204, None, Some(0), &[]), "", Body::None, true),
        (GET, (204, None, None, &[]), "", Body::None, true),
        (GET, (204, Some(0), None, &[]), "", Body::None, true),
        (GET, (205, None, Some(0), &[]), "Content-Length: 0", Body::None, true),
        (GET, (205, Some(0), Some(0), &[]), "Content-Length: 0", Body::None, true),
        (GET, (304, None, Some(0), &[]), "", Body::None, true),
        (GET, (304, Some(5), Some(0), &[]), "Content-Length: 5", Body::None, true),
        (head, (200, None, Some(0), &[]), "", Body::None, true),
        (head, (200, None, None, &[]), "", Body::None, true),
        (head, (200, Some(5), Some(0), &[]), "Content-Length: 5", Body::None, true),
        (closing, (200, Some(5), None, &[]), "Content-Length: 5|Connection: close", Body::Length(5), false),
        (OLD, (200, None, None, &[]), "Connection: close", Body::UntilClose, false),
        (OLD, (200, Some(5), None, &[]), "Content-Length: 5|Connection: close", Body::Length(5), false),
        (old_kept, (200, Some(5), None, &[]), "Content-Length: 5|Connection: keep-alive", Body::Length(5), true),
        (old_kept, (200, None, None, &[]), "Connection: close", Body::UntilClose, false),
        (old_kept, (200, None, Some(0), &[]), "Content-Length: 0|Connection: keep-alive", Body::Length(0), true),
        (GET, (200, Some(5), None, &[("Connection", "close")]), "Connection: close|Content-Length: 5", Body::Length(5), false),
        (GET, (200, Some(5), None, &[("connection", "x, Keep-Alive")]), "connection: x, Keep-Alive|Content-Length: 5", Body::Length(5), true),
        (GET, (200, None, None, te), "Transfer-Encoding: chunked", Body::AsWritten, true),
        (GET, (200, Some(5), None, te), "Transfer-Encoding: chunked", Body::AsWritten, true),
        (GET, (200, None, None, gzip), "Transfer-Encoding: gzip|Connection: close", Body::AsWritten, false),
        (GET, (101, None, None, &[("Connection", "Upgrade"), ("Upgrade", "x")]), "Connection: Upgrade|Upgrade: x", Body::UntilClose, false),
        (GET, (101, None, None, &[]), "Connection: Upgrade", Body::UntilClose, false),
        (connect, (200, None, None, &[]), "Connection: close", Body::UntilClose, false),
        (connect, (200, Some(0), None, &[]), "Connection: close", Body::UntilClose, false),
        (connect, (404, None, Some(0), &[]), "Content-Length: 0", Body::Length(0), true),
    ];
    for (request, answer, lines, body, keep_alive) in cases {
        let written = write(*request, *answer);
        let expected = (lines.to_string(), Framing { body: *body, keep_alive: *keep_alive });
        assert_eq!(written, Ok(expected), "{request:?} {answer:?}");
    }
}

#[test]
fn what_must_not_be_sent_is_refused() {
    let head = Request { method: Method::Head, ..GET };
    let connect = Request { method: Method::Connect, ..GET };
    let te: &[(&str, &str)] = &[("Transfer-Encoding", "chunked")];
    #[rustfmt::skip]
    let cases: &[(Request, Answer<'_>)] = &[
        (GET, (99, None, None, &[])), (GET, (100, None, None, &[])), (GET, (103, None, None, &[])), (GET, (1000, None, None, &[])),
        (GET, (204, Some(5), None, &[])), (GET, (205, Some(5), None, &[])), (GET, (101, Some(5), None, &[])),
        (connect, (200, Some(5), None, &[])), (connect, (200, None, None, te)), (GET, (204, None, None, te)), (GET, (304, None, None, te)), (head, (200, None, None, te)),
        (GET, (200, None, None, &[("A", "b\r\nc")])), (GET, (200, None, None, &[("A", "b\nc")])), (GET, (200, None, None, &[("A", "b\rc")])),
        (GET, (200, None, None, &[("A", "b\0c")])), (GET, (200, None, None, &[("A", "\u{1}")])), (GET, (200, None, None, &[("", "b")])),
        (GET, (200, None, None, &[("A ", "b")])), (GET, (200, None, None, &[("A:", "b")])), (GET, (200, None, None, &[("A\r\nB", "b")])),
        (GET, (200, None, None, &[("A", "b"), ("content-length", "5")])),
    ];
    for (request, answer) in cases {
        assert!(write(*request, *answer).is_err(), "{request:?} {answer:?}");
    }
    let mut out = BytesMut::new();
    for (reason, headers) in
        [(&b"a\r\nb"[..], &b""[..]), (b"\xc3\xa9", b""), (b"", b"\x01"), (b"", b"\x01\0\xff\0\0\0A")]
    {
        let response = Response { status: 200, reason, headers, content_length: None, complete: None };
        assert!(response_head(&mut out, GET, &response, &server(&date())).is_err());
        assert!(out.is_empty());
    }
}

#[test]
fn a_whole_head() {
    let headers = pack(&[("Content-Type", "text/plain"), ("X", "é\t")]);
    let response =
        Response { status: 299, reason: b"Fine, then", headers: &headers, content_length: Some(12), complete: None };
    let (mut out, date) = (BytesMut::new(), date());
    response_head(&mut out, GET, &response, &Server { date: &date, name: Some("Polyhost") }).unwrap();
    let expected = "HTTP/1.1 299 Fine, then\r\nContent-Type: text/plain\r\nX: é\t\r\nContent-Length: 12\r\n\
        Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: Polyhost\r\n\r\n";
    assert_eq!(str::from_utf8(&out), Ok(expected));

    let headers = pack(&[("Date", "today"), ("server", "mine")]);
    let response = Response { status: 599, reason: b"", headers: &headers, content_length: None, complete: Some(0) };
    out.clear();
    response_head(&mut out, GET, &response, &Server { date: &date, name: Some("Polyhost") }).unwrap();
    assert_eq!(str::from_utf8(&out), Ok("HTTP/1.1 599 \r\nDate: today\r\nserver: mine\r\nContent-Length: 0\r\n\r\n"));
}

#[test]
fn informational_responses() {
    let mut out = BytesMut::new();
    informational(&mut out, 103, &pack(&[("Link", "</a>; rel=preload")])).unwrap();
    assert_eq!(out, "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n");
    for (status, lines) in
        [(101, &[][..]), (200, &[]), (103, &[("Transfer-Encoding", "chunked")]), (103, &[("Content-Length", "0")])]
    {
        out.clear();
        assert!(informational(&mut out, status, &pack(lines)).is_err());
        assert!(out.is_empty());
    }
}

#[test]
fn refusals() {
    let date = date();
    let text = |refused: BadRequest, name| {
        let mut out = BytesMut::new();
        refusal(&mut out, &refused, &Server { date: &date, name });
        out
    };
    let lines = "Content-Length: 0\r\nConnection: close\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    assert_eq!(text(BadRequest::new(400, "x"), None), format!("HTTP/1.1 400 Bad Request\r\n{lines}\r\n"));
    let not_allowed = format!("HTTP/1.1 405 Method Not Allowed\r\n{lines}Server: P\r\nAllow: OPTIONS\r\n\r\n");
    assert_eq!(text(BadRequest::not_allowed("OPTIONS"), Some("P")), not_allowed);
    let http2 = BadRequest { is_http2: true, ..BadRequest::new(505, "x") };
    assert_eq!(text(http2, None), &b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0d"[..]);
}

#[test]
fn chunks_read_back_as_they_were_written() {
    let mut out = BytesMut::new();
    for data in ["a".into(), "b".repeat(15), "c".repeat(16), "d".repeat(255), "e".repeat(0x1000)] {
        chunk_start(&mut out, data.len());
        out.put_slice(data.as_bytes());
        out.put_slice(CHUNK_END);
    }
    last_chunk(&mut out, &pack(&[("grpc-status", "0")])).unwrap();
    assert!(out.starts_with(b"1\r\na\r\nf\r\nb") && out.ends_with(b"0\r\ngrpc-status: 0\r\n\r\n"));
    let before = out.clone();
    assert!(last_chunk(&mut out, &pack(&[("a", "b\n")])).is_err());
    assert_eq!(out, before);
    let mut decoder = crate::h1::chunked::ChunkedDecoder::new(&Default::default());
    let mut len = 0;
    while let crate::h1::chunked::Chunked::Data(data) = decoder.decode(&mut out).unwrap() {
        len += data.len();
    }
    assert_eq!((len, out.len()), (1 + 15 + 16 + 255 + 0x1000, 0));
}
