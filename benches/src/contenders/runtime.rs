//! Every runtime of the registry, through the trait: a new host is a new row without new code here.

use std::sync::Arc;

use polyhost::native::Native;
use polyhost::{Capabilities, LoadOptions, LogLevel, LogSink, Module, Registry, Runtime, Services};

use super::{Caller, Contender, FunctionCaller, Known};
use crate::targets::report::Unmeasured;
use crate::workloads::{Guest, Workload};

pub(super) fn known() -> Vec<Known> {
    let mut known: Vec<_> = registry().schemes().map(of_scheme).collect();
    // C first: next to Rust, it is what the others are compared with.
    known.sort_by_key(|known| known.scheme != Some("native"));
    known
}

fn of_scheme(scheme: &'static str) -> Known {
    let (name, what) = match scheme {
        "native" => ("clib", "a shared library in C, in this process"),
        "clr" => ("clr", "C# in .NET, in this process"),
        "py" => ("cpython", "Python in CPython, in this process"),
        "lua" => ("luajit", "Lua in LuaJIT, in this process"),
        other => (other, "in this process"),
    };
    Known { name: name.to_owned(), what: what.to_owned(), scheme: Some(scheme) }
}

/// All runtimes, with leave to load shared libraries.
fn registry() -> Registry {
    let mut registry = polyhost::registry();
    // SAFETY: the library of this package keeps the contract of polyhost.h; one that the user names is the user's to
    // vouch for, as the help of `--module` says, and lives in a worker process that nothing else depends on.
    registry.add("native", || Ok(unsafe { Native::with_libraries() }));
    registry
}

/// A runtime that runs.
pub(super) struct Hosted {
    runtime: Arc<dyn Runtime>,
    loaded: Option<Loaded>,
}

struct Loaded {
    guest: Guest,
    services: Services,
    module: Arc<dyn Module>,
    instances: usize,
}

impl Hosted {
    pub(super) fn start(scheme: &str) -> Result<Hosted, Unmeasured> {
        let runtime = registry().runtime(scheme).map_err(|e| Unmeasured::Skipped(e.to_string()))?;
        Ok(Hosted { runtime, loaded: None })
    }

    fn load_instances(&mut self, guest: Guest, services: Services, instances: usize) -> Result<(), Unmeasured> {
        let mut options = LoadOptions::new().services(services.clone()).instances(instances).log(last_words());
        for (key, value) in &guest.options {
            options = options.option(*key, value);
        }
        let module = self.runtime.load(&guest.source, &options)?;
        // What is not there should not be found out within a measurement.
        module.function(&guest.export)?;
        self.loaded = Some(Loaded { guest, services, module, instances });
        Ok(())
    }
}

impl Contender for Hosted {
    fn facts(&self) -> Vec<(String, String)> {
        let info = self.runtime.info();
        let mut facts = vec![("runtime".to_owned(), format!("{} {}", info.name, info.version))];
        if self.runtime.capabilities().contains(Capabilities::INSTANCES) {
            facts.push(("instances".to_owned(), "one for each caller".to_owned()));
        }
        facts
    }

    fn load(&mut self, workload: &Arc<dyn Workload>) -> Result<(), Unmeasured> {
        let guest = workload.guest(self.runtime.info().scheme)?;
        self.load_instances(guest, workload.services(), 1)
    }

    fn module(&self) -> Option<Arc<dyn Module>> {
        self.loaded.as_ref().map(|loaded| loaded.module.clone())
    }

    fn prepare(&mut self, callers: usize) -> Result<(), Unmeasured> {
        let wanted = if self.runtime.capabilities().contains(Capabilities::INSTANCES) { callers } else { 1 };
        match self.loaded.take_if(|loaded| loaded.instances != wanted) {
            Some(loaded) => self.load_instances(loaded.guest, loaded.services, wanted),
            None => Ok(()),
        }
    }

    fn caller(&self) -> Result<Box<dyn Caller>, Unmeasured> {
        let loaded = self.loaded.as_ref().ok_or_else(|| Unmeasured::Failed("nothing is loaded".to_owned()))?;
        let function = loaded.module.function(&loaded.guest.export)?;
        Ok(Box::new(FunctionCaller::new(function)))
    }
}

/// What a guest complains of goes to standard error, the end of which the harness keeps.
fn last_words() -> LogSink {
    LogSink::new(|record| {
        if record.level >= LogLevel::Warn {
            eprintln!("{}", record.message);
        }
    })
}
