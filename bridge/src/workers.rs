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
use crate::observe;
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
            drop(state);
            return self.start_thread(Box::new(job));
        }
        if state.queue.len() - state.idle >= pool.config.queue {
            return Err(self.exhausted());
        }
        state.queue.push_back(Box::new(job));
        Ok(())
    }

    fn start_thread(&self, job: Job) -> Result<()> {
        let pool = self.0.clone();
        // In a slot, so that it is not lost where no thread starts.
        let first = Arc::new(Mutex::new(Some(job)));
        let taken = first.clone();
        let started = std::thread::Builder::new()
            .name("polyhost-worker".into())
            .stack_size(self.0.config.stack_size)
            .spawn(move || pool.run(take(&taken)));
        let Err(error) = started else { return Ok(()) };
        let mut state = self.0.lock();
        state.threads -= 1;
        if state.threads > 0 && state.queue.len() < self.0.config.queue {
            state.queue.extend(take(&first));
            // The others were busy before; one may have become idle since.
            self.0.wake.notify_one();
            return Ok(());
        }
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

    fn run(&self, first: Option<Job>) {
        let mut next = first;
        let mut state = self.lock();
        loop {
            if let Some(job) = next.take().or_else(|| state.queue.pop_front()) {
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

fn take(slot: &Mutex<Option<Job>>) -> Option<Job> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
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
    let (job_answer, span) = (answer.clone(), observe::here());
    let job = move || {
        // Out of time while it waited in the queue: nobody listens any more.
        if cx.cancelled().is_none() {
            // Nothing of the call is left when the answer is there: its receiver may unload the module.
            let outcome = boundary::enter(move || {
                let mut output = Output::new();
                let _inside = span.enter();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Export;
    use std::sync::Barrier;
    use std::sync::mpsc;
    use std::task::Waker;

    /// A function that does what the test says.
    struct Does<F>(Export, F);

    impl<F> fmt::Debug for Does<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }

    impl<F: Fn(&CallContext, &[u8]) -> Result<Vec<u8>> + Send + Sync + 'static> Function for Does<F> {
        fn export(&self) -> &Export {
            &self.0
        }

        fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
            output.write(&(self.1)(cx, input)?)
        }
    }

    fn does(run: impl Fn(&CallContext, &[u8]) -> Result<Vec<u8>> + Send + Sync + 'static) -> Arc<dyn Function> {
        Arc::new(Does(Export::bytes("test"), run))
    }

    fn wait<T>(mut future: BoxFuture<'_, T>) -> T {
        let (sender, receiver) = mpsc::channel();
        struct Wake(mpsc::Sender<()>);
        impl std::task::Wake for Wake {
            fn wake(self: Arc<Self>) {
                let _ = self.0.send(());
            }
        }
        let waker = Waker::from(Arc::new(Wake(sender)));
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return value;
            }
            receiver.recv().expect("the waker is alive");
        }
    }

    fn small(threads: usize, queue: usize) -> Workers {
        Workers::new(WorkersConfig { threads, queue, ..WorkersConfig::default() })
    }

    #[test]
    fn calls_that_wait_for_each_other_all_get_a_thread() {
        let barrier = Arc::new(Barrier::new(16));
        let function = does(move |_, input| {
            barrier.wait();
            Ok(input.to_vec())
        });
        let workers = small(16, 0);
        let futures: Vec<_> = (0..16u8)
            .map(|i| call_async(&workers, function.clone(), CallContext::none(), Bytes::from(vec![i])))
            .collect();
        for (i, future) in futures.into_iter().enumerate() {
            assert_eq!(vec![i as u8], wait(future).expect("an answer"));
        }
    }

    #[test]
    fn a_full_pool_refuses_and_recovers() {
        let (go, gone) = mpsc::channel::<()>();
        let gone = Mutex::new(gone);
        let function = does(move |_, _| {
            gone.lock().expect("one at a time").recv().expect("the test says go");
            Ok(vec![])
        });
        let workers = small(1, 1);
        let call = || call_async(&workers, function.clone(), CallContext::none(), Bytes::new());
        let (first, second) = (call(), call());
        assert_eq!(ErrorKind::Exhausted, wait(call()).expect_err("full").kind());
        go.send(()).expect("a call waits");
        go.send(()).expect("a call waits");
        wait(first).expect("an answer");
        wait(second).expect("an answer");
    }

    #[test]
    fn answers_at_the_deadline_while_the_guest_goes_on() {
        let (go, gone) = mpsc::channel::<()>();
        let (out, is_out) = mpsc::channel();
        let gone = Mutex::new(gone);
        let function = does(move |_, _| {
            gone.lock().expect("one at a time").recv().expect("the test says go");
            out.send(()).expect("the test waits");
            Ok(vec![])
        });
        let workers = small(1, 1);
        let cx = CallContext::none().with_timeout(Duration::from_millis(5));
        let error = wait(call_async(&workers, function, cx, Bytes::new())).expect_err("out of time");
        assert_eq!(ErrorKind::DeadlineExceeded, error.kind());
        go.send(()).expect("the guest is still in");
        is_out.recv().expect("the guest came out");
    }

    #[test]
    fn dropping_the_future_cancels_that_call_alone() {
        let (sender, cancelled) = mpsc::channel();
        let (entered, is_in) = mpsc::channel();
        let function = does(move |cx, _| {
            let sender = sender.clone();
            let token = cx.token().expect("call_async makes one");
            let (wake, woken) = mpsc::channel();
            let _subscription = token.on_cancel(move |_| wake.send(()).expect("the call waits"));
            entered.send(()).expect("the test waits");
            woken.recv().expect("the listener is kept");
            sender.send(cx.cancelled()).expect("the test waits");
            Ok(vec![])
        });
        let token = CancelToken::new();
        let cx = CallContext::none().with_cancel(&token);
        let future = call_async(&small(1, 1), function, cx, Bytes::new());
        is_in.recv().expect("the guest is in");
        drop(future);
        assert!(cancelled.recv().expect("the guest saw it").is_some());
        assert_eq!(None, token.reason());
    }

    #[test]
    fn nothing_of_the_call_is_left_when_the_answer_is_there() {
        let workers = small(1, 8);
        for _ in 0..1000 {
            let function = does(|_, input| Ok(input.to_vec()));
            wait(call_async(&workers, function.clone(), CallContext::none(), Bytes::new())).expect("an answer");
            assert_eq!(1, Arc::strong_count(&function));
        }
    }

    #[test]
    fn a_panic_is_an_error_and_the_thread_goes_on() {
        let function = does(|_, input| if input.is_empty() { panic!("as told") } else { Ok(vec![1]) });
        let workers = small(1, 8);
        let call =
            |input: &'static [u8]| wait(call_async(&workers, function.clone(), CallContext::none(), input.into()));
        assert_eq!("host code panicked: as told", call(b"").expect_err("a panic").message());
        assert_eq!(vec![1], call(b"x").expect("an answer"));
    }
}
