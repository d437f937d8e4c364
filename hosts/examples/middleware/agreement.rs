//! Whether two languages gave the same reply.

use std::fmt::Debug;

use polyhost::{CallContext, Error, TypedFunction};
use polyhost_proto::bench::v1::{Reply, Request};
use serde_json::Value;

use super::requests::Sample;

/// A function of the middleware, in any language.
pub(crate) type Middleware = TypedFunction<Request, Reply>;

/// Calls `function` with every request and compares the replies with those of the native row; says where the first
/// difference is.
///
/// # Errors
/// What a call returned.
pub(crate) fn check(function: &Middleware, samples: &[Sample], expected: &[Reply]) -> Result<Option<String>, Error> {
    for (index, (sample, expected)) in samples.iter().zip(expected).enumerate() {
        let reply = function.call(&CallContext::none(), &sample.request)?;
        if let Some(difference) = difference(expected, &reply) {
            let Request { method, path, .. } = &sample.request;
            return Ok(Some(format!("request {index} ({}): {method} {path}\n  {difference}", sample.what)));
        }
    }
    Ok(None)
}

/// Where `reply` is not what was expected.
pub(crate) fn difference(expected: &Reply, reply: &Reply) -> Option<String> {
    field("status", &expected.status, &reply.status)
        .or_else(|| field("path", &expected.path, &reply.path))
        .or_else(|| field("headers", &expected.headers, &reply.headers))
        .or_else(|| field("count", &expected.count, &reply.count))
        .or_else(|| body(expected, reply))
}

fn field<T: PartialEq + Debug>(name: &str, expected: &T, got: &T) -> Option<String> {
    (expected != got).then(|| format!("{name}: native {expected:?}\n  {name}: here   {got:?}"))
}

/// Bodies of JSON are compared as values: the languages order members and escape text in their own ways.
fn body(expected: &Reply, reply: &Reply) -> Option<String> {
    if expected.body == reply.body {
        return None;
    }
    let json = |reply: &Reply| serde_json::from_slice::<Value>(&reply.body).ok();
    let is_json = expected.headers.get("content-type").is_some_and(|it| it.starts_with("application/json"));
    if is_json && json(expected).is_some() && json(expected) == json(reply) {
        return None;
    }
    let text = |reply: &Reply| String::from_utf8_lossy(&reply.body).chars().take(400).collect::<String>();
    field("body", &text(expected), &text(reply))
        .or_else(|| field("length of the body", &expected.body.len(), &reply.body.len()))
        .or(Some("body: the first 400 characters are the same, the rest is not".to_owned()))
}
