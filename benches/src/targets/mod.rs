//! One check for each number the project wants to reach.

mod cancel;
mod contenders;
mod floors;
mod grpc;
pub(crate) mod measure;
mod observe;
mod reload;
pub(crate) mod report;
pub(crate) mod start;

use std::sync::Arc;

use polyhost::{CallContext, Function, Output, Registry, Result};

use crate::alloc;
use crate::http::Http;
use crate::project::{Whose, registry};
use crate::report::units::digits;
use crate::stats::{Estimate, Target};
use measure::{Contender, Payloads, Plan, Rounds, call_echo, caller, no_echo, throughput};
use report::{Check, Unmeasured};

/// The checks and what each is about, in the order they run.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("start.clr", "ms from nothing to the first answer of .NET, in a new process"),
    ("start.cpython", "ms from nothing to the first answer of CPython, in a new process"),
    ("start.luajit", "ms from nothing to the first answer of LuaJIT, in a new process"),
    ("echo.clr", "a 128 B echo through Arc<dyn Function> against the hand-written floor (id table and try)"),
    ("echo.cpython", "a 128 B echo through Arc<dyn Function> against the hand-written floor (kept state, vectorcall)"),
    (
        "echo.luajit",
        "a 128 B echo through Arc<dyn Function> against the hand-written floor (rawgeti, pushlstring, pcall)",
    ),
    ("allocations.clr", "host allocations per steady call on the byte path"),
    ("allocations.cpython", "host allocations per steady call on the byte path"),
    ("allocations.luajit", "host allocations per steady call on the byte path"),
    ("callers.clr", "calls a second of 8 callers against 1"),
    ("callers.luajit", "calls a second of 8 callers against 1, both with 2 instances"),
    ("callers.cpython", "calls a second of 8 callers against 1"),
    ("callers.cpython.work", "calls a second of 8 callers against 1, with 10 µs of work a call"),
    ("deadline.clr", "ns that a far deadline adds to a 128 B echo"),
    ("deadline.cpython", "ns that a far deadline adds to a 128 B echo"),
    ("deadline.luajit", "ns that a far deadline adds to a 128 B echo"),
    ("cancel.clr", "µs from the deadline of a loop that looks at its token to the return of its call, p99"),
    ("cancel.cpython", "µs from the deadline of a loop to the return of its call, p99"),
    ("cancel.luajit", "µs from the deadline of a loop to the return of its call, p99"),
    ("observe.off", "ns that the way of a call costs more for what may look at it, while nobody does"),
    ("observe.tracing.clr", "ns that a span adds to a 128 B echo, where a subscriber wants it and drops it"),
    ("observe.tracing.cpython", "ns that a span adds to a 128 B echo, where a subscriber wants it and drops it"),
    ("observe.tracing.luajit", "ns that a span adds to a 128 B echo, where a subscriber wants it and drops it"),
    ("observe.metrics.clr", "ns that being counted adds to a 128 B echo"),
    ("observe.metrics.cpython", "ns that being counted adds to a 128 B echo"),
    ("observe.metrics.luajit", "ns that being counted adds to a 128 B echo"),
    ("grpc.clr", "a 1 KiB echo by tonic on a unix socket against the call of .NET in this process"),
    ("grpc.luajit", "a 1 KiB echo by tonic on a unix socket against the call of LuaJIT in this process"),
    ("grpc.cpython", "a 1 KiB echo by tonic on a unix socket against the call of CPython in this process"),
    ("grpc.cpython.grpcio", "a 1 KiB echo by grpcio on a unix socket against the call of CPython in this process"),
    ("reload.clr", "ms to load, switch to and first call a small module's next version, and to unload the one before"),
    ("reload.cpython", "the same of CPython"),
    ("reload.luajit", "the same of LuaJIT"),
    ("http.pool", "CPU of a keep-alive request against Kestrel, on .NET's thread pool"),
    ("http.inline", "CPU of a keep-alive request, Kestrel's against inline dispatch"),
    ("http.inline.user", "the same, in user code alone"),
    ("http.nginx", "CPU of a keep-alive request, of nginx and Kestrel behind it against .NET's thread pool"),
    ("http.nginx.inline", "the same against inline dispatch"),
    ("http.pipelined", "CPU of a request of 16 pipelined, Kestrel's against inline dispatch"),
    (
        "http.pipelined.floor",
        "µs of CPU of such a request above hyper's hello and the application's pipeline in a loop in C#",
    ),
    ("http.observe", "µs of CPU of a keep-alive request, inline, for an access log and metrics"),
    ("http.blocking.p99", "p99 of requests while others hold threads against Kestrel, on .NET's thread pool"),
    ("http.start", "from nothing to the first response against `dotnet App.dll`"),
    ("http.body", "CPU of a body of 1 MiB each way against Kestrel, on .NET's thread pool"),
    ("http.memory", "bytes of memory for each of a million requests, on .NET's thread pool"),
    ("http.websockets", "memory of an idle WebSocket against Kestrel, on .NET's thread pool"),
];

