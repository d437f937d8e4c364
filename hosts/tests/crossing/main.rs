//! A hunt for deadlocks: guests of all runtimes call each other by services of the host, on several threads, while
//! calls are cancelled and run out of time, versions follow each other and modules come and go.
//!
//! Every thread follows plans, each made of a number, so that what a run has done can be done again, but for how its
//! threads take turns. `POLYHOST_HUNT_SECONDS` sets how long it lasts in the place of a number of plans, and
//! `POLYHOST_HUNT_SEED` the number of the first plan. A thread that stands in one step for a minute is stuck: then the
//! process says where every thread stands, and ends.

mod plan;
#[path = "../subjects/mod.rs"]
mod subjects;
mod watch;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use plan::{Kind, Mode, Step};
use polyhost::native::function;
use polyhost::{
    Bytes, CallContext, CancelToken, Deployment, Error, ErrorKind, Export, Function, LoadOptions, LogSink,
    ModuleSource, Output, Result, Runtime, Services, UnloadVerdict,
};
use polyhost_proto::conformance::v1::spin_request::How;
use polyhost_proto::conformance::v1::{
    AddRequest, AllTypes, CallServiceReply, CallServiceRequest, FailRequest, GrowRequest, LogRequest, RecurseRequest,
    SpinRequest,
};
use polyhost_testkit::{PATIENCE, block_on};
use prost::Message;

/// Plans of a run without `POLYHOST_HUNT_SECONDS`.
const PLANS: u64 = 5000;
/// Threads that follow plans. Calls by `call_async`, and plans, add more.
const THREADS: usize = 6;
/// Plans that one thread follows, before another takes its place.
const TURN: u64 = 20;
/// How long calls are waited for where others may wait for the one who waits.
const GRACE: Duration = Duration::from_millis(200);
/// The metadata of calls that are going to be stopped.
const ENDS: &str = "ends";

#[test]
fn crossing_calls_end() {
    let seed = number("POLYHOST_HUNT_SEED").unwrap_or_else(new_seed);
    let hunt: &'static Hunt = Box::leak(Box::new(Hunt::new(seed)));
    let what = format!("POLYHOST_HUNT_SEED={seed}");
    println!("{what}");
    let (_done, is_done) = mpsc::channel();
    std::thread::spawn(move || watch::watch(&is_done, &what));
    hunt.start();
    let end = number("POLYHOST_HUNT_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while hunt.goes_on(end) {
                    std::thread::scope(|turn| _ = turn.spawn(|| hunt.follow_some(seed)));
                }
            });
        }
    });
    hunt.close();
    println!("{}", hunt.told());
    let wrong = hunt.wrong.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(wrong.is_empty(), "POLYHOST_HUNT_SEED={seed}: {} are wrong, the first:\n{}", wrong.len(), wrong[0]);
}

/// A module that plans call.
struct Site {
    name: String,
    runtime: Arc<dyn Runtime>,
    source: ModuleSource,
    options: LoadOptions,
    deployment: Deployment,
}

