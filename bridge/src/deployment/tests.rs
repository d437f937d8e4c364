use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, OnceLock, mpsc};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::future::BoxFuture;

use super::*;
use crate::call::CallContext;
use crate::lifecycle::Lifecycle;
use crate::output::Output;

/// Rounds of what runs at the same time: enough to meet, few where an interpreter runs it.
const ROUNDS: usize = if cfg!(miri) { 10 } else { 500 };

type Run = dyn Fn() + Send + Sync;

/// A module whose exports tell which it is, after `run`.
#[derive(Debug)]
struct Tells {
    exports: Vec<Export>,
    state: Arc<State>,
}

struct State {
    says: String,
    lifecycle: Lifecycle,
    run: Box<Run>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

#[derive(Debug)]
struct Tell(Export, Arc<State>);

impl Function for Tell {
    fn export(&self) -> &Export {
        &self.0
    }

    fn call(&self, _: &CallContext, _: &[u8], output: &mut Output) -> Result<()> {
        let _inside = self.1.lifecycle.enter()?;
        (self.1.run)();
        output.write(self.1.says.as_bytes())
    }
}

impl Module for Tells {
    fn name(&self) -> &str {
        "tells"
    }

    fn exports(&self) -> &[Export] {
        &self.exports
    }

    fn descriptors(&self) -> Option<&[u8]> {
        None
    }

    fn function(&self, name: &str) -> Result<Arc<dyn Function>> {
        match self.exports.iter().find(|export| export.name() == name) {
            Some(export) => Ok(Arc::new(Tell(export.clone(), self.state.clone()))),
            None => Err(no_such_export("tells", &self.exports, name)),
        }
    }

    fn unload(&self, grace: Duration) -> UnloadVerdict {
        self.state.lifecycle.close();
        let inside = self.state.lifecycle.drain(grace);
        match (inside, Arc::strong_count(&self.state) - 1) {
            (0, 0) => UnloadVerdict::Unloaded,
            (inside, held) => UnloadVerdict::StillAlive { what: vec![format!("{inside} calls, {held} functions")] },
        }
    }
}

fn runs(says: &str, exports: &[&str], run: impl Fn() + Send + Sync + 'static) -> Arc<dyn Module> {
    let exports = exports.iter().copied().map(Export::bytes).collect();
    let state = State { says: says.to_owned(), lifecycle: Lifecycle::new(), run: Box::new(run) };
    Arc::new(Tells { exports, state: Arc::new(state) })
}

fn tells(says: &str) -> Arc<dyn Module> {
    runs(says, &["a", "b"], || ())
}

fn deployment() -> Deployment {
    Deployment::new(tells("1")).expect("is loaded")
}

fn ask(function: &Arc<dyn Function>) -> Result<String> {
    let mut output = Output::new();
    function.call(&CallContext::none(), b"", &mut output)?;
    Ok(String::from_utf8(output.into_vec()).expect("text"))
}

fn deploy(deployment: &Deployment, says: &str) -> DeployReport {
    deployment.deploy(Duration::MAX, || Ok(tells(says))).expect("deploys")
}

fn verdict(report: &DeployReport) -> &UnloadVerdict {
    assert_eq!(1, report.replaced.len(), "{report:?}");
    &report.replaced[0].verdict
}

/// A module whose calls say that they are in, and stay until they are told.
fn waits(says: &str) -> (Arc<dyn Module>, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (entered, is_in) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let gone = Mutex::new(gone);
    let module = runs(says, &["a", "b"], move || {
        entered.send(()).expect("the test waits");
        gone.lock().expect("one at a time").recv().expect("the test says go");
    });
    (module, is_in, go)
}

#[test]
fn functions_follow_the_versions() {
    let deployment = deployment();
    let (a, b) = (deployment.function("a").expect("there"), deployment.function("b").expect("there"));
    assert_eq!(("1", "1"), (&*ask(&a).expect("calls"), &*ask(&b).expect("calls")));
    for version in 2..5 {
        let report = deploy(&deployment, &version.to_string());
        assert_eq!((version, version), (report.version, deployment.version()));
        assert_eq!(&UnloadVerdict::Unloaded, verdict(&report));
        assert_eq!(version - 1, report.replaced[0].version);
        assert_eq!([version.to_string(), version.to_string()], [ask(&a).expect("calls"), ask(&b).expect("calls")]);
    }
    assert_eq!("a", a.export().name());
    assert_eq!(ErrorKind::NotFound, deployment.function("c").expect_err("there is none").kind());
}

#[test]
fn a_load_that_fails_leaves_the_version_running() {
    let deployment = deployment();
    let a = deployment.function("a").expect("there");
    let error = deployment.deploy(Duration::ZERO, || Err(Error::new(ErrorKind::Load, "no"))).expect_err("as told");
    assert_eq!((ErrorKind::Load, "no"), (error.kind(), error.message()));
    assert_eq!(("1".to_owned(), 1), (ask(&a).expect("calls"), deployment.version()));
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = deployment.deploy(Duration::ZERO, || panic!("on purpose"));
    }));
    assert!(stopped.is_err());
    deploy(&deployment, "2");
    assert_eq!("2", ask(&a).expect("calls"));
}

