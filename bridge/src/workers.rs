//! Threads that run calls for callers who may not block.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;
use futures_core::future::BoxFuture;

use crate::boundary;
use crate::call::CallContext;
use crate::cancel::{CancelToken, Subscription};
use crate::error::{Error, ErrorKind, Result};
use crate::function::Function;
use crate::output::Output;

/// A pool that starts threads as they are needed and ends them when they are idle.
#[derive(Clone)]
pub struct Workers(Arc<Pool>);

/// How large a [`Workers`] may grow.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkersConfig {
    /// The most threads at a time. 256 by default: each may wait in a guest.
    pub threads: usize,
    /// Jobs that wait when every thread is busy; one more is refused. 1,024 by default.
    pub queue: usize,
    /// Bytes of stack. 4 MiB by default: `Exception.ToString` of .NET alone needs more than 64 KiB, and guests recurse.
    pub stack_size: usize,
    /// An idle thread ends after this. 10 s by default.
    pub idle: Duration,
}

impl Default for WorkersConfig {
    fn default() -> Self {
        WorkersConfig { threads: 256, queue: 1024, stack_size: 4 << 20, idle: Duration::from_secs(10) }
    }
}

struct Pool {
    config: WorkersConfig,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

type Job = Box<dyn FnOnce() + Send>;

/// The pool that [`Function::call_async`] uses unless a host has a better one.
pub fn shared() -> &'static Workers {
    static SHARED: OnceLock<Workers> = OnceLock::new();
    SHARED.get_or_init(|| Workers::new(WorkersConfig::default()))
}

impl Workers {
    /// A pool without threads as yet.
    pub fn new(config: WorkersConfig) -> Self {
        Workers(Arc::new(Pool { config, state: Mutex::default(), wake: Condvar::new() }))
    }

    /// Runs `job` on one of the threads. A panic ends the job alone.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] where all threads are busy and the queue is full, or no thread can be started.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        let pool = &self.0;
        let mut state = pool.lock();
        if state.queue.len() < state.idle {
            state.queue.push_back(Box::new(job));
            pool.wake.notify_one();
            return Ok(());
        }
        if state.threads < pool.config.threads {
            state.threads += 1;
            state.queue.push_back(Box::new(job));
            drop(state);
            return self.start_thread();
        }
        if state.queue.len() - state.idle >= pool.config.queue {
            return Err(self.exhausted());
        }
        state.queue.push_back(Box::new(job));
        Ok(())
    }

    fn start_thread(&self) -> Result<()> {
        let pool = self.0.clone();
        let started = std::thread::Builder::new()
            .name("polyhost-worker".into())
            .stack_size(self.0.config.stack_size)
            .spawn(move || pool.run());
        let Err(error) = started else { return Ok(()) };
        let mut state = self.0.lock();
        state.threads -= 1;
        if state.threads > 0 {
            // The job stays in the queue for one of the others.
            return Ok(());
        }
        let job = state.queue.pop_back();
        drop(state);
        drop(job);
        Err(Error::new(ErrorKind::Exhausted, "no worker thread can be started").caused_by(error))
    }

    #[cold]
    fn exhausted(&self) -> Error {
        let WorkersConfig { threads, queue, .. } = self.0.config;
        let message = format!("all {threads} workers are busy and {queue} calls wait; call less, or raise the limits");
        Error::new(ErrorKind::Exhausted, message)
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                let outcome = boundary::enter(|| {
                    job();
                    Ok(())
                });
                if let Err(error) = outcome {
                    tracing::error!(target: "polyhost", "a worker's job failed: {error}");
                }
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let (back, timeout) =
                self.wake.wait_timeout(state, self.config.idle).unwrap_or_else(PoisonError::into_inner);
            state = back;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Workers")
            .field("threads", &state.threads)
            .field("idle", &state.idle)
            .field("queued", &state.queue.len())
            .finish_non_exhaustive()
    }
}

/// Runs [`Function::call`] on a worker: what [`Function::call_async`] does by default.
pub fn call_async<F: Function + ?Sized>(
    workers: &Workers,
    function: Arc<F>,
    mut cx: CallContext,
    input: Bytes,
) -> BoxFuture<'static, Result<Bytes>> {
    // A token of this call's own: dropping the future must not cancel others that share the context.
    let token = cx.detach_token();
    let (answer, mut reply) = Answer::new(token.clone());
    let job_answer = answer.clone();
    let job = move || {
        // Out of time while it waited in the queue: nobody listens any more.
        if cx.cancelled().is_none() {
            let outcome = boundary::enter(|| {
                let mut output = Output::new();
                function.call(&cx, &input, &mut output)?;
                Ok(Bytes::from(output.into_vec()))
            });
            job_answer.send(outcome);
        }
    };
    if let Err(error) = workers.spawn(job) {
        answer.send(Err(error));
    }
    reply.cancelled = Some(token.on_cancel(move |reason| answer.send(Err(reason.error()))));
    Box::pin(reply)
}

/// The sender's half of a reply that two may give: the guest, and whoever cancels. The first wins.
///
/// For hosts that implement [`Function::call_async`] themselves.
#[derive(Clone)]
pub struct Answer(Arc<Mutex<Option<oneshot::Sender<Result<Bytes>>>>>);

impl Answer {
    /// The two halves. Dropping the reply before it is there cancels `token`.
    pub fn new(token: CancelToken) -> (Answer, Reply) {
        let (sender, receiver) = oneshot::channel();
        (Answer(Arc::new(Mutex::new(Some(sender)))), Reply { receiver, token: Some(token), cancelled: None })
    }

    /// Answers, unless somebody has.
    pub fn send(&self, outcome: Result<Bytes>) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody may wait any more; that is theirs to decide.
            let _ = sender.send(outcome);
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// The receiver's half of an [`Answer`].
#[derive(Debug)]
pub struct Reply {
    receiver: oneshot::Receiver<Result<Bytes>>,
    token: Option<CancelToken>,
    /// Answers when the call is cancelled, where a host has it so.
    pub cancelled: Option<Subscription>,
}

impl Future for Reply {
    type Output = Result<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match Pin::new(&mut self.receiver).poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(outcome)) => outcome,
            Poll::Ready(Err(oneshot::Canceled)) => {
                Err(Error::new(ErrorKind::Internal, "the call ended without an answer"))
            }
        };
        self.token = None;
        Poll::Ready(outcome)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.cancelled = None;
        if let Some(token) = self.token.take() {
            token.cancel();
        }
    }
}
