//! What a deployment hands out.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use super::{Deployment, Shared, Version, closed};
use crate::boundary::{Current, Kept};
use crate::call::CallContext;
use crate::error::Result;
use crate::function::{Export, Function};
use crate::module::{Module, UnloadVerdict};
use crate::output::Output;

/// A function of a deployment.
pub(super) struct Deployed {
    pub(super) shared: Arc<Shared>,
    pub(super) at: usize,
    pub(super) export: Export,
}

impl Function for Deployed {
    fn export(&self) -> &Export {
        &self.export
    }

    #[inline]
    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        let version = self.shared.current.enter()?;
        match version.functions.get(self.at) {
            Some(Some(function)) => function.call(cx, input, output),
            _ => Err(closed(&self.shared.name)),
        }
    }

    fn call_async(self: Arc<Self>, cx: CallContext, input: Bytes) -> BoxFuture<'static, Result<Bytes>> {
        let version = match self.shared.current.enter() {
            Ok(version) => version,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let Some(Some(function)) = version.functions.get(self.at) else {
            return Box::pin(std::future::ready(Err(closed(&self.shared.name))));
        };
        let call = function.clone().call_async(cx, input);
        let version = version.keep(Owner(self.shared.clone()));
        Box::pin(Held { call: Some(call), version: Some(version) })
    }
}

impl fmt::Debug for Deployed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployed").field("deployment", &self.shared.name).field("export", &self.export.name()).finish()
    }
}

struct Owner(Arc<Shared>);

impl AsRef<Current<Version>> for Owner {
    fn as_ref(&self) -> &Current<Version> {
        &self.0.current
    }
}

/// A call that its version waits for. Nothing of it is left when the answer is there.
struct Held {
    call: Option<BoxFuture<'static, Result<Bytes>>>,
    version: Option<Kept<Version, Owner>>,
}

impl Future for Held {
    type Output = Result<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &mut self.call else { panic!("a call is polled after its answer") };
        let answer = std::task::ready!(call.as_mut().poll(cx));
        self.let_go();
        Poll::Ready(answer)
    }
}

impl Held {
    fn let_go(&mut self) {
        self.call = None;
        self.version = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// A deployment as a module.
pub(super) struct View {
    pub(super) deployment: Deployment,
    pub(super) exports: Vec<Export>,
    pub(super) descriptors: Option<Vec<u8>>,
}

impl Module for View {
    fn name(&self) -> &str {
        self.deployment.name()
    }

    fn exports(&self) -> &[Export] {
        &self.exports
    }

    fn descriptors(&self) -> Option<&[u8]> {
        self.descriptors.as_deref()
    }

    fn function(&self, name: &str) -> Result<Arc<dyn Function>> {
        self.deployment.function(name)
    }

    fn unload(&self, grace: Duration) -> UnloadVerdict {
        self.deployment.close(grace)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deployment.fmt(f)
    }
}