struct Hunt {
    sites: OnceLock<Vec<Site>>,
    /// How many plans were begun.
    plans: AtomicU64,
    /// Tokens that are to be cancelled.
    cancel: Sender<CancelToken>,
    /// What must not have happened.
    wrong: Mutex<Vec<String>>,
    /// How often what happened.
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Hunt {
    fn new(seed: u64) -> Self {
        let (cancel, tokens) = mpsc::channel::<CancelToken>();
        std::thread::spawn(move || {
            // Each has to wait for as many others as chance says, for a moment at most.
            let mut waiting = Vec::new();
            let mut random = polyhost_testkit::Random::new(seed);
            loop {
                match tokens.recv_timeout(Duration::from_millis(5)) {
                    Ok(token) if random.below(3) > 0 => waiting.push(token),
                    Ok(token) => token.cancel(),
                    Err(RecvTimeoutError::Timeout) => waiting.drain(..).for_each(|token| token.cancel()),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if random.below(2) == 0 {
                    waiting.pop().iter().for_each(CancelToken::cancel);
                }
            }
        });
        let (wrong, counts) = (Mutex::default(), Mutex::default());
        Hunt { sites: OnceLock::new(), plans: AtomicU64::new(0), cancel, wrong, counts }
    }

    /// Two deployments of each runtime's guest, whose service `next` goes on with a plan.
    fn start(&'static self) {
        let mut services = Services::new();
        let next = move |cx: &CallContext, plan: &[u8], output: &mut Output| {
            self.go_on(cx, plan)?;
            output.write(plan)
        };
        services.add(function(Export::bytes("next"), next)).expect("is the only one");
        let mut sites = Vec::new();
        for subject in subjects::all() {
            let Some(runtime) = subject.require() else { continue };
            let options = LoadOptions::new().services(services.clone()).log(LogSink::new(|_| {}));
            let sources = match subject.name() {
                "luajit" => {
                    let options = options.option("wait", "100ms");
                    [options.clone(), options.instances(3)]
                }
                _ => [options.clone(), options],
            };
            for (at, options) in sources.into_iter().enumerate() {
                let (runtime, source) = (runtime.clone(), subject.conformance().clone());
                let module = runtime.load(&source, &options).unwrap_or_else(|error| panic!("{error:?}"));
                let deployment = Deployment::new(module).expect("is loaded");
                let name = format!("{}/{at}", subject.name());
                sites.push(Site { name, runtime, source, options, deployment });
            }
        }
        assert!(self.sites.set(sites).is_ok(), "is started once");
    }

    fn site(&self, step: Step) -> &Site {
        let sites = self.sites.get().expect("is started");
        &sites[step.site % sites.len()]
    }

    fn goes_on(&self, end: Option<Instant>) -> bool {
        match end {
            Some(end) => Instant::now() < end,
            None => self.plans.load(Ordering::Relaxed) < PLANS,
        }
    }

    /// A thread's turn.
    fn follow_some(&self, seed: u64) {
        for _ in 0..TURN {
            let number = seed.wrapping_add(self.plans.fetch_add(1, Ordering::Relaxed));
            let plan = plan::plan(number);
            let _at = watch::at(format!("plan {number}"));
            // A plan may begin with a panic.
            let outcome = polyhost::boundary::enter(|| self.go_on(&CallContext::none(), &plan));
            self.count(match &outcome {
                Ok(()) => "plans done".to_owned(),
                Err(error) => format!("plans ended by {:?}", deepest(error).kind()),
            });
            if let Err(error) = outcome
                && is_calm(&plan)
                && deepest(&error).kind() != ErrorKind::Exhausted
            {
                self.wrong(format!("nothing in plan {number} fails: {error:?}"));
            }
        }
    }

    /// Does a plan, in a service or at its beginning.
    fn go_on(&self, cx: &CallContext, plan: &[u8]) -> Result<()> {
        let Some((step, rest)) = Step::first(plan) else { return Ok(()) };
        let site = self.site(step);
        let _at = watch::at(format!("{:?} {} {:#04x}", step.kind, site.name, step.how));
        self.count(format!("{:?}", step.kind));
        match step.kind {
            Kind::Guest => self.call(cx, site, step, rest),
            Kind::Deadline => {
                let timeout = Duration::from_millis(u64::from(step.how) % 20);
                self.go_on(&cx.clone().with_timeout(timeout).with_metadata(ENDS, ""), rest)
            }
            Kind::Cancel => {
                let token = CancelToken::new();
                self.cancel.send(token.clone()).expect("the thread that cancels waits for more");
                self.go_on(&cx.clone().with_cancel(&token).with_metadata(ENDS, ""), rest)
            }
            Kind::Thread => std::thread::scope(|scope| {
                let other = scope.spawn(|| polyhost::boundary::enter(|| self.go_on(cx, rest)));
                other.join().expect("panics are caught")
            }),
            Kind::Deploy => {
                self.deploy(site, step);
                self.go_on(cx, rest)
            }
            Kind::Load => {
                self.load(site);
                self.go_on(cx, rest)
            }
            Kind::Panic => std::panic::resume_unwind(Box::new("on purpose")),
            Kind::Leaf => self.end_at(cx, site, step),
        }
    }

    /// Calls a guest that calls `next` with the rest.
    fn call(&self, cx: &CallContext, site: &Site, step: Step, rest: &[u8]) -> Result<()> {
        let request = CallServiceRequest {
            service: "next".into(),
            input: rest.to_vec(),
            times: 1 + u32::from(step.twice()),
            catch: step.catches(),
        };
        let export = "conformance.v1.Conformance/CallService";
        let Some(reply) = self.enter(cx, site, export, step.mode(), &request.encode_to_vec())? else { return Ok(()) };
        match CallServiceReply::decode(reply) {
            Ok(reply) if reply.code != 0 || reply.output == rest => {}
            reply => self.wrong(format!("{} replies {reply:?} where {rest:?} is expected", site.name)),
        }
        Ok(())
    }

    /// Calls a guest that calls nobody.
    fn end_at(&self, cx: &CallContext, site: &Site, step: Step) -> Result<()> {
        let is_stopped = cx.metadata_value(ENDS).is_some();
        let (method, request) = match step.leaf() {
            0 => (
                "Fail",
                FailRequest { message: "as planned".into(), depth: 3, ..FailRequest::default() }.encode_to_vec(),
            ),
            1 => ("Add", AddRequest { n: 1 }.encode_to_vec()),
            2 => ("Grow", GrowRequest { size: 1 << 16 }.encode_to_vec()),
            3 => ("Recurse", RecurseRequest { depth: 50 }.encode_to_vec()),
            4 => ("Log", LogRequest { level: "info".into(), message: "as planned".into() }.encode_to_vec()),
            5 => {
                let text = if is_stopped { "suspend" } else { "as planned" };
                ("EchoAsync", AllTypes { f_string: text.into(), ..AllTypes::default() }.encode_to_vec())
            }
            6 if is_stopped => {
                let how = [How::Unspecified, How::Catch, How::Coroutine, How::Wait][usize::from(step.how >> 6)];
                ("Spin", SpinRequest { how: how.into() }.encode_to_vec())
            }
            _ => return self.echo(cx, site, step),
        };
        self.enter(cx, site, &format!("conformance.v1.Conformance/{method}"), step.mode(), &request).map(drop)
    }

    fn echo(&self, cx: &CallContext, site: &Site, step: Step) -> Result<()> {
        let input = vec![step.how; usize::from(step.how) * 9];
        let reply = self.enter(cx, site, "raw/Echo", step.mode(), &input)?;
        if reply.is_some_and(|reply| reply != input) {
            self.wrong(format!("{} echoes something else", site.name));
        }
        Ok(())
    }

    /// Calls an export of a deployment. No reply where nobody waits for it.
    fn enter(&self, cx: &CallContext, site: &Site, export: &str, mode: Mode, input: &[u8]) -> Result<Option<Bytes>> {
        let called = site.deployment.function(export).and_then(|function| called(&function, cx, mode, input));
        if let Err(error) = &called {
            self.count(format!("{} {:?}", site.name, error.kind()));
            let right = match error.kind() {
                ErrorKind::Cancelled | ErrorKind::DeadlineExceeded => cx.cancelled().is_some(),
                ErrorKind::Guest | ErrorKind::Service | ErrorKind::Exhausted => true,
                _ => false,
            };
            if !right {
                self.wrong(format!("{export} of {}: {error:?}", site.name));
            }
        }
        called
    }

    fn deploy(&self, site: &Site, step: Step) {
        let grace = GRACE * u32::from(step.how & 1);
        match site.deployment.deploy(grace, || site.runtime.load(&site.source, &site.options)) {
            Ok(report) => {
                let unloaded = report.replaced.iter().filter(|it| it.verdict == UnloadVerdict::Unloaded).count();
                self.count(format!("{} deployed, and unloaded {unloaded}", site.name));
            }
            // Another one is at it.
            Err(error) if error.kind() == ErrorKind::Exhausted => {}
            Err(error) => self.wrong(format!("{} is not deployed: {error:?}", site.name)),
        }
    }

    /// A module of its own, which another thread calls until it is unloaded.
    fn load(&self, site: &Site) {
        let loaded = site.runtime.load(&site.source, &site.options);
        let module = loaded.unwrap_or_else(|error| panic!("{} does not load: {error:?}", site.name));
        let echo = module.function("raw/Echo").unwrap_or_else(|error| panic!("{error:?}"));
        let (called, is_called) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let _at = watch::at(format!("calls {} until it is unloaded", site.name));
                let end = loop {
                    match called_here(&echo, &CallContext::none(), b"hi") {
                        Ok(reply) if reply == b"hi" => _ = called.send(()),
                        other => break other,
                    }
                };
                if !matches!(&end, Err(error) if error.kind() == ErrorKind::Closed) {
                    self.wrong(format!("{}, while it is unloaded: {end:?}", site.name));
                }
            });
            // Where it fails at once, that is told above.
            let _ = is_called.recv();
            let verdict = module.unload(PATIENCE);
            self.count(format!("{} loaded, then {verdict:?}", site.name));
        });
    }

    /// Unloads all: nobody is inside any more but calls that nobody waits for.
    fn close(&self) {
        for site in self.sites.get().expect("is started") {
            let _at = watch::at(format!("closes {}", site.name));
            if let UnloadVerdict::StillAlive { what } = site.deployment.close(PATIENCE) {
                self.wrong(format!("{} is not unloaded at the end: {what:?}", site.name));
            }
        }
    }

    fn count(&self, what: String) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn told(&self) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().fold(String::new(), |mut text, (what, count)| {
            let _ = writeln!(text, "{count:8} {what}");
            text
        })
    }
}

