//! What a server makes of an application's answer.

use crate::case::{Case, Script, Step, case, events, get, request, scripted, signal};

/// Targets asked for with GET and with HEAD.
const TARGETS: &[&str] = &[
    "/text",
    "/json",
    "/empty",
    "/zero",
    "/status/200",
    "/status/200?body=x",
    "/status/201?body=x&length=1",
    "/status/204",
    "/status/204?body=x",
    "/status/204?length=0",
    "/status/204?length=1",
    "/status/205",
    "/status/205?body=x",
    "/status/205?length=0",
    "/status/304",
    "/status/304?body=x",
    "/status/304?length=7",
    "/status/301",
    "/status/404?body=x",
    "/status/418",
    "/status/500?body=x",
    "/status/599",
    "/status/600",
    "/status/999",
    "/status/1000",
    "/status/99",
    "/status/0",
    "/status/101",
    "/status/101?body=x",
    "/status/200?reason=Fine",
    "/status/200?reason=Fine%20and%20good",
    "/status/200?reason=",
    "/status/299",
    "/status/404?reason=Not%20Here",
    "/status/200?reason=a%0D%0Ab",
    "/status/200?reason=%C3%A4",
    "/status/200?reason=%E4",
    "/status/200?reason=a%00b",
    "/status/200?reason=a%09b",
    "/length?declare=5&write=5",
    "/length?declare=5&write=4",
    "/length?declare=5&write=0",
    "/length?declare=5&write=6",
    "/length?declare=0&write=0",
    "/length?declare=0&write=1",
    "/length?declare=6&write=3&times=2",
    "/length?declare=5&write=3&times=2",
    "/length?declare=9&write=3&times=2",
    "/length?declare=5&write=4&complete=1",
    "/length?declare=5&write=5&complete=1",
    "/length?declare=-1&write=5",
    "/length?declare=-2&write=5",
    "/pieces",
    "/pieces?n=1",
    "/pieces?n=0",
    "/writer",
    "/writer?n=0",
    "/writer?flush=1",
    "/writer?complete=1",
    "/start",
    "/flush",
    "/no-buffering",
    "/sync",
    "/sync?allow=1",
    "/chunked-by-hand",
    "/chunked-by-hand?value=gzip,chunked",
    "/chunked-by-hand?value=identity",
    "/headers/late",
    "/headers/many?n=3",
    "/cookies/set",
    "/redirect",
    "/trailers",
    "/not-modified",
    "/close",
    "/nowhere?",
];

