//! .NET, once per process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use polyhost_bridge::abi::sys::{POLYHOST_SOURCE_BYTES, POLYHOST_SOURCE_PATH, POLYHOST_SOURCE_TEXT};
use polyhost_bridge::abi::{GuestModule, Source};
use polyhost_bridge::{
    Capabilities, Error, ErrorKind, Heap, Lifecycle, LoadOptions, Module, ModuleSource, Result, Runtime, RuntimeInfo,
};
use polyhost_toolchain::dotnet::{DotnetRoot, search};
use polyhost_toolchain::{Machine, Search, roslyn};

use crate::config::{Aspnet, ClrConfig};
use crate::error;
use crate::ffi::guest::Shim;
use crate::ffi::hostfxr::{self, By, Launch};
use crate::image::{self, Frameworks};
use crate::module::{ClrModule, Loaded};

/// The runtime in spans, metrics and `RuntimeInfo`.
pub(crate) const NAME: &str = ".NET";

/// .NET, started by hostfxr. There is one in a process, and it stays for as long as that lives.
pub struct Clr {
    info: RuntimeInfo,
    config: ClrConfig,
    root: DotnetRoot,
    frameworks: Frameworks,
    shim: &'static Shim,
    #[cfg(feature = "aspnet")]
    aspnet: Option<crate::ffi::aspnet::Entry>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// Whether the shim knows that.
    told: bool,
    /// Whose calls to wait for at shutdown.
    modules: Vec<Weak<Loaded>>,
}

/// The one runtime. Empty again after a start that failed, which may be tried again once its cause is mended.
static STARTED: Mutex<Option<Arc<Clr>>> = Mutex::new(None);

impl Clr {
    /// Starts .NET, or gives the one that runs where it was started with an equal configuration.
    ///
    /// Takes tens of milliseconds the first time, on the caller's thread.
    ///
    /// # Errors
    /// - [`ErrorKind::Load`] where there is no .NET that will do, or it does not start: every place that was looked at and
    ///   what was seen there is in the error.
    /// - [`ErrorKind::Config`] where it runs with another configuration, each difference named.
    /// - [`ErrorKind::Closed`] after [`Runtime::shutdown`].
    pub fn start(config: &ClrConfig) -> Result<Arc<dyn Runtime>> {
        let launch = || {
            let machine = Machine::current();
            let root = find_root(config, &machine).into_result().map_err(|e| error::no_dotnet(&e))?;
            // What the version can't do has to be found out before it runs: it starts once.
            config.version(&root).map_or(Ok(()), |version| config.guest_failures.check(version))?;
            let names = config.frameworks(&root);
            let text = config.runtime_config(&names, &machine);
            // .NET wants it with the separator at its end; without it, it is empty (dotnet/runtime#74720).
            let folder = base_directory(config)?.join("").display().to_string();
            let properties = vec![("APP_CONTEXT_BASE_DIRECTORY".to_owned(), folder)];
            Clr::launch(config, root, names, By::Module(&text), properties)
        };
        Ok(Clr::started_or(config, launch)?.0)
    }

    /// Starts .NET for an application, or gives the one that runs; and whether it was started for this one.
    ///
    /// # Errors
    /// As for [`Clr::start`].
    #[cfg(feature = "aspnet")]
    pub(crate) fn start_for(
        config: &ClrConfig,
        app: &crate::aspnet::published::Published,
        inherit_console: bool,
    ) -> Result<(Arc<Clr>, bool)> {
        let launch = || {
            let machine = Machine::current();
            let root = app.root(config, &machine)?;
            let mut properties = config.property_texts(&machine);
            if inherit_console {
                properties.push(("Polyhost.Console".to_owned(), "inherit".to_owned()));
            }
            Clr::launch(config, root, app.frameworks.clone(), By::Application(&app.assembly), properties).map_err(|e| {
                e.with("application", app.assembly.display().to_string()).with("wanted", app.wanted.clone())
            })
        };
        Clr::started_or(config, launch)
    }

    /// What runs in this process, if .NET does.
    pub fn running() -> Option<RuntimeInfo> {
        let started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        started.as_ref().map(|clr| clr.info.clone())
    }