#[test]
fn a_version_that_lacks_what_is_held_is_refused() {
    let deployment = deployment();
    let (a, b) = (deployment.function("a").expect("there"), deployment.function("b").expect("there"));
    let refused = runs("2", &["b", "c"], || ());
    let error = deployment.deploy(Duration::ZERO, || Ok(refused.clone())).expect_err("a is held");
    assert_eq!(ErrorKind::Load, error.kind());
    assert!(error.message().contains("it lacks a; version 1 goes on"), "{error}");
    assert_eq!(ErrorKind::Closed, ask(&refused.function("b").expect("there")).expect_err("was unloaded").kind());
    assert_eq!("1", ask(&a).expect("goes on"));

    drop(a);
    deployment.deploy(Duration::MAX, || Ok(runs("3", &["b", "c"], || ()))).expect("a is not held any more");
    let c = deployment.function("c").expect("there");
    assert_eq!(("3", "3"), (&*ask(&b).expect("calls"), &*ask(&c).expect("calls")));
    assert_eq!(ErrorKind::NotFound, deployment.function("a").expect_err("is gone").kind());
    // With the exports in places of other names than before.
    drop(b);
    deployment.deploy(Duration::MAX, || Ok(runs("4", &["a", "c", "d", "e"], || ()))).expect("c is there");
    for name in ["a", "c", "d", "e"] {
        assert_eq!("4", ask(&deployment.function(name).expect(name)).expect(name));
    }
    assert_eq!("4", ask(&c).expect("calls"));
}

#[test]
fn a_version_with_other_types_is_refused() {
    let with = |export: Export| -> Arc<dyn Module> {
        let state = State { says: "x".into(), lifecycle: Lifecycle::new(), run: Box::new(|| ()) };
        Arc::new(Tells { exports: vec![export], state: Arc::new(state) })
    };
    let deployment = Deployment::new(with(Export::messages("a", "x.A", "x.B"))).expect("is loaded");
    let _held = deployment.function("a").expect("there");
    let error = deployment.deploy(Duration::ZERO, || Ok(with(Export::bytes("a")))).expect_err("other types");
    assert!(error.message().contains("its a is bytes -> bytes and was x.A -> x.B"), "{error}");
    deployment
        .deploy(Duration::ZERO, || Ok(with(Export::messages("a", "x.A", "x.B").with_doc("newer"))))
        .expect("the same types");
}

#[test]
fn a_module_is_not_deployed_twice() {
    let module = tells("1");
    let deployment = Deployment::new(module.clone()).expect("is loaded");
    let a = deployment.function("a").expect("there");
    let error = deployment.deploy(Duration::ZERO, || Ok(module.clone())).expect_err("is the current one");
    assert_eq!(ErrorKind::Config, error.kind());
    assert_eq!("1", ask(&a).expect("goes on"));
}

#[test]
fn a_module_that_is_still_used_is_not_deployed_again() {
    let (module, is_in, go) = waits("1");
    let deployment = Deployment::new(module.clone()).expect("is loaded");
    let a = deployment.function("a").expect("there");
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| ask(&a));
        is_in.recv().expect("it calls");
        deployment.deploy(Duration::ZERO, || Ok(tells("2"))).expect("deploys");
        // It would be unloaded under its calls when those of version 1 are out.
        let error = deployment.deploy(Duration::ZERO, || Ok(module.clone())).expect_err("was version 1");
        assert_eq!(ErrorKind::Config, error.kind());
        assert!(error.message().contains("the module of version 1 itself"), "{error}");
        go.send(()).expect("it waits");
        assert_eq!("1", inside.join().expect("no panic").expect("is not disturbed"));
    });
    assert_eq!("2", ask(&a).expect("goes on"));
}