const PAYLOAD: usize = 128;
const CALLERS: usize = 8;

/// Runs the suite.
pub(crate) struct Targets {
    registry: Registry,
    plan: Plan,
    random: fastrand::Rng,
    http: Http,
}

impl Targets {
    /// A suite that has started nothing as yet.
    pub(crate) fn new(plan: Plan, seed: u64) -> Self {
        let http = Http::new(is_quick(plan));
        Targets { registry: registry(Whose::Ours), plan, random: fastrand::Rng::with_seed(seed), http }
    }

    /// Runs the checks whose names begin with `only`, and hands each to `done` when it is.
    pub(crate) fn run(&mut self, only: &str, done: &mut dyn FnMut(&Check)) -> Vec<Check> {
        let chosen = NAMES.iter().filter(|(name, _)| name.starts_with(only));
        chosen
            .map(|(name, what)| {
                let check = self.check(name, what);
                done(&check);
                check
            })
            .collect()
    }

    /// Names and versions of the runtimes that started.
    pub(crate) fn runtimes(&self) -> Vec<String> {
        let show = |runtime: Arc<dyn polyhost::Runtime>| {
            let info = runtime.info();
            format!("{} {}", info.name, info.version)
        };
        self.registry.started().into_iter().map(show).collect()
    }

    fn check(&mut self, name: &'static str, what: &str) -> Check {
        let (target, outcome) = match name {
            "start.clr" => (Target::AtMost(100.0), self.start("clr")),
            "start.cpython" => (Target::AtMost(60.0), self.start("py")),
            "start.luajit" => (Target::AtMost(3.0), self.start("lua")),
            "echo.clr" => (Target::AtMost(1.3), self.echo("clr")),
            "echo.cpython" => (Target::AtMost(1.2), self.echo("py")),
            "echo.luajit" => (Target::AtMost(1.2), self.echo("lua")),
            "allocations.clr" => (Target::AtMost(0.0), self.allocations("clr")),
            "allocations.cpython" => (Target::AtMost(0.0), self.allocations("py")),
            "allocations.luajit" => (Target::AtMost(0.0), self.allocations("lua")),
            "callers.clr" => (Target::AtLeast(1.0), self.callers("clr", 1, None)),
            "callers.luajit" => (Target::AtLeast(1.0), self.callers("lua", 2, None)),
            "callers.cpython" => (Target::AtLeast(0.75), self.callers("py", 1, None)),
            "callers.cpython.work" => (Target::AtLeast(0.9), self.callers("py", 1, Some(10_000.0))),
            "deadline.clr" => (Target::AtMost(10.0), self.deadline("clr")),
            "deadline.cpython" => (Target::AtMost(10.0), self.deadline("py")),
            "deadline.luajit" => (Target::AtMost(10.0), self.deadline("lua")),
            "cancel.clr" => (Target::AtMost(1000.0), self.cancel("clr")),
            "cancel.cpython" => (Target::AtMost(10_000.0), self.cancel("py")),
            "cancel.luajit" => (Target::AtMost(2000.0), self.cancel("lua")),
            "observe.off" => (Target::AtMost(2.0), self.unseen()),
            "observe.tracing.clr" => (Target::AtMost(500.0), self.traced("clr")),
            "observe.tracing.cpython" => (Target::AtMost(500.0), self.traced("py")),
            "observe.tracing.luajit" => (Target::AtMost(500.0), self.traced("lua")),
            "observe.metrics.clr" => (Target::AtMost(25.0), self.counted("clr")),
            "observe.metrics.cpython" => (Target::AtMost(25.0), self.counted("py")),
            "observe.metrics.luajit" => (Target::AtMost(25.0), self.counted("lua")),
            "grpc.clr" => (Target::AtLeast(50.0), self.grpc("grpc-rust", "clr")),
            "grpc.luajit" => (Target::AtLeast(50.0), self.grpc("grpc-rust", "luajit")),
            "grpc.cpython" => (Target::AtLeast(50.0), self.grpc("grpc-rust", "cpython")),
            "grpc.cpython.grpcio" => (Target::AtLeast(50.0), self.grpc("grpc-python", "cpython")),
            "reload.clr" => (Target::AtMost(15.0), self.reload("clr")),
            "reload.cpython" => (Target::AtMost(5.0), self.reload("py")),
            "reload.luajit" => (Target::AtMost(1.0), self.reload("lua")),
            http => self.http.check(http, &mut self.random),
        };
        match outcome {
            Ok((estimate, detail)) => Check::measured(name, what, target, estimate, detail),
            Err(reason) => Check::unmeasured(name, what, target, reason),
        }
    }

