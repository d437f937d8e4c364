//! Health, metrics and slow requests, as an application for a server of its own.

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;

use crate::app::{HttpApp, Turn};
use crate::exchange::{Data, ExchangeId, ResponseHead, SendFlags};
use crate::metrics::Exposition;
use crate::observe::Observer;
use crate::{head::Method, packed};

/// Answers `/healthz`, `/readyz`, `/metrics` and `/requests`.
///
/// Give it a [`Server`](crate::Server) of its own, best on a thread of its own: it is then there to tell when all other
/// threads are held up.
pub struct Admin {
    observer: Arc<Observer>,
    ready: Box<Ready>,
    more: Box<More>,
}

type Ready = dyn Fn() -> Result<(), &'static str> + Send + Sync;
type More = dyn Fn(&mut Exposition) + Send + Sync;

impl Admin {
    /// Tells of what `observer` sees. `ready` says whether requests are to come, or why not.
    pub fn new(observer: Arc<Observer>, ready: impl Fn() -> Result<(), &'static str> + Send + Sync + 'static) -> Self {
        Admin { observer, ready: Box::new(ready), more: Box::new(|_| ()) }
    }

    /// Adds metrics of others.
    #[must_use]
    pub fn metrics(mut self, more: impl Fn(&mut Exposition) + Send + Sync + 'static) -> Self {
        self.more = Box::new(more);
        self
    }

    fn answer(&self, path: &[u8]) -> (u16, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        match path {
            b"/healthz" => (200, TEXT, "live\n".to_owned()),
            b"/readyz" => match (self.ready)() {
                Ok(()) => (200, TEXT, "ready\n".to_owned()),
                Err(why) => (503, TEXT, format!("{why}\n")),
            },
            b"/metrics" => {
                let mut out = Exposition::default();
                self.observer.write_metrics(&mut out);
                (self.more)(&mut out);
                (200, Exposition::TYPE, out.into_text())
            }
            b"/requests" => (200, "application/json", self.observer.slow_requests()),
            _ => (404, TEXT, "there are /healthz, /readyz, /metrics and /requests\n".to_owned()),
        }
    }
}

impl HttpApp for Admin {
    fn handle(&self, exchange: ExchangeId, _: &mut Turn<'_>) {
        let asked = exchange.request(|head| (head.method(), head.path().to_vec()));
        let Some((method, path)) = asked else { return exchange.release() };
        let mut headers = BytesMut::new();
        let (status, kind, body) = if matches!(method, Method::Get | Method::Head) {
            self.answer(&path)
        } else {
            packed::push(&mut headers, b"Allow", b"GET, HEAD");
            (405, "text/plain; charset=utf-8", "only GET and HEAD\n".to_owned())
        };
        packed::push(&mut headers, b"Content-Type", kind.as_bytes());
        packed::push(&mut headers, b"Cache-Control", b"no-store");
        let content_length = Some(body.len() as u64);
        let head = ResponseHead { status, content_length, headers: &headers, ..ResponseHead::default() };
        // Where the client is gone, nobody needs an answer.
        let _ = exchange.send(Some(head), Data::Owned(body.into()), SendFlags::END | SendFlags::RELEASE);
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
