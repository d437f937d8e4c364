//! Reading a request's body in every way, and not reading it.

use crate::case::{Case, End, Script, Step, case, events, get, post, post_chunked, request, scripted};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, target) in READERS {
        all.push(case(format!("{name} with a length"), post(target, "hello world")));
        all.push(case(
            format!("{name} with chunks"),
            post_chunked(target, "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX: y\r\n\r\n"),
        ));
        all.push(case(format!("{name} with nothing"), post(target, "")));
        all.push(case(format!("{name} with no body"), get(target)));
        let bad = request("POST", target, "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\nnot a size\r\n";
        all.push(case(format!("{name} with bad chunks"), bad).probed_at_once());
    }
    all.extend(limits());
    all.extend(sizes());
    all.extend(pieces());
    all.extend(unread());
    all
}

/// Ways to read, with their endpoints.
const READERS: &[(&str, &str)] = &[
    ("by the stream", "/body/stream"),
    ("by the pipe", "/body/pipe"),
    ("by the pipe, started", "/body/pipe?start=1"),
    ("by blocks", "/body/hash"),
    ("in part", "/body/part?n=3"),
    ("in part beyond its end", "/body/part?n=100"),
    ("not at all", "/body/none"),
    ("not at all and nothing answered", "/body/nothing"),
    ("twice", "/body/twice"),
    ("synchronously", "/body/sync"),
    ("synchronously where allowed", "/body/sync?allow=1"),
    ("buffered", "/body/buffered"),
    ("after a cancelled read", "/body/cancel"),
    ("examined only", "/body/examine"),
    ("by a blocked thread", "/body/in-background"),
];

fn limits() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, target) in [
        ("a limit", "/body/limit?max=10"),
        ("a limit that is caught", "/body/limit?max=10&catch=1"),
        ("a limit of metadata", "/body/limit-metadata"),
        ("no limit", "/body/no-limit"),
        ("a limit of nothing", "/body/limit?max=0"),
        ("a limit taken away", "/body/limit?max=-1"),
        ("a limit that comes late", "/body/limit-late"),
    ] {
        all.push(case(format!("below {name}"), post(target, "0123456789")));
        all.push(case(format!("above {name}"), post(target, "0123456789abcdefghij")));
        all.push(case(
            format!("below {name} in chunks"),
            post_chunked(target, "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"),
        ));
        let above = "a\r\n0123456789\r\n1\r\n0\r\n9\r\n123456789\r\n0\r\n\r\n";
        all.push(case(format!("above {name} in chunks"), post_chunked(target, above)));
    }
    let large = |target: &str, length: &str| request("POST", target, &format!("Content-Length: {length}\r\n"));
    all.push(case("above the limit of the server", large("/body/stream", "30000001")).end(End::Read));
    all.push(case("above the limit of the server, caught", large("/body/catch", "30000001")).end(End::Read));
    all.push(case("above the limit of the server, not read", large("/body/none", "30000001")).end(End::Read));
    all.push(case("far above the limit of the server", large("/body/stream", "9223372036854775807")).end(End::Read));
    all
}

/// Bodies of sizes around those of buffers.
fn sizes() -> Vec<Case> {
    let mut all = Vec::new();
    for size in [1, 4095, 4096, 4097, 16383, 16384, 65535, 65536, 65537, 200_000, 1 << 20, 4 << 20] {
        let body = "0123456789abcdef".repeat(size / 16 + 1);
        all.push(case(format!("of {size} bytes"), post("/body/hash", &body[..size])));
        let chunk = format!("{size:x}\r\n{}\r\n0\r\n\r\n", &body[..size]);
        all.push(case(format!("of {size} bytes in one chunk"), post_chunked("/body/hash", &chunk)));
        if size <= 1 << 20 {
            all.push(case(format!("of {size} bytes and back"), post("/body/pipe", &body[..size])));
        }
        let part = request("POST", "/body/part?n=9", &format!("Content-Length: {size}\r\n")) + &body[..size];
        if size >= 4095 {
            all.push(case(format!("of {size} bytes read in part"), part));
        }
    }
    let small: String = (0..2000).map(|i| format!("1\r\n{}\r\n", i % 10)).collect();
    all.push(case("of many small chunks", post_chunked("/body/hash", &(small + "0\r\n\r\n"))));
    let body = "x".repeat(30_000_000);
    all.push(case("of the largest size", post("/body/hash", &body)));
    all.push(case("beyond the largest size without a limit", post("/body/no-limit", &(body + "x"))));
    let late = Script::new().send(post("/body/pipe", &"y".repeat(300_000))).responses(1);
    all.push(scripted("of 300000 bytes and back to a client that reads late", late.reading_late()));
    all
}

