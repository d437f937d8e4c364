//! The runtime: LuaJIT, linked into this program.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use polyhost_bridge::{Capabilities, Heap, LoadOptions, Module, ModuleSource, Result, Runtime, RuntimeInfo};

use crate::config::{LuaJitConfig, Settings};
use crate::error;
use crate::ffi;
use crate::module::{Loaded, LuaModule};

/// The runtime in spans, metrics and `RuntimeInfo`.
pub(crate) const NAME: &str = "LuaJIT";

/// Loads Lua modules, each into VMs of its own.
///
/// Any number of them may live in one process; nothing is shared between them.
pub struct LuaJit {
    info: RuntimeInfo,
    config: LuaJitConfig,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// What to close at shutdown: a function keeps it after its module is dropped.
    modules: Vec<Weak<Loaded>>,
}

impl LuaJit {
    /// A runtime whose modules are limited as `config` says.
    ///
    /// ```
    /// use polyhost_bridge::{CallContext, LoadOptions, ModuleSource, Output, Runtime};
    /// use polyhost_luajit::{LuaJit, LuaJitConfig};
    ///
    /// let lua = LuaJit::start(LuaJitConfig::new().memory_limit(64 << 20));
    /// let text = r#"
    ///     local polyhost = require "polyhost"
    ///     polyhost.export("shout/Upper", function(request)
    ///         return request:upper()
    ///     end)
    /// "#;
    /// let source = ModuleSource::Text { name: "shout.lua".into(), text: text.into() };
    /// let module = lua.load(&source, &LoadOptions::new())?;
    /// let mut output = Output::new();
    /// module.function("shout/Upper")?.call(&CallContext::none(), b"hello", &mut output)?;
    /// assert_eq!(b"HELLO", output.as_slice());
    /// # Ok::<_, polyhost_bridge::Error>(())
    /// ```
    pub fn start(config: LuaJitConfig) -> Arc<LuaJit> {
        let info = RuntimeInfo::new("lua", NAME, ffi::version());
        Arc::new(LuaJit { info, config, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless the runtime is shut down.
    fn open(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.closed { Err(error::shut_down()) } else { Ok(state) }
    }
}

impl Runtime for LuaJit {
    fn info(&self) -> &RuntimeInfo {
        &self.info
    }

    fn capabilities(&self) -> Capabilities {
        // Neither PARALLEL nor CONCURRENT_WAIT: one VM runs one call at a time; more instances do both.
        [
            Capabilities::INTERRUPT,
            Capabilities::MEMORY_LIMIT,
            Capabilities::UNLOAD,
            Capabilities::RELOAD,
            Capabilities::SOURCE_TEXT,
            Capabilities::STACK_GUARD,
            Capabilities::BRIDGE_LIMITS,
        ]
        .into_iter()
        .fold(Capabilities::INSTANCES, Capabilities::with)
    }

    fn load(&self, source: &ModuleSource, options: &LoadOptions) -> Result<Arc<dyn Module>> {
        drop(self.open()?);
        let settings = Settings::of(&self.config, options)?;
        let loaded = Arc::new(Loaded::load(source, options, settings)?);
        let mut state = self.open()?;
        state.modules.retain(|module| module.strong_count() > 0);
        state.modules.push(Arc::downgrade(&loaded));
        Ok(Arc::new(LuaModule::new(loaded)))
    }

    fn heaps(&self) -> Vec<Heap> {
        let modules: Vec<_> = self.lock().modules.iter().filter_map(Weak::upgrade).collect();
        let heap = |module: &Arc<Loaded>| Heap::new(Some(module.host.name.clone()), module.instances.heap() as u64);
        modules.iter().map(heap).collect()
    }

    fn shutdown(&self, grace: Duration) -> Result<()> {
        let modules: Vec<_> = {
            let mut state = self.lock();
            state.closed = true;
            state.modules.iter().filter_map(Weak::upgrade).collect()
        };
        // Each refuses calls before the first is waited for.
        for module in &modules {
            module.lifecycle.close();
        }
        let end = Instant::now().checked_add(grace);
        for module in &modules {
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            let inside = module.lifecycle.drain(left);
            if inside > 0 {
                return Err(error::busy(&module.host.name, inside));
            }
            if module.lifecycle.inside_here() > 0 {
                return Err(error::busy_here(&module.host.name));
            }
            module.instances.close();
        }
        Ok(())
    }
}

impl fmt::Debug for LuaJit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LuaJit")
            .field("version", &self.info.version)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