/// Headers that an application sets: name and value, escaped for a query; `|` separates values.
const HEADERS: &[(&str, &str, &str)] = &[
    ("plain", "X-Test", "v"),
    ("empty", "X-Test", ""),
    ("two values", "X-Test", "a|b"),
    ("two values, one empty", "X-Test", "a|"),
    ("spaces around", "X-Test", "%20a%20"),
    ("tab inside", "X-Test", "a%09b"),
    ("CR LF", "X-Test", "a%0D%0AX-Other:%20b"),
    ("LF", "X-Test", "a%0Ab"),
    ("CR", "X-Test", "a%0Db"),
    ("null", "X-Test", "a%00b"),
    ("control character", "X-Test", "a%01b"),
    ("delete", "X-Test", "a%7Fb"),
    ("beyond ASCII", "X-Test", "%C3%A4"),
    ("beyond Latin-1", "X-Test", "%E2%82%AC"),
    ("bad name", "X%20Test", "v"),
    ("name with a colon", "X:Test", "v"),
    ("name with CR LF", "X%0D%0AY", "v"),
    ("name beyond ASCII", "X-%C3%A4", "v"),
    ("name in lower case", "x-test", "v"),
    ("known name in lower case", "content-type", "text/x"),
    ("server", "Server", "mine"),
    ("no server", "Server", ""),
    ("date", "Date", "today"),
    ("two dates", "Date", "today|tomorrow"),
    ("connection close", "Connection", "close"),
    ("connection close in upper case", "Connection", "CLOSE"),
    ("connection keep-alive", "Connection", "keep-alive"),
    ("connection of others", "Connection", "x"),
    ("connection upgrade", "Connection", "upgrade"),
    ("connection close among others", "Connection", "x,%20close"),
    ("length", "Content-Length", "3"),
    ("length that is wrong", "Content-Length", "4"),
    ("length that is none", "Content-Length", "x"),
    ("length that is negative", "Content-Length", "-1"),
    ("length with spaces", "Content-Length", "%203%20"),
    ("lengths", "Content-Length", "3|3"),
    ("length that is empty", "Content-Length", ""),
    ("coding identity", "Transfer-Encoding", "identity"),
    ("coding of gzip", "Transfer-Encoding", "gzip"),
    ("coding that is empty", "Transfer-Encoding", ""),
    ("upgrade", "Upgrade", "x"),
    ("trailer", "Trailer", "X-A"),
    ("keep alive header", "Keep-Alive", "timeout=5"),
    ("location beyond ASCII", "Location", "/%C3%A4"),
    ("content type", "Content-Type", "text/x;%20a=%22b%22"),
    ("alternative services", "Alt-Svc", "h3=%22:443%22"),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for target in TARGETS {
        let name = target.trim_start_matches('/');
        all.push(case(format!("GET {name}"), get(target)));
        all.push(case(format!("HEAD {name}"), request("HEAD", target, "")).head());
    }
    for (name, header, value) in HEADERS {
        let target = format!("/header?name={header}&value={value}");
        all.push(case(format!("header of {name}"), get(&target)));
    }
    for (n, size) in [(10, 10), (100, 10), (200, 100), (1000, 20), (1, 4000), (1, 5000), (2, 40_000), (1, 100_000)] {
        all.push(case(format!("headers {n} of {size}"), get(&format!("/headers/many?n={n}&size={size}"))));
    }
    all.extend(large());
    all.extend(completed());
    // Only what follows tells that nothing more belongs to these.
    for target in ["/status/100", "/status/103", "/status/103?body=x"] {
        all.push(case(format!("GET {}", &target[1..]), get(target)).responses(0));
        all.push(case(format!("HEAD {}", &target[1..]), request("HEAD", target, "")).responses(0));
    }
    all.push(case("pieces in chunks", get("/pieces?n=4")).comparing_chunks());
    all.push(case("writer in chunks", get("/writer?n=4")).comparing_chunks());
    all.push(case("writer in chunks that are flushed", get("/writer?n=4&flush=1")).comparing_chunks());
    all
}

/// Bodies around the sizes of buffers, and clients that do not read.
fn large() -> Vec<Case> {
    let mut all = Vec::new();
    for size in [1, 4095, 4096, 4097, 8192, 16384, 65535, 65536, 65537, 131_072, 1 << 20, 8 << 20] {
        for (name, more) in [("", ""), (" with a length", "&length=1"), (" in one block", "&block=10000000")] {
            all.push(case(format!("large {size}{name}"), get(&format!("/large?size={size}{more}"))));
        }
    }
    let late = Script::new().send(get("/large?size=20000000")).responses(1).reading_late();
    all.push(scripted("large to a client that reads late", late));
    let blocks = Script::new().send(get("/large?size=3000000&block=100")).responses(1);
    all.push(scripted("large in small blocks", blocks));
    all
}

/// A response that ends before its handler.
fn completed() -> Vec<Case> {
    let key = "response-completed";
    let ask = get(&format!("/complete?key={key}"));
    let next = Script::new()
        .send(ask)
        .step(Step::Responses(1))
        .meanwhile(events(key, "late write InvalidOperationException"))
        .meanwhile(signal(key, "go on"))
        .responses(1)
        .afterwards(events(key, "go on"));
    vec![scripted("completed before the handler ends", next)]
}
