//! The Host header, alone and beside a target that names a host.

use super::bytes;
use crate::case::{Case, case};

/// Values of Host in `GET /h HTTP/1.1`.
const VALUES: &[(&str, &str)] = &[
    ("name", "example.com"),
    ("name and port", "example.com:8080"),
    ("default port", "example.com:80"),
    ("upper case", "EXAMPLE.com"),
    ("empty", ""),
    ("only spaces", "   "),
    ("space before and after", "  a  "),
    ("port alone", ":80"),
    ("colon at the end", "a:"),
    ("port with letters", "a:8x"),
    ("port that is negative", "a:-1"),
    ("port that is too large", "a:65536"),
    ("port of many digits", "a:00000000000080"),
    ("two ports", "a:1:2"),
    ("dot at the end", "a."),
    ("dots", "a..b"),
    ("underscore", "a_b"),
    ("hyphen", "-a-"),
    ("space inside", "a b"),
    ("tab inside", "a\tb"),
    ("comma", "a, b"),
    ("slash", "a/b"),
    ("backslash", "a\\b"),
    ("question mark", "a?b"),
    ("hash", "a#b"),
    ("at sign", "user@a"),
    ("scheme", "http://a"),
    ("percent escape", "a%41"),
    ("quotes", "\"a\""),
    ("angle brackets", "<a>"),
    ("asterisk", "*"),
    ("sub-delims", "a!$&'()*+;=b"),
    ("tilde", "a~b"),
    ("brackets around a name", "[a]"),
    ("address of IPv4", "127.0.0.1:80"),
    ("address of IPv6", "[::1]"),
    ("address of IPv6 and port", "[::1]:80"),
    ("address of IPv6 without brackets", "::1"),
    ("address of IPv6 that is open", "[::1"),
    ("address of IPv6 and more", "[::1]a"),
    ("address of IPv6 with a zone", "[fe80::1%25eth0]"),
    ("address of IPv6 that is empty", "[]"),
    ("address of the future", "[v1.a:b]"),
    ("UTF-8", "\u{c3}\u{a4}.de"),
    ("Latin-1", "\u{e4}.de"),
    ("punycode", "xn--4ca.de"),
    ("null", "a\0b"),
    ("control character", "a\u{1}"),
    ("delete", "a\u{7f}"),
];

/// Whole heads without their last empty line.
const HEADS: &[(&str, &str)] = &[
    ("missing", "GET / HTTP/1.1\r\n"),
    ("missing in 1.0", "GET / HTTP/1.0\r\n"),
    ("empty in 1.0", "GET / HTTP/1.0\r\nHost:\r\n"),
    ("twice the same", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n"),
    ("twice different", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n"),
    ("twice in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n"),
    ("twice in different case", "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n"),
    ("once and once empty", "GET / HTTP/1.1\r\nHost: a\r\nHost:\r\n"),
    ("last of the headers", "GET / HTTP/1.1\r\nX: y\r\nHost: a\r\n"),
    ("absolute target without", "GET http://a/ HTTP/1.1\r\n"),
    ("absolute target with an empty one", "GET http://a/ HTTP/1.1\r\nHost:\r\n"),
    ("absolute target with another", "GET http://a/ HTTP/1.1\r\nHost: b\r\n"),
    ("absolute target in another case", "GET http://EXAMPLE.com/ HTTP/1.1\r\nHost: example.COM\r\n"),
    ("absolute target with the default port only there", "GET http://a:80/ HTTP/1.1\r\nHost: a\r\n"),
    ("absolute target with the default port only here", "GET http://a/ HTTP/1.1\r\nHost: a:80\r\n"),
    ("absolute target with the same port", "GET http://a:81/ HTTP/1.1\r\nHost: a:81\r\n"),
    ("absolute target with another port", "GET http://a:81/ HTTP/1.1\r\nHost: a:82\r\n"),
    ("absolute target with the port only there", "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n"),
    ("absolute target of https with its port", "GET https://a/ HTTP/1.1\r\nHost: a:443\r\n"),
    ("absolute target with user information", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n"),
    ("absolute target and the same user information", "GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n"),
    ("absolute target in 1.0 without", "GET http://a/ HTTP/1.0\r\n"),
    ("absolute target of IPv6", "GET http://[::1]:81/ HTTP/1.1\r\nHost: [::1]:81\r\n"),
    ("absolute target in upper case", "GET HTTP://a/ HTTP/1.1\r\nHost: a\r\n"),
    ("authority target with the same", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n"),
    ("authority target with another", "CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n"),
    ("authority target without", "CONNECT a:443 HTTP/1.1\r\n"),
    ("asterisk target with an empty one", "OPTIONS * HTTP/1.1\r\nHost:\r\n"),
];

pub(crate) fn cases() -> Vec<Case> {
    let values = VALUES.iter().map(|(name, value)| (name, format!("GET /h HTTP/1.1\r\nHost: {value}\r\n")));
    let heads = HEADS.iter().map(|(name, head)| (name, (*head).to_owned()));
    let of = |(name, head): (&&str, String)| case(*name, bytes(&(head + "\r\n"))).probed_at_once();
    values.chain(heads).map(of).collect()
}
