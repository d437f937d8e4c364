//! The middleware of the demo: every language that is there does as Rust does, with good input and with bad. And its
//! ASP.NET Core application.

#[path = "../examples/middleware/agreement.rs"]
mod agreement;
#[path = "../examples/middleware/files.rs"]
#[allow(dead_code, reason = "the demo looks for more than this")]
mod files;
#[path = "../examples/middleware/languages.rs"]
mod languages;
#[path = "../examples/middleware/native.rs"]
mod native;
#[path = "../examples/middleware/requests.rs"]
mod requests;
#[cfg(feature = "aspnet")]
#[path = "../examples/aspnet/shop.rs"]
mod shop;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use polyhost::{CallContext, Code, Output, Registry};
use polyhost_proto::bench::v1::{Reply, Request};

use languages::{LANGUAGES, Loaded};
use native::Middleware;

/// Bytes that are no `bench.v1.Request`.
const BROKEN: [(&str, &[u8]); 6] = [
    ("a tag that does not end", b"\xff"),
    ("field number 0", b"\x02\x00"),
    ("a length beyond the end", b"\x12\x05/api"),
    ("a length of more than 64 bits", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    ("a header cut short", b"\x1a\x04\x0a\x05ab"),
    ("the end of a group that was not begun", b"\x0c"),
];

/// Text that is no UTF-8: overlong, a surrogate, beyond Unicode, cut short, bytes that never occur.
const NO_UTF8: [&[u8]; 6] = [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xc3\x28", b"/\xff"];

/// Every runtime, started once for all tests.
fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(languages::registry)
}

/// Calls `check` with a fresh middleware in each language that is there.
fn each_language(check: impl Fn(&str, &Loaded)) {
    for language in &LANGUAGES {
        let found = (language.locate)().and_then(|location| {
            registry().runtime(language.scheme).map(|_| location).map_err(|error| error.to_string())
        });
        match found {
            Ok(location) => {
                let loaded = Loaded::load(registry(), &location);
                check(language.name, &loaded.unwrap_or_else(|error| panic!("{}: {error:?}", language.name)));
            }
            Err(reason) => {
                let required = languages::is_required(language.scheme);
                assert!(!required, "{}: {reason}, and POLYHOST_REQUIRE asks for it", language.name);
                eprintln!("skipped: {}: {reason}", language.name);
            }
        }
    }
}

fn replies(handle: impl Fn(Request) -> Reply, samples: &[requests::Sample]) -> Vec<Reply> {
    samples.iter().map(|sample| handle(sample.request.clone())).collect()
}

#[test]
fn every_language_replies_as_rust_does() {
    let samples = requests::generate(7, 400);
    let middleware = Middleware::default();
    let handled = replies(|request| middleware.handle(request), &samples);
    let rewritten = replies(native::rewrite, &samples);
    each_language(|name, loaded| {
        let functions = [(loaded.handle.as_ref(), &handled), (Some(&loaded.rewrite), &rewritten)];
        for (function, expected) in functions.into_iter().filter_map(|(it, expected)| Some((it?, expected))) {
            let difference = agreement::check(function, &samples, expected);
            let difference = difference.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(None, difference, "{name}");
        }
    });
}

#[test]
fn every_language_refuses_what_is_no_request() {
    each_language(|name, loaded| {
        for function in loaded.handle.iter().chain([&loaded.rewrite]) {
            for (what, bytes) in BROKEN {
                check_refused(name, what, function, bytes);
            }
            let reply = function.call(&CallContext::none(), &Request::default());
            reply.unwrap_or_else(|error| panic!("{name} does not go on: {error:?}"));
        }
    });
}

#[test]
fn every_language_refuses_text_that_is_no_utf8() {
    each_language(|name, loaded| {
        // Google.Protobuf for C# reads it as U+FFFD; only recent releases refuse it (protocolbuffers/protobuf#22288).
        if name == "C#" {
            return;
        }
        for function in loaded.handle.iter().chain([&loaded.rewrite]) {
            for text in NO_UTF8 {
                let field = |tag: u8, bytes: &[u8]| [&[tag, bytes.len() as u8], bytes].concat();
                check_refused(name, "a path that is no UTF-8", function, &field(0x12, text));
                let header = [field(0x0a, b"accept"), field(0x12, text)].concat();
                check_refused(name, "a header that is no UTF-8", function, &field(0x1a, &header));
            }
        }
    });
}

fn check_refused(name: &str, what: &str, function: &agreement::Middleware, bytes: &[u8]) {
    let mut output = Output::new();
    let outcome = function.function().call(&CallContext::none(), bytes, &mut output);
    let error = outcome.expect_err(&format!("{name}: {what}: {bytes:x?}"));
    assert_eq!(Code::InvalidArgument, error.code(), "{name}: {what}: {error}");
    assert!(output.is_empty(), "{name}: {what}");
}

#[test]
fn each_load_counts_for_itself() {
    let samples = requests::generate(3, 40);
    each_language(|name, loaded| {
        let Some(handle) = &loaded.handle else { return };
        let replies = samples.iter().map(|it| handle.call(&CallContext::none(), &it.request).expect("it is handled"));
        let first = replies.filter(|reply| reply.count == 1).count();
        let keys: BTreeSet<_> = samples.iter().filter_map(|it| it.request.headers.get("x-key")).collect();
        assert!((1..=keys.len()).contains(&first), "{name}: {first} keys were new, of {}", keys.len());
    });
}

#[test]
fn the_generator_gives_the_same_requests_for_a_seed() {
    let requests = |seed| requests::generate(seed, 200).into_iter().map(|it| it.request).collect::<Vec<_>>();
    assert_eq!(requests(5), requests(5));
    assert_ne!(requests(5), requests(6));
}

#[test]
fn the_generator_gives_requests_of_every_outcome() {
    let samples = requests::generate(1, 1000);
    let middleware = Middleware::default();
    let replies = replies(|request| middleware.handle(request), &samples);
    let statuses: BTreeSet<_> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(BTreeSet::from([0, 400, 401]), statuses);
    assert!(replies.iter().any(|reply| reply.path.starts_with("/internal/")));
    assert!(replies.iter().any(|reply| reply.count > 1));
    assert!(replies.iter().any(|reply| reply.body.windows(8).any(|it| it == b"\"total\":")));
}

#[test]
fn a_difference_is_found_and_named() {
    let json = |body: &str| Reply {
        headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
        body: body.into(),
        ..Reply::default()
    };
    let check = |expected: &Reply, got: &Reply, part: Option<&str>| {
        let found = agreement::difference(expected, got);
        match (&found, part) {
            (Some(found), Some(part)) => assert!(found.contains(part), "{found}"),
            (found, part) => assert_eq!(part.is_some(), found.is_some(), "{found:?}"),
        }
    };
    check(&json(r#"{"a":"é","b":1}"#), &json(r#"{"b": 1, "a": "\u00e9"}"#), None);
    check(&json(r#"{"a":1}"#), &json(r#"{"a":2}"#), Some("body: here   "));
    check(&json(r#"{"a":1}"#), &json("no JSON"), Some("body: native"));
    let text = |body: &str| Reply { body: body.into(), ..Reply::default() };
    check(&text("{}"), &text("{ }"), Some("body"));
    check(&text(&"a".repeat(500)), &text(&("a".repeat(499) + "b")), Some("the rest is not"));
    check(&text(""), &Reply { count: 1, ..Reply::default() }, Some("count: native 0"));
    check(&text(""), &Reply { path: "/".into(), ..Reply::default() }, Some("path"));
    check(&text(""), &Reply { status: 400, ..Reply::default() }, Some("status"));
}

/// In the process whose .NET the middleware's tests use, too.
#[cfg(feature = "aspnet")]
#[test]
fn the_shop_answers_the_same_while_its_routes_move_to_rust() {
    let dll = files::root().join("target/guests/Shop/Shop.dll");
    let found = if dll.is_file() {
        registry().runtime("clr").map_err(|error| error.to_string())
    } else {
        Err(format!("{} is not there; `make setup` builds it, or says why it can't", dll.display()))
    };
    let root = found.map(|runtime| runtime.info().location.clone().unwrap_or_default());
    let skipped = match root {
        Ok(root) if root.join("shared/Microsoft.AspNetCore.App").is_dir() => None,
        Ok(root) => Some(format!("the .NET in {} has no ASP.NET Core", root.display())),
        Err(reason) => Some(reason),
    };
    if let Some(reason) = skipped {
        assert!(!languages::is_required("clr"), "{reason}, and POLYHOST_REQUIRE asks for it");
        eprintln!("skipped: ASP.NET Core: {reason}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let tours = runtime.block_on(async {
        let shop = shop::Shop::open(&dll).await.expect("the application starts");
        let mut tours = Vec::new();
        for step in shop::Step::ALL {
            let counter = shop.serve(step, "127.0.0.1:0".parse().expect("an address")).expect("it listens");
            let tour = counter.tour().await;
            counter.close().await;
            // Who answers, and with which status, the tour has looked at.
            tours.push(tour.unwrap_or_else(|error| panic!("{error}")));
        }
        shop.close().await.expect("the application ends");
        tours
    });
    let by_rust = tours.iter().map(|tour| tour.iter().filter(|answer| answer.by == "Rust").count());
    assert_eq!(vec![0, 2, 3], by_rust.collect::<Vec<_>>());
    for (index, wish) in shop::TOUR.iter().enumerate().filter(|(_, wish)| wish.moves.is_some()) {
        let [first, second, third] = [0, 1, 2].map(|step: usize| &tours[step][index].body);
        assert_eq!([first, first], [second, third], "{wish:?}: the clients see a difference");
    }
}
