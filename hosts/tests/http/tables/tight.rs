//! What an application configures of its server holds: see `Tighten` in dotnet/tests/HttpContract/Program.cs.

use crate::case::{Case, End, Script, Step, case, get, post, post_chunked, request, scripted};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for length in [127, 128, 129, 130] {
        all.push(case(format!("request line of {length} bytes"), get(&("/".to_owned() + &"p".repeat(length - 16)))));
    }
    for count in [4, 5, 6] {
        let lines: String = (1..count).map(|i| format!("X-{i}: v\r\n")).collect();
        all.push(case(format!("headers {count} in number"), request("GET", "/headers/count", &lines)));
    }
    for length in [250, 254, 255, 256, 257, 258, 260] {
        let line = format!("X: {}\r\n", "v".repeat(length - 14));
        all.push(case(format!("headers of {length} bytes"), request("GET", "/headers/count", &line)));
    }
    for length in [31, 32, 33] {
        let body = "b".repeat(length);
        all.push(case(format!("body of {length} bytes"), post("/body/stream", &body)).end(End::Read));
        let chunk = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
        all.push(
            case(format!("body of {length} bytes in chunks"), post_chunked("/body/stream", &chunk)).end(End::Read),
        );
    }
    all.push(case("body of more where an endpoint allows it", post("/body/no-limit", &"b".repeat(100))));
    all.push(case("synchronous reading", post("/body/sync", "abc")));
    all.push(case("synchronous writing", get("/sync")));
    all.push(case("no name of the server", get("/text")));
    all.push(case("no name of the server in a refusal", "GET / HTTP/1.1\r\n\r\n"));
    encodings(&mut all);
    let idle = Script::new().send(get("/text")).responses(1).end(End::Read);
    all.push(scripted("idle connection", idle));
    all.push(scripted("connection without a request", Script::new().end(End::Read)));
    let stuck = |name: &str, bytes: &str| {
        scripted(format!("head that stops {name}"), Script::new().send(bytes).responses(1).end(End::Read))
    };
    all.push(stuck("in the request line", "GET /te"));
    all.push(stuck("in the headers", "GET /text HTTP/1.1\r\nHost: a\r\n"));
    let second = Script::new().send(get("/text")).step(Step::Responses(1)).send("GET /te").responses(2).end(End::Read);
    all.push(scripted("head that stops in the second request", second));
    let slow = request("POST", "/body/catch", "Content-Length: 20\r\n") + "abc";
    all.push(scripted("body that stops", Script::new().send(slow).responses(1).end(End::Read)));
    let slow = request("POST", "/body/stream", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n";
    all.push(scripted("chunks that stop", Script::new().send(slow).responses(1).end(End::Read)));
    all.into_iter().map(Case::tight).collect()
}

/// `Encode` of the application chooses one by a header's name.
fn encodings(all: &mut Vec<Case>) {
    for name in ["X-Latin", "x-latin", "User-Agent", "X-Utf", "X-Strict", "X-Ascii", "X-Other"] {
        for (what, value) in [("Latin-1", "a\u{e4}"), ("UTF-8", "a\u{c3}\u{a4}"), ("ASCII", "a")] {
            all.push(case(format!("{name} in {what}"), request("GET", "/echo", &format!("{name}: {value}\r\n"))));
        }
    }
    let trailer = request("POST", "/body/trailers", "Transfer-Encoding: chunked\r\n") + "0\r\nX-Latin: a\u{e4}\r\n\r\n";
    all.push(case("trailer in Latin-1", trailer));
    for name in ["X-Latin", "X-Utf", "X-Strict", "X-Ascii", "X-Other"] {
        for value in ["%C3%A4", "%E2%82%AC", "%01", "%7F", "%09", "c"] {
            let target = format!("/headers/encoded?name={name}&value={value}");
            all.push(case(format!("response with {name} of {value}"), get(&target)));
        }
    }
}
