//! An application served over HTTP.

use std::sync::Arc;

use polyhost::native::function;
use polyhost::{Export, Function};

use super::{Guest, Request, Workload, difference};
use crate::http::TEXT;
use crate::targets::report::Unmeasured;

/// Its name.
pub(crate) const NAME: &str = "http";

/// The workload. It has servers in place of guests.
pub(crate) struct Http;

impl Workload for Http {
    fn name(&self) -> &'static str {
        NAME
    }

    fn what(&self) -> &'static str {
        "an ASP.NET Core application served: a POST of the payload, which it echoes; a GET without one"
    }

    /// What every server answers.
    fn native(&self) -> Arc<dyn Function> {
        function(Export::bytes(NAME), |_cx, body, output| output.write(if body.is_empty() { TEXT } else { body }))
    }

    fn guest(&self, scheme: &str) -> Result<Guest, Unmeasured> {
        Err(Unmeasured::Skipped(format!("{NAME} is for servers; {scheme} is none")))
    }

    fn untold(&self) -> Option<&'static str> {
        Some("a server and the way to it can't be told apart from outside")
    }

    /// Bodies.
    fn requests(&self, payload: usize, count: usize, random: &mut fastrand::Rng) -> Vec<Request> {
        let request = |_| {
            let bytes = (0..payload).map(|_| random.u8(..)).collect();
            Request { bytes, counter: (payload > 0).then_some(0) }
        };
        (0..count).map(request).collect()
    }

    fn check(&self, request: &[u8], reply: &[u8]) -> Result<(), String> {
        let expected = if request.is_empty() { TEXT } else { request };
        if expected == reply { Ok(()) } else { Err(difference(expected, reply)) }
    }
}
