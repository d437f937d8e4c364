use super::*;
use crate::head::{Flags, TargetForm};

const HAS_BODY: u32 = Flags::HAS_BODY.bits();
const UPGRADE: u32 = Flags::UPGRADE.bits();
const EXPECT: u32 = Flags::EXPECT_CONTINUE.bits();
const KEEP: u32 = Flags::KEEP_ALIVE.bits();
const CHUNKED: u32 = Flags::CHUNKED.bits();

fn read(input: &[u8]) -> Result<Option<RequestHead>, BadRequest> {
    let mut head = RequestHead::new();
    let taken = parse_head(input, &mut 0, &Limits::default(), &mut head)?;
    Ok(taken.map(|_| head))
}

fn accepted(input: &[u8]) -> RequestHead {
    match read(input) {
        Ok(Some(head)) => head,
        other => panic!("'{}' gave {other:?}", input.escape_ascii()),
    }
}

fn status(input: &[u8]) -> u16 {
    match read(input) {
        Ok(Some(_)) => 200,
        Ok(None) => 0,
        Err(refused) => refused.status,
    }
}

#[track_caller]
fn check(input: &[u8], expected: u16) {
    assert_eq!(status(input), expected, "'{}'", input.escape_ascii());
}

fn with_line(line: &[u8]) -> Vec<u8> {
    [line, b"\r\nHost: a\r\n\r\n"].concat()
}

fn with_header(header: &[u8]) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: a\r\n".as_slice(), header, b"\r\n\r\n"].concat()
}

fn with_host(target: &str, host: &[u8]) -> Vec<u8> {
    let method = if target.starts_with(['/', 'h']) { "GET" } else { "CONNECT" };
    [format!("{method} {target} HTTP/1.1\r\nHost: ").as_bytes(), host, b"\r\n\r\n"].concat()
}

