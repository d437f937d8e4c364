//! `polyhost call`: calls one export.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use clap::{Args, value_parser};
use polyhost::{Bytes, CallContext, Error, ErrorKind, Function, Output, Registry};

use crate::cli::Global;
use crate::failure::Failure;
use crate::input::Input;
use crate::load::{self, Load};
use crate::message::Messages;
use crate::reply::{Format, Reply};
use crate::screen;
use crate::timing::Timing;

/// Loads a module and calls one of its exports.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Call {
    #[command(flatten)]
    load: Load,
    /// The export to call, such as greeter.v1.Greeter/SayHello; `polyhost inspect LOCATION` lists them.
    export: String,
    #[command(flatten)]
    input: Input,
    /// How to write the reply; by default JSON for a message, and raw bytes as they are.
    #[arg(long, short, value_enum, value_name = "FORMAT", help_heading = "Output")]
    output: Option<Format>,
    /// Calls this many times with the same request, prints the last reply, and how long the calls took to stderr.
    ///
    /// A quick look and no benchmark: a request that never changes flatters runtimes that cache. See polyhost-bench.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..), help_heading = "Output")]
    times: Option<u64>,
    /// Adds an entry to the call's metadata; may be repeated.
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = load::pair, help_heading = "Calling")]
    metadata: Vec<(String, String)>,
    /// Gives each call this long, such as 50ms, 2s or 1m; exit code 124 when it runs out.
    ///
    /// A guest is told, or stopped where that is possible, and waited for; a reply that comes too late is dropped.
    /// With --async the answer comes in time even where the guest goes on.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, allow_hyphen_values = true,
        help_heading = "Calling")]
    deadline: Option<Duration>,
    /// Calls through `call_async`, which answers at the deadline even where the guest can't be stopped.
    #[arg(long = "async", help_heading = "Calling")]
    asynchronous: bool,
}

const EXAMPLES: &str = "\
Examples, from a checkout after `make setup`:
  polyhost call lua:hosts/examples/hello/lua/greeter.lua greeter.v1.Greeter/SayHello --input '{\"name\": \"you\"}'
  echo '{\"name\": \"you\"}' |
    polyhost call clr:target/guests/Greeter/Greeter.dll greeter.v1.Greeter/SayHello --input - --times 100000
  polyhost call py:python/tests/conformance_guest.py conformance.v1.Conformance/Spin --deadline 50ms

A Lua guest that calls a C# guest:
  polyhost call lua:lua/tests/conformance.lua conformance.v1.Conformance/CallService \\
    --input '{\"service\": \"raw/Echo\", \"input\": \"aGk=\"}' --link clr:target/guests/Conformance/Conformance.dll";

pub(crate) fn run(global: &Global, arguments: &Call) -> Result<ExitCode, Failure> {
    let registry = arguments.load.registry();
    let outcome = call(global, arguments, &registry);
    if !(arguments.asynchronous && cut_short(&outcome)) {
        load::finish(&registry);
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

fn call(global: &Global, arguments: &Call, registry: &Registry) -> Result<(), Failure> {
    let content = arguments.input.read()?;
    let module = arguments.load.load(registry)?;
    let function = module.function(&arguments.export)?;
    let messages = Messages::of(&*module);
    let export = function.export();
    let input = Bytes::from(messages.side(export.input_type()).encode(content)?);
    let shown = Reply::new(arguments.output, messages.side(export.output_type()))?;

    let mut reply = Output::with_limit(arguments.input.limit);
    let mut timing = Timing::new();
    for _ in 0..arguments.times.unwrap_or(1) {
        let cx = arguments.context();
        let outcome = timing.measure(|| arguments.call_once(&function, cx, &input, &mut reply));
        outcome.map_err(|error| error.operation(format!("call {}", arguments.export)))?;
    }
    shown.write(&reply)?;
    if arguments.times.is_some() {
        screen::note(&if global.json { timing.to_json().to_string() } else { timing.to_text() });
    }
    Ok(())
}

impl Call {
    /// A deadline counts from the start of its own call.
    fn context(&self) -> CallContext {
        let add = |cx: CallContext, (key, value): &(String, String)| cx.with_metadata(key, value);
        let cx = self.metadata.iter().fold(CallContext::none(), add);
        match self.deadline {
            Some(timeout) => cx.with_timeout(timeout),
            None => cx,
        }
    }

    fn call_once(
        &self,
        function: &Arc<dyn Function>,
        cx: CallContext,
        input: &Bytes,
        reply: &mut Output,
    ) -> Result<(), Error> {
        reply.clear();
        if !self.asynchronous {
            function.call(&cx, input, reply)?;
            return in_time(&cx);
        }
        let bytes = block_on(function.clone().call_async(cx, input.clone()))?;
        reply.write(&bytes)
    }
}

/// The library takes a reply whenever it comes. Here the deadline is a promise to whoever reads the exit code, the same
/// with and without --async.
fn in_time(cx: &CallContext) -> Result<(), Error> {
    if cx.remaining().is_some_and(|left| left.is_zero()) {
        let message = "the deadline has passed, and the reply that came after it is dropped; \
                       with --async the call would have ended in time";
        return Err(Error::new(ErrorKind::DeadlineExceeded, message));
    }
    Ok(())
}

/// Whether a call with --async may still be inside its guest.
fn cut_short(outcome: &Result<(), Failure>) -> bool {
    use ErrorKind::{Cancelled, DeadlineExceeded};
    matches!(outcome, Err(Failure::Failed(error)) if matches!(error.kind(), Cancelled | DeadlineExceeded))
}

/// Waits for a future on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
