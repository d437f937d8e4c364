//! Versions of a module that take each other's place.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use polyhost_bridge::{
    CallContext, Capabilities, DeployReport, Deployment, ErrorKind, Function, LoadOptions, Module, ModuleSource,
    Result, Services, UnloadVerdict,
};
use tempfile::TempDir;

use super::{expect_kind, expect_says, function};
use crate::case::{Case, Cx, case};
use crate::meeting::Meeting;
use crate::subject::service;

/// Returns the version.
const TELL: &str = "raw/Tell";
/// Calls the host service `between`, and returns the version then.
const ACROSS: &str = "raw/Across";
/// Changes while others call.
const CHANGES: usize = 20;

pub(super) fn cases() -> Vec<Case> {
    [
        case("reload::a_changed_file_is_loaded_as_it_is_now").run(|cx| {
            let file = File::new(cx);
            let one = file.load();
            for version in [2, 1, 2] {
                file.write(version);
                let next = file.load();
                assert_eq!(["1".into(), version.to_string()], [tell(cx, &*one), tell(cx, &*next)]);
                assert_unloaded(cx, &next.unload(crate::PATIENCE));
            }
            assert_eq!("1", tell(cx, &*one));
        }),
        case("reload::a_function_calls_the_version_that_is_deployed").run(|cx| {
            let file = File::new(cx);
            let first = file.load();
            let old = function(&*first, TELL);
            let deployment = Deployment::new(first).expect("is loaded");
            let held = deployment.function(TELL).expect("is exported");
            for (number, version) in [(2, 2), (3, 1), (4, 2)] {
                file.write(version);
                let report = file.deploy(&deployment, crate::PATIENCE);
                assert_eq!((number, number - 1), (report.version, report.replaced[0].version));
                assert_unloaded(cx, &report.replaced[0].verdict);
                assert_eq!(version.to_string(), ask(cx, &held).expect("calls"));
            }
            expect_kind(ErrorKind::Closed, &ask(cx, &old).expect_err("belongs to the first version"));
        }),
        case("reload::a_version_that_does_not_load_leaves_the_old_one_running").run(|cx| {
            let file = File::new(cx);
            let deployment = Deployment::new(file.load()).expect("is loaded");
            let held = deployment.function(TELL).expect("is exported");
            for broken in &cx.subject().broken {
                let load = || cx.runtime().load(&broken.source, &LoadOptions::new());
                let error = deployment.deploy(crate::PATIENCE, load).err();
                expect_kind(ErrorKind::Load, &error.unwrap_or_else(|| panic!("{} loads", broken.what)));
                assert_eq!(("1", 1), (&*ask(cx, &held).expect("goes on"), deployment.version()));
            }
            file.write(2);
            file.deploy(&deployment, crate::PATIENCE);
            assert_eq!("2", ask(cx, &held).expect("calls"));
        }),
        case("reload::a_version_without_an_export_that_is_held_is_refused").run(|cx| {
            let deployment = Deployment::new(File::new(cx).load()).expect("is loaded");
            let held = deployment.function(TELL).expect("is exported");
            let error = deployment.deploy(crate::PATIENCE, || cx.load(&LoadOptions::new())).expect_err("it has none");
            expect_kind(ErrorKind::Load, &error);
            expect_says(&error, TELL);
            assert_eq!("1", ask(cx, &held).expect("goes on"));
        }),
        case("reload::the_file_may_go_while_it_is_loaded").run(|cx| {
            let file = File::new(cx);
            let deployment = Deployment::new(file.load()).expect("is loaded");
            let held = deployment.function(TELL).expect("is exported");
            std::fs::remove_file(&file.path).expect("is there");
            assert_eq!("1", ask(cx, &held).expect("goes on"));
            let error = deployment.deploy(crate::PATIENCE, || file.try_load()).expect_err("is gone");
            expect_kind(ErrorKind::Load, &error);
            expect_says(&error, &file.path.display().to_string());
            assert_eq!("1", ask(cx, &held).expect("goes on"));
            // Another file in its place, as editors write.
            let other = file.path.with_extension("new");
            std::fs::write(&other, file.content(2)).expect("written");
            std::fs::rename(&other, &file.path).expect("renamed");
            assert_eq!("1", ask(cx, &held).expect("goes on"));
            file.deploy(&deployment, crate::PATIENCE);
            assert_eq!("2", ask(cx, &held).expect("calls"));
        }),
        case("reload::modules_of_one_name_run_side_by_side").run(|cx| {
            let (here, there) = (File::new(cx), File::new(cx));
            there.write(2);
            let load =
                |file: &File<'_>| cx.runtime().load(&file.source(), &LoadOptions::new().name("twin")).expect("loads");
            let (one, two) = (load(&here), load(&there));
            assert_eq!(["twin", "twin"], [one.name(), two.name()]);
            assert_eq!(
                ["1", "2", "1"],
                [tell(cx, &*one), tell(cx, &*two), tell(cx, &*one)].each_ref().map(String::as_str)
            );
            assert_unloaded(cx, &one.unload(crate::PATIENCE));
            assert_eq!("2", tell(cx, &*two));
        }),
    ]
    .into_iter()
    .chain(under_calls())
    .map(|case| case.needs(Capabilities::RELOAD))
    .collect()
}