#[test]
fn request_lines() {
    #[rustfmt::skip]
    let lines: &[(&[u8], u16)] = &[
        (b"GET / HTTP/1.1", 200), (b"GET / HTTP/1.0", 200), (b"get / HTTP/1.1", 200), (b"FOO-BAR! / HTTP/1.1", 200),
        (b"GET /a\"<>\\^`{|} HTTP/1.1", 200), (b"GET /a#b HTTP/1.1", 200), (b"GET //a HTTP/1.1", 200),
        (b"GET  / HTTP/1.1", 400), (b"GET /  HTTP/1.1", 400), (b"GET / HTTP/1.1 ", 400), (b" GET / HTTP/1.1", 400),
        (b"GET /", 400), (b"GET", 400), (b"GET ", 400), (b"GET / ", 400), (b" ", 400),
        (b"GET\t/ HTTP/1.1", 400), (b"GET /\tHTTP/1.1", 400), (b"GET /a b HTTP/1.1", 400),
        (b"F(O / HTTP/1.1", 400), (b"G\x00T / HTTP/1.1", 400), (b"G\xc3T / HTTP/1.1", 400), (b"G\"T / HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400), (b"GET /\x01 HTTP/1.1", 400), (b"GET /\x7f HTTP/1.1", 400),
        (b"GET /\xc3\xa9 HTTP/1.1", 400), (b"GET /?\xc3\xa9 HTTP/1.1", 400), (b"GET /a\rb HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r", 400), (b"\rGET / HTTP/1.1", 400), (b"\nGET / HTTP/1.1", 400),
        (b"GET / HTTP/1.2", 505), (b"GET / HTTP/2.0", 505), (b"GET / HTTP/0.9", 505), (b"GET / http/1.1", 505),
        (b"GET / FTTP/1.1", 505), (b"GET / HTTP/1,1", 505), (b"GET / HTTP/1.10", 400), (b"GET / HTTP/11", 400),
        (b"GET / HTTP/1.", 400), (b"GET HTTP/1.1", 400),
        (b"\x16\x03\x01 / HTTP/1.1", 400),
    ];
    for (line, expected) in lines {
        check(&with_line(line), *expected);
    }
}

#[test]
fn targets_and_methods() {
    #[rustfmt::skip]
    let lines = [
        ("GET ?a", 400), ("GET %41", 400), ("GET a/b", 400), ("GET #", 400), ("GET a", 405), ("GET a:80", 405), ("GET *", 405),
        ("POST *", 405), ("OPTIONS *", 200), ("OPTIONS /", 200), ("OPTIONS *a", 400), ("OPTIONS a", 405),
        ("CONNECT a", 200), ("CONNECT a:80", 400), ("CONNECT /", 400), ("CONNECT http://a/", 400), ("CONNECT *", 405),
        ("GET http://a/", 200), ("GET http://a", 200), ("GET http://a?q", 200), ("GET https://a/", 200),
        ("GET HTTP://a/", 400), ("GET ftp://a/", 400), ("GET http:/a", 400), ("GET http://", 400), ("GET http:///x", 400),
        ("GET http://u@a/", 400), ("GET http://u:p@a/", 400), ("GET http://a:/", 400), ("GET http://a#f", 400),
        ("GET http://a/x#f", 400), ("GET http://b/", 400), ("GET http://a%41/", 400), ("GET /%00", 400), ("GET http://a/%00", 400),
        ("GET /?%00", 200), ("GET /%", 200), ("GET /%zz", 200),
    ];
    for (line, expected) in lines {
        check(&with_line(format!("{line} HTTP/1.1").as_bytes()), expected);
    }
    let not_allowed = |line: &[u8]| read(line).unwrap_err().allow;
    assert_eq!(not_allowed(b"GET * HTTP/1.1\r\n"), Some("OPTIONS"));
    assert_eq!(not_allowed(b"GET a HTTP/1.1\r\n"), Some("CONNECT"));
}

#[test]
fn parts_of_targets() {
    #[rustfmt::skip]
    let lines = [
        ("GET /a?b=/../c", TargetForm::Origin, "/a", "?b=/../c"), ("GET /a?", TargetForm::Origin, "/a", "?"),
        ("GET /%41?%41", TargetForm::Origin, "/A", "?%41"), ("GET /a/..?x", TargetForm::Origin, "/", "?x"),
        ("GET http://a/%2F%41/../b?x=%41", TargetForm::Absolute, "/b", "?x=%41"),
        ("GET http://a", TargetForm::Absolute, "/", ""), ("GET http://a?q", TargetForm::Absolute, "/", "?q"),
        ("CONNECT a", TargetForm::Authority, "", ""), ("OPTIONS *", TargetForm::Asterisk, "", ""),
    ];
    for (line, form, path, query) in lines {
        let head = accepted(&with_line(format!("{line} HTTP/1.1").as_bytes()));
        let found = (head.form(), str(head.path()), str(head.query()), str(head.target()));
        assert_eq!(found, (form, path, query, line.split_once(' ').unwrap().1));
    }
}

#[test]
fn line_ends() {
    #[rustfmt::skip]
    let heads: &[(&[u8], u16)] = &[
        (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400), (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", 400), (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rB: c\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\rHost: a\r\n\r\n", 400),
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200), (b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400), (b"\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\r\n \r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"", 0), (b"\r", 0), (b"\r\n", 0), (b"G", 0), (b"GET / HTTP/1.1\r", 0), (b"GET / HTTP/1.1\r\n\r", 0),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r", 0),
    ];
    for (head, expected) in heads {
        check(head, *expected);
    }
}

#[test]
fn header_lines() {
    #[rustfmt::skip]
    let lines: &[(&[u8], u16)] = &[
        (b"A: b", 200), (b"A:b", 200), (b"A:", 200), (b"A: ", 200), (b"A:\tb\t", 200), (b"A:: b", 200), (b"A: \xc3\xa9", 200),
        (b"A_b!#$%&'*+-.^`|~9: b", 200), (b"A: b\tc", 200), (b"A: \x80", 400), (b"A: \xff", 400), (b"A: \xc0\xaf", 400),
        (b"A : b", 400), (b"A\t: b", 400), (b": b", 400), (b" A: b", 400), (b"\tA: b", 400), (b"A b: c", 400), (b"A", 400),
        (b"A: b\rc", 400), (b"A: b\nc", 400), (b"A: b\x00c", 400), (b"A: b\x01c", 400), (b"A: b\x7fc", 400), (b"A: b\x0bc", 400),
        (b"\xc3\xa9: a", 400), (b"A(: b", 400), (b"A\x00: b", 400), (b"A@: b", 400), (b"A\"b: c", 400), (b"A\x7f: b", 400),
        (b"A[]: b", 400), (b"A/b: c", 400), (b"A;b: c", 400), (b"A=b: c", 400), (b"A,b: c", 400), (b"A\rb: c", 400),
        (b"A: b\r", 400), (b"A: b\r\n c", 400), (b"A: b\r\n\tc", 400), (b"A: b\r\n\r: c", 400), (b"A: b\nB: c", 400),
    ];
    for (line, expected) in lines {
        check(&with_header(line), *expected);
    }
}

