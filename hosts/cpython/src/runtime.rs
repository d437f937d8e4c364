//! CPython, once per process.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use polyhost_bridge::{Capabilities, Heap, LoadOptions, Module, ModuleSource, Result, Runtime, RuntimeInfo};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyModule};

use crate::config::CpythonConfig;
use crate::error;
use crate::ffi::{self, Guest, Interpreter, Launch};
use crate::module::{CpythonModule, Helpers, Loaded};

/// The runtime in spans, metrics and `RuntimeInfo`.
pub(crate) const NAME: &str = "CPython";

/// CPython. There is one in a process, and it can't be started again once it was shut down.
pub struct Cpython {
    info: RuntimeInfo,
    config: CpythonConfig,
    interpreter: &'static Interpreter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// Whose calls to wait for at shutdown.
    modules: Vec<Weak<Loaded>>,
}

/// The one runtime. Empty again after a start that failed before CPython ran; that may be tried again.
static STARTED: Mutex<Option<Arc<Cpython>>> = Mutex::new(None);

impl Cpython {
    /// Starts CPython, or gives the one that runs where it was started with an equal configuration.
    ///
    /// The first time that takes as long as starting a Python program does, on a thread of its own that stays. A
    /// virtual environment starts faster than an installation with many packages.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`](polyhost_bridge::ErrorKind::Config) where there is no such interpreter or virtual environment, where something else has
    ///   started CPython before, or where it runs with another configuration: each difference is named.
    /// - [`ErrorKind::Load`](polyhost_bridge::ErrorKind::Load) where it does not start, or where the libpython that was found is not the one this
    ///   program was built with.
    /// - [`ErrorKind::Closed`](polyhost_bridge::ErrorKind::Closed) after [`Runtime::shutdown`].
    pub fn start(config: &CpythonConfig) -> Result<Arc<dyn Runtime>> {
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cpython) = &*started {
            let differences = config.differences(&cpython.config);
            if !differences.is_empty() {
                return Err(error::started_otherwise(&differences));
            }
            if cpython.state().closed {
                return Err(error::shut_down());
            }
            return Ok(cpython.clone());
        }
        let cpython = Arc::new(Cpython::launch(config)?);
        Ok(started.insert(cpython).clone())
    }

    fn launch(config: &CpythonConfig) -> Result<Cpython> {
        let launch =
            Launch { executable: config.program()?, dev_mode: config.dev_mode, memory: config.checked_memory()? };
        let for_install = config.clone();
        let interpreter =
            Interpreter::start(launch, move |py| install(py, &for_install).map_err(|e| error::in_host_code(py, &e)))?;
        let mut info = RuntimeInfo::new("py", NAME, ffi::version());
        info.location = ffi::library();
        Ok(Cpython { info, config: config.clone(), interpreter, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the guest package importable and sets Python up for guests.
fn install(py: Python<'_>, config: &CpythonConfig) -> PyResult<Helpers> {
    let native = ffi::native_module(py)?;
    let sources = PyDict::new(py);
    for file in polyhost_python::PACKAGE {
        sources.set_item(file.path, file.text)?;
    }
    let bootstrap = PyModule::from_code(py, BOOTSTRAP, c"<polyhost>/bootstrap.py", c"polyhost_bootstrap")?;
    bootstrap.getattr("install")?.call1((sources, PyBytes::new(py, COMPILED), &native))?;
    py.import("sys")?.getattr("modules")?.del_item("polyhost_bootstrap")?;
    let interval = config.switch_interval.map(|interval| interval.as_secs_f64());
    // As text: pyo3 makes a path a `pathlib.Path`, which `sys.path` does not understand.
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone()).into_os_string();
    let folders: Vec<_> = config.search_path.iter().map(absolute).collect();
    let interpreter = Interpreter::get().expect("bridge bug: Python is set up before it has started, please report");
    let nobody = ffi::owner_handle(py, Arc::new(Guest::nobody(interpreter, config.log.clone())))?;
    py.import("polyhost._start")?.getattr("start")?.call1((folders, interval, nobody))?;
    Helpers::find(py, &native)
}

/// The package as bytecode of the Python that this was built with: see `build.rs`.
const COMPILED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/package.marshal"));

const BOOTSTRAP: &std::ffi::CStr = polyhost_python::BOOTSTRAP;

impl Runtime for Cpython {
    fn info(&self) -> &RuntimeInfo {
        &self.info
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::CONCURRENT_WAIT
            .with(Capabilities::NATIVE_ASYNC)
            .with(Capabilities::INTERRUPT)
            .with(Capabilities::COOPERATIVE_CANCEL)
            .with(Capabilities::SOURCE_TEXT)
            .with(Capabilities::STACK_GUARD)
            .with(Capabilities::UNLOAD)
            .with(Capabilities::RELOAD)
            .with(Capabilities::BRIDGE_LIMITS)
            .with(Capabilities::RUNTIME_MEMORY_LIMIT)
    }

    fn load(&self, source: &ModuleSource, options: &LoadOptions) -> Result<Arc<dyn Module>> {
        options.check_options(&["path"])?;
        options.limits.refuse_memory("CPython has one heap for all modules; CpythonConfig::memory limits that")?;
        if options.instances != 1 {
            return Err(error::one_instance(options.instances));
        }
        if self.state().closed {
            return Err(error::shut_down());
        }
        let loaded = Loaded::load(self.interpreter, source, options)?;
        let mut state = self.state();
        if state.closed {
            return Err(error::shut_down());
        }
        state.modules.retain(|module| module.strong_count() > 0);
        state.modules.push(Arc::downgrade(&loaded));
        Ok(Arc::new(CpythonModule(loaded)))
    }

    fn heaps(&self) -> Vec<Heap> {
        ffi::used_of().map(|(bytes, _)| Heap::new(None, bytes as u64)).into_iter().collect()
    }

    fn shutdown(&self, grace: Duration) -> Result<()> {
        let end = Instant::now().checked_add(grace);
        let left = || end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        let modules: Vec<_> = {
            let mut state = self.state();
            state.closed = true;
            state.modules.iter().filter_map(Weak::upgrade).collect()
        };
        // Each refuses calls before the first is waited for.
        for module in &modules {
            module.guest().lifecycle.close();
        }
        for module in &modules {
            let inside = module.guest().lifecycle.drain(left());
            if inside > 0 {
                return Err(error::busy(module.guest().name(), inside));
            }
        }
        // Calls of this thread can't end while it waits, and Python must not end beneath them.
        let lifecycles = modules.iter().map(|module| &module.guest().lifecycle).chain([&self.interpreter.lifecycle]);
        let here: usize = lifecycles.map(|lifecycle| lifecycle.inside_here()).sum();
        if here > 0 {
            return Err(error::busy_here());
        }
        for module in &modules {
            module.stop_event_loop();
        }
        self.interpreter.lifecycle.close();
        let inside = self.interpreter.lifecycle.drain(left());
        if inside > 0 {
            return Err(error::threads_inside(inside));
        }
        if self.interpreter.finish(left()) { Ok(()) } else { Err(error::still_ending()) }
    }
}

impl fmt::Debug for Cpython {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cpython")
            .field("version", &self.info.version)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