/// Bodies that come bit by bit, each answered before the next.
fn pieces() -> Vec<Case> {
    let head = request("POST", "/body/pipe?start=1", "Transfer-Encoding: chunked\r\n");
    let length = request("POST", "/body/pipe?start=1", "Content-Length: 9\r\n");
    vec![
        scripted(
            "in chunks that are answered one by one",
            Script::new()
                .send(head.clone())
                .until("\r\n\r\n")
                .send("3\r\none\r\n")
                .until("one")
                .send("3\r\ntwo\r\n")
                .until("two")
                .send("5\r\nthree\r\n0\r\n\r\n")
                .responses(1),
        )
        .comparing_chunks(),
        scripted(
            "in pieces that are answered one by one",
            Script::new()
                .send(length)
                .until("\r\n\r\n")
                .send("one")
                .until("one")
                .send("two")
                .until("two")
                .send("end")
                .responses(1),
        )
        .comparing_chunks(),
        scripted(
            "in half chunks that are answered one by one",
            Script::new()
                .send(head.clone())
                .until("\r\n\r\n")
                .send("6\r\none")
                .until("one")
                .send("two\r\n0\r\n\r\n")
                .responses(1),
        )
        .comparing_chunks(),
        scripted(
            "with the last chunk late",
            Script::new()
                .send(head.clone() + "3\r\none\r\n")
                .until("one")
                .send("0")
                .send("\r\n")
                .send("\r\n")
                .responses(1),
        ),
        scripted(
            "with a bad chunk after the start",
            Script::new().send(head.clone() + "3\r\none\r\n").until("one").send("none\r\n").end(End::Read),
        ),
        scripted(
            "cut off after the start",
            Script::new().send(head + "3\r\none\r\n").until("one").half_close().end(End::Read),
        )
        .comparing_the_end(),
        scripted(
            "reset while it is read",
            Script::new()
                .send(request("POST", "/aborted/reading?key=reset-reading", "Content-Length: 9\r\n") + "abc")
                .until("waiting")
                .end(End::Reset)
                .afterwards(events("reset-reading", "end")),
        ),
        scripted(
            "cut off while it is read",
            Script::new()
                .send(request("POST", "/aborted/reading?key=cut-reading", "Content-Length: 9\r\n") + "abc")
                .until("waiting")
                .half_close()
                .end(End::Read)
                .afterwards(events("cut-reading", "end")),
        )
        .comparing_the_end(),
    ]
}

/// What becomes of a body that the application does not want.
fn unread() -> Vec<Case> {
    let head = |target: &str| request("POST", target, "Content-Length: 6\r\n");
    let late = |name: &str, target: &str| {
        let script = Script::new().send(head(target) + "abc").step(Step::Responses(1)).send("def");
        scripted(name, script.responses(1))
    };
    vec![
        late("not read and finished after the answer", "/body/none"),
        late("read in part and finished after the answer", "/body/part?n=2"),
        late("not read and the handler threw", "/throw/before"),
        scripted(
            "not read, and its chunks end after the answer",
            Script::new()
                .send(request("POST", "/body/none", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n")
                .step(Step::Responses(1))
                .send("0\r\n\r\n")
                .responses(1),
        ),
        scripted(
            "not read, and its chunks go bad after the answer",
            Script::new()
                .send(request("POST", "/body/none", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n")
                .step(Step::Responses(1))
                .send("none\r\n")
                .responses(1)
                .end(End::Read),
        ),
        scripted(
            "not read and cut off after the answer",
            Script::new()
                .send(head("/body/none") + "abc")
                .step(Step::Responses(1))
                .half_close()
                .responses(1)
                .end(End::Read),
        )
        .comparing_the_end(),
        scripted(
            "not read and never finished",
            Script::new().send(head("/body/none") + "abc").responses(1).end(End::Read),
        ),
        case(
            "not read with Connection close",
            request("POST", "/body/none", "Content-Length: 3\r\nConnection: close\r\n") + "abc",
        ),
        case(
            "not read and unfinished with Connection close",
            request("POST", "/body/none", "Content-Length: 9\r\nConnection: close\r\n") + "abc",
        )
        .end(End::Read),
    ]
}