#[test]
fn calls_inside_end_in_their_own_version() {
    let (module, is_in, go) = waits("1");
    let deployment = Deployment::new(module).expect("is loaded");
    let a = deployment.function("a").expect("there");
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| ask(&a));
        is_in.recv().expect("it calls");
        let report = deployment.deploy(Duration::ZERO, || Ok(tells("2"))).expect("deploys");
        assert_eq!(&UnloadVerdict::StillAlive { what: vec!["1 call is still inside".into()] }, verdict(&report));
        assert_eq!("2", ask(&a).expect("calls"));
        // The next deploy looks at it again, and can't tell more.
        let report = deploy(&deployment, "3");
        let versions: Vec<_> = report.replaced.iter().map(|it| (it.version, &it.verdict)).collect();
        assert_eq!((2, &UnloadVerdict::Unloaded), versions[0]);
        assert!(matches!(versions[1..], [(1, UnloadVerdict::StillAlive { .. })]), "{versions:?}");
        go.send(()).expect("it waits");
        assert_eq!("1", inside.join().expect("no panic").expect("is not disturbed"));
        let settled = deployment.settle(Duration::MAX);
        assert_eq!(
            vec![(1, UnloadVerdict::Unloaded)],
            settled.into_iter().map(|it| (it.version, it.verdict)).collect::<Vec<_>>()
        );
        assert!(deployment.settle(Duration::ZERO).is_empty());
    });
}

#[test]
fn a_deploy_waits_for_the_calls_inside() {
    let (module, is_in, go) = waits("1");
    let deployment = Deployment::new(module).expect("is loaded");
    let (a, b) = (deployment.function("a").expect("there"), deployment.function("b").expect("there"));
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| ask(&a));
        is_in.recv().expect("it calls");
        let deploying = scope.spawn(|| deploy(&deployment, "2"));
        // From the switch on, calls answer the new way while the deploy waits.
        while deployment.version() == 1 {
            std::thread::yield_now();
        }
        assert_eq!("2", ask(&b).expect("calls"));
        go.send(()).expect("it waits");
        assert_eq!("1", inside.join().expect("no panic").expect("is not disturbed"));
        assert_eq!(&UnloadVerdict::Unloaded, verdict(&deploying.join().expect("no panic")));
    });
}

#[test]
fn a_deploy_from_within_a_call_says_that_it_cannot_wait_for_it() {
    let late: Arc<OnceLock<(Deployment, Mutex<Vec<DeployReport>>)>> = Arc::default();
    let inner = late.clone();
    let module = runs("1", &["a", "b"], move || {
        let (deployment, reports) = inner.get().expect("was set");
        reports.lock().expect("one at a time").push(deploy(deployment, "2"));
    });
    let deployment = Deployment::new(module).expect("is loaded");
    late.set((deployment.clone(), Mutex::default())).expect("once");
    let a = deployment.function("a").expect("there");
    assert_eq!("1", ask(&a).expect("one call runs in one version"));
    assert_eq!("2", ask(&a).expect("calls"));
    let (_, reports) = late.get().expect("was set");
    let report = reports.lock().expect("nobody else").pop().expect("one");
    let UnloadVerdict::StillAlive { what } = verdict(&report) else { panic!("{report:?}") };
    assert!(what[0].contains("the call that deploys is inside itself"), "{what:?}");
    let settled = deployment.settle(Duration::ZERO);
    assert_eq!(UnloadVerdict::Unloaded, settled[0].verdict);
}

#[test]
fn another_deploy_is_refused_until_the_first_has_switched() {
    let deployment = deployment();
    let inner = deployment.clone();
    let refused = OnceLock::new();
    deployment
        .deploy(Duration::MAX, || {
            let other = std::thread::spawn(move || inner.deploy(Duration::MAX, || Ok(tells("3"))));
            let error = other.join().expect("no panic").expect_err("one is under way");
            refused.set(error.kind()).expect("once");
            Ok(tells("2"))
        })
        .expect("deploys");
    assert_eq!(Some(&ErrorKind::Exhausted), refused.get());
    assert_eq!(2, deployment.version());
}

#[test]
fn a_call_async_holds_its_version_until_its_answer_is_there() {
    let (module, is_in, go) = waits("1");
    let deployment = Deployment::new(module).expect("is loaded");
    let a = deployment.function("a").expect("there");
    let mut future = a.clone().call_async(CallContext::none(), Bytes::new());
    is_in.recv().expect("it calls");
    let report = deployment.deploy(Duration::ZERO, || Ok(tells("2"))).expect("deploys");
    assert!(matches!(verdict(&report), UnloadVerdict::StillAlive { .. }));
    go.send(()).expect("it waits");
    assert_eq!(b"1", &*wait(&mut future).expect("an answer"));
    let settled = deployment.settle(Duration::ZERO);
    assert_eq!(UnloadVerdict::Unloaded, settled[0].verdict, "its answer was there");
    assert_eq!(b"2", &*wait(&mut a.clone().call_async(CallContext::none(), Bytes::new())).expect("an answer"));

    // One that nobody waits for does not hold up the end.
    drop(a.call_async(CallContext::none(), Bytes::new()));
    deployment.close(Duration::MAX);
}

fn wait<T>(future: &mut BoxFuture<'_, T>) -> T {
    struct Wake(std::thread::Thread);
    impl std::task::Wake for Wake {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Wake(std::thread::current())));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

