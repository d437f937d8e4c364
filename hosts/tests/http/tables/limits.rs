//! The sizes that a server takes by default: request line 8,192 bytes, headers 32,768 bytes and 100 lines.

use crate::case::{Case, case, get, request};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    // `GET `, ` HTTP/1.1` and CR LF count.
    for length in [8190, 8191, 8192, 8193, 8194, 10_000, 70_000, 1_200_000] {
        let path = "/".to_owned() + &"p".repeat(length - 16);
        all.push(case(format!("request line of {length} bytes"), get(&path)));
        let query = "/?".to_owned() + &"q".repeat(length - 17);
        all.push(case(format!("query in a request line of {length} bytes"), get(&query)));
    }
    for length in [8175, 8176, 8177, 8178, 8192] {
        let method = "M".repeat(length);
        all.push(case(format!("method of {length} bytes"), request(&method, "/", "")));
    }
    // `Host: a` and CR LF are nine bytes, and the empty line may count.
    for length in [32_700, 32_764, 32_765, 32_766, 32_767, 32_768, 32_769, 32_770, 32_771, 40_000, 200_000] {
        let value = "v".repeat(length - 9 - 5);
        all.push(case(
            format!("headers of {length} bytes in one"),
            request("GET", "/headers/count", &format!("X: {value}\r\n")),
        ));
        let name = "N".repeat(length - 9 - 5);
        all.push(case(
            format!("headers of {length} bytes in one name"),
            request("GET", "/headers/count", &format!("{name}: v\r\n")),
        ));
        let lines: String = (0..50).map(|i| format!("X-{i:02}: {}\r\n", "v".repeat(600))).collect();
        let rest = length.saturating_sub(9 + lines.len() + 5);
        let lines = lines + &format!("Y: {}\r\n", "v".repeat(rest));
        all.push(case(format!("headers of {length} bytes in many"), request("GET", "/headers/count", &lines)));
    }
    for count in [98, 99, 100, 101, 150] {
        let lines: String = (1..count).map(|i| format!("X-{i}: v\r\n")).collect();
        all.push(case(format!("headers {count} in number"), request("GET", "/headers/count", &lines)));
        let same = "X-A: v\r\n".repeat(count - 1);
        all.push(case(format!("headers {count} of one name"), request("GET", "/headers/count", &same)));
    }
    for count in [98, 99, 100, 101, 102] {
        let trailers: String = (0..count).map(|i| format!("X-{i}: v\r\n")).collect();
        let body = format!("0\r\n{trailers}\r\n");
        let head = request("POST", "/body/catch", "Transfer-Encoding: chunked\r\n");
        all.push(case(format!("trailers {count} in number"), head + &body).probed_at_once());
    }
    for length in [1000, 32_000, 33_000, 70_000] {
        let body = format!("0\r\nX: {}\r\n\r\n", "v".repeat(length));
        let head = request("POST", "/body/catch", "Transfer-Encoding: chunked\r\n");
        all.push(case(format!("trailers of {length} bytes"), head.clone() + &body).probed_at_once());
        let body = format!("1;{}\r\na\r\n0\r\n\r\n", "e".repeat(length));
        all.push(case(format!("chunk extension of {length} bytes"), head + &body).probed_at_once());
    }
    let lines = "\r\n".repeat(5000);
    all.push(case("many empty lines before the request", lines + &get("/text")));
    all.push(
        case(
            "large headers in a pipeline",
            request("GET", "/headers/count", &format!("X: {}\r\n", "v".repeat(30_000))).repeat(4),
        )
        .responses(4),
    );
    all
}