#[test]
fn headers_keep_names_order_and_trimmed_values() {
    let head = accepted(b"GET / HTTP/1.1\r\nhOST:a\r\nX-A: \t b c\t \r\nX-A:\r\nCookie:d\r\n\r\n");
    let lines: Vec<_> = head.headers().map(|h| (h.known, str(h.name), str(h.value))).collect();
    assert_eq!(lines, [(1, "hOST", "a"), (0, "X-A", "b c"), (0, "X-A", ""), (9, "Cookie", "d")]);
    assert_eq!(head.header(crate::head::Known::Host), Some(b"a".as_slice()));
    assert_eq!((head.method(), str(head.method_text()), head.version()), (Method::Get, "GET", Version::Http11));
}

#[test]
fn hosts() {
    #[rustfmt::skip]
    let hosts: &[(&[u8], u16)] = &[
        (b"", 200), (b"a", 200), (b"a:80", 200), (b"A.b-c_d~e", 200), (b"1.2.3.4", 200), (b"[::1]", 200), (b"[::1]:80", 200),
        (b"[1.2.3.4]", 200), (b"!$&'()-._~", 200), (b"a:99999999", 200), (b"[::]", 200),
        (b"a:", 400), (b":80", 400), (b"a:8x", 400), (b"a b", 400), (b"a,b", 400), (b"a/b", 400), (b"a@b", 400), (b"a%41", 400),
        (b"[::1", 400), (b"[:]", 400), (b"[]", 400), (b"[::1]x", 400), (b"[::1]:", 400), (b"[g::]", 400), (b"[::1%25eth0]", 400),
        (b"a*b", 400), (b"a+b", 400), (b"a=b", 400), (b"a;b", 400), (b"a:b:c", 400), (b"::1", 400), (b"\"a\"", 400),
        (b"\xc3\xa9", 400), (b"a\tb", 400), (b"a?b", 400), (b"a#b", 400), (b"a\\b", 400),
    ];
    for (host, expected) in hosts {
        check(&with_host("/", host), *expected);
    }
    #[rustfmt::skip]
    let pairs = [
        ("http://a/", "a", 200), ("http://a/", "A", 200), ("http://a:80/", "a", 200), ("http://a/", "a:80", 200),
        ("http://a:81/", "a:81", 200), ("https://a/", "a:443", 200), ("https://a:443/", "a", 200), ("http://[::1]/", "[::1]", 200),
        ("http://a/", "b", 400), ("http://a/", "", 400), ("http://a:81/", "a", 400), ("https://a/", "a:80", 400),
        ("http://a:443/", "a", 400), ("http://a/", "a:", 400),
        ("a:80", "a:80", 200), ("[::1]:80", "[::1]:80", 200), ("a:80", "a", 400), ("A:80", "a:80", 400), ("a:", "a:", 400),
        ("u@a:80", "a:80", 400), (":80", ":80", 400), ("a:b:c", "a:b:c", 400),
    ];
    for (target, host, expected) in pairs {
        check(&with_host(target, host.as_bytes()), expected);
    }
    check(b"GET / HTTP/1.1\r\n\r\n", 400);
    check(b"GET / HTTP/1.0\r\n\r\n", 200);
    check(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    check(&with_header(b"Host: a"), 400);
    check(&with_header(b"Host: "), 400);
}

#[test]
fn framing() {
    let flags = |head: &str| {
        let (line, headers) = head.split_once('|').unwrap();
        let host = if line.ends_with("1.0") { "" } else { "Host: a\r\n" };
        let lines: String = headers.split('|').filter(|h| !h.is_empty()).map(|h| format!("{h}\r\n")).collect();
        let input = format!("{line}\r\n{host}{lines}\r\n");
        read(input.as_bytes()).map(|head| head.unwrap().flags().bits()).map_err(|refused| refused.status)
    };
    #[rustfmt::skip]
    let heads = [
        ("GET / HTTP/1.1|", Ok(KEEP)), ("GET / HTTP/1.0|", Ok(0)), ("POST / HTTP/1.1|", Ok(KEEP)), ("PATCH / HTTP/1.0|", Ok(0)),
        ("POST / HTTP/1.0|", Err(400)), ("PUT / HTTP/1.0|", Err(400)), ("PUT / HTTP/1.0|Content-Length: 0", Ok(0)),
        ("GET / HTTP/1.1|Content-Length: 0", Ok(KEEP)), ("GET / HTTP/1.1|Content-Length: 1", Ok(KEEP | HAS_BODY)),
        ("GET / HTTP/1.1|Content-Length: 000", Ok(KEEP)), ("GET / HTTP/1.1|Content-Length:\t1\t", Ok(KEEP | HAS_BODY)),
        ("GET / HTTP/1.1|Content-Length: 9223372036854775807", Ok(KEEP | HAS_BODY)),
        ("GET / HTTP/1.1|Content-Length: 9223372036854775808", Err(400)),
        ("GET / HTTP/1.1|Content-Length: 18446744073709551616", Err(400)),
        ("GET / HTTP/1.1|Content-Length: +1", Err(400)), ("GET / HTTP/1.1|Content-Length: -1", Err(400)),
        ("GET / HTTP/1.1|Content-Length: -0", Err(400)), ("GET / HTTP/1.1|Content-Length:", Err(400)),
        ("GET / HTTP/1.1|Content-Length: 0x1", Err(400)), ("GET / HTTP/1.1|Content-Length: 1.0", Err(400)),
        ("GET / HTTP/1.1|Content-Length: 1 1", Err(400)), ("GET / HTTP/1.1|Content-Length: 1,1", Err(400)),
        ("GET / HTTP/1.1|Content-Length: 1_000", Err(400)), ("GET / HTTP/1.1|Content-Length: 1|Content-Length: 1", Err(400)),
        ("GET / HTTP/1.1|Content-Length: 1|content-length: 2", Err(400)),
        ("POST / HTTP/1.1|Transfer-Encoding: chunked", Ok(KEEP | HAS_BODY | CHUNKED)),
        ("POST / HTTP/1.1|Transfer-Encoding: CHUNKED", Ok(KEEP | HAS_BODY | CHUNKED)),
        ("GET / HTTP/1.1|transfer-encoding:chunked", Ok(KEEP | HAS_BODY | CHUNKED)),
        ("POST / HTTP/1.1|Transfer-Encoding: gzip, chunked", Err(501)),
        ("POST / HTTP/1.1|Transfer-Encoding: gzip|Transfer-Encoding: chunked", Err(501)),
        ("POST / HTTP/1.1|Transfer-Encoding: identity, chunked", Err(501)),
        ("POST / HTTP/1.1|Transfer-Encoding: chunked, gzip", Err(400)), ("POST / HTTP/1.1|Transfer-Encoding: gzip", Err(400)),
        ("POST / HTTP/1.1|Transfer-Encoding: identity", Err(400)), ("POST / HTTP/1.1|Transfer-Encoding: chunked, chunked", Err(400)),
        ("POST / HTTP/1.1|Transfer-Encoding: chunked|Transfer-Encoding: chunked", Err(400)),
        ("POST / HTTP/1.1|Transfer-Encoding: chunked|Transfer-Encoding: gzip", Err(400)),
        ("POST / HTTP/1.1|Transfer-Encoding: chunked,", Err(400)), ("POST / HTTP/1.1|Transfer-Encoding: ,chunked", Err(400)),
        ("POST / HTTP/1.1|Transfer-Encoding:", Err(400)), ("POST / HTTP/1.1|Transfer-Encoding: xchunked", Err(400)),
        ("POST / HTTP/1.1|Transfer-Encoding: chunked;a=b", Err(400)), ("POST / HTTP/1.1|Transfer-Encoding: \"chunked\"", Err(400)),
        ("POST / HTTP/1.1|Transfer-Encoding: \u{b}chunked", Err(400)), ("POST / HTTP/1.1|Transfer-Encoding: chunk", Err(400)),
        ("POST / HTTP/1.1|Transfer-Encoding: chunked|Content-Length: 5", Err(400)),
        ("POST / HTTP/1.1|Content-Length: 0|Transfer-Encoding: chunked", Err(400)),
        ("POST / HTTP/1.0|Transfer-Encoding: chunked", Err(400)),
        ("GET / HTTP/1.1|Connection: close", Ok(0)), ("GET / HTTP/1.1|Connection: foo, CLOSE", Ok(0)),
        ("GET / HTTP/1.1|Connection: keep-alive", Ok(KEEP)), ("GET / HTTP/1.1|Connection: close, keep-alive", Ok(0)),
        ("GET / HTTP/1.1|Connection: keep-alive|Connection: close", Ok(0)), ("GET / HTTP/1.1|Connection: closed", Ok(KEEP)),
        ("GET / HTTP/1.1|Connection:", Ok(KEEP)), ("GET / HTTP/1.0|Connection: Keep-Alive", Ok(KEEP)),
        ("GET / HTTP/1.0|Connection: foo,keep-alive", Ok(KEEP)), ("GET / HTTP/1.0|Connection: close", Ok(0)),
        ("GET / HTTP/1.1|Connection: Upgrade|Upgrade: x", Ok(KEEP | UPGRADE)), ("GET / HTTP/1.1|Connection: Upgrade", Ok(KEEP)),
        ("GET / HTTP/1.1|Upgrade: x", Ok(KEEP)), ("GET / HTTP/1.0|Connection: upgrade|Upgrade: x", Ok(0)),
        ("GET / HTTP/1.1|Upgrade: x|Connection: keep-alive, upgrade", Ok(KEEP | UPGRADE)),
        ("GET / HTTP/1.1|Upgrade: x|Connection: upgrade|Content-Length: 0", Ok(KEEP | UPGRADE)),
        ("POST / HTTP/1.1|Upgrade: x|Connection: upgrade|Content-Length: 1", Ok(KEEP | HAS_BODY)),
        ("POST / HTTP/1.1|Upgrade: x|Connection: upgrade|Transfer-Encoding: chunked", Ok(KEEP | HAS_BODY | CHUNKED)),
        ("GET / HTTP/1.1|Expect: 100-continue", Ok(KEEP | EXPECT)), ("GET / HTTP/1.1|Expect: 100-CONTINUE", Ok(KEEP | EXPECT)),
        ("GET / HTTP/1.1|Expect: foo", Ok(KEEP)), ("GET / HTTP/1.0|Expect: 100-continue", Ok(0)),
    ];
    for (head, expected) in heads {
        assert_eq!(flags(head), expected, "{head}");
    }
}

#[test]
fn limits_are_kestrels() {
    let long_line = |len: usize| with_line(format!("GET /{} HTTP/1.1", "a".repeat(len - 16)).as_bytes());
    check(&long_line(8192), 200);
    check(&long_line(8193), 414);
    check(&[b'a'; 8191], 0);
    check(&[b'a'; 8192], 414);
    check(&b"\r\n".repeat(5000), 414);
    let many = |count: usize| with_header(vec!["x: y"; count - 1].join("\r\n").as_bytes());
    check(&many(100), 200);
    check(&many(101), 431);
    let large = |size: usize| with_header(format!("B: {}", "v".repeat(size - "Host: a\r\nB: \r\n".len())).as_bytes());
    check(&large(32768), 200);
    check(&large(32769), 431);
    let endless = |size: usize| [b"GET / HTTP/1.1\r\nB: ".as_slice(), &b"v".repeat(size - 3)].concat();
    check(&endless(32770), 0);
    check(&endless(32771), 431);
}

#[test]
fn a_tls_client_is_told_at_once_and_an_http2_client_in_its_language() {
    let tls = read(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap_err();
    assert!(tls.reason.contains("TLS") && tls.status == 400, "{tls}");
    let preface = read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap_err();
    assert!(preface.is_http2);
    assert!(!read(b"GET / HTTP/2.0\r\n").unwrap_err().is_http2);
}

#[test]
fn a_head_in_pieces_reads_as_the_whole() {
    let input = b"\r\nPOST /a%41/../b.c?d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX: \xc3\xa9\r\n\r\nabcGET";
    let whole = accepted(input);
    let expected = input.len() - "abcGET".len();
    for split in 0..=expected {
        let (mut head, mut searched) = (RequestHead::new(), 0);
        let first = parse_head(&input[..split], &mut searched, &Limits::default(), &mut head).unwrap();
        assert_eq!(first, (split == expected).then_some(expected));
        if first.is_none() {
            let rest = parse_head(input, &mut searched, &Limits::default(), &mut head).unwrap();
            assert_eq!(rest, Some(expected), "split at {split}");
        }
        assert_eq!((head.path(), head.query(), head.flags()), (whole.path(), whole.query(), whole.flags()));
        assert!(head.headers().eq(whole.headers()));
    }
    let (mut head, mut searched) = (RequestHead::new(), 0);
    for end in 1..expected {
        assert_eq!(parse_head(&input[..end], &mut searched, &Limits::default(), &mut head), Ok(None));
    }
    assert_eq!(parse_head(&input[..expected], &mut searched, &Limits::default(), &mut head), Ok(Some(expected)));
    assert!(head.headers().eq(whole.headers()));
}

#[test]
fn a_bad_line_is_refused_once_it_is_there() {
    let (mut head, mut searched) = (RequestHead::new(), 0);
    let mut feed = |bytes: &[u8]| parse_head(bytes, &mut searched, &Limits::default(), &mut head).map_err(|e| e.status);
    assert_eq!(feed(b"GET / HTTP/1.1\r\nA: b\r\nB"), Ok(None));
    assert_eq!(feed(b"GET / HTTP/1.1\r\nA: b\r\nB : c\r\n"), Err(400));
}

#[test]
fn the_end_of_input_is_wrong_only_within_a_head() {
    let end = |input: &[u8]| {
        let mut head = RequestHead::new();
        assert_eq!(parse_head(input, &mut 0, &Limits::default(), &mut head), Ok(None));
        end_of_input(input, &head).map(|refused| refused.status)
    };
    assert_eq!((end(b""), end(b"\r\n"), end(b"\r\n\r")), (None, None, None));
    assert_eq!(
        (end(b"G"), end(b"GET / HTTP/1.1\r\n"), end(b"GET / HTTP/1.1\r\nA: b\r\n")),
        (Some(400), Some(400), Some(400))
    );
}

#[test]
fn a_used_head_forgets_the_request_before() {
    let (mut head, limits) = (RequestHead::new(), Limits::default());
    let long =
        [&b"POST /%41 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nX: "[..], &b"v".repeat(3000), b"\r\n\r\n"].concat();
    assert!(parse_head(&long, &mut 0, &limits, &mut head).unwrap().is_some());
    assert!(parse_head(b"GET / HTTP/1.0\r\n\r\n", &mut 0, &limits, &mut head).unwrap().is_some());
    assert_eq!((head.path(), head.header_count(), head.content_length()), (b"/".as_slice(), 0, None));
    assert_eq!((head.method(), head.flags()), (Method::Get, Flags::default()));
}

#[test]
fn no_bytes_make_it_panic() {
    let seeds: &[&[u8]] = &[
        b"GET /a%41/../b?c HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nContent-Length: 10\r\n\r\n",
        b"POST http://a:80/%E2%82%AC/./x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: \xc3\xa9\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    ];
    let mut random = crate::h1::random::Random::new(7);
    for round in 0..20_000 {
        let mut input = seeds[round % seeds.len()].to_vec();
        random.mutate(&mut input);
        if let Ok(Some(head)) = read(&input) {
            assert!(!str(head.path()).split('/').any(|s| s == "." || s == ".."), "{head:?}");
        }
    }
}

fn str(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
