//! A visitor without a browser: asks for pages, keeps cookies, sends forms.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

pub(crate) struct Visitor {
    address: SocketAddr,
    pub(crate) cookies: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter_map(move |(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    /// What stands between two texts in the body.
    #[track_caller]
    pub(crate) fn between(&self, start: &str, end: &str) -> &str {
        let rest = self.body.split_once(start).map(|(_, rest)| rest);
        let found = rest.and_then(|rest| rest.split_once(end)).map(|(found, _)| found);
        found.unwrap_or_else(|| panic!("nothing between {start:?} and {end:?}: {}", self.body))
    }

    #[track_caller]
    pub(crate) fn has(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.body.contains(text), "{text:?} is not in it: {}\n{}", self.status, self.body);
        }
    }
}

impl Visitor {
    pub(crate) fn new(address: SocketAddr) -> Visitor {
        Visitor { address, cookies: BTreeMap::new() }
    }

    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.ask("GET", path, "", "")
    }

    /// Sends a form; the names and values need no escape.
    #[track_caller]
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let body = pairs.join("&");
        let length = body.len();
        let headers = format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n");
        self.ask("POST", path, &headers, &body)
    }

    /// A request with more header lines, each of which ends in CR LF.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        let address = self.address;
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        // HTTP/1.0, so that the body is as it is, and ends with the connection.
        let request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n{cookies}{headers}\r\n{body}");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers in text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status line");
        let response = Response { status, head: head.to_owned(), body: body.to_owned() };
        self.keep_cookies(&response);
        response
    }

    fn keep_cookies(&mut self, response: &Response) {
        for line in response.headers("set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').expect("a cookie has a name");
            if attributes.contains("expires=Thu, 01 Jan 1970") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