    /// Whether the runtime of `scheme` and its guest are there. Whatever fails after this has failed.
    fn need(&self, scheme: &str) -> std::result::Result<(), Unmeasured> {
        let missing = match self.registry.runtime(scheme) {
            Err(error) => Some(error.to_string()),
            Ok(_) => contenders::missing_guest(scheme),
        };
        missing.map_or(Ok(()), |reason| Err(Unmeasured::Skipped(reason)))
    }

    fn start(&mut self, scheme: &str) -> Outcome {
        let times = if is_quick(self.plan) { 3 } else { 15 };
        self.need(scheme)?;
        let millis = start::in_processes(scheme, times).map_err(Unmeasured::Failed)?;
        Ok((Estimate::median_of(&millis, &mut self.random), format!("{times} processes")))
    }

    fn reload(&mut self, scheme: &str) -> Outcome {
        let times = if is_quick(self.plan) { 20 } else { 200 };
        self.need(scheme)?;
        let mut reloads = reload::measure(&self.registry, scheme, times)?;
        let median = |samples: &mut [f64]| digits(crate::stats::median(samples));
        let (load, unload) = (median(&mut reloads.load), median(&mut reloads.unload));
        let detail = format!("{times} versions; load and switch {load} ms, unload {unload} ms");
        Ok((Estimate::median_of(&reloads.whole, &mut self.random), detail))
    }

    fn echo(&mut self, scheme: &str) -> Outcome {
        self.need(scheme)?;
        let echo = contenders::echo(&self.registry, scheme)?;
        let floor = floors::of(&self.registry, scheme, &echo)?;
        let random = &mut self.random;
        let mut pair = [caller(&*echo, PAYLOAD, random), floor_caller(floor, random)];
        let rounds = Rounds::run(self.plan, &mut pair, random)?;
        let detail = format!(
            "{} ns against {} ns",
            digits(rounds.nanos(0, random).value),
            digits(rounds.nanos(1, random).value)
        );
        Ok((rounds.ratio(0, 1, random), detail))
    }

