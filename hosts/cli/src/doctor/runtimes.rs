//! Each runtime: whether this build has it, what was found of it where, and how it starts.

use std::time::{Duration, Instant};

use polyhost::{CallContext, Capabilities, Error, ErrorKind, LoadOptions, LogSink, ModuleSource, Registry, Runtime};
use polyhost_toolchain::{Machine, Outcome, Search, dotnet, python, roslyn};
use serde::Serialize;
use serde_json::Value;

use super::machine::resident;
use crate::failure::describe;

/// What is known of one runtime.
#[derive(Debug, Serialize)]
pub(super) struct RuntimeReport {
    pub(super) scheme: &'static str,
    pub(super) name: &'static str,
    /// Whether this build can host it.
    pub(super) in_build: bool,
    pub(super) status: Status,
    /// One line: what was found, or what is wrong.
    pub(super) summary: String,
    /// What to do, where something is wrong or missing.
    pub(super) advice: Option<String>,
    /// More that was found out.
    pub(super) facts: Vec<Fact>,
    /// Every place that was looked at, and what was seen there.
    pub(super) looked: Vec<String>,
    pub(super) started: Option<Started>,
    /// Why the start failed, with everything known.
    pub(super) error: Option<Value>,
}

/// How a runtime stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It is there and will do.
    Ok,
    /// It is not there.
    Missing,
    /// It is there, but something is wrong with it.
    Broken,
}

/// Something that was found out.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// How the start went.
#[derive(Debug, Serialize)]
pub(super) struct Started {
    pub(super) version: String,
    pub(super) location: Option<String>,
    pub(super) microseconds: u64,
    /// Bytes of memory that the start added; negative where it gave some back.
    pub(super) resident_delta: Option<i64>,
    pub(super) capabilities: Vec<&'static str>,
}

impl RuntimeReport {
    /// A runtime that this build lacks is nobody's fault.
    pub(super) fn is_fine(&self) -> bool {
        !self.in_build || self.status == Status::Ok
    }

    fn new(scheme: &'static str, name: &'static str, in_build: bool, summary: impl Into<String>) -> Self {
        RuntimeReport {
            scheme,
            name,
            in_build,
            status: Status::Ok,
            summary: summary.into(),
            advice: None,
            facts: Vec::new(),
            looked: Vec::new(),
            started: None,
            error: None,
        }
    }

    fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.facts.push(Fact { name, value: value.into() });
    }

    /// What was named and won't do: whoever named it wonders.
    fn passed_over<T>(&mut self, search: &Search<T>) {
        let unusable = search.looked.iter().filter(|it| matches!(it.outcome, Outcome::Unusable(_)));
        let named =
            unusable.filter(|it| it.place.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        for place in named {
            self.fact("passed over", place.to_string());
        }
    }

    fn broken(&mut self, why: impl Into<String>, advice: impl Into<String>) {
        self.status = Status::Broken;
        self.summary = why.into();
        self.advice = Some(advice.into());
    }

    fn missing<T>(&mut self, search: &Search<T>) {
        self.status = Status::Missing;
        self.summary = format!("no {} found", search.wanted);
        self.advice = Some(search.advice.to_owned());
    }
}

/// Looks at every runtime and starts none.
pub(super) fn look() -> Vec<RuntimeReport> {
    let machine = Machine::current();
    vec![
        RuntimeReport::new("native", "native", true, "shared libraries of the C ABI, and Rust"),
        look_at_dotnet(&machine, cfg!(feature = "clr")),
        look_at_python(&machine, cfg!(feature = "cpython")),
        RuntimeReport::new("lua", "LuaJIT", cfg!(feature = "luajit"), "compiled into this program"),
    ]
}

fn look_at_dotnet(machine: &Machine, in_build: bool) -> RuntimeReport {
    let mut report = RuntimeReport::new("clr", ".NET", in_build, "");
    let search = dotnet::search_for_host(machine, None);
    report.looked = search.looked.iter().map(ToString::to_string).collect();
    let Some(root) = &search.found else {
        report.missing(&search);
        return report;
    };
    let newest = |framework| root.newest(framework).map(ToString::to_string);
    report.summary = format!("{} at {}", newest(dotnet::CORE).unwrap_or_default(), root.root.display());
    report.fact("found by", &root.found_by);
    report.passed_over(&search);
    report.fact("hostfxr", format!("{} ({})", root.hostfxr_version, root.hostfxr.display()));
    for (framework, versions) in &root.runtimes {
        let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
        report.facts.push(Fact { name: "framework", value: format!("{framework} {}", versions.join(", ")) });
    }
    if newest(dotnet::ASPNET).is_none() {
        report.fact("ASP.NET Core", "none; modules that need it will not load");
    }
    report.fact("SDK", root.sdks.first().map_or_else(|| "none".to_owned(), ToString::to_string));
    let compiler = roslyn::search(machine, Some(root));
    report.fact(
        "C# compiler",
        match &compiler.found {
            Some(folder) => folder.display().to_string(),
            None => format!("none, so clr:FILE.cs will not load; {}", compiler.advice),
        },
    );
    report.passed_over(&compiler);
    report.looked.extend(compiler.looked.iter().map(|it| format!("C# compiler: {it}")));
    let icu = if dotnet::has_icu(machine) { "found" } else { "none; every culture behaves like the invariant one" };
    report.fact("ICU", icu);
    report
}