fn under_calls() -> [Case; 4] {
    [
        case("reload::a_call_that_is_inside_ends_in_its_own_version").run(|cx| {
            let gate = Arc::new(Meeting::gate());
            let wait = gate.clone();
            let file = File::new(cx).with("between", move |_| wait.arrive());
            let deployment = Deployment::new(file.load()).expect("is loaded");
            let (across, held) =
                (deployment.function(ACROSS).expect("there"), deployment.function(TELL).expect("there"));
            file.write(2);
            std::thread::scope(|scope| {
                let inside = scope.spawn(|| ask(cx, &across));
                gate.wait_for(1);
                let report = file.deploy(&deployment, Duration::ZERO);
                let new = ask(cx, &held);
                gate.open();
                let old = inside.join().expect("no panic");
                let told =
                    matches!(&report.replaced[0].verdict, UnloadVerdict::StillAlive { what } if !what.is_empty());
                assert!(told, "a call is inside, and the verdict is {report:?}");
                assert_eq!(("1", "2"), (&*old.expect("is not disturbed"), &*new.expect("calls")));
            });
            let settled = deployment.settle(crate::PATIENCE);
            assert_eq!(1, settled.len(), "{settled:?}");
            assert_unloaded(cx, &settled[0].verdict);
            assert_eq!("2", ask(cx, &across).expect("calls"));
        }),
        case("reload::a_deploy_by_a_service_says_that_its_call_is_inside").once().run(|cx| {
            type Late = OnceLock<(Deployment, Arc<dyn Module>, Mutex<Option<DeployReport>>)>;
            let late: Arc<Late> = Arc::default();
            let target = late.clone();
            let file = File::new(cx).with("between", move |_| {
                let (deployment, next, report) = target.get().expect("was set");
                *report.lock().expect("no panic") = Some(deployment.deploy(crate::PATIENCE, || Ok(next.clone()))?);
                Ok(())
            });
            let deployment = Deployment::new(file.load()).expect("is loaded");
            let across = deployment.function(ACROSS).expect("is exported");
            file.write(2);
            assert!(late.set((deployment.clone(), file.load(), Mutex::default())).is_ok());
            assert_eq!("1", ask(cx, &across).expect("one call runs in one version"));
            let report = late.get().and_then(|(_, _, report)| report.lock().expect("no panic").take());
            let report = report.expect("the service deployed");
            let UnloadVerdict::StillAlive { what } = &report.replaced[0].verdict else { panic!("{report:?}") };
            assert!(what.iter().any(|line| line.contains("inside itself")), "{what:?}");
            assert_eq!("2", tell(cx, &*deployment.module()));
            assert_unloaded(cx, &deployment.settle(crate::PATIENCE)[0].verdict);
        }),
        case("reload::no_call_fails_while_versions_change").run(|cx| {
            let file = File::new(cx);
            let deployment = Deployment::new(file.load()).expect("is loaded");
            let stop = AtomicBool::new(false);
            let started = Meeting::gate();
            started.open();
            std::thread::scope(|scope| {
                let callers: Vec<_> = (0..3)
                    .map(|_| {
                        scope.spawn(|| {
                            let held = deployment.function(TELL).expect("is exported");
                            let mut calls = 0_u64;
                            while !stop.load(Ordering::Relaxed) {
                                let answer = ask(cx, &held);
                                if calls == 0 {
                                    started.arrive().expect("is open");
                                }
                                calls += 1;
                                assert!(matches!(answer.as_deref(), Ok("1" | "2")), "call {calls}: {answer:?}");
                            }
                        })
                    })
                    .collect();
                let _stops = Stops(&stop);
                started.wait_for(3);
                for change in 0..CHANGES {
                    file.write(2 - change % 2);
                    let report = file.deploy(&deployment, crate::PATIENCE);
                    assert_unloaded(cx, &report.replaced[0].verdict);
                }
                stop.store(true, Ordering::Relaxed);
                callers.into_iter().for_each(|caller| caller.join().expect("no call fails"));
            });
            assert_eq!(CHANGES as u64 + 1, deployment.version());
        }),
        case("reload::guests_call_each_other_over_their_deployments").run(|cx| {
            let callee = File::new(cx);
            let to = Deployment::new(callee.load()).expect("is loaded");
            let answers: Arc<Mutex<Vec<String>>> = Arc::default();
            let (asked, seen) = (to.function(TELL).expect("is exported"), answers.clone());
            let caller = File::new(cx).with("between", move |context| {
                let mut reply = polyhost_bridge::Output::new();
                asked.call(context, b"", &mut reply)?;
                seen.lock().expect("no panic").push(String::from_utf8_lossy(reply.as_slice()).into_owned());
                Ok(())
            });
            let from = Deployment::new(caller.load()).expect("is loaded");
            let across = from.function(ACROSS).expect("is exported");
            let mut versions = vec![ask(cx, &across).expect("calls")];
            callee.write(2);
            assert_unloaded(cx, &callee.deploy(&to, crate::PATIENCE).replaced[0].verdict);
            versions.push(ask(cx, &across).expect("calls"));
            caller.write(2);
            assert_unloaded(cx, &caller.deploy(&from, crate::PATIENCE).replaced[0].verdict);
            versions.push(ask(cx, &across).expect("calls"));
            assert_eq!(["1", "1", "2"], *versions);
            assert_eq!(["1", "2", "2"], **answers.lock().expect("no panic"));
            assert_unloaded(cx, &from.close(crate::PATIENCE));
            expect_kind(ErrorKind::Closed, &ask(cx, &across).expect_err("is closed"));
        }),
    ]
}

