//! Applications that throw or abort, and clients that go away.

use crate::case::{Case, End, Script, case, events, get, post, request, scripted};

const TARGETS: &[&str] = &[
    "/throw/before",
    "/throw/after-headers",
    "/throw/after-start",
    "/throw/after-flush",
    "/throw/after-length",
    "/throw/after-whole-length",
    "/throw/unflushed",
    "/throw/on-starting",
    "/throw/on-starting-empty",
    "/throw/on-completed",
    "/throw/bad-request",
    "/throw/bad-request?code=413",
    "/throw/bad-request?code=418",
    "/throw/bad-request?code=500",
    "/throw/cancelled",
    "/throw/after-complete",
    "/abort/before",
    "/file/missing",
];

pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for target in TARGETS {
        all.push(case(format!("GET {target}"), get(target)));
        all.push(case(format!("HEAD {target}"), request("HEAD", target, "")).head());
        all.push(case(format!("POST {target}"), post(target, "hello")));
    }
    // Kestrel's reset throws away what it has not sent yet.
    let target = "/abort/after-flush";
    all.push(case(format!("GET {target}"), get(target)).comparing_the_end());
    all.push(case(format!("HEAD {target}"), request("HEAD", target, "")).head().comparing_the_end());
    all.push(case("POST /throw/after-reading", post("/throw/after-reading", "hello")));
    let then = Script::new().send(get("/abort/then-write?key=abort-then-write")).end(End::Read);
    all.push(scripted("writes after an abort are silent", then.afterwards(events("abort-then-write", "end"))));
    for (name, end) in [("close", End::Close), ("reset", End::Reset)] {
        let key = format!("client-{name}");
        let gone = Script::new().send(get(&format!("/aborted?key={key}"))).until("waiting").end(end);
        all.push(scripted(format!("client {name} while the handler waits"), gone.afterwards(events(&key, "aborted"))));
        let key = format!("client-{name}-writing");
        let gone = Script::new().send(get(&format!("/aborted/writing?key={key}"))).until("abcdef").end(end);
        all.push(scripted(format!("client {name} while the handler writes"), gone.afterwards(events(&key, "end"))));
    }
    let key = "client-half-close";
    let half = Script::new().send(get(&format!("/aborted?key={key}"))).until("waiting").half_close().end(End::Read);
    all.push(scripted("client half-close while the handler waits", half.afterwards(events(key, "aborted"))));
    all
}
