//! The middleware in Rust: what every other language has to agree with, and the row to compare them to.

use std::collections::HashMap;
use std::collections::btree_map::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use polyhost_proto::bench::v1::{Reply, Request};
use serde_json::{Map, Value, json};
use sha2::Sha256;

const PREFIX: &str = "/api/v1/";

/// One instance of the middleware; its state is the number of requests that each key has passed.
#[derive(Debug, Default)]
pub(crate) struct Middleware {
    counts: Mutex<HashMap<String, u64>>,
}

impl Middleware {
    /// `bench.v1.Middleware/Handle`.
    pub(crate) fn handle(&self, request: Request) -> Reply {
        let Some(key) = authenticate(&request) else {
            return refuse(401);
        };
        let mut reply = rewrite(request);
        if reply.headers.get("content-type").is_some_and(|it| it.starts_with("application/json")) {
            match transform(&reply.body, &key) {
                Some(body) => reply.body = body,
                None => return refuse(400),
            }
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        *count += 1;
        reply.count = *count;
        reply
    }
}

/// `bench.v1.Middleware/Rewrite`.
pub(crate) fn rewrite(request: Request) -> Reply {
    let (path, prefixed) = rewrite_path(&request.path);
    let mut headers = request.headers;
    rewrite_headers(&mut headers, prefixed);
    Reply { status: 0, path, headers, body: request.body, count: 0 }
}

/// `bench.v1.Crypto/HmacSha256`, for languages that have none.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The signature that `x-signature` has to be.
pub(crate) fn sign(key: &str, method: &str, path: &str, body: &[u8]) -> String {
    let message = [method.as_bytes(), b"\n", path.as_bytes(), b"\n", body].concat();
    let digest = hmac_sha256(format!("secret-{key}").as_bytes(), &message);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key of a request with the right signature.
fn authenticate(request: &Request) -> Option<String> {
    let key = request.headers.get("x-key")?;
    let signature = request.headers.get("x-signature")?;
    let expected = sign(key, &request.method, &request.path, &request.body);
    same(signature.as_bytes(), expected.as_bytes()).then(|| key.clone())
}

/// Compares in a time that does not depend on where the two differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}

fn refuse(status: u32) -> Reply {
    Reply { status, ..Reply::default() }
}

/// The new path, and whether it had the prefix.
fn rewrite_path(path: &str) -> (String, bool) {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut tidy = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !tidy.ends_with('/') {
            tidy.push(c);
        }
    }
    if tidy.len() > 1 && tidy.ends_with('/') {
        tidy.pop();
    }
    match tidy.strip_prefix(PREFIX) {
        Some(rest) => (format!("/internal/{rest}{query}"), true),
        None => (tidy + query, false),
    }
}

fn rewrite_headers(headers: &mut BTreeMap<String, String>, prefixed: bool) {
    for name in ["connection", "keep-alive", "x-signature"] {
        headers.remove(name);
    }
    headers.insert("via".to_owned(), "polyhost".to_owned());
    if prefixed {
        headers.insert("x-forwarded-prefix".to_owned(), "/api/v1".to_owned());
    }
}

/// The new body; nothing where it is not the JSON it should be.
fn transform(body: &[u8], key: &str) -> Option<Vec<u8>> {
    let mut object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    object.remove("password");
    object.insert("gateway".to_owned(), json!({ "key": key }));
    if let Some(items) = object.get("items") {
        let total = total(items)?;
        object.insert("total".to_owned(), total.into());
    }
    serde_json::to_vec(&object).ok()
}

fn total(items: &Value) -> Option<i64> {
    items.as_array()?.iter().try_fold(0i64, |sum, item| {
        let (price, quantity) = (item.get("price")?.as_i64()?, item.get("quantity")?.as_i64()?);
        sum.checked_add(price.checked_mul(quantity)?)
    })
}