    /// What a call costs more for being watched.
    fn deadline(&mut self, scheme: &str) -> Outcome {
        self.need(scheme)?;
        let echo = contenders::echo(&self.registry, scheme)?;
        let pair = cancel::watched(&*echo, PAYLOAD, &mut self.random);
        self.difference(pair)
    }

    /// What the way of a call costs more for what may look at it.
    fn unseen(&mut self) -> Outcome {
        let pair = observe::unseen(PAYLOAD, &mut self.random);
        self.difference(pair)
    }

    /// What a call costs more for its span.
    fn traced(&mut self, scheme: &str) -> Outcome {
        self.need(scheme)?;
        let echo = contenders::echo(&self.registry, scheme)?;
        let pair = observe::traced(&*echo, PAYLOAD, &mut self.random);
        self.difference(pair)
    }

    /// What a call costs more for being counted.
    fn counted(&mut self, scheme: &str) -> Outcome {
        self.need(scheme)?;
        let [counted, plain] = observe::counted(&self.registry, scheme)?;
        let random = &mut self.random;
        let pair = [caller(&*counted, PAYLOAD, random), caller(&*plain, PAYLOAD, random)];
        self.difference(pair)
    }

    /// The nanoseconds that a call of the first costs more than one of the second.
    fn difference(&mut self, mut pair: [Contender<'_>; 2]) -> Outcome {
        let random = &mut self.random;
        let rounds = Rounds::run(self.plan, &mut pair, random)?;
        let detail = format!(
            "{} ns against {} ns",
            digits(rounds.nanos(0, random).value),
            digits(rounds.nanos(1, random).value)
        );
        Ok((rounds.difference(0, 1, random), detail))
    }

    /// How long after its deadline a call returns.
    fn cancel(&mut self, scheme: &str) -> Outcome {
        self.need(scheme)?;
        let spin = cancel::spin(&self.registry, scheme)?;
        let times = if is_quick(self.plan) { 20 } else { 1000 };
        let late = (0..times).map(|_| cancel::overshoot(&*spin)).collect::<Result<Vec<_>>>()?;
        let at = |share| digits(crate::stats::quantile(&mut late.clone(), share));
        let detail = format!("median {}, p90 {}, most {}; {times} calls", at(0.5), at(0.9), at(1.0));
        Ok((Estimate::quantile_of(&late, 0.99, &mut self.random), detail))
    }

    fn allocations(&mut self, scheme: &str) -> Outcome {
        self.need(scheme)?;
        let echo = contenders::echo(&self.registry, scheme)?;
        let (calls, cx) = (10_000, CallContext::none());
        let (mut payloads, mut output) = (Payloads::new(PAYLOAD, &mut self.random), Output::new());
        let mut run = |calls| -> Result<()> {
            for _ in 0..calls {
                call_echo(&*echo, &cx, payloads.next(), &mut output)?;
            }
            Ok(())
        };
        run(1000)?;
        let before = alloc::count();
        run(calls)?;
        let made = alloc::count() - before;
        Ok((Estimate::exact(made as f64 / calls as f64), format!("{made} in {calls} calls")))
    }

    /// Calls a second of many callers against one, in turns; with `work` nanoseconds in each call.
    fn callers(&mut self, scheme: &str, instances: usize, work: Option<f64>) -> Outcome {
        self.need(scheme)?;
        let module = contenders::load(&self.registry, scheme, instances)?;
        let name = if work.is_some() { "bench/Work" } else { contenders::ECHO };
        let function = module.function(name)?;
        if let Some(nanos) = work {
            let set = module.function("bench/SetWork")?;
            self.tune_work(&*function, &*set, nanos)?;
        }
        let cx = CallContext::none();
        let call = |payload: &[u8], output: &mut Output| call_echo(&*function, &cx, payload, output);
        let slice = self.plan.slice * 5;
        let (mut ratios, mut one, mut many) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=self.plan.rounds {
            let seed = self.random.u64(..);
            // Either comes first in half of the rounds.
            let many_first = self.random.bool();
            let measure = |threads| throughput(threads, slice, seed, &call);
            let (a, b) = if many_first {
                let b = measure(CALLERS)?;
                (measure(1)?, b)
            } else {
                (measure(1)?, measure(CALLERS)?)
            };
            // The first is the warm-up.
            if round > 0 {
                ratios.push(b / a);
                one.push(a);
                many.push(b);
            }
        }
        let millions = |samples: &mut [f64]| digits(crate::stats::median(samples) / 1e6);
        let detail = format!("{} M/s against {} M/s", millions(&mut many), millions(&mut one));
        Ok((Estimate::median_of(&ratios, &mut self.random), detail))
    }

    /// Sets the rounds of the guest's work so that a call takes about `nanos`.
    fn tune_work(&mut self, work: &dyn Function, set: &dyn Function, nanos: f64) -> Result<()> {
        let (cx, mut output) = (CallContext::none(), Output::new());
        let trial = 10_000.0;
        set.call(&cx, trial.to_string().as_bytes(), &mut output)?;
        let mut contender: [Contender<'_>; 1] = [caller(work, PAYLOAD, &mut self.random)];
        let took = Rounds::run(Plan::QUICK, &mut contender, &mut self.random)?.nanos(0, &mut self.random).value;
        let rounds = (trial * nanos / took).round().max(1.0);
        output.clear();
        set.call(&cx, rounds.to_string().as_bytes(), &mut output)
    }
}

fn is_quick(plan: Plan) -> bool {
    plan.rounds < Plan::STANDARD.rounds
}

/// The number with what stands behind it; or why there is none.
pub(crate) type Outcome = std::result::Result<(Estimate, String), Unmeasured>;

fn floor_caller<'a>(mut floor: floors::Floor, random: &mut fastrand::Rng) -> Contender<'a> {
    let mut payloads = Payloads::new(PAYLOAD, random);
    let mut reply = vec![0; PAYLOAD];
    Box::new(move |n| {
        for _ in 0..n {
            if floor(payloads.next(), &mut reply) != PAYLOAD {
                return Err(no_echo("the floor"));
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use polyhost::{LoadOptions, ModuleSource};

    fn run(registry: Registry, name: &str) -> Check {
        let mut targets = Targets { registry, ..Targets::new(Plan::QUICK, 1) };
        targets.run(name, &mut |_| ()).pop().expect("one check")
    }

    #[test]
    fn only_what_is_not_there_is_skipped() {
        let check = run(Registry::new(), "allocations.luajit");
        assert!(check.skipped.is_some() && check.failed.is_none(), "{}", check.line());
        assert!(!check.is_bad(false) && check.is_bad(true));
        let check = run(polyhost::registry(), "allocations.luajit");
        assert!(check.measured.is_some(), "{}", check.line());
    }

    #[test]
    fn a_call_that_fails_and_an_echo_that_is_none_are_failures() {
        let text = "local polyhost = require 'polyhost'
            polyhost.export('fail', function() error('no') end)
            polyhost.export('empty', function() return '' end)";
        let source = ModuleSource::Text { name: "bad.lua".into(), text: text.into() };
        let runtime = polyhost::registry().runtime("lua").expect("LuaJIT is built in");
        let module = runtime.load(&source, &LoadOptions::new()).expect("it loads");
        for (name, says) in [("fail", "no"), ("empty", "empty does not return its request")] {
            let function = module.function(name).expect("exported");
            let mut random = fastrand::Rng::with_seed(1);
            let mut contender = [caller(&*function, PAYLOAD, &mut random)];
            let error = Rounds::run(Plan::QUICK, &mut contender, &mut random).err().expect(name);
            let check = Check::unmeasured("a.check", "", Target::AtMost(1.0), error.into());
            assert!(check.line().contains("FAILED") && check.line().contains(says), "{}", check.line());
            assert!(check.is_bad(false));
        }
    }
}
