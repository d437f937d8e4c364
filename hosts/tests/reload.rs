//! A thousand versions of each runtime's sample, one after the other, while threads call all the time: no call fails,
//! every version goes, and memory stays what it was after the first ones.
//!
//! `POLYHOST_RELOADS` sets another number of versions. C# is the guest without Google.Protobuf: of that each version
//! compiles a copy of its own, which takes most of a second where others want the processors, too.

mod subjects;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use polyhost::{CallContext, Deployment, Function, LoadOptions, ModuleSource, Output, UnloadVerdict};

const CALLERS: usize = 3;
/// Versions after which a runtime has what it keeps for the next ones.
const FIRST: usize = 10;
/// Memory is the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn versions() -> usize {
    let set =
        std::env::var("POLYHOST_RELOADS").map_or(1000, |text| text.parse().expect("POLYHOST_RELOADS is a number"));
    set.max(FIRST + 1)
}

/// KiB of this process that are no pages of files. What malloc keeps for later is given back first: a thread's arena
/// keeps up to twice the largest block it has ever freed, 4 MiB in one run and none in the next.
fn memory() -> u64 {
    // SAFETY: any thread may call it at any time, and no block that is in use moves.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux has it");
    let line = text.lines().find(|line| line.starts_with("Anonymous:")).expect("it tells what is not of files");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

fn run(runtime: &str, source: ModuleSource, export: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let subject = subjects::all().into_iter().find(|subject| subject.name() == runtime);
    let Some(subject) = subject else { return eprintln!("skipped: {runtime} is not in this build") };
    let Some(runtime) = subject.require() else { return };
    let load = || runtime.load(&source, &LoadOptions::new());
    let deployment = Deployment::new(load().unwrap_or_else(|error| panic!("{error:?}"))).expect("is loaded");
    let function = deployment.function(export).expect("is exported");
    let expected = call(&function).expect("calls");
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut series = Vec::new();
    std::thread::scope(|scope| {
        let caller = || {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(Ok(&expected), call(&function).as_ref());
                calls.fetch_add(1, Ordering::Relaxed);
            }
        };
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(caller)).collect();
        for _ in 0..versions() {
            let report = deployment.deploy(Duration::from_secs(60), load).unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(UnloadVerdict::Unloaded, report.replaced[0].verdict);
            series.push(memory());
        }
        stop.store(true, Ordering::Relaxed);
        callers.into_iter().for_each(|caller| caller.join().expect("no call fails"));
    });
    assert!(calls.into_inner() > 0, "nobody called");
    assert_flat(&series);
}

/// What one version holds is a multiple of what is allowed for each here: tens of KiB for the smallest of them.
fn assert_flat(series: &[u64]) {
    let settled = series.get(FIRST..).unwrap_or_default();
    let part = (settled.len() / 10).max(1);
    let median = |part: &[u64]| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    let (first, last) = (median(&settled[..part]), median(&settled[settled.len() - part..]));
    let allowed = 512 + settled.len() as u64;
    let some: Vec<_> = series.iter().step_by(part).collect();
    assert!(last <= first + allowed, "grew from {first} to {last} KiB, and {allowed} are allowed: {some:?}");
    eprintln!("{} versions: from {first} to {last} KiB", series.len());
}

fn call(function: &Arc<dyn Function>) -> Result<Vec<u8>, String> {
    let mut output = Output::new();
    function.call(&CallContext::none(), b"\x0a\x03you", &mut output).map_err(|error| format!("{error:?}"))?;
    Ok(output.into_vec())
}

fn in_workspace(path: &str) -> ModuleSource {
    ModuleSource::Path(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path))
}

const SAY_HELLO: &str = "greeter.v1.Greeter/SayHello";

#[test]
fn in_csharp() {
    run("clr", in_workspace("target/guests/Bench/Bench.dll"), "bench/Echo");
}

#[test]
fn in_python() {
    run("cpython", in_workspace("hosts/examples/hello/python/greeter.py"), SAY_HELLO);
}

#[test]
fn in_lua() {
    run("luajit", in_workspace("hosts/examples/hello/lua/greeter.lua"), SAY_HELLO);
}

#[test]
fn in_rust() {
    run("native", ModuleSource::Name("conformance".into()), "raw/Echo");
}