    fn started_or(config: &ClrConfig, launch: impl FnOnce() -> Result<Clr>) -> Result<(Arc<Clr>, bool)> {
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clr) = &*started {
            let differences = config.differences(&clr.config);
            if !differences.is_empty() {
                return Err(error::started_otherwise(&differences));
            }
            if clr.state().closed {
                return Err(error::shut_down());
            }
            return Ok((clr.clone(), false));
        }
        let clr = Arc::new(launch()?);
        Ok((started.insert(clr).clone(), true))
    }

    fn launch(
        config: &ClrConfig,
        root: DotnetRoot,
        names: Vec<&'static str>,
        by: By<'_>,
        properties: Vec<(String, String)>,
    ) -> Result<Clr> {
        let assemblies = assemblies(&names);
        let entries = hostfxr::start(&Launch { root: &root, by, properties, assemblies: &assemblies })?;
        let shim = Shim::connect(entries.shim)?;
        let version = shim.version();
        let frameworks = Frameworks { names, version: version.parse().unwrap_or_else(|_| config.minimum.clone()) };
        config.guest_failures.check(&frameworks.version)?;
        let mut info = RuntimeInfo::new("clr", NAME, version);
        info.location = Some(root.root.clone());
        Ok(Clr {
            info,
            config: config.clone(),
            root,
            frameworks,
            shim,
            #[cfg(feature = "aspnet")]
            aspnet: entries.aspnet,
            state: Mutex::default(),
        })
    }

    /// The way to ASP.NET Core; `None` where .NET was started without it.
    #[cfg(feature = "aspnet")]
    pub(crate) fn aspnet(&self) -> Option<crate::ffi::aspnet::Entry> {
        self.aspnet
    }

    #[cfg(feature = "aspnet")]
    pub(crate) fn frameworks(&self) -> &Frameworks {
        &self.frameworks
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, source: &ModuleSource, options: &LoadOptions) -> Result<Arc<Loaded>> {
        let cx = options.context();
        cx.check()?;
        let mut shim_options = options.options.clone();
        let (kind, name, data): (u32, PathBuf, &[u8]) = match source {
            ModuleSource::Path(path) => {
                if is_source(path) {
                    path.metadata().map_err(|e| image::missing(path, &e))?;
                    shim_options.push(self.compiler(path)?);
                } else {
                    image::check_file(path, &self.frameworks)?;
                }
                let absolute = path.canonicalize().map_err(|e| image::missing(path, &e))?;
                (POLYHOST_SOURCE_PATH, absolute, &[])
            }
            ModuleSource::Bytes { name, bytes } => {
                image::check_bytes(name, bytes)?;
                (POLYHOST_SOURCE_BYTES, name.into(), bytes)
            }
            ModuleSource::Text { name, text } => {
                shim_options.push(self.compiler(Path::new(name))?);
                (POLYHOST_SOURCE_TEXT, name.into(), text.as_bytes())
            }
            _ => return Err(error::no_such_kind_of_source()),
        };
        let module = module_name(source, options);
        let (log, lifecycle) = (options.log_of(&module), Lifecycle::of(NAME, &module, &options.limits));
        // .NET and the shim are there for ever, and an id of a call that is over finds nothing.
        let guest = GuestModule::new(module, options.services.clone(), log).late_cancels();
        let name = name.as_os_str().as_encoded_bytes();
        Loaded::open(self.shim, guest, lifecycle, &Source { kind, name, data, options: &shim_options }, &cx)
    }

    /// Where the shim finds the compiler for a module that is given as source.
    fn compiler(&self, source: &Path) -> Result<(String, String)> {
        let mut machine = Machine::current();
        if let Some(folder) = &self.config.roslyn {
            machine = machine.with(roslyn::VARIABLE, folder);
        }
        let search = roslyn::search(&machine, Some(&self.root));
        let folder = search.into_result().map_err(|e| error::no_compiler(source, &e))?;
        Ok(("roslyn".to_owned(), folder.display().to_string()))
    }
}