#[test]
fn a_closed_deployment_refuses_calls_and_deploys() {
    let deployment = deployment();
    let module = deployment.module();
    let a = Module::function(&*module, "a").expect("there");
    assert_eq!((2, "tells", "1"), (module.exports().len(), module.name(), &*ask(&a).expect("calls")));
    assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::MAX));
    assert_eq!(UnloadVerdict::Unloaded, deployment.close(Duration::ZERO), "a second look");
    assert_eq!(ErrorKind::Closed, ask(&a).expect_err("is closed").kind());
    assert_eq!(
        ErrorKind::Closed,
        wait(&mut a.call_async(CallContext::none(), Bytes::new())).expect_err("closed").kind()
    );
    assert_eq!(ErrorKind::Closed, deployment.function("a").expect_err("is closed").kind());
    let loaded = AtomicBool::new(false);
    let again = deployment.deploy(Duration::ZERO, || {
        loaded.store(true, Ordering::Relaxed);
        Ok(tells("2"))
    });
    assert_eq!(ErrorKind::Closed, again.expect_err("is closed").kind());
    assert!(!loaded.into_inner(), "there was no use in loading it");
}

#[test]
fn closing_while_a_deploy_loads_stops_the_deploy() {
    let deployment = deployment();
    let late = tells("2");
    let outcome = deployment.deploy(Duration::ZERO, || {
        assert_eq!(UnloadVerdict::Unloaded, deployment.close(Duration::MAX));
        Ok(late.clone())
    });
    assert_eq!(ErrorKind::Closed, outcome.expect_err("was closed").kind());
    assert_eq!(ErrorKind::Closed, ask(&late.function("a").expect("there")).expect_err("was unloaded").kind());
}

#[test]
fn a_function_keeps_the_deployment_and_the_last_one_lets_the_module_go() {
    let module = tells("1");
    let weak = Arc::downgrade(&module);
    let deployment = Deployment::new(module).expect("is loaded");
    let a = deployment.function("a").expect("there");
    assert!(Arc::ptr_eq(&a, &deployment.function("a").expect("there")), "one function for each export");
    drop(deployment);
    assert_eq!("1", ask(&a).expect("calls"));
    drop(a);
    assert!(weak.upgrade().is_none());
}

#[test]
fn no_call_fails_or_goes_back_while_versions_change() {
    const THREADS: usize = 3;
    let deployment = Deployment::new(tells("0")).expect("is loaded");
    let (start, stop) = (Barrier::new(THREADS + 1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (a, b) = (deployment.function("a").expect("there"), deployment.function("b").expect("there"));
            let (start, stop) = (&start, &stop);
            scope.spawn(move || {
                let number = |said: String| said.parse::<usize>().expect("a number");
                let mut last = 0;
                start.wait();
                while !stop.load(Ordering::Relaxed) {
                    let (one, two) = match thread {
                        0 => (
                            ask(&a),
                            wait(&mut b.clone().call_async(CallContext::none(), Bytes::new()))
                                .map(|said| String::from_utf8(said.to_vec()).expect("text")),
                        ),
                        _ => (ask(&a), ask(&b)),
                    };
                    let (one, two) = (number(one.expect("calls")), number(two.expect("calls")));
                    assert!(last <= one && one <= two, "{last}, {one}, {two}");
                    last = two;
                }
            });
        }
        start.wait();
        for round in 1..=ROUNDS {
            let report = deploy(&deployment, &round.to_string());
            assert_eq!(&UnloadVerdict::Unloaded, verdict(&report), "round {round}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(ROUNDS as u64 + 1, deployment.version());
}

#[cfg(loom)]
mod races {
    use super::*;
    use crate::sync::{loom, thread};

    #[test]
    fn a_call_runs_in_a_version_that_is_loaded() {
        loom::model(|| {
            let deployment = deployment();
            let function = deployment.function("a").expect("is exported");
            let caller = thread::spawn(move || ask(&function).expect("no call fails"));
            assert_eq!(&UnloadVerdict::Unloaded, verdict(&deploy(&deployment, "2")));
            let told = caller.join().expect("no panic");
            assert!(["1", "2"].contains(&&*told), "{told}");
        });
    }

    #[test]
    fn a_call_is_in_or_refused_when_a_deployment_closes() {
        loom::model(|| {
            let deployment = deployment();
            let function = deployment.function("a").expect("is exported");
            let caller = thread::spawn(move || ask(&function));
            assert_eq!(UnloadVerdict::Unloaded, deployment.close(Duration::MAX));
            match caller.join().expect("no panic") {
                Ok(told) => assert_eq!("1", told),
                Err(error) => assert_eq!(ErrorKind::Closed, error.kind()),
            }
        });
    }
}
