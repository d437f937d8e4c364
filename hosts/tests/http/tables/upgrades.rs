//! Connections that become something else.

use crate::case::{Case, End, Script, case, events, get, request, scripted};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: echo\r\n";

/// Heads of `/upgrade?mode=refuse`, which says whether the request may be upgraded.
const ASKED: &[(&str, &str)] = &[
    ("both headers", "Connection: Upgrade\r\nUpgrade: echo\r\n"),
    ("lower case", "connection: upgrade\r\nupgrade: echo\r\n"),
    ("connection alone", "Connection: Upgrade\r\n"),
    ("upgrade alone", "Upgrade: echo\r\n"),
    ("an empty upgrade", "Connection: Upgrade\r\nUpgrade:\r\n"),
    ("several options", "Connection: keep-alive, Upgrade\r\nUpgrade: echo\r\n"),
    ("several protocols", "Connection: Upgrade\r\nUpgrade: a/1, b\r\n"),
    ("two lines", "Connection: x\r\nConnection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n"),
    ("close", "Connection: Upgrade, close\r\nUpgrade: echo\r\n"),
    ("h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
    ("a body of no bytes", "Connection: Upgrade\r\nUpgrade: echo\r\nContent-Length: 0\r\n"),
    ("TLS", "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"),
];

/// How the handler of `/upgrade` behaves; the server ends it.
const MODES: &[&str] = &["greet", "twice", "body", "throw", "sized", "greet&status=200", "greet&status=418"];

pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, headers) in ASKED {
        all.push(case(format!("asked with {name}"), request("GET", "/upgrade?mode=refuse", headers)));
    }
    for method in ["POST", "OPTIONS", "HEAD", "CONNECT"] {
        let target = if method == "CONNECT" { "a:80" } else { "/upgrade?mode=refuse" };
        let asked = case(format!("asked with {method}"), request(method, target, UPGRADE));
        all.push(if method == "HEAD" { asked.head() } else { asked });
    }
    let with_body = request("POST", "/upgrade", &format!("{UPGRADE}Content-Length: 3\r\n")) + "abc";
    all.push(case("asked with a body", with_body));
    let chunks =
        request("POST", "/upgrade", &format!("{UPGRADE}Transfer-Encoding: chunked\r\n")) + "3\r\nabc\r\n0\r\n\r\n";
    all.push(case("asked with chunks", chunks));
    all.push(case("not asked", get("/upgrade")));
    let moded = |mode: &str| {
        let ask = request("GET", &format!("/upgrade?mode={mode}"), UPGRADE);
        scripted(format!("mode {mode}"), Script::new().send(ask).responses(1).end(End::Read))
    };
    all.extend(MODES.iter().map(|mode| moded(mode)));
    all.push(moded("abort").comparing_the_end());
    all.extend(echoes());
    all
}

fn echoes() -> Vec<Case> {
    let ask = |key: &str| request("GET", &format!("/upgrade?key={key}"), UPGRADE);
    let echoed = |name: &str, script: Script| {
        let key = format!("echo-{}", name.replace(' ', "-"));
        let opened = Script::new().send(ask(&key)).until("\r\n\r\n");
        let steps = opened.steps.into_iter().chain(script.steps).collect();
        scripted(
            format!("echo {name}"),
            Script { steps, end: script.end, ..Script::new() }.afterwards(events(&key, "end")),
        )
    };
    let large = "0123456789abcdef".repeat(1 << 16);
    vec![
        echoed("and half-close", Script::new().send("hello").until("hello").half_close().end(End::Read)),
        echoed("of nothing", Script::new().half_close().end(End::Read)),
        echoed(
            "in turns",
            Script::new()
                .send("one;")
                .until("one;")
                .send("two;")
                .until("two;")
                .send("three;")
                .until("three;")
                .half_close()
                .end(End::Read),
        ),
        echoed(
            "of bytes that look like a request",
            Script::new().send(get("/text")).until("Host: a").half_close().end(End::Read),
        ),
        echoed("of a mebibyte", Script::new().send(large + "the end").until("the end").half_close().end(End::Read)),
        echoed(
            "of every byte",
            Script::new().send((0..=255).collect::<Vec<u8>>()).until([254, 255]).half_close().end(End::Read),
        ),
        scripted(
            "echo of bytes that came with the head",
            Script::new()
                .send(ask("echo-early") + "early")
                .until("early")
                .half_close()
                .end(End::Read)
                .afterwards(events("echo-early", "end")),
        ),
    ]
}
