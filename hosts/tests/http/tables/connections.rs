//! How long a connection lives: Connection, versions, pipelines, half-closing, Expect.

use crate::case::{Case, End, Script, Step, case, events, get, post, request, scripted};
use crate::response::Kind;

/// Header lines of `GET /text`, for each version.
const CONNECTION: &[(&str, &str)] = &[
    ("nothing", ""),
    ("close", "Connection: close\r\n"),
    ("close in upper case", "Connection: CLOSE\r\n"),
    ("keep-alive", "Connection: keep-alive\r\n"),
    ("keep-alive in mixed case", "Connection: Keep-Alive\r\n"),
    ("both", "Connection: keep-alive, close\r\n"),
    ("both in the other order", "Connection: close, keep-alive\r\n"),
    ("both in two lines", "Connection: close\r\nConnection: keep-alive\r\n"),
    ("an option", "Connection: x\r\n"),
    ("an option and close", "Connection: x , close\r\n"),
    ("an option that begins with close", "Connection: closed\r\n"),
    ("an option and keep-alive", "Connection: x,keep-alive\r\n"),
    ("an empty value", "Connection:\r\n"),
    ("commas", "Connection: ,,close,\r\n"),
    ("tabs", "Connection: \tclose\t\r\n"),
    ("upgrade alone", "Connection: upgrade\r\n"),
    ("upgrade and close", "Connection: upgrade, close\r\nUpgrade: x\r\n"),
    ("the proxy's header", "Proxy-Connection: close\r\n"),
    ("the header Keep-Alive", "Connection: keep-alive\r\nKeep-Alive: timeout=5, max=10\r\n"),
    ("TE", "Connection: TE\r\nTE: trailers\r\n"),
    ("the name of another header", "Connection: X-A\r\nX-A: b\r\n"),
    ("the name of Host", "Connection: Host\r\n"),
    ("a semicolon", "Connection: close;a=b\r\n"),
    ("quotes", "Connection: \"close\"\r\n"),
    ("Latin-1", "Connection: clos\u{e9}\r\n"),
];

/// Several requests at once, with the number of responses that come, and their kinds.
const PIPELINES: &[(&str, &str, usize)] = &[
    ("of two", "GET /text HTTP/1.1\r\nHost: a\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n", 2),
    (
        "with a body first",
        "POST /body/stream HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /text HTTP/1.1\r\nHost: a\r\n\r\n",
        2,
    ),
    (
        "with chunks first",
        "POST /body/stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
         GET /text HTTP/1.1\r\nHost: a\r\n\r\n",
        2,
    ),
    (
        "with a body that is not read",
        "POST /body/none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /text HTTP/1.1\r\nHost: a\r\n\r\n",
        2,
    ),
    (
        "with chunks that are read in part",
        "POST /body/part?n=2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nX: y\r\n\r\n\
         GET /text HTTP/1.1\r\nHost: a\r\n\r\n",
        2,
    ),
    ("with an empty line between", "GET /text HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n", 2),
    ("with a bare LF between", "GET /text HTTP/1.1\r\nHost: a\r\n\r\n\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n", 2),
    (
        "that closes first",
        "GET /text HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n",
        1,
    ),
    ("with a bad one second", "GET /text HTTP/1.1\r\nHost: a\r\n\r\nGET /json HTTP/9.9\r\nHost: a\r\n\r\n", 2),
    ("with a bad one first", "GET /text HTTP/1.1\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n", 1),
    (
        "with one that throws first",
        "GET /throw/before HTTP/1.1\r\nHost: a\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n",
        2,
    ),
    (
        "with one that breaks first",
        "GET /throw/after-flush HTTP/1.1\r\nHost: a\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n",
        1,
    ),
    ("of versions", "GET /text HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n", 2),
    (
        "with a body of 1.0",
        "GET /text HTTP/1.1\r\nHost: a\r\n\r\nPOST /body/stream HTTP/1.0\r\nContent-Length: 1\r\n\r\na",
        2,
    ),
    ("with garbage second", "GET /text HTTP/1.1\r\nHost: a\r\n\r\ngarbage\r\n\r\n", 2),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, lines) in CONNECTION {
        for version in ["1.1", "1.0"] {
            let head = format!("GET /text HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
            all.push(case(format!("{version} with {name}"), super::bytes(&head)));
        }
    }
    all.extend(PIPELINES.iter().map(|&(name, bytes, count)| case(format!("pipeline {name}"), bytes).responses(count)));
    let pipeline = (0..32).map(|i| get(&format!("/echo/{i}"))).collect::<String>();
    all.push(case("pipeline of many", pipeline).responses(32));
    let heads = request("HEAD", "/text", "") + &get("/text") + &request("HEAD", "/json", "");
    all.push(case("pipeline with HEAD", heads).responses(3).kinds(&[Kind::Head, Kind::Plain, Kind::Head]));
    let split = [get("/text"), get("/json")].concat();
    let (first, second) = split.split_at(get("/text").len() + 9);
    all.push(scripted(
        "pipeline cut in the second head",
        Script::new().send(first).step(Step::Responses(1)).send(second).responses(2),
    ));
    all.extend(old_responses());
    all.extend(half_closing());
    all.extend(expectations());
    all
}

