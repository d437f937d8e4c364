//! Bytes from a network: heads, bodies in chunks, paths, and the packed header lines of a guest.
//!
//! Each runs for a second, or as long as `POLYHOST_FUZZ_SECONDS` says.

use bytes::BytesMut;
use polyhost_http::h1::BadRequest;
use polyhost_http::h1::chunked::{Chunked, ChunkedDecoder};
use polyhost_http::h1::parse::parse_head;
use polyhost_http::h1::target::decode_path;
use polyhost_http::head::RequestHead;
use polyhost_http::limits::Limits;
use polyhost_http::packed::{self, PackedHeaders};
use polyhost_testkit::fuzz::edited;

const HEADS: [&str; 8] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET /a%20b/./../c?d=%ff HTTP/1.0\r\n\r\n",
    "POST /form HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 12\r\nExpect: 100-continue\r\nCookie: a=1\r\nCookie: b=2\r\n\r\nbody",
    "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\nX-Long: 0123456789abcdef0123456789abcdef\r\n\r\n",
    "GET http://user@example.com:8080/p?q HTTP/1.1\r\nHost: example.com:8080\r\nConnection: close, x\r\n\r\n",
    "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost:a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

/// A head that arrives in pieces is read as the one that arrives at once, and what was taken keeps its promises. The
/// last byte says how long the pieces are.
#[test]
fn fuzz_heads() {
    let seeds = HEADS.map(|head| [head.as_bytes(), b"\x03"].concat());
    edited(seeds, |input| {
        let Some((step, bytes)) = input.split_last() else { return };
        let mut whole = RequestHead::new();
        let at_once = read(bytes, bytes.len().max(1), &mut whole);
        let mut pieces = RequestHead::new();
        let in_pieces = read(bytes, usize::from(*step).max(1), &mut pieces);
        match (&at_once, &in_pieces) {
            (Ok(taken), Ok(also)) => assert_eq!(taken, also),
            (Err(_), Err(_)) => return,
            (one, other) => panic!("{one:?} at once, {other:?} in pieces"),
        }
        if at_once != Ok(None) {
            assert_eq!(facts(&whole), facts(&pieces));
            check(&whole);
        }
    });
}

fn read(bytes: &[u8], step: usize, head: &mut RequestHead) -> Result<Option<usize>, BadRequest> {
    let (mut searched, mut end) = (0, 0);
    while end < bytes.len() {
        end = bytes.len().min(end + step);
        if let Some(taken) = parse_head(&bytes[..end], &mut searched, &Limits::default(), head)? {
            return Ok(Some(taken));
        }
        assert!(searched <= end);
    }
    Ok(None)
}

#[allow(clippy::type_complexity, reason = "compared as a whole")]
fn facts(head: &RequestHead) -> (&[u8], &[u8], &[u8], &[u8], u32, Option<u64>, Vec<(u8, &[u8], &[u8])>) {
    let headers = head.headers().map(|h| (h.known, h.name, h.value)).collect();
    let flags = head.flags().bits();
    (head.method_text(), head.target(), head.path(), head.query(), flags, head.content_length(), headers)
}

fn check(head: &RequestHead) {
    let path = std::str::from_utf8(head.path()).expect("a path is UTF-8");
    assert!(path.is_empty() || path.starts_with('/'));
    assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{path}");
    assert!(head.target().iter().all(u8::is_ascii_graphic));
    for header in head.headers() {
        assert!(!header.name.is_empty());
        let value = std::str::from_utf8(header.value).expect("a value is UTF-8");
        assert!(!value.contains(['\0', '\r', '\n']) && value.trim_matches([' ', '\t']) == value);
    }
}

/// A body in chunks that arrives in pieces is taken apart as the one that arrives at once, and nothing after its end is
/// taken. The last byte says how long the pieces are.
#[test]
fn fuzz_chunks() {
    let seeds = [
        "0\r\n\r\n\x01",
        "5\r\nhello\r\n0\r\n\r\nGET /\x02",
        "a;name=value;x=\"y\"\r\n0123456789\r\n00\r\nTrailer: t\r\nOther: \t o \r\n\r\n\x07",
        "00000000000000001\r\nx\r\nFf\r\n",
        "7fffffffffffffff\r\nx\x04",
    ];
    edited(seeds, |input| {
        let Some((step, bytes)) = input.split_last() else { return };
        assert_eq!(decode(bytes, bytes.len().max(1)), decode(bytes, usize::from(*step).max(1)));
    });
}

/// The data, and where the body ended with which trailers, or that it is wrong.
#[derive(Debug, PartialEq)]
struct Outcome {
    data: Vec<u8>,
    end: Option<(usize, Vec<u8>)>,
    is_wrong: bool,
}

fn decode(bytes: &[u8], step: usize) -> Outcome {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    let mut buffer = BytesMut::new();
    let mut outcome = Outcome { data: Vec::new(), end: None, is_wrong: false };
    let mut arrived = 0;
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        arrived += piece.len();
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Chunked::Data(data)) => {
                    assert!(!data.is_empty());
                    outcome.data.extend_from_slice(&data);
                }
                Ok(Chunked::NeedMore) => break,
                Ok(Chunked::End { trailers }) => {
                    outcome.end = Some((arrived - buffer.len(), trailers.to_vec()));
                    return outcome;
                }
                Err(_) => {
                    outcome.is_wrong = true;
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// A decoded path is UTF-8, no longer than it was, and holds no dot segment.
#[test]
fn fuzz_paths() {
    let seeds = ["", "a/../b/./c/..", "%2e%2E/%2f", "%E4%BD%A0/%c3%a4%ff", "a%00b", "//..//%", "a%c0%af../%e2%82"];
    edited(seeds, |input| {
        if !input.iter().all(u8::is_ascii_graphic) {
            return;
        }
        let path = [b"/", input].concat();
        let mut out = vec![0; path.len()];
        let Ok(len) = decode_path(&path, &mut out) else { return };
        let decoded = std::str::from_utf8(&out[..len]).expect("a path is UTF-8");
        assert!(decoded.starts_with('/'));
        assert!(!decoded.contains('\0'));
        assert!(!decoded.split('/').any(|segment| segment == "." || segment == ".."), "{decoded}");
        let slashes = |text: &[u8]| text.iter().filter(|b| **b == b'/').count();
        assert!(slashes(decoded.as_bytes()) <= slashes(&path), "an escape became a slash");
    });
}

/// Packed header lines end, or are cut short, and are the same when they are packed again.
#[test]
fn fuzz_packed_headers() {
    let mut seed = BytesMut::new();
    for (name, value) in [("a", ""), ("content-type", "text/plain"), ("x", "0123456789")] {
        packed::push(&mut seed, name.as_bytes(), value.as_bytes());
    }
    edited([&seed[..], b""], |bytes| {
        let (mut headers, mut again) = (PackedHeaders::new(bytes), BytesMut::new());
        loop {
            match headers.try_next() {
                Ok(Some((name, value))) => packed::push(&mut again, name, value),
                Ok(None) => return assert_eq!(bytes[..], again[..]),
                Err(_) => return assert!(bytes.starts_with(&again)),
            }
        }
    });
}
