//! Files: static ones, ranges, conditions, and what an application sends by path.

use crate::case::{Case, case, get, request};

const RANGES: &[(&str, &str)] = &[
    ("first bytes", "bytes=0-4"),
    ("from the middle", "bytes=10-"),
    ("last bytes", "bytes=-5"),
    ("one byte", "bytes=3-3"),
    ("all", "bytes=0-25"),
    ("beyond the end", "bytes=20-100"),
    ("last bytes beyond the start", "bytes=-100"),
    ("after the end", "bytes=26-30"),
    ("far after the end", "bytes=1000-"),
    ("none of the last bytes", "bytes=-0"),
    ("backwards", "bytes=5-2"),
    ("several", "bytes=0-1,4-5"),
    ("several that touch", "bytes=0-1,2-3"),
    ("spaces", "bytes= 0 - 4 "),
    ("another unit", "lines=0-4"),
    ("upper case", "BYTES=0-4"),
    ("no numbers", "bytes=-"),
    ("nothing", "bytes="),
    ("letters", "bytes=a-b"),
    ("large numbers", "bytes=0-99999999999999999999"),
];

const CONDITIONS: &[(&str, &str)] = &[
    ("match", "If-Match: \"alphabet\"\r\n"),
    ("match of another", "If-Match: \"other\"\r\n"),
    ("match of any", "If-Match: *\r\n"),
    ("none match", "If-None-Match: \"alphabet\"\r\n"),
    ("none match of another", "If-None-Match: \"other\"\r\n"),
    ("none match of several", "If-None-Match: \"other\", \"alphabet\"\r\n"),
    ("none match that is weak", "If-None-Match: W/\"alphabet\"\r\n"),
    ("none match of any", "If-None-Match: *\r\n"),
    ("modified since before", "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n"),
    ("modified since then", "If-Modified-Since: Sun, 02 Feb 2020 02:02:02 GMT\r\n"),
    ("unmodified since before", "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n"),
    ("unmodified since then", "If-Unmodified-Since: Sun, 02 Feb 2020 02:02:02 GMT\r\n"),
    ("range if the same", "Range: bytes=0-4\r\nIf-Range: \"alphabet\"\r\n"),
    ("range if another", "Range: bytes=0-4\r\nIf-Range: \"other\"\r\n"),
    ("range if not modified", "Range: bytes=0-4\r\nIf-Range: Sun, 02 Feb 2020 02:02:02 GMT\r\n"),
    ("range and none match", "Range: bytes=0-4\r\nIf-None-Match: \"alphabet\"\r\n"),
];

const STATIC: &[&str] = &[
    "/alphabet.txt",
    "/sub/page.html",
    "/empty.txt",
    "/with%20space.txt",
    "/data.unknown",
    "/sub",
    "/sub/",
    "/sub/../alphabet.txt",
    "/sub/%2e%2e/alphabet.txt",
    "/../HttpContract.dll",
    "/..%2fHttpContract.dll",
    "/ALPHABET.TXT",
    "/alphabet.txt?query",
    "/alphabet.txt/",
];

const SENT: &[&str] = &[
    "/file/whole",
    "/file/send",
    "/file/send?offset=5",
    "/file/send?offset=5&count=3",
    "/file/send?offset=26",
    "/file/send?offset=26&count=0",
    "/file/send?count=0",
    "/file/send?count=26",
    "/file/send?count=27",
    "/file/send?offset=27",
    "/file/send?offset=-1",
    "/file/send?length=26",
    "/file/send?length=20",
    "/file/send?length=30",
    "/file/send?length=3&offset=5&count=3",
    "/file/send-between",
    "/file/large",
];

pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let targets = ["/file/range", "/file/stream", "/file/bytes", "/alphabet.txt"];
    for (name, range) in RANGES {
        for target in targets {
            let headers = format!("Range: {range}\r\n");
            all.push(case(format!("range {name} of {target}"), request("GET", target, &headers)));
        }
    }
    for (name, headers) in CONDITIONS {
        all.push(case(format!("condition {name}"), request("GET", "/file/range", headers)));
        all.push(case(format!("condition {name} with HEAD"), request("HEAD", "/file/range", headers)).head());
    }
    for target in STATIC {
        all.push(case(format!("static {target}"), get(target)));
        all.push(case(format!("static HEAD {target}"), request("HEAD", target, "")).head());
    }
    for target in SENT {
        all.push(case(format!("sent {target}"), get(target)));
        all.push(case(format!("sent HEAD {target}"), request("HEAD", target, "")).head());
        all.push(case(format!("sent in 1.0 {target}"), format!("GET {target} HTTP/1.0\r\n\r\n")));
    }
    all.push(case("static with POST", request("POST", "/alphabet.txt", "Content-Length: 0\r\n")));
    all.push(case("sent in a pipeline", get("/file/send").repeat(3)).responses(3));
    all
}