/// What a client of HTTP/1.0 gets, which knows no chunks.
fn old_responses() -> Vec<Case> {
    let old = |name: &str, target: &str, lines: &str| case(name, format!("GET {target} HTTP/1.0\r\n{lines}\r\n"));
    let keep = "Connection: keep-alive\r\n";
    vec![
        old("1.0 body of no known length", "/pieces", ""),
        old("1.0 body of no known length with keep-alive", "/pieces", keep),
        old("1.0 body of a known length with keep-alive", "/length?declare=5&write=5", keep),
        old("1.0 empty body with keep-alive", "/empty", keep),
        old("1.0 status without a body with keep-alive", "/status/204", keep),
        old("1.0 chunked by hand", "/chunked-by-hand", ""),
        old("1.0 failure before the start", "/throw/before", keep),
        old("1.0 failure in the middle", "/throw/after-flush", ""),
        old("1.0 failure in the middle of a length", "/throw/after-length", ""),
        case("1.0 HEAD with keep-alive", format!("HEAD /pieces HTTP/1.0\r\n{keep}\r\n")).head(),
        scripted(
            "1.0 upgrade",
            Script::new()
                .send("GET /upgrade HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
                .until("\r\n\r\n")
                .responses(1)
                .half_close()
                .end(End::Read),
        ),
    ]
}

/// What a client sends before it half-closes. Kestrel sees the end of the bytes and the end of the connection on two
/// threads, and answers or not, as they come.
const CUT: &[(&str, &str)] = &[
    ("at once", ""),
    ("after empty lines", "\r\n\r\n"),
    ("in the request line", "GET /te"),
    ("after the request line", "GET /text HTTP/1.1\r\n"),
    ("in a header", "GET /text HTTP/1.1\r\nHost: a"),
    ("before the last line", "GET /text HTTP/1.1\r\nHost: a\r\n"),
    ("in a body that is read", "POST /body/stream HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc"),
    ("in a chunk", "POST /body/stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"),
    ("after a chunk", "POST /body/stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ("in the trailers", "POST /body/stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n"),
    ("in a second request", "GET /text HTTP/1.1\r\nHost: a\r\n\r\nGET /te"),
];

fn half_closing() -> Vec<Case> {
    let cut = CUT.iter().map(|&(name, bytes)| {
        let script = Script::new().send(bytes).half_close().end(End::Read);
        scripted(format!("half-close {name}"), script).comparing_the_end()
    });
    let between = Script::new().send(get("/text")).step(Step::Responses(1)).half_close().responses(1).end(End::Read);
    cut.chain([scripted("half-close between requests", between)]).collect()
}

fn expectations() -> Vec<Case> {
    let head = |target: &str, expect: &str, length: usize| {
        request("POST", target, &format!("Expect: {expect}\r\nContent-Length: {length}\r\n"))
    };
    let asks = "100-continue";
    let continued = |name: &str, head: String, body: &str| {
        scripted(
            format!("expect {name}"),
            Script::new().send(head).until("HTTP/1.1 100 Continue\r\n\r\n").send(body).responses(1),
        )
    };
    let chunked = request("POST", "/body/stream", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n");
    let old = "POST /body/stream HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    vec![
        continued("and a body", head("/body/stream", asks, 3), "abc"),
        continued("in mixed case", head("/body/stream", "100-Continue", 3), "abc"),
        continued("and chunks", chunked, "3\r\nabc\r\n0\r\n\r\n"),
        continued("and the pipe", head("/body/pipe", asks, 3), "abc"),
        continued("by hand", head("/continue-by-hand", asks, 3), "abc"),
        continued("and a part", head("/body/part?n=2", asks, 3), "abc"),
        case("expect and the body with the head", head("/body/stream", asks, 3) + "abc"),
        case("expect and no body", head("/body/stream", asks, 0)),
        case("expect and no length", request("POST", "/body/stream", "Expect: 100-continue\r\n")),
        case("expect with GET", request("GET", "/text", "Expect: 100-continue\r\n")),
        case("expect and not read", head("/body/none", asks, 3)).end(End::Read),
        case("expect and not read but sent", head("/body/none", asks, 3) + "abc"),
        case("expect and thrown before reading", head("/throw/before", asks, 3)).end(End::Read),
        case("expect and too large", head("/body/limit?max=2", asks, 3)).end(End::Read),
        case("expect something else", head("/body/stream", "something", 3) + "abc"),
        case("expect nothing", head("/body/stream", "", 3) + "abc"),
        case("expect more", head("/body/stream", "100-continue, more", 3) + "abc"),
        case("expect twice", request("POST", "/body/none", "Expect: 100-continue\r\nExpect: 100-continue\r\n")),
        case("expect in 1.0", old.to_owned() + "abc"),
        scripted(
            "expect and a response that has started",
            Script::new().send(head("/body/pipe?start=1", asks, 3)).until("\r\n\r\n").send("abc").responses(1),
        ),
        scripted(
            "expect twice on one connection",
            Script::new()
                .send(head("/body/stream", asks, 3))
                .until("100 Continue")
                .send("abc")
                .step(Step::Responses(1))
                .send(post("/body/stream", "defg"))
                .responses(2),
        ),
        scripted(
            "expect and the client is gone",
            Script::new()
                .send(head("/body/catch?key=expect-gone", asks, 3))
                .until("100 Continue")
                .end(End::Reset)
                .afterwards(events("expect-gone", "caught")),
        ),
    ]
}