fn called(function: &Arc<dyn Function>, cx: &CallContext, mode: Mode, input: &[u8]) -> Result<Option<Bytes>> {
    if mode == Mode::Call {
        return called_here(function, cx, input).map(|reply| Some(reply.into()));
    }
    let mut call = function.clone().call_async(cx.clone(), Bytes::copy_from_slice(input));
    if mode == Mode::Async {
        return block_on(call).map(Some);
    }
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(reply) => reply.map(Some),
        Poll::Pending => Ok(None),
    }
}

fn called_here(function: &Arc<dyn Function>, cx: &CallContext, input: &[u8]) -> Result<Vec<u8>> {
    let mut output = Output::new();
    function.call(cx, input, &mut output)?;
    Ok(output.into_vec())
}

/// Whether nothing in a plan fails by itself. A VM that others hold may all the same.
fn is_calm(plan: &[u8]) -> bool {
    let fails = |step: Step| match step.kind {
        Kind::Deadline | Kind::Cancel | Kind::Panic => true,
        Kind::Leaf => step.leaf() == 0,
        _ => false,
    };
    !plan::steps(plan).any(fails)
}

/// The error that all the others in the chain came of.
fn deepest(error: &Error) -> &Error {
    error.chain().last().unwrap_or(error)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Another one at each run.
fn new_seed() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64)
}
