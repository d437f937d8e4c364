//! Forms of both kinds.

use crate::case::{Case, case, request};

/// Bodies of `application/x-www-form-urlencoded`.
const URLENCODED: &[(&str, &str)] = &[
    ("pairs", "a=1&b=2"),
    ("nothing", ""),
    ("plus and escapes", "a+b=c+d%20e%2B"),
    ("the same name", "a=1&a=2&A=3"),
    ("a name alone", "a&b=&=c&&"),
    ("escapes of UTF-8", "%C3%A4=%E2%82%AC"),
    ("bad escapes", "a=%zz&b=%&c=%C3"),
    ("raw UTF-8", "ä=€"),
    ("equal signs", "a==b=c"),
    ("semicolons", "a=1;b=2"),
    ("line ends", "a=1\r\nb=2"),
    ("a null", "a=%00b"),
];

/// Bodies of `multipart/form-data; boundary=B`.
const MULTIPART: &[(&str, &str)] = &[
    ("a field", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--B--\r\n"),
    (
        "fields",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--B\r\nContent-Disposition: form-data; name=b\r\n\r\n\r\n--B--\r\n",
    ),
    (
        "a file",
        "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\nthe\r\nfile\r\n--B--\r\n",
    ),
    (
        "an empty file",
        "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--B--\r\n",
    ),
    (
        "a file name of UTF-8",
        "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"ä.txt\"\r\n\r\nx\r\n--B--\r\n",
    ),
    (
        "an extended file name",
        "--B\r\nContent-Disposition: form-data; name=\"f\"; filename*=UTF-8''%C3%A4.txt\r\n\r\nx\r\n--B--\r\n",
    ),
    (
        "a preamble and an epilogue",
        "before\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--B--\r\nafter",
    ),
    ("a boundary in the value", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--Bx --B\r\n--B--\r\n"),
    ("no end", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n"),
    ("no last line end", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--B--"),
    ("nothing", ""),
    ("no parts", "--B--\r\n"),
    ("no disposition", "--B\r\nX: y\r\n\r\none\r\n--B--\r\n"),
    ("bare LF", "--B\nContent-Disposition: form-data; name=\"a\"\n\none\n--B--\n"),
    ("another boundary", "--C\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--C--\r\n"),
];

/// Content types with the body `a=1`.
const TYPES: &[(&str, &str)] = &[
    ("a charset", "application/x-www-form-urlencoded; charset=utf-8"),
    ("a charset of Latin-1", "application/x-www-form-urlencoded; charset=iso-8859-1"),
    ("a charset that nobody knows", "application/x-www-form-urlencoded; charset=x"),
    ("upper case", "APPLICATION/X-WWW-FORM-URLENCODED"),
    ("text", "text/plain"),
    ("JSON", "application/json"),
    ("multipart without a boundary", "multipart/form-data"),
    ("multipart with a boundary in quotes", "multipart/form-data; boundary=\"B C\""),
    ("nonsense", "nonsense"),
];

pub(crate) fn cases() -> Vec<Case> {
    let of = |name: String, kind: &str, body: &str| {
        let headers = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        case(name, request("POST", "/form", &headers) + body)
    };
    let urlencoded = "application/x-www-form-urlencoded";
    let mut all: Vec<Case> =
        URLENCODED.iter().map(|(name, body)| of(format!("urlencoded with {name}"), urlencoded, body)).collect();
    let multipart = "multipart/form-data; boundary=B";
    all.extend(MULTIPART.iter().map(|(name, body)| of(format!("multipart with {name}"), multipart, body)));
    all.extend(TYPES.iter().map(|(name, kind)| of(format!("typed with {name}"), kind, "a=1")));
    let chunked =
        |kind: &str| request("POST", "/form", &format!("Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n"));
    all.push(case("urlencoded in chunks", chunked(urlencoded) + "3\r\na=1\r\n4\r\n&b=2\r\n0\r\n\r\n"));
    all.push(case("urlencoded in bad chunks", chunked(urlencoded) + "3\r\na=1\r\nx\r\n").probed_at_once());
    let many = |count: usize| (0..count).map(|i| format!("k{i}=v&")).collect::<String>();
    all.push(of("urlencoded with the most fields".into(), urlencoded, many(1024).trim_end_matches('&')));
    all.push(of("urlencoded with too many fields".into(), urlencoded, many(1025).trim_end_matches('&')));
    all.push(of("urlencoded with a long name".into(), urlencoded, &format!("{}=1", "k".repeat(2049))));
    all.push(case("with no type", request("POST", "/form", "Content-Length: 3\r\n") + "a=1"));
    all
}
