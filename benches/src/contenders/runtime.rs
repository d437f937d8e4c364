//! Every runtime of the registry, through the trait: a new host is a new row without new code here.

use std::sync::Arc;

use polyhost::{Capabilities, Error, LoadOptions, LogLevel, LogSink, Module, Runtime, Services};

use super::{Caller, Contender, FunctionCaller, Known};
use crate::facts::{self, Fact, fact};
use crate::measure::stages;
use crate::project::{Whose, registry};
use crate::targets::report::Unmeasured;
use crate::workloads::{Guest, Workload, callback, guests};

pub(super) fn known() -> Vec<Known> {
    let mut known: Vec<_> = registry(Whose::Ours).schemes().map(of_scheme).collect();
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

/// A runtime that runs.
pub(super) struct Hosted {
    runtime: Arc<dyn Runtime>,
    whose: Whose,
    loaded: Option<Loaded>,
}

struct Loaded {
    guest: Guest,
    services: Services,
    module: Arc<dyn Module>,
    instances: usize,
}

impl Hosted {
    pub(super) fn start(scheme: &str, whose: Whose) -> Result<Hosted, Unmeasured> {
        let runtime = registry(whose).runtime(scheme).map_err(|e| Unmeasured::Skipped(e.to_string()))?;
        Ok(Hosted { runtime, whose, loaded: None })
    }

    /// What guests of ours tell of themselves in this runtime.
    fn told(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for guest in [guests::workloads, guests::render] {
            let Ok(guest) = guest(self.runtime.info().scheme, "") else { continue };
            // Where it does not load, its workload says why.
            if let Ok(module) = self.runtime.load(&guest.source, &options_of(&guest).services(callback::services())) {
                facts::add(&mut facts, facts::of_guest(&*module));
            }
        }
        facts
    }

    fn load_instances(&mut self, guest: Guest, services: Services, instances: usize) -> Result<(), Unmeasured> {
        let options = options_of(&guest).services(services.clone()).instances(instances);
        let module = self.runtime.load(&guest.source, &options).map_err(|error| self.not_loaded(&error))?;
        // What is not there should not be found out within a measurement.
        module.function(&guest.export)?;
        self.loaded = Some(Loaded { guest, services, module, instances });
        Ok(())
    }

    /// A package that is missing is no fault of the contender; where a user's module lacks one, that is for the user.
    fn not_loaded(&self, error: &Error) -> Unmeasured {
        let missing = error.guest().is_some_and(|guest| guest.type_name == "ModuleNotFoundError");
        if missing && self.whose == Whose::Ours {
            let advice =
                "`make setup` gets the packages into .venv; VIRTUAL_ENV names another environment that has them";
            return Unmeasured::Skipped(format!("{error}; {advice}"));
        }
        Unmeasured::Failed(error.to_string())
    }
}

fn options_of(guest: &Guest) -> LoadOptions {
    let options = LoadOptions::new().log(last_words());
    guest.options.iter().fold(options, |options, (key, value)| options.option(*key, value))
}

impl Contender for Hosted {
    fn facts(&self) -> Vec<Fact> {
        let info = self.runtime.info();
        let mut facts = vec![fact("runtime", format!("{} {}", info.name, info.version))];
        if info.scheme == "lua" {
            // Its guests are not given the library that tells it.
            facts.extend(polyhost::luajit::floor::compiler().map(|told| fact("JIT", told)));
        }
        if self.runtime.capabilities().contains(Capabilities::INSTANCES) {
            facts.push(fact("instances", "one for each caller"));
        }
        facts::add(&mut facts, self.told());
        if self.whose == Whose::Users {
            // A module of a user's brings its own.
            facts.retain(|(name, _)| !matches!(name.as_str(), "guest" | "compiler" | "protobuf" | "markdown"));
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

    fn repeater(&self) -> Result<Box<dyn Caller>, String> {
        let loaded = self.loaded.as_ref().ok_or("nothing is loaded")?;
        if !loaded.module.exports().iter().any(|export| export.name() == stages::REPEAT) {
            return Err(format!("its guest has no {}", stages::REPEAT));
        }
        let function = loaded.module.function(stages::REPEAT).map_err(|e| e.to_string())?;
        Ok(Box::new(FunctionCaller::new(function)))
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
