//! The order of callbacks, and what lives for a request, a connection, or longer.

use crate::case::{Case, End, Script, Step, case, events, get, post, request, scripted};

/// What a request sees of those before it on the same connection.
const REPEATED: &[&str] = &["/async-local", "/thread", "/features", "/connection", "/persistent", "/items"];

pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for target in REPEATED {
        all.push(case(format!("repeated {target}"), get(target).repeat(3)).responses(3));
        let one_by_one = Script::new()
            .send(get(target))
            .step(Step::Responses(1))
            .send(get(target))
            .step(Step::Responses(2))
            .send(post(target, "body"))
            .responses(3);
        all.push(scripted(format!("one by one {target}"), one_by_one));
    }
    for target in ["/features/all", "/features/kestrel"] {
        all.push(case(format!("every {target}"), get(target)));
    }
    for (name, more) in [("empty", ""), ("written", "&write=1"), ("thrown", "&throw=1"), ("broken", "&write=1&throw=1")]
    {
        let key = format!("order-{name}");
        let ask = Script::new().send(get(&format!("/order?key={key}{more}"))).responses(1);
        all.push(scripted(format!("order {name}"), ask.afterwards(events(&key, "completed first True"))));
        let key = format!("order-head-{name}");
        let ask = request("HEAD", &format!("/order?key={key}{more}"), "");
        let head = scripted(
            format!("order of HEAD {name}"),
            Script::new().send(ask).responses(1).afterwards(events(&key, "completed first True")),
        );
        all.push(head.head());
    }
    let after = Script::new().send(request("GET", "/after?key=after", "Connection: close\r\n")).responses(1);
    let tell = Script::new().send(get("/signal?key=after&name=now")).responses(1);
    all.push(scripted("context used after its connection", after.afterwards(tell).afterwards(events("after", "told"))));
    let scoped = Script::new().send(get("/scoped?key=scoped")).responses(1);
    all.push(scripted("what is registered is disposed of", scoped.afterwards(events("scoped", "disposed"))));
    let mixed = [
        get("/async-local"),
        post("/body/stream", "abc"),
        get("/async-local"),
        get("/throw/before"),
        get("/async-local"),
    ];
    all.push(case("clean after others", mixed.concat()).responses(5));
    let state = [get("/headers/many?n=3"), get("/cookies/set"), get("/text")].concat();
    all.push(case("no headers of others", state).responses(3));
    let strings =
        ["/echo/a?b", "/echo/a?c", "/echo/b"].map(|target| request("GET", target, "User-Agent: x\r\nX-A: b\r\n"));
    all.push(case("strings of others are not taken", strings.concat()).responses(3));
    let gone = request("GET", "/echo", "User-Agent: x\r\nX-A: b\r\nCookie: c=d\r\n") + &get("/echo");
    all.push(case("no request headers of others", gone).responses(2));
    all.push(case("connection closed on request", get("/close") + &get("/text")).responses(1).end(End::Read));
    all
}
