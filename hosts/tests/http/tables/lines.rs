//! Line ends: CR LF, LF, CR, and what is mixed, in every part of a message.

use super::bytes;
use crate::case::{Case, case};

/// Whole messages; the follow-up request comes in the same piece.
const MESSAGES: &[(&str, &str)] = &[
    ("LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ("LF after a header", "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    ("LF at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("LF after a header before others", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    ("LF everywhere", "GET / HTTP/1.1\nHost: a\n\n"),
    ("LF twice after a header", "GET / HTTP/1.1\r\nHost: a\n\n"),
    ("CR after the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n"),
    ("CR after a header", "GET / HTTP/1.1\r\nHost: a\r\r\n"),
    ("CR between headers", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
    ("CR at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\r"),
    ("CR and a letter at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n"),
    ("CR everywhere", "GET / HTTP/1.1\rHost: a\r\r"),
    ("CR CR LF after the request line", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    ("CR CR LF after a header", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    ("LF CR", "GET / HTTP/1.1\n\rHost: a\n\r\n\r"),
    ("LF CR LF after a header", "GET / HTTP/1.1\r\nHost: a\n\r\nX: y\r\n\r\n"),
    ("CR in a header value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n"),
    ("CR at the start of a header value", "GET / HTTP/1.1\r\nHost: a\r\nX: \rb\r\n\r\n"),
    ("CR in a header name", "GET / HTTP/1.1\r\nHost: a\r\nX\rY: b\r\n\r\n"),
    ("CR before a header name", "GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n"),
    ("CR in the target", "GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CR in the method", "G\rET /a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CR before the version", "GET /a \rHTTP/1.1\r\nHost: a\r\n\r\n"),
    ("LF in the target", "GET /a\nb HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("LF in a header name", "GET / HTTP/1.1\r\nHost: a\r\nX\nY: b\r\n\r\n"),
    ("LF in a header value", "GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n"),
    ("header without a colon after LF", "GET / HTTP/1.1\r\nHost: a\r\nX: b\nc\r\n\r\n"),
    ("empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("empty lines before the request", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("LF before the request", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CR before the request", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("null before the request", "\0GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("spaces before the request", "  GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("empty line with a space before the request", " \r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("request line alone", "GET / HTTP/1.1\r\n\r\n"),
    ("request line alone with LF", "GET / HTTP/1.1\n\n"),
    ("request line of 0.9", "GET /\r\n"),
    ("request line of 0.9 with headers", "GET /\r\nHost: a\r\n\r\n"),
    ("line separators of Unicode", "GET / HTTP/1.1\r\nHost: a\r\nX: \u{e2}\u{80}\u{a8}Y: b\r\n\r\n"),
    ("next line of Latin-1", "GET / HTTP/1.1\r\nHost: a\r\nX: b\u{85}Y: c\r\n\r\n"),
    ("TLS hello", "\u{16}\u{3}\u{1}\u{0}\u{5}hello\r\n\r\n"),
    ("only CR LF", "\r\n"),
    ("only null", "\0\0\0\0\r\n\r\n"),
    ("only letters", "hello\r\n\r\n"),
    ("preface of HTTP 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
];

/// Chunked bodies of `POST /body/catch`.
const CHUNKS: &[(&str, &str)] = &[
    ("LF after a chunk size", "3\nabc\r\n0\r\n\r\n"),
    ("LF after chunk data", "3\r\nabc\n0\r\n\r\n"),
    ("LF after the last chunk", "3\r\nabc\r\n0\n\r\n"),
    ("LF at the end of the body", "3\r\nabc\r\n0\r\n\n"),
    ("LF everywhere in the body", "3\nabc\n0\n\n"),
    ("CR after a chunk size", "3\rabc\r\n0\r\n\r\n"),
    ("CR after chunk data", "3\r\nabc\r0\r\n\r\n"),
    ("CR CR LF after a chunk size", "3\r\r\nabc\r\n0\r\n\r\n"),
    ("LF CR after chunk data", "3\r\nabc\n\r0\r\n\r\n"),
    ("nothing after chunk data", "3\r\nabc0\r\n\r\n"),
    ("more after chunk data", "3\r\nabcd\r\n0\r\n\r\n"),
    ("CR after the last chunk", "3\r\nabc\r\n0\r\r\n"),
    ("CR at the end of the body", "3\r\nabc\r\n0\r\n\r"),
    ("LF in a chunk extension", "3;a\nabc\r\n0\r\n\r\n"),
    ("LF in a chunk extension before CR LF", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
    ("LF directly after a semicolon", "3;\nabc\r\n0\r\n\r\n"),
    ("LF directly after a semicolon before CR LF", "3;\n\r\nabc\r\n0\r\n\r\n"),
    ("CR in a chunk extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("CR CR LF in a chunk extension", "3;a\r\r\nabc\r\n0\r\n\r\n"),
    ("CR at the start of a chunk extension", "3;\ra\r\nabc\r\n0\r\n\r\n"),
    ("LF in an extension of the last chunk", "3\r\nabc\r\n0;a\n\r\n"),
    ("CR in an extension of the last chunk", "3\r\nabc\r\n0;a\rb\r\n\r\n"),
    ("LF that hides a request in an extension", "2;\nxx\r\n4c\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("LF after a trailer", "3\r\nabc\r\n0\r\nX: y\n\r\n"),
    ("LF at the end of the trailers", "3\r\nabc\r\n0\r\nX: y\r\n\n"),
    ("CR after a trailer", "3\r\nabc\r\n0\r\nX: y\r\r\n"),
    ("CR in a trailer", "3\r\nabc\r\n0\r\nX: y\rz\r\n\r\n"),
    ("LF and a space in a trailer", "3\r\nabc\r\n0\r\nX: y\n z\r\n\r\n"),
];

pub(crate) fn cases() -> Vec<Case> {
    let messages = MESSAGES.iter().map(|(name, message)| case(*name, bytes(message)).probed_at_once());
    let chunks = CHUNKS.iter().map(|(name, chunks)| {
        let head = "POST /body/catch HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        case(*name, bytes(&(head.to_owned() + chunks))).probed_at_once()
    });
    messages.chain(chunks).collect()
}
