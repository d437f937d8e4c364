//! What is asked of the contenders: requests that differ, and the replies that are right.

pub(crate) mod callback;
pub(crate) mod custom;
mod echo;
pub(crate) mod guests;
pub(crate) mod http;
pub(crate) mod middleware;
pub(crate) mod render;
mod reply;
mod requests;
pub(crate) mod sum;
pub(crate) mod transform;
mod words;

use std::sync::Arc;

use polyhost::{CallContext, Function, Module, ModuleSource, Output, Services};

pub(crate) use reply::message;
pub(crate) use requests::{Request, Requests, ring};

use crate::measure::stages::Codec;
use crate::targets::report::Unmeasured;

/// Something that every guest language implements, and every contender is asked for.
pub(crate) trait Workload: Send + Sync {
    /// Such as `echo`.
    fn name(&self) -> &str;

    /// One line for people.
    fn what(&self) -> &str;

    /// The implementation in Rust: a contender, and the reference for the others.
    fn native(&self) -> Arc<dyn Function>;

    /// Where the implementation for a runtime is, by its scheme; `native` stands for C.
    ///
    /// # Errors
    /// [`Unmeasured::Skipped`] where there is none.
    fn guest(&self, scheme: &str) -> Result<Guest, Unmeasured>;

    /// `count` requests with a payload of about so many bytes, no two alike.
    fn requests(&self, payload: usize, count: usize, random: &mut fastrand::Rng) -> Vec<Request>;

    /// Whether a reply is the right one.
    ///
    /// # Errors
    /// The difference, for people.
    fn check(&self, request: &[u8], reply: &[u8]) -> Result<(), String> {
        let expected = self.expected(request)?;
        if expected == reply { Ok(()) } else { Err(difference(&expected, reply)) }
    }

    /// The reply that the reference gives.
    ///
    /// # Errors
    /// What it fails with.
    fn expected(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        let mut output = Output::new();
        let called = self.native().call(&CallContext::none(), request, &mut output);
        called.map(|()| output.into_vec()).map_err(|e| format!("the reference: {e}"))
    }

    /// The messages of a caller; `None` where it has bytes.
    fn codec(&self) -> Option<Codec> {
        None
    }

    /// Why nobody can tell where the time of its calls goes, if so.
    fn untold(&self) -> Option<&'static str> {
        None
    }

    /// What guests may call.
    fn services(&self) -> Services {
        Services::new()
    }

    /// Sees the module that was loaded, before any request is made.
    ///
    /// # Errors
    /// Where the two don't fit.
    fn bind(&self, _module: &dyn Module) -> Result<(), String> {
        Ok(())
    }

    /// A reply for people, and to be compared with that of another module.
    fn show(&self, reply: &[u8]) -> String {
        excerpt(reply)
    }
}

/// An export of a guest.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) source: ModuleSource,
    pub(crate) export: String,
    /// For the host that loads it.
    pub(crate) options: Vec<(&'static str, String)>,
}

/// All workloads, in the order of reports.
pub(crate) fn all() -> Vec<Arc<dyn Workload>> {
    vec![
        Arc::new(echo::Echo),
        Arc::new(sum::Sum),
        Arc::new(transform::Transform),
        Arc::new(middleware::Middleware),
        Arc::new(render::Render),
        Arc::new(callback::Callback),
        Arc::new(http::Http),
    ]
}

/// The workload of this name.
///
/// # Errors
/// The names that there are.
pub(crate) fn named(name: &str) -> Result<Arc<dyn Workload>, String> {
    let all = all();
    let found = all.iter().find(|it| it.name() == name).cloned();
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|it| it.name()).collect();
        format!("no workload {name}; there are: {}", names.join(", "))
    })
}

/// Where two replies part.
pub(crate) fn difference(expected: &[u8], reply: &[u8]) -> String {
    let at = expected.iter().zip(reply).position(|(a, b)| a != b).unwrap_or(expected.len().min(reply.len()));
    let from = at.saturating_sub(8);
    let show = |bytes: &[u8]| excerpt(&bytes[from.min(bytes.len())..]);
    format!(
        "the reply has {} bytes, {} are right; they differ at byte {at}: {} in place of {}",
        reply.len(),
        expected.len(),
        show(reply),
        show(expected)
    )
}

/// The beginning of some bytes, as text where they are.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const MOST: usize = 48;
    let text = bytes[..bytes.len().min(MOST)].escape_ascii();
    let more = if bytes.len() > MOST { "…" } else { "" };
    format!("\"{text}\"{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_workload_lists_the_known() {
        let error = named("ecko").map(|it| it.name().to_owned()).expect_err("there is none");
        assert!(error.contains("ecko") && error.contains("echo"), "{error}");
    }

    #[test]
    fn a_difference_tells_where_and_what() {
        let text = difference(b"the quick brown fox", b"the quick green fox");
        assert!(text.contains("differ at byte 10: ") && text.contains("green fox\" in place of"), "{text}");
        let text = difference(b"abc", b"");
        assert!(
            text.contains("has 0 bytes, 3 are right") && text.contains("byte 0: \"\" in place of \"abc\""),
            "{text}"
        );
        assert!(difference(b"", &[0xff; 100]).contains("\\xff"));
    }

    #[test]
    fn no_two_requests_are_alike_and_each_has_the_reply_of_the_reference() {
        for workload in all() {
            for payload in [64, 1024] {
                let random = &mut fastrand::Rng::with_seed(1);
                let requests = workload.requests(payload, 16, random);
                assert_eq!(16, requests.len());
                let different: std::collections::HashSet<_> = requests.iter().map(|it| &it.bytes).collect();
                assert_eq!(16, different.len(), "{}", workload.name());
                for request in &requests {
                    let expected = workload.expected(&request.bytes).expect("the reference answers");
                    assert_eq!(Ok(()), workload.check(&request.bytes, &expected), "{}", workload.name());
                }
            }
        }
    }
}
