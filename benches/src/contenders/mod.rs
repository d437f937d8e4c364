//! Who is measured, as they live in a worker.

mod child;
mod grpc;
mod http;
mod injected;
mod native;
mod process;
mod runtime;

use std::sync::Arc;
use std::time::Duration;

use polyhost::{CallContext, Function, Module, Output, Result};

pub(crate) use injected::STALL;

use crate::facts::Fact;
use crate::matrix::Point;
use crate::project::Whose;
use crate::targets::report::Unmeasured;
use crate::workloads::{self, Requests, Workload};

/// A contender that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// Such as `clr`.
    pub(crate) name: String,
    /// One line for people.
    pub(crate) what: String,
    /// The runtime's scheme, where there is one.
    pub(crate) scheme: Option<&'static str>,
}

/// A contender that was started in this process.
pub(crate) trait Contender {
    /// Versions and settings that matter. It may load guests, so a worker of its own is asked for them.
    fn facts(&self) -> Vec<Fact> {
        Vec::new()
    }

    /// Gets ready for a workload.
    ///
    /// # Errors
    /// [`Unmeasured::Skipped`] where it has no implementation of it.
    fn load(&mut self, workload: &Arc<dyn Workload>) -> std::result::Result<(), Unmeasured>;

    /// The module that was loaded, where it is one.
    fn module(&self) -> Option<Arc<dyn Module>> {
        None
    }

    /// A caller of `bench.v1.Stages/Repeat` where the workload is that was loaded.
    ///
    /// # Errors
    /// Why there is none.
    fn repeater(&self) -> std::result::Result<Box<dyn Caller>, String> {
        Err("it has nothing that repeats a stage".to_owned())
    }

    /// Gets ready for so many callers at the same time.
    ///
    /// # Errors
    /// What went wrong.
    fn prepare(&mut self, _callers: usize) -> std::result::Result<(), Unmeasured> {
        Ok(())
    }

    /// One more caller, for a thread of its own.
    ///
    /// # Errors
    /// What went wrong.
    fn caller(&self) -> std::result::Result<Box<dyn Caller>, Unmeasured>;

    /// Processes of it besides this one.
    fn pids(&self) -> Vec<u32> {
        Vec::new()
    }

    /// This process is but its client: CPU and memory are those of its other processes alone.
    fn is_apart(&self) -> bool {
        false
    }
}

/// Calls a contender, from one thread.
pub(crate) trait Caller: Send {
    /// One call; `output` is empty, and holds the reply then.
    ///
    /// # Errors
    /// What it fails with.
    fn call(&mut self, request: &[u8], output: &mut Output) -> Result<()>;

    /// The next `n` requests, one after the other; `output` holds the last reply then.
    ///
    /// This is where the time goes that is measured. Each implementor gets a loop of its own, with nothing between it
    /// and its call.
    ///
    /// # Errors
    /// The first failure.
    fn batch(&mut self, requests: &mut Requests, output: &mut Output, n: u64) -> Result<()> {
        for _ in 0..n {
            output.clear();
            self.call(requests.next(), output)?;
        }
        Ok(())
    }

    /// Nanoseconds that are known to be in each call, found out anew for so long: see `self-check`.
    fn injected(&mut self, _slice: Duration) -> Option<f64> {
        None
    }
}

/// Calls a [`Function`].
pub(crate) struct FunctionCaller {
    function: Arc<dyn Function>,
    cx: CallContext,
}

impl FunctionCaller {
    pub(crate) fn new(function: Arc<dyn Function>) -> FunctionCaller {
        FunctionCaller { function, cx: CallContext::none() }
    }
}

impl Caller for FunctionCaller {
    #[inline]
    fn call(&mut self, request: &[u8], output: &mut Output) -> Result<()> {
        self.function.call(&self.cx, request, output)
    }
}

/// All contenders, in the order of reports.
pub(crate) fn all() -> Vec<Known> {
    let mut all = vec![native::known()];
    all.extend(runtime::known());
    all.extend(grpc::known());
    all.extend(child::known());
    all.extend(http::known());
    all
}

/// Whether a contender has a part in a workload: servers in `http`, all others in all others.
pub(crate) fn knows(name: &str, workload: &str) -> bool {
    http::kind(name).is_some() == (workload == workloads::http::NAME)
}

/// Whether a contender takes part in a point.
pub(crate) fn takes(name: &str, point: &Point) -> bool {
    let is_process = || grpc::named(name).is_some() || child::named(name).is_some();
    knows(name, &point.workload) && (point.processes || !is_process())
}

