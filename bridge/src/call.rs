//! What comes along with a call: deadline, cancellation, metadata.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::{CancelReason, CancelToken};
use crate::error::Result;

/// Names and values that travel with a call, as gRPC metadata does. Names may repeat; the order is kept.
pub type Metadata = Vec<(String, String)>;

/// Deadline, cancellation and metadata of one or several calls. Cheap to clone.
///
/// It is handed on: a host service that a guest calls gets the context of the
/// guest's own call.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    token: Option<CancelToken>,
    deadline: Option<Instant>,
    metadata: Option<Arc<Metadata>>,
}

impl CallContext {
    /// Without deadline, cancellation and metadata.
    pub const fn none() -> Self {
        CallContext { token: None, deadline: None, metadata: None }
    }

    /// The context of a call whose deadline somebody else watches and tells by `token`: of a guest behind the C ABI, its
    /// host.
    pub const fn watched(deadline: Option<Instant>, token: Option<CancelToken>) -> Self {
        CallContext { token, deadline, metadata: None }
    }

    /// Sets the time by which the call has to be over. An earlier one that is set already stays.
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        if self.deadline.is_some_and(|earlier| earlier <= deadline) {
            return self;
        }
        let token = self.token.take().map_or_else(CancelToken::new, |token| token.child());
        token.expire_at(deadline);
        self.token = Some(token);
        self.deadline = Some(deadline);
        self
    }

    /// Sets a deadline `timeout` from now.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.with_deadline(deadline),
            // Beyond what the clock can count is no deadline at all.
            None => self,
        }
    }

    /// Lets `token` cancel the call, beside what can cancel it already.
    pub fn with_cancel(mut self, token: &CancelToken) -> Self {
        self.token = Some(match &self.token {
            Some(mine) => CancelToken::child_of(&[mine, token]),
            None => token.clone(),
        });
        self
    }

    /// Adds a metadata entry.
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        Arc::make_mut(self.metadata.get_or_insert_default()).push((key.into(), value.into()));
        self
    }

    /// Sets the whole metadata.
    pub(crate) fn with_all_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(Arc::new(metadata));
        self
    }

    /// By when the call has to be over.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The time left; zero when it is past. Reads the clock.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The metadata, in order.
    pub fn metadata(&self) -> &[(String, String)] {
        self.metadata.as_ref().map_or(&[], |metadata| metadata.as_slice())
    }

    /// The first metadata entry of that name.
    pub fn metadata_value(&self, key: &str) -> Option<&str> {
        self.metadata().iter().find(|(it, _)| it == key).map(|(_, value)| value.as_str())
    }

    /// What tells the call to stop; `None` where nothing can.
    pub fn token(&self) -> Option<&CancelToken> {
        self.token.as_ref()
    }

    /// Gives this context a token of its own, which the one it had before still cancels, and returns it.
    pub fn detach_token(&mut self) -> CancelToken {
        let token = self.token.as_ref().map_or_else(CancelToken::new, CancelToken::child);
        self.token = Some(token.clone());
        token
    }

    /// Why the call is to stop, if it is. One load.
    #[inline]
    pub fn cancelled(&self) -> Option<CancelReason> {
        self.token.as_ref().and_then(CancelToken::reason)
    }

    /// Refuses a call that is cancelled or out of time. Each host asks before it enters its guest.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) or
    /// [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded).
    #[inline]
    pub fn check(&self) -> Result<()> {
        match self.cancelled() {
            None => Ok(()),
            Some(reason) => Err(reason.error()),
        }
    }
}