impl Runtime for Clr {
    fn info(&self) -> &RuntimeInfo {
        &self.info
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::PARALLEL
            .with(Capabilities::CONCURRENT_WAIT)
            .with(Capabilities::COOPERATIVE_CANCEL)
            .with(Capabilities::UNLOAD)
            .with(Capabilities::RELOAD)
            .with(Capabilities::SOURCE_TEXT)
            .with(Capabilities::BRIDGE_LIMITS)
            .with(Capabilities::RUNTIME_MEMORY_LIMIT)
    }

    fn load(&self, source: &ModuleSource, options: &LoadOptions) -> Result<Arc<dyn Module>> {
        options.check_options(&["references"])?;
        options.limits.refuse_memory(".NET has one heap for all modules; ClrConfig::gc.heap_hard_limit limits that")?;
        if options.instances != 1 {
            return Err(error::one_instance(options.instances));
        }
        if self.state().closed {
            return Err(error::shut_down());
        }
        let loaded = self.open(source, options)?;
        let mut state = self.state();
        if state.closed {
            return Err(error::shut_down());
        }
        state.modules.retain(|module| module.strong_count() > 0);
        state.modules.push(Arc::downgrade(&loaded));
        Ok(Arc::new(ClrModule::new(loaded)))
    }

    fn heaps(&self) -> Vec<Heap> {
        self.shim.heap().map(|bytes| Heap::new(None, bytes)).into_iter().collect()
    }

    fn shutdown(&self, grace: Duration) -> Result<()> {
        let deadline = Instant::now().checked_add(grace);
        let modules: Vec<_> = {
            let mut state = self.state();
            state.closed = true;
            state.modules.iter().filter_map(Weak::upgrade).collect()
        };
        for module in &modules {
            module.lifecycle().close();
        }
        for module in &modules {
            let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            let inside = module.lifecycle().drain(left);
            if inside > 0 {
                return Err(error::busy(module.name(), inside));
            }
            if module.lifecycle().inside_here() > 0 {
                return Err(error::busy_here(module.name()));
            }
        }
        let told = std::mem::replace(&mut self.state().told, true);
        if told { Ok(()) } else { self.shim.shutdown() }
    }
}

/// What is loaded besides the shim; nothing of it works without ASP.NET Core.
fn assemblies(names: &[&str]) -> Vec<&'static [u8]> {
    #[cfg(feature = "aspnet")]
    if names.contains(&polyhost_toolchain::dotnet::ASPNET) {
        return vec![polyhost_dotnet::ASPNET];
    }
    let _ = names;
    Vec::new()
}

/// A root with ASP.NET Core where modules may use it: it can't be added once the runtime has started.
fn find_root(config: &ClrConfig, machine: &Machine) -> Search<DotnetRoot> {
    let mut wanted = config.wanted();
    if config.aspnet == Aspnet::IfPresent {
        wanted.aspnet = true;
        let found = search(machine, config.dotnet_root.as_deref(), &wanted);
        if found.found.is_some() {
            return found;
        }
        wanted.aspnet = false;
    }
    search(machine, config.dotnet_root.as_deref(), &wanted)
}

fn base_directory(config: &ClrConfig) -> Result<PathBuf> {
    if let Some(folder) = &config.base_directory {
        return std::path::absolute(folder).map_err(|e| {
            let message = format!("base_directory {} is no path: {e}", folder.display());
            Error::new(ErrorKind::Config, message).caused_by(e)
        });
    }
    // A program whose file is gone still has a working folder.
    let program = std::env::current_exe().ok();
    let folder = program.as_deref().and_then(Path::parent).map(Path::to_owned);
    Ok(folder.or_else(|| std::env::current_dir().ok()).unwrap_or_else(|| PathBuf::from("/")))
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("cs"))
}

fn module_name(source: &ModuleSource, options: &LoadOptions) -> String {
    options.name.clone().unwrap_or_else(|| match source {
        ModuleSource::Path(path) => path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        other => other.display(),
    })
}

impl std::fmt::Debug for Clr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clr")
            .field("version", &self.info.version)
            .field("root", &self.root.root)
            .finish_non_exhaustive()
    }
}