/// The contenders of these names, or schemes, in the order of reports; all where none is named.
///
/// # Errors
/// For a name that nobody has: the names that there are.
pub(crate) fn chosen(names: &[String]) -> std::result::Result<Vec<Known>, String> {
    let all = all();
    if names.is_empty() {
        return Ok(all);
    }
    // The scheme `native` is that of the shared library; the name is the closure's.
    let named = |name: &str| all.iter().any(|known| known.name == name);
    let is = |known: &Known, name: &String| {
        known.name == *name || (!named(name) && known.scheme.is_some_and(|scheme| scheme == *name))
    };
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|known| is(known, name))) {
        let known: Vec<_> = all.iter().map(|it| it.name.as_str()).collect();
        return Err(format!("no contender {unknown}; there are: {}", known.join(", ")));
    }
    Ok(all.iter().filter(|known| names.iter().any(|name| is(known, name))).cloned().collect())
}

/// How many of these contenders take part in a point and have what they need for it.
pub(crate) fn supporting<'a>(names: impl Iterator<Item = &'a str>, point: &Point) -> usize {
    let Ok(workload) = workloads::named(&point.workload) else { return names.count() };
    let all = all();
    let supports = |name: &&str| {
        let scheme = all.iter().find(|known| known.name == **name).and_then(|known| known.scheme);
        takes(name, point) && scheme.is_none_or(|scheme| workload.guest(scheme).is_ok())
    };
    names.filter(supports).count()
}

/// Starts a contender in this process, by its name or by the location of a user's module.
///
/// # Errors
/// [`Unmeasured::Skipped`] where something it needs is not there.
pub(crate) fn start(name: &str) -> std::result::Result<Box<dyn Contender>, Unmeasured> {
    if name == native::NAME {
        return Ok(Box::new(native::Native::new()));
    }
    if let Some(kind) = injected::Kind::named(name) {
        return Ok(Box::new(injected::Injected::new(kind)));
    }
    if let Some(served) = grpc::named(name) {
        return Ok(Box::new(served));
    }
    if let Some(children) = child::named(name) {
        return Ok(Box::new(children));
    }
    if let Some(kind) = http::kind(name) {
        return Ok(Box::new(http::Front::start(kind)?));
    }
    let known = runtime::known().into_iter().find(|known| known.name == name).and_then(|known| known.scheme);
    let (scheme, whose) = match (known, name.split_once(':')) {
        (Some(scheme), _) => (scheme, Whose::Ours),
        (None, Some((scheme, _))) => (scheme, Whose::Users),
        (None, None) => return Err(Unmeasured::Failed(format!("no contender {name}"))),
    };
    Ok(Box::new(runtime::Hosted::start(scheme, whose)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_of_the_registry_is_a_contender() {
        let names: Vec<_> = all().into_iter().map(|it| it.name).collect();
        let processes = ["grpc-rust", "grpc-python", "child-rust", "child-python"];
        let servers = ["polyhost-pool", "polyhost-inline", "kestrel", "nginx-kestrel", "hyper"];
        assert_eq!([&["native", "clib", "clr", "luajit", "cpython"], &processes[..], &servers].concat(), names);
        assert_eq!(polyhost::registry().schemes().count(), all().iter().filter(|it| it.scheme.is_some()).count());
    }

    #[test]
    fn servers_have_a_part_in_http_alone() {
        let point =
            |workload: &str, processes| Point { workload: workload.into(), payload: 0, concurrency: 1, processes };
        let of =
            |workload: &str, processes| all().iter().filter(|it| takes(&it.name, &point(workload, processes))).count();
        assert_eq!((9, 9, 5), (of("echo", true), of("callback", true), of("http", true)));
        assert_eq!((5, 5, 5), (of("echo", false), of("callback", false), of("http", false)));
        let names = ["native", "kestrel", "hyper"];
        assert_eq!([1, 2], ["echo", "http"].map(|workload| supporting(names.into_iter(), &point(workload, true))));
    }

    #[test]
    fn contenders_go_by_name_and_by_scheme() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|it| (*it).to_owned()).collect();
            chosen(&names).map(|known| known.into_iter().map(|it| it.name).collect::<Vec<_>>())
        };
        assert_eq!(Ok(vec!["clr".to_owned(), "cpython".to_owned()]), names(&["py", "clr"]));
        assert_eq!(Ok(vec!["native".to_owned()]), names(&["native"]));
        assert_eq!(Ok(14), names(&[]).map(|it| it.len()));
        let error = names(&["clr", "jvm"]).expect_err("there is none");
        assert!(error.contains("no contender jvm; there are: native, clib, clr"), "{error}");
    }
}
