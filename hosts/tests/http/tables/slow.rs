//! Requests that come byte by byte, or cut at an unlucky place.

use crate::case::{Case, Script, Step, get, post, post_chunked, request, scripted};
use crate::response::Kind;

pub(crate) fn cases() -> Vec<Case> {
    let long = request("GET", "/echo/a%2Fb/../%C3%A4?q=1", "User-Agent: x\r\nX-A: \tb \r\nX-A: c\r\nCookie: a=b\r\n");
    let trailers = "5;a=\"b\"\r\nhello\r\n0\r\nX-A: b\r\nX-B: c\r\n\r\n";
    let whole: Vec<(&str, String, usize)> = vec![
        ("a request", long, 1),
        ("two requests", get("/text") + "\r\n" + &get("/json"), 2),
        ("a body", post("/body/stream", "hello world"), 1),
        ("chunks", post_chunked("/body/stream", "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"), 1),
        (
            "trailers",
            request("POST", "/body/trailers", "Transfer-Encoding: chunked\r\nTrailer: X-A, X-B\r\n") + trailers,
            1,
        ),
        ("chunks that are not read", post_chunked("/body/none", trailers) + &get("/text"), 2),
        ("an absolute target", "GET http://a:81/b HTTP/1.1\r\nHost: a:81\r\n\r\n".to_owned(), 1),
        ("a bad header", "GET / HTTP/1.1\r\nHost: a\r\nX\u{1}: b\r\n\r\n".to_owned(), 1),
        ("a bad version", "GET / HTTP/1.3\r\nHost: a\r\n\r\n".to_owned(), 1),
        ("a bare LF", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n".to_owned(), 1),
        ("a bad chunk", post_chunked("/body/catch", "3\r\nabc\r\nx\r\n"), 1),
        ("a bare LF in an extension", post_chunked("/body/catch", "3;a\nabc\r\n"), 1),
        ("a folded header", request("GET", "/", "X: b\r\n c\r\n"), 1),
        ("1.0", "GET /text HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(), 1),
    ];
    let mut all: Vec<Case> = whole
        .iter()
        .map(|(name, bytes, count)| {
            let script = Script::new().step(Step::SendSlowly(bytes.clone().into_bytes())).responses(*count);
            scripted(format!("byte by byte {name}"), script)
        })
        .collect();
    let request = request("GET", "/echo?a=b", "User-Agent: x\r\n");
    for at in 1..request.len() {
        let (first, second) = request.split_at(at);
        // The first answer shows that what came before it has been read.
        let script = Script::new().send(get("/text") + first).step(Step::Responses(1)).send(second).responses(2);
        all.push(scripted(format!("cut after {at} bytes"), script));
    }
    let chunks = post_chunked("/body/stream", "3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n");
    let head = chunks.find("\r\n\r\n").map_or(0, |at| at + 4);
    for at in head..chunks.len() {
        let (first, second) = chunks.split_at(at);
        let script = Script::new().send(get("/text") + first).step(Step::Responses(1)).send(second).responses(2);
        all.push(scripted(format!("chunks cut after {} bytes", at - head), script).kinds(&[Kind::Plain, Kind::Plain]));
    }
    all
}