/// The interpreter that a build here would take, and in a build that has Python, the library it was linked with.
fn look_at_python(machine: &Machine, in_build: bool) -> RuntimeReport {
    let mut report = RuntimeReport::new("py", "CPython", in_build, "");
    let search = python::search(machine);
    report.looked = search.looked.iter().map(ToString::to_string).collect();
    match &search.found {
        Some(python) => {
            report.summary = format!("{} at {}", python.version, python.executable.display());
            report.fact("interpreter", format!("{} (found by {})", report.summary, python.found_by));
            report.fact("its library", python.library.display().to_string());
            report.fact("its headers", if python.headers { "found" } else { "none" });
        }
        None if in_build => report.fact("interpreter", format!("no {} found", search.wanted)),
        None => report.missing(&search),
    }
    #[cfg(feature = "cpython")]
    compare_python(&mut report);
    report
}

/// Nothing finds libpython at run time but the path in the program itself, and the loader may take another one.
#[cfg(feature = "cpython")]
fn compare_python(report: &mut RuntimeReport) {
    use crate::registry::{BUILT_FOR_PYTHON as BUILT_FOR, active_environment, passed_over, python_program};
    let (version, file) = crate::ffi::loaded_python();
    let number = version.split_whitespace().next().unwrap_or_default().to_owned();
    let file = file.map_or_else(|| "an unknown file".to_owned(), |path| path.display().to_string());
    report.summary = format!("{number} at {file}");
    report.fact("loaded library", format!("{version} ({file})"));
    report.fact("built for", BUILT_FOR);
    match python_program() {
        Ok(program) => {
            let by = if matches!(active_environment(), Some((_, true))) { "VIRTUAL_ENV" } else { "the build" };
            report.fact("packages of", format!("{} (named by {by})", program.display()));
        }
        // The error says itself what to do.
        Err(error) => {
            report.status = Status::Broken;
            report.summary = format!("it will not start: {}", error.message());
            report.error = Some(describe(&error));
        }
    }
    for variable in passed_over() {
        report.fact("passed over", variable);
    }
    let same = number.strip_prefix(BUILT_FOR).is_some_and(|rest| rest.starts_with('.') || rest.is_empty());
    if !same {
        report.broken(
            format!("this program was built for Python {BUILT_FOR}, but {file} is {number}"),
            "take that file's folder out of LD_LIBRARY_PATH, or build the program again with PYO3_PYTHON set",
        );
    }
}

/// Starts each runtime of this build that will do.
pub(super) fn start(registry: &Registry, reports: &mut [RuntimeReport]) {
    for report in reports.iter_mut().filter(|report| report.in_build && report.status == Status::Ok) {
        let (memory, clock) = (resident(), Instant::now());
        match registry.runtime(report.scheme) {
            Ok(runtime) => {
                let took = clock.elapsed();
                report.started = Some(started(&*runtime, took, memory));
                if runtime.info().scheme == "lua" {
                    prove_interrupt(report, &*runtime);
                }
            }
            Err(error) => {
                // The error says itself what to do.
                report.error = Some(describe(&error));
                report.status = Status::Broken;
                report.summary = format!("it does not start: {error}");
                report.advice = None;
            }
        }
    }
}

fn started(runtime: &dyn Runtime, took: Duration, memory: Option<u64>) -> Started {
    let info = runtime.info();
    let delta = |(before, after): (u64, u64)| i64::try_from(after).ok()?.checked_sub(i64::try_from(before).ok()?);
    Started {
        version: info.version.clone(),
        location: info.location.as_ref().map(|path| path.display().to_string()),
        microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        resident_delta: memory.zip(resident()).and_then(delta),
        capabilities: runtime.capabilities().names().collect(),
    }
}

/// Without LUAJIT_ENABLE_CHECKHOOK compiled code never looks whether it is to stop, and a loop holds its thread for ever.
fn prove_interrupt(report: &mut RuntimeReport, runtime: &dyn Runtime) {
    const LIMIT: Duration = Duration::from_millis(20);
    let outcome = if runtime.capabilities().contains(Capabilities::INTERRUPT) {
        stop_a_loop(runtime, LIMIT)
    } else {
        Err(Error::new(ErrorKind::Unsupported, "the runtime does not claim it"))
    };
    match outcome {
        Ok(took) => report.fact("endless loop", format!("stopped {took:.1?} after its start, deadline {LIMIT:?}")),
        Err(error) => {
            report.broken(
                format!("an endless loop can't be stopped: {error}"),
                "build LuaJIT with LUAJIT_ENABLE_CHECKHOOK, as polyhost-luajit does by itself",
            );
        }
    }
}

/// Calls an endless loop with a deadline, and tells how long it took until the loop was left.
fn stop_a_loop(runtime: &dyn Runtime, deadline: Duration) -> Result<Duration, Error> {
    const EXPORT: &str = "doctor/Loop";
    let text = format!(
        "local polyhost = require \"polyhost\"\npolyhost.export(\"{EXPORT}\", function() while true do end end)\n"
    );
    let source = ModuleSource::Text { name: "doctor.lua".to_owned(), text };
    let module = runtime.load(&source, &LoadOptions::new().log(LogSink::new(|_| {})))?;
    let function = module.function(EXPORT)?;
    let clock = Instant::now();
    // On a thread of its own, so that this program ends even where the loop does not.
    let reply = function.call_async(CallContext::none().with_timeout(deadline), polyhost::Bytes::new());
    match crate::call::block_on(reply) {
        Err(error) if error.kind() == ErrorKind::DeadlineExceeded => {}
        Err(error) => return Err(error),
        Ok(_) => return Err(Error::new(ErrorKind::Internal, "an endless loop came to an end")),
    }
    // `call_async` answers at the deadline whether the loop was left or not; the unload waits for it.
    match module.unload(Duration::from_secs(5)) {
        polyhost::UnloadVerdict::Unloaded => Ok(clock.elapsed()),
        verdict => Err(Error::new(ErrorKind::Internal, format!("the loop still runs 5 s later: {verdict:?}"))),
    }
}
