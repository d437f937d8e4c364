//! The syntax of header lines, and what the application gets to see of them.

use super::bytes;
use crate::case::{Case, case};

/// Header lines after the request line and `Host: a`, each without the CR LF of the last.
const LINES: &[(&str, &str)] = &[
    ("plain", "X-A: b"),
    ("no space", "X-A:b"),
    ("many spaces", "X-A:     b     "),
    ("tabs around", "X-A:\tb\t"),
    ("tab inside", "X-A: b\tc"),
    ("spaces inside", "X-A: b   c"),
    ("empty value", "X-A:"),
    ("value of spaces", "X-A:    "),
    ("value of one character", "X-A: b"),
    ("value with colons", "X-A: b:c::d"),
    ("space before the colon", "X-A : b"),
    ("tab before the colon", "X-A\t: b"),
    ("space in the name", "X A: b"),
    ("space before the name", " X-A: b"),
    ("tab before the name", "\tX-A: b"),
    ("empty name", ": b"),
    ("only a colon", ":"),
    ("no colon", "X-A"),
    ("no colon but spaces", "X-A b"),
    ("folded with a space", "X-A: b\r\n c"),
    ("folded with a tab", "X-A: b\r\n\tc"),
    ("folded with nothing", "X-A: b\r\n "),
    ("folded first line", "X-A:\r\n b"),
    ("name in lower case", "x-a: b"),
    ("name in upper case", "X-A: b"),
    ("known name in mixed case", "uSeR-aGeNt: me"),
    ("name of every token character", "!#$%&'*+-.^_`|~09Az: b"),
    ("name with a parenthesis", "X(A): b"),
    ("name with a slash", "X/A: b"),
    ("name with quotes", "\"X\": b"),
    ("name with an at sign", "X@A: b"),
    ("name with an equal sign", "X=A: b"),
    ("name with a comma", "X,A: b"),
    ("name with brackets", "X[A]: b"),
    ("name with braces", "X{A}: b"),
    ("name with a backslash", "X\\A: b"),
    ("name beyond ASCII", "X-\u{e4}: b"),
    ("name of UTF-8", "X-\u{c3}\u{a4}: b"),
    ("name with a null", "X\0A: b"),
    ("name with a control character", "X\u{1}A: b"),
    ("name with delete", "X\u{7f}: b"),
    ("name of one character", "X: b"),
    ("name of digits", "123: b"),
    ("name with an underscore", "X_A: b"),
    ("null in the value", "X-A: b\0c"),
    ("null at the end of the value", "X-A: b\0"),
    ("control character in the value", "X-A: b\u{1}c"),
    ("bell in the value", "X-A: \u{7}"),
    ("escape in the value", "X-A: \u{1b}[0m"),
    ("vertical tab in the value", "X-A: \u{b}b"),
    ("form feed in the value", "X-A: b\u{c}"),
    ("delete in the value", "X-A: b\u{7f}"),
    ("UTF-8 in the value", "X-A: \u{c3}\u{a4}\u{e2}\u{82}\u{ac}"),
    ("UTF-8 of four bytes in the value", "X-A: \u{f0}\u{9f}\u{98}\u{80}"),
    ("Latin-1 in the value", "X-A: \u{e4}"),
    ("bad UTF-8 in the value", "X-A: \u{c3}\u{28}"),
    ("overlong UTF-8 in the value", "X-A: \u{c0}\u{af}"),
    ("surrogate in the value", "X-A: \u{ed}\u{a0}\u{80}"),
    ("UTF-8 in a known header", "User-Agent: \u{c3}\u{a4}"),
    ("Latin-1 in a known header", "User-Agent: \u{e4}"),
    ("Latin-1 in a cookie", "Cookie: a=\u{e4}"),
    ("no-break space around the value", "X-A: \u{a0}b\u{a0}"),
    ("twice", "X-A: b\r\nX-A: c"),
    ("twice with others between", "X-A: b\r\nX-B: c\r\nX-A: d"),
    ("twice in different case", "X-A: b\r\nx-a: c"),
    ("twice, once empty", "X-A:\r\nX-A: c"),
    ("three times the same", "X-A: b\r\nX-A: b\r\nX-A: b"),
    ("known twice", "User-Agent: a\r\nUser-Agent: b"),
    ("known list twice", "Accept: a/b\r\nAccept: c/d"),
    ("with commas", "X-A: b, c,d ,e"),
    ("cookie twice", "Cookie: a=1\r\nCookie: b=2"),
    ("content type twice", "Content-Type: a/b\r\nContent-Type: c/d"),
    ("connection twice", "Connection: keep-alive\r\nConnection: x"),
    ("names of pseudo headers", ":path: /b"),
    (
        "every known name",
        "Accept: 1\r\nAccept-Encoding: 2\r\nAccept-Language: 3\r\nAuthorization: 4\r\nCache-Control: 5\r\n\
        Pragma: 6\r\nOrigin: 7\r\nReferer: 8\r\nIf-None-Match: 9\r\nIf-Modified-Since: 10\r\nIf-Match: 11\r\n\
        If-Unmodified-Since: 12\r\nIf-Range: 13\r\nRange: 14\r\nUpgrade-Insecure-Requests: 15\r\nTE: 16\r\nTrailer: 17\r\n\
        Date: 18\r\nVia: 19\r\nX-Forwarded-For: 20\r\nX-Forwarded-Proto: 21\r\nX-Forwarded-Host: 22\r\n\
        X-Requested-With: 23\r\ntraceparent: 24\r\ntracestate: 25\r\nbaggage: 26\r\nDNT: 27\r\nUser-Agent: 28",
    ),
    ("known names that only browsers send", "Sec-WebSocket-Key: 1\r\nSec-WebSocket-Version: 2\r\nSec-Fetch-Mode: 3"),
    ("response names in a request", "Server: a\r\nLocation: /b\r\nSet-Cookie: c=d\r\nETag: \"e\""),
    ("content headers without a body", "Content-Type: a/b; c=\"d\"\r\nContent-Language: e\r\nContent-Encoding: f"),
    ("name that is nearly known", "Hosts: a\r\nHos: b\r\nContent-Lengths: 5\r\nTransfer-Encodin: chunked"),
    (
        "long name",
        "X-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA: b",
    ),
    ("trace context", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
];

/// Headers that frameworks read, with the endpoint that shows them.
const READ: &[(&str, &str, &str)] = &[
    ("cookies", "/cookies", "Cookie: a=1; b=2;c=3; d; =e; f=\"g\"; a=4"),
    ("cookies with escapes", "/cookies", "Cookie: a=%20b%3B; %41=c; d=e=f"),
    ("cookies in two lines", "/cookies", "Cookie: a=1\r\nCookie: b=2; a=3"),
    ("cookies that are broken", "/cookies", "Cookie: ;;; ,a=1, b=\u{1f}"),
    ("typed", "/typed", "Accept: text/html;q=0.5, */*\r\nRange: bytes=0-5, 7-\r\nAccept-Language: de, en;q=0.1"),
    ("typed dates", "/typed", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"),
    ("typed dates of old", "/typed", "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"),
    ("typed dates that are none", "/typed", "If-Modified-Since: yesterday\r\nRange: lines=1"),
];

pub(crate) fn cases() -> Vec<Case> {
    let of = |name: &str, target: &str, line: &str| {
        case(name, bytes(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n"))).probed_at_once()
    };
    let lines = LINES.iter().map(|(name, line)| of(name, "/h", line));
    // The first header line is read by other code than those after it.
    let first = LINES.iter().take(22).map(|(name, line)| {
        let name = format!("first and {name}");
        case(name, bytes(&format!("GET /h HTTP/1.1\r\n{line}\r\nHost: a\r\n\r\n"))).probed_at_once()
    });
    let read = READ.iter().map(|(name, target, line)| of(name, target, line));
    lines.chain(first).chain(read).collect()
}
