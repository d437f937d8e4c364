//! A case, and what it has at hand.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use polyhost_bridge::{
    BoxFuture, CallContext, Capabilities, Error, Function, LoadOptions, Method, Module, Output, Result, Runtime,
    Services, TypedFunction,
};
use prost::Message;

use crate::child::{self, Exit};
use crate::subject::Subject;

/// One fact about hosts. See [`case`].
#[derive(Clone)]
pub struct Case {
    pub(crate) name: &'static str,
    pub(crate) needs: Capabilities,
    pub(crate) lacks: Capabilities,
    /// Does it make calls, so that it runs by `call` and by `call_async`?
    pub(crate) calls: bool,
    /// Does it start the runtime with its memory limited?
    pub(crate) limited: bool,
    pub(crate) child: Option<Body>,
    /// None where it is the child alone that has to succeed.
    pub(crate) body: Option<Body>,
}

pub(crate) type Body = Arc<dyn Fn(&Cx<'_>) + Send + Sync>;

/// Begins a case. The name is its group and a sentence: `error::keeps_the_cause_of_a_host_service_failure`.
pub fn case(name: &'static str) -> Case {
    let none = Capabilities::none();
    Case { name, needs: none, lacks: none, calls: true, limited: false, child: None, body: None }
}

impl Case {
    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs only where the runtime claims this: one of the cases that prove the claim.
    pub fn needs(mut self, capability: Capabilities) -> Self {
        self.needs = self.needs.with(capability);
        self
    }

    /// Runs only where the runtime does not claim this.
    pub fn lacks(mut self, capability: Capabilities) -> Self {
        self.lacks = self.lacks.with(capability);
        self
    }

    /// Runs once and not by `call` and `call_async`.
    pub fn once(mut self) -> Self {
        self.calls = false;
        self
    }

    /// Has the runtime started with its memory limited, as [`Subject::limited`] says: for a case that runs alone.
    pub(crate) fn limited(mut self) -> Self {
        self.limited = true;
        self
    }

    /// Sets what [`Cx::child`] runs in a process of its own.
    pub fn child(mut self, body: impl Fn(&Cx<'_>) + Send + Sync + 'static) -> Self {
        self.child = Some(Arc::new(body));
        self
    }

    /// What the case does. It fails by panicking, as tests do.
    pub fn run(mut self, body: impl Fn(&Cx<'_>) + Send + Sync + 'static) -> Self {
        self.body = Some(Arc::new(body));
        self
    }

    /// What the case does in a process of its own, where it alone starts the runtime.
    pub fn run_alone(self, body: impl Fn(&Cx<'_>) + Send + Sync + 'static) -> Self {
        self.child(body)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// How a case makes its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By [`Function::call`].
    Call,
    /// By [`Function::call_async`].
    CallAsync,
}

/// What a case has at hand: the runtime, and calls in the mode in which it runs.
#[derive(Debug)]
pub struct Cx<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) mode: Mode,
    /// The name of the trial.
    pub(crate) trial: &'a str,
}

impl Cx<'_> {
    /// The runtime.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// The subject.
    pub fn subject(&self) -> &Subject {
        self.subject
    }

    /// How calls are made.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the runtime claims this.
    pub fn has(&self, capability: Capabilities) -> bool {
        self.runtime().capabilities().contains(capability)
    }

    /// Runs the case's child in a process of its own.
    pub fn child(&self) -> Exit {
        child::run(self.trial)
    }

    /// Ends the case as skipped, for a reason that shows only now.
    pub fn skip(&self, reason: impl Into<String>) -> ! {
        std::panic::panic_any(Skip(reason.into()))
    }

    /// Loads the conformance guest.
    pub fn load(&self, options: &LoadOptions) -> Result<Arc<dyn Module>> {
        let own = self.subject.options.iter().cloned();
        let options = own.fold(options.clone(), |options, (key, value)| options.option(key, value));
        self.runtime().load(&self.subject.conformance, &options)
    }

    /// The conformance guest, freshly loaded.
    pub fn module(&self) -> Arc<dyn Module> {
        self.load(&LoadOptions::new()).unwrap_or_else(|error| panic!("the guest does not load: {error:?}"))
    }

    /// The conformance guest, freshly loaded, with one host service.
    pub fn module_with(&self, service: Arc<dyn Function>) -> Arc<dyn Module> {
        let mut services = Services::new();
        services.add(service).expect("it is the first");
        let options = LoadOptions::new().services(services);
        self.load(&options).unwrap_or_else(|error| panic!("the guest does not load: {error:?}"))
    }

    /// Calls a function with bytes.
    ///
    /// # Errors
    /// As the call.
    pub fn call(&self, function: &Arc<dyn Function>, cx: &CallContext, input: &[u8]) -> Result<Vec<u8>> {
        match self.mode {
            Mode::Call => {
                let mut output = Output::new();
                function.call(cx, input, &mut output).map(|()| output.into_vec())
            }
            Mode::CallAsync => block_on(self.future(function, cx, input)).map(|reply| reply.to_vec()),
        }
    }

    /// Calls an export with a message.
    ///
    /// # Errors
    /// As the call.
    pub fn invoke<Req, Rep>(&self, module: &dyn Module, method: Method<Req, Rep>, request: &Req) -> Result<Rep>
    where
        Req: Message + Default + 'static,
        Rep: Message + Default + 'static,
    {
        self.invoke_in(&CallContext::none(), module, method, request)
    }

    /// The same in a context.
    ///
    /// # Errors
    /// As the call.
    pub fn invoke_in<Req, Rep>(
        &self,
        cx: &CallContext,
        module: &dyn Module,
        method: Method<Req, Rep>,
        request: &Req,
    ) -> Result<Rep>
    where
        Req: Message + Default + 'static,
        Rep: Message + Default + 'static,
    {
        let function: TypedFunction<Req, Rep> = method.of(module)?;
        match self.mode {
            Mode::Call => function.call(cx, request),
            Mode::CallAsync => block_on(function.call_async(cx.clone(), request)),
        }
    }

    /// Makes calls at the same time: each on a thread of its own, or all by `call_async` on this one.
    pub fn call_all(&self, calls: &[(Arc<dyn Function>, CallContext, Vec<u8>)]) -> Vec<Result<Vec<u8>>> {
        match self.mode {
            Mode::Call => std::thread::scope(|scope| {
                let one = |(function, cx, input)| move || self.call(function, cx, input);
                let threads: Vec<_> =
                    calls.iter().map(|(function, cx, input)| scope.spawn(one((function, cx, input)))).collect();
                threads.into_iter().map(|thread| thread.join().expect("no call panics")).collect()
            }),
            Mode::CallAsync => {
                let futures = calls.iter().map(|(function, cx, input)| self.future(function, cx, input)).collect();
                block_on_all(futures).into_iter().map(|outcome| outcome.map(|reply| reply.to_vec())).collect()
            }
        }
    }

    /// The future of a call.
    pub fn future(
        &self,
        function: &Arc<dyn Function>,
        cx: &CallContext,
        input: &[u8],
    ) -> BoxFuture<'static, Result<Bytes, Error>> {
        function.clone().call_async(cx.clone(), Bytes::copy_from_slice(input))
    }
}

/// The payload of the panic by which a case is skipped.
pub(crate) struct Skip(pub(crate) String);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Waits for all of them at the same time.
fn block_on_all<T>(mut futures: Vec<BoxFuture<'static, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    block_on(std::future::poll_fn(move |context| {
        for (future, done) in futures.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        if done.iter().any(Option::is_none) {
            return Poll::Pending;
        }
        Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
    }))
}
