//! The runtime: this very process.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use polyhost_bridge::{
    Capabilities, ErrorKind, Lifecycle, LoadOptions, Module, ModuleSource, Result, Runtime, RuntimeInfo, abi,
};

use crate::config::{Make, NativeConfig};
use crate::error;
use crate::ffi::Library;
use crate::module::{Known, NativeModule};

/// The runtime in spans, metrics and `RuntimeInfo`.
pub(crate) const NAME: &str = "native";

/// Loads Rust modules by name, and shared libraries by path where that is allowed.
///
/// Any number of them may live in one process. A library is mapped once for all
/// of them, and never unmapped.
pub struct Native {
    info: RuntimeInfo,
    config: NativeConfig,
    /// Who loads a module.
    loads: Lifecycle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What to close at shutdown.
    modules: Vec<Known>,
    /// What to tell that no more calls come.
    libraries: Vec<&'static Library>,
}

impl Native {
    /// A runtime that loads nothing as yet: see [`Native::start`].
    pub fn new() -> Arc<Native> {
        Native::start(NativeConfig::new())
    }

    /// A runtime that loads what `config` says.
    pub fn start(config: NativeConfig) -> Arc<Native> {
        let version = format!("{}.{}", abi::sys::POLYHOST_ABI_MAJOR, abi::sys::POLYHOST_ABI_MINOR);
        let info = RuntimeInfo::new("native", NAME, version);
        Arc::new(Native { info, config, loads: Lifecycle::new(), state: Mutex::default() })
    }

    fn load_rust(&self, name: &str, make: &Make, options: &LoadOptions) -> Result<Arc<NativeModule>> {
        let name = options.name.as_deref().unwrap_or(name);
        let mut options = options.clone();
        options.log = options.log_of(name);
        let builder = NativeModule::builder(name).limited(&options);
        make(builder, &options)?.build()
    }

    fn load_library(&self, path: &Path, options: &LoadOptions) -> Result<Arc<NativeModule>> {
        if !self.config.libraries {
            return Err(error::libraries_not_allowed(path));
        }
        let library = Library::open(path)?;
        {
            let mut state = self.state();
            if !state.libraries.iter().any(|it| std::ptr::eq(*it, library)) {
                library.join()?;
                state.libraries.push(library);
            }
        }
        let file_name = || path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        library.load(options.name.clone().unwrap_or_else(file_name), options).map(Arc::new)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime for Native {
    fn info(&self) -> &RuntimeInfo {
        &self.info
    }

    fn capabilities(&self) -> Capabilities {
        // No UNLOAD: a library stays mapped.
        Capabilities::PARALLEL
            .with(Capabilities::CONCURRENT_WAIT)
            .with(Capabilities::COOPERATIVE_CANCEL)
            .with(Capabilities::BRIDGE_LIMITS)
    }

    fn load(&self, source: &ModuleSource, options: &LoadOptions) -> Result<Arc<dyn Module>> {
        let _inside = self.loads.enter().map_err(|refused| match refused.kind() {
            ErrorKind::Closed => error::shut_down(),
            _ => refused,
        })?;
        options.check_options(&[])?;
        options.limits.refuse_memory("native code allocates as the process does; that has RLIMIT_AS and cgroups")?;
        if options.instances != 1 {
            return Err(error::one_instance(options.instances));
        }
        options.context().check()?;
        // `native:name` reaches us as a path.
        let registered = |name: &str| self.config.modules.get_key_value(name);
        let module = match source {
            ModuleSource::Name(name) => match registered(name) {
                Some((name, make)) => self.load_rust(name, make, options)?,
                None => return Err(error::no_such_module(name, self.config.modules.keys())),
            },
            ModuleSource::Path(path) => match path.to_str().and_then(registered) {
                Some((name, make)) => self.load_rust(name, make, options)?,
                None => self.load_library(path, options)?,
            },
            _ => return Err(error::no_such_kind_of_source()),
        };
        let mut state = self.state();
        state.modules.retain(Known::is_alive);
        state.modules.push(module.known());
        Ok(module)
    }

    fn shutdown(&self, grace: Duration) -> Result<()> {
        let end = Instant::now().checked_add(grace);
        let left = || end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        self.loads.close();
        let loading = self.loads.drain(left()) + self.loads.inside_here();
        // Each refuses calls before the first is waited for.
        let modules: Vec<_> = self.state().modules.iter().filter_map(Known::close).collect();
        if loading > 0 {
            return Err(error::loading(loading));
        }
        for module in &modules {
            let inside = module.drain(left());
            if inside > 0 {
                return Err(error::busy(module.name(), inside));
            }
            // A library must not be told of the end within one of its calls.
            if module.inside_here() > 0 {
                return Err(error::busy_here(module.name()));
            }
            module.let_go();
        }
        let libraries = std::mem::take(&mut self.state().libraries);
        libraries.iter().for_each(|library| library.leave());
        Ok(())
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").field("config", &self.config).finish_non_exhaustive()
    }
}