/// Has the callers end, also where the case fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file that holds the first version, and then what the case writes.
struct File<'a> {
    cx: &'a Cx<'a>,
    _folder: TempDir,
    path: PathBuf,
    services: Services,
}

impl<'a> File<'a> {
    fn new(cx: &'a Cx<'a>) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let (name, _) = cx.subject().versions.as_ref().expect("who claims reload brings versions");
        let file = File { cx, path: folder.path().join(name), _folder: folder, services: Services::new() };
        file.write(1);
        file
    }

    fn with(mut self, name: &str, run: impl Fn(&CallContext) -> Result<()> + Send + Sync + 'static) -> Self {
        self.services.add(service(name, move |cx, _, _| run(cx))).expect("the first of its name");
        self
    }

    fn content(&self, version: usize) -> &[u8] {
        let (_, versions) = self.cx.subject().versions.as_ref().expect("there are versions");
        &versions[version - 1]
    }

    fn write(&self, version: usize) {
        std::fs::write(&self.path, self.content(version)).expect("written");
    }

    fn source(&self) -> ModuleSource {
        ModuleSource::Path(self.path.clone())
    }

    fn try_load(&self) -> Result<Arc<dyn Module>> {
        self.cx.runtime().load(&self.source(), &LoadOptions::new().services(self.services.clone()))
    }

    fn load(&self) -> Arc<dyn Module> {
        self.try_load().unwrap_or_else(|error| panic!("the version does not load: {error:?}"))
    }

    fn deploy(&self, deployment: &Deployment, grace: Duration) -> DeployReport {
        deployment.deploy(grace, || self.try_load()).unwrap_or_else(|error| panic!("does not deploy: {error:?}"))
    }
}

fn ask(cx: &Cx<'_>, function: &Arc<dyn Function>) -> Result<String> {
    let reply = cx.call(function, &CallContext::none(), b"")?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn tell(cx: &Cx<'_>, module: &dyn Module) -> String {
    ask(cx, &function(module, TELL)).expect("tells")
}

/// Who claims to unload, says so of what nobody uses.
#[track_caller]
fn assert_unloaded(cx: &Cx<'_>, verdict: &UnloadVerdict) {
    if cx.has(Capabilities::UNLOAD) {
        assert_eq!(&UnloadVerdict::Unloaded, verdict);
    }
}
