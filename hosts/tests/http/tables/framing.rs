//! Where a request's body ends: Content-Length, chunks, both, neither, and trailers.

use super::bytes;
use crate::case::{Case, case};

/// Header lines of `POST /body/catch` and what follows the head.
const HEADS: &[(&str, &str, &str)] = &[
    ("length", "Content-Length: 3", "abc"),
    ("length of zero", "Content-Length: 0", ""),
    ("length with zeros before", "Content-Length: 0003", "abc"),
    ("length with spaces around", "Content-Length:   3  ", "abc"),
    ("length with a tab", "Content-Length:\t3", "abc"),
    ("length with a plus", "Content-Length: +3", "abc"),
    ("length with a minus", "Content-Length: -3", "abc"),
    ("length of minus zero", "Content-Length: -0", ""),
    ("length with a point", "Content-Length: 3.0", "abc"),
    ("length with a comma", "Content-Length: 3,3", "abc"),
    ("length with a comma and a space", "Content-Length: 3, 3", "abc"),
    ("length with a space inside", "Content-Length: 3 3", "abc"),
    ("length in hex", "Content-Length: 0x3", "abc"),
    ("length with an exponent", "Content-Length: 3e0", "abc"),
    ("length of letters", "Content-Length: abc", "abc"),
    ("length that is empty", "Content-Length:", ""),
    ("length of spaces", "Content-Length:  ", ""),
    ("length with a unit", "Content-Length: 3b", "abc"),
    ("length with quotes", "Content-Length: \"3\"", "abc"),
    ("length with an underscore", "Content-Length: 1_0", "abc"),
    ("length beyond 64 bits", "Content-Length: 18446744073709551616", "abc"),
    ("length of 2 to the 63rd", "Content-Length: 9223372036854775808", "abc"),
    ("length of the largest", "Content-Length: 9223372036854775807", "abc"),
    ("length of many zeros", "Content-Length: 000000000000000000000000000003", "abc"),
    ("length in other digits", "Content-Length: \u{d9}\u{a3}", "abc"),
    ("length twice the same", "Content-Length: 3\r\nContent-Length: 3", "abc"),
    ("length twice different", "Content-Length: 3\r\nContent-Length: 4", "abcd"),
    ("length twice, once empty", "Content-Length: 3\r\nContent-Length:", "abc"),
    ("length in two cases", "content-length: 3\r\nCONTENT-LENGTH: 3", "abc"),
    ("length with a null", "Content-Length: 3\0", "abc"),
    ("length with a space before the colon", "Content-Length : 3", "abc"),
    ("length with a space before the name", " Content-Length: 3", "abc"),
    ("neither", "X: y", ""),
    ("neither and bytes", "X: y", "abc"),
    ("chunked", "Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked in upper case", "Transfer-Encoding: CHUNKED", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked with spaces around", "Transfer-Encoding:  chunked \t", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked with a comma after", "Transfer-Encoding: chunked,", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked with a comma before", "Transfer-Encoding: ,chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked twice", "Transfer-Encoding: chunked, chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked twice in two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked after identity", "Transfer-Encoding: identity, chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked after gzip", "Transfer-Encoding: gzip, chunked", "3\r\nabc\r\n0\r\n\r\n"),
    (
        "chunked after gzip in two lines",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "3\r\nabc\r\n0\r\n\r\n",
    ),
    ("chunked before gzip", "Transfer-Encoding: chunked, gzip", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked before identity", "Transfer-Encoding: chunked, identity", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked with a parameter", "Transfer-Encoding: chunked;a=b", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked in quotes", "Transfer-Encoding: \"chunked\"", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked with a letter before", "Transfer-Encoding: xchunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked with a letter after", "Transfer-Encoding: chunkedx", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked with a vertical tab", "Transfer-Encoding: \u{b}chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked with a space before the colon", "Transfer-Encoding : chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked folded", "Transfer-Encoding:\r\n chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("identity", "Transfer-Encoding: identity", ""),
    ("gzip alone", "Transfer-Encoding: gzip", "abc"),
    ("coding that is empty", "Transfer-Encoding:", ""),
    ("coding that nobody knows", "Transfer-Encoding: x", "abc"),
    ("chunked and a length", "Transfer-Encoding: chunked\r\nContent-Length: 3", "3\r\nabc\r\n0\r\n\r\n"),
    ("a length and chunked", "Content-Length: 3\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked and a length of zero", "Content-Length: 0\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("chunked and a bad length", "Content-Length: x\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ("identity and a length", "Transfer-Encoding: identity\r\nContent-Length: 3", "abc"),
    ("gzip and a length", "Transfer-Encoding: gzip\r\nContent-Length: 3", "abc"),
];

/// Chunked bodies of `POST /body/catch`.
const CHUNKS: &[(&str, &str)] = &[
    ("chunks of several sizes", "1\r\na\r\n2\r\nbc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"),
    ("no chunk but the last", "0\r\n\r\n"),
    ("last chunk of zeros", "3\r\nabc\r\n0000\r\n\r\n"),
    ("size in upper case", "A\r\n0123456789\r\n0\r\n\r\n"),
    ("size in lower case", "a\r\n0123456789\r\n0\r\n\r\n"),
    ("size with zeros before", "0003\r\nabc\r\n0\r\n\r\n"),
    ("size of eight zeros before", "000000003\r\nabc\r\n0\r\n\r\n"),
    ("size of many zeros before", "00000000000000000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("size with a space after", "3 \r\nabc\r\n0\r\n\r\n"),
    ("size with a tab after", "3\t\r\nabc\r\n0\r\n\r\n"),
    ("size with a space before", " 3\r\nabc\r\n0\r\n\r\n"),
    ("size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("size with a plus", "+3\r\nabc\r\n0\r\n\r\n"),
    ("size with a minus", "-3\r\nabc\r\n0\r\n\r\n"),
    ("size with an underscore", "0_3\r\nabc\r\n0\r\n\r\n"),
    ("size of letters", "xyz\r\nabc\r\n0\r\n\r\n"),
    ("size that is empty", "\r\nabc\r\n0\r\n\r\n"),
    ("size with a comma", "3,\r\nabc\r\n0\r\n\r\n"),
    ("size with a null", "3\0\r\nabc\r\n0\r\n\r\n"),
    ("size with a point", "3.\r\nabc\r\n0\r\n\r\n"),
    ("size of 32 bits", "ffffffff\r\nabc\r\n0\r\n\r\n"),
    ("size of 31 bits", "7fffffff\r\nabc\r\n0\r\n\r\n"),
    ("size of 32 bits and one", "100000000\r\nabc\r\n0\r\n\r\n"),
    ("size of 64 bits", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    ("size that wraps around", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("extension", "3;a=b\r\nabc\r\n0\r\n\r\n"),
    ("extension without a value", "3;a\r\nabc\r\n0\r\n\r\n"),
    ("extension that is empty", "3;\r\nabc\r\n0\r\n\r\n"),
    ("extension with quotes", "3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n"),
    ("extension with spaces around", "3 ; a = b \r\nabc\r\n0\r\n\r\n"),
    ("extensions", "3;a=b;c=d;e\r\nabc\r\n0;f=g\r\n\r\n"),
    ("extension beyond ASCII", "3;\u{e4}\r\nabc\r\n0\r\n\r\n"),
    ("extension with a null", "3;\0\r\nabc\r\n0\r\n\r\n"),
    ("extension with a control character", "3;\u{1}\r\nabc\r\n0\r\n\r\n"),
    ("extension of the last chunk", "3\r\nabc\r\n0;a=b\r\n\r\n"),
    ("chunk data of line ends", "4\r\n\r\n\r\n\r\n0\r\n\r\n"),
    ("chunk data that looks like the end", "5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    ("chunk data beyond ASCII", "4\r\n\0\u{ff}\u{80}\n\r\n0\r\n\r\n"),
    ("spaces after the last chunk", "3\r\nabc\r\n0\r\n \r\n\r\n"),
];

/// Trailers after `3 abc 0` of `POST /body/trailers`.
const TRAILERS: &[(&str, &str)] = &[
    ("trailer", "X-A: b\r\n"),
    ("trailers", "X-A: b\r\nX-B: c\r\n"),
    ("trailer twice", "X-A: b\r\nX-A: c\r\n"),
    ("trailer that is empty", "X-A:\r\n"),
    ("trailer with spaces", "X-A:   b  \r\n"),
    ("trailer in lower case", "x-a: b\r\n"),
    ("trailer of a known name", "Content-Type: a/b\r\n"),
    ("trailer of a length", "Content-Length: 5\r\n"),
    ("trailer of a coding", "Transfer-Encoding: chunked\r\n"),
    ("trailer of a host", "Host: b\r\n"),
    ("trailer of a connection", "Connection: close\r\n"),
    ("trailer without a colon", "X-A\r\n"),
    ("trailer without a name", ": b\r\n"),
    ("trailer with a space before the colon", "X-A : b\r\n"),
    ("trailer folded", "X-A: b\r\n c\r\n"),
    ("trailer of Latin-1", "X-A: \u{e4}\r\n"),
    ("trailer of UTF-8", "X-A: \u{c3}\u{a4}\r\n"),
    ("trailer with a null", "X-A: b\0\r\n"),
    ("trailer with a bad name", "X(A): b\r\n"),
    ("trailer that begins with a space", " X-A: b\r\n"),
];

pub(crate) fn cases() -> Vec<Case> {
    let of = |name: &str, target: &str, headers: &str, body: &str| {
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
        case(name, bytes(&(head + body))).probed_at_once()
    };
    let mut all: Vec<Case> = HEADS.iter().map(|(name, headers, body)| of(name, "/body/catch", headers, body)).collect();
    let chunked = "Transfer-Encoding: chunked";
    all.extend(CHUNKS.iter().map(|(name, body)| of(name, "/body/catch", chunked, body)));
    // The same when the server has to get past a body that the application leaves alone.
    let ignored = CHUNKS.iter().filter(|(_, body)| body.ends_with("0\r\n\r\n"));
    all.extend(ignored.map(|(name, body)| of(&format!("ignored {name}"), "/body/none", chunked, body)));
    let headers = format!("{chunked}\r\nTrailer: X-A");
    let body = |trailers: &str| format!("3\r\nabc\r\n0\r\n{trailers}\r\n");
    all.extend(TRAILERS.iter().map(|(name, trailers)| of(name, "/body/trailers", &headers, &body(trailers))));
    all.push(of("trailers undeclared", "/body/trailers", chunked, &body("X-B: c\r\n")));
    all.push(of("trailers asked for too early", "/body/trailers?early=1", chunked, &body("X-B: c\r\n")));
    all.push(of("trailers without any", "/body/trailers", &headers, &body("")));
    all.push(of("trailers with a length", "/body/trailers", "Content-Length: 3\r\nTrailer: X-A", "abc"));
    all.extend(other_methods());
    all.extend(old_versions());
    all
}

/// Bodies where none is usual.
fn other_methods() -> Vec<Case> {
    let mut all = Vec::new();
    for method in ["GET", "DELETE", "OPTIONS", "TRACE", "PUT", "PATCH", "QUERY"] {
        let with =
            |headers: &str, body: &str| format!("{method} /body/catch HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}");
        all.push(case(format!("{method} with a length"), with("Content-Length: 3\r\n", "abc")).probed_at_once());
        let chunked = with("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n");
        all.push(case(format!("{method} with chunks"), chunked).probed_at_once());
        all.push(case(format!("{method} with neither"), with("", "")).probed_at_once());
    }
    all
}

/// HTTP/1.0 has no chunks.
fn old_versions() -> Vec<Case> {
    let rows = [
        ("in 1.0 a length", "Content-Length: 3\r\n", "abc"),
        ("in 1.0 neither", "", ""),
        ("in 1.0 neither and bytes", "", "abc"),
        ("in 1.0 chunked", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("in 1.0 chunked and a length", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("in 1.0 a length and keep-alive", "Content-Length: 3\r\nConnection: keep-alive\r\n", "abc"),
        ("in 1.0 neither and keep-alive", "Connection: keep-alive\r\n", ""),
        ("in 1.0 chunked and keep-alive", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ];
    let of = |(name, headers, body): (&str, &str, &str)| {
        case(name, format!("POST /body/catch HTTP/1.0\r\nHost: a\r\n{headers}\r\n{body}")).probed_at_once()
    };
    rows.into_iter().map(of).collect()
}
