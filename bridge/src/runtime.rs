//! A started virtual machine that loads modules.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::CallContext;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::log::LogSink;
use crate::module::Module;
use crate::service::Services;

/// A runtime: CLR, CPython, LuaJIT, native code.
///
/// Object-safe; used as `Arc<dyn Runtime>`. Every method may be called on any
/// thread, also at the same time. Some runtimes exist once per process: starting
/// one again gives the same.
pub trait Runtime: Debug + Send + Sync + 'static {
    /// Name and version.
    fn info(&self) -> &RuntimeInfo;

    /// What this runtime can do. A capability is claimed only if the conformance suite proves it.
    fn capabilities(&self) -> Capabilities;

    /// Loads a module.
    ///
    /// The same source loaded again is a second module beside the first, with
    /// state of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Load`] where there is nothing to load, or it fails to; with [`Error::guest`] where its own code
    /// raised or does not compile;
    /// [`ErrorKind::Config`] for an option this runtime does not know;
    /// [`ErrorKind::Unsupported`] for a kind of source it can't load;
    /// [`ErrorKind::DeadlineExceeded`] by [`LoadOptions::deadline`];
    /// [`ErrorKind::Closed`] after [`Runtime::shutdown`].
    fn load(&self, source: &ModuleSource, options: &LoadOptions) -> Result<Arc<dyn Module>>;

    /// What the heaps of its guests take, where that is known.
    fn heaps(&self) -> Vec<Heap> {
        Vec::new()
    }

    /// Refuses new calls, waits for those inside for `grace` at most, and stops what can be stopped.
    ///
    /// Calling it again does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::DeadlineExceeded`] where calls were still inside after `grace`; they go on undisturbed. Always where
    /// the thread that asks is inside a call itself, in a host service say, which can't end while it waits: new calls
    /// are refused all the same, and asking again once it is out ends the rest.
    fn shutdown(&self, grace: Duration) -> Result<()>;
}

/// What a heap takes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heap {
    /// Whose it is; `None` for the one of all modules.
    pub module: Option<String>,
    /// How much that is.
    pub bytes: u64,
}

impl Heap {
    /// The heap of a module, or of all.
    pub fn new(module: Option<String>, bytes: u64) -> Self {
        Heap { module, bytes }
    }
}

/// Name and version of a runtime.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RuntimeInfo {
    /// The scheme of its sources in the registry: `clr`, `py`, `lua`, `native`.
    pub scheme: &'static str,
    /// For people: `.NET`, `CPython`, `LuaJIT`, `native`.
    pub name: &'static str,
    /// The version that runs, such as `10.0.12`.
    pub version: String,
    /// Where it was found, where that means something.
    pub location: Option<PathBuf>,
}

impl RuntimeInfo {
    /// Name and version; add the location to the value where there is one.
    pub fn new(scheme: &'static str, name: &'static str, version: impl Into<String>) -> Self {
        RuntimeInfo { scheme, name, version: version.into(), location: None }
    }
}

/// What a runtime can do, as a set of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(u32);

impl Capabilities {
    /// Calls into one instance of a module run at the same time on several processors.
    pub const PARALLEL: Capabilities = Capabilities(1);
    /// Calls that wait in a host service, or in I/O, do not hold up others into the same instance.
    pub const CONCURRENT_WAIT: Capabilities = Capabilities(1 << 1);
    /// Exports that await are suspended without a thread under `call_async`.
    pub const NATIVE_ASYNC: Capabilities = Capabilities(1 << 2);
    /// Guest code that loops is stopped when its call is cancelled.
    pub const INTERRUPT: Capabilities = Capabilities(1 << 3);
    /// Guests can read the cancellation of their call.
    pub const COOPERATIVE_CANCEL: Capabilities = Capabilities(1 << 4);
    /// The memory of a module can be limited: [`Limits::memory`].
    pub const MEMORY_LIMIT: Capabilities = Capabilities(1 << 5);
    /// Unloading a module frees its code.
    pub const UNLOAD: Capabilities = Capabilities(1 << 6);
    /// Loads source text without a file.
    pub const SOURCE_TEXT: Capabilities = Capabilities(1 << 7);
    /// Endless recursion in guest code is an error and not the end of the process.
    pub const STACK_GUARD: Capabilities = Capabilities(1 << 8);
    /// `instances` of one module run side by side.
    pub const INSTANCES: Capabilities = Capabilities(1 << 9);
    /// A file that has changed is loaded as it is now, beside what was loaded of it before, any number of times: what a
    /// [`Deployment`](crate::Deployment) of files needs.
    pub const RELOAD: Capabilities = Capabilities(1 << 10);
    /// The length of replies can be limited: [`Limits::reply`].
    pub const REPLY_LIMIT: Capabilities = Capabilities(1 << 16);
    /// The depth of calls can be limited: [`Limits::depth`].
    pub const DEPTH_LIMIT: Capabilities = Capabilities(1 << 17);
    /// The number of calls at a time can be limited: [`Limits::calls`].
    pub const CALLS_LIMIT: Capabilities = Capabilities(1 << 18);
    /// The volume of a module's log can be limited: [`Limits::log_lines`], [`Limits::log_bytes`].
    pub const LOG_LIMIT: Capabilities = Capabilities(1 << 19);
    /// The memory of all of the runtime's modules together can be limited, by the configuration it is started with.
    pub const RUNTIME_MEMORY_LIMIT: Capabilities = Capabilities(1 << 20);

    /// The limits that the bridge enforces for each host that has a [`crate::Lifecycle`] of its module's limits, and
    /// writes to [`LoadOptions::log_of`].
    pub const BRIDGE_LIMITS: Capabilities = Capabilities::REPLY_LIMIT
        .with(Capabilities::DEPTH_LIMIT)
        .with(Capabilities::CALLS_LIMIT)
        .with(Capabilities::LOG_LIMIT);

    const NAMES: &'static [(&'static str, Capabilities)] = &[
        ("parallel", Capabilities::PARALLEL),
        ("concurrent_wait", Capabilities::CONCURRENT_WAIT),
        ("native_async", Capabilities::NATIVE_ASYNC),
        ("interrupt", Capabilities::INTERRUPT),
        ("cooperative_cancel", Capabilities::COOPERATIVE_CANCEL),
        ("memory_limit", Capabilities::MEMORY_LIMIT),
        ("unload", Capabilities::UNLOAD),
        ("source_text", Capabilities::SOURCE_TEXT),
        ("stack_guard", Capabilities::STACK_GUARD),
        ("instances", Capabilities::INSTANCES),
        ("reload", Capabilities::RELOAD),
        ("reply_limit", Capabilities::REPLY_LIMIT),
        ("depth_limit", Capabilities::DEPTH_LIMIT),
        ("calls_limit", Capabilities::CALLS_LIMIT),
        ("log_limit", Capabilities::LOG_LIMIT),
        ("runtime_memory_limit", Capabilities::RUNTIME_MEMORY_LIMIT),
    ];

    /// No capability.
    pub const fn none() -> Self {
        Capabilities(0)
    }

    /// These and those.
    pub const fn with(self, other: Capabilities) -> Self {
        Capabilities(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of these, such as `concurrent_wait`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Capabilities::NAMES.iter().filter(move |(_, flag)| self.contains(*flag)).map(|(name, _)| *name)
    }
}

/// Where a module's code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleSource {
    /// A file or a folder.
    Path(PathBuf),
    /// A name that the runtime looks up itself: `package.module` in Python.
    Name(String),
    /// The content of a compiled file: an assembly.
    Bytes {
        /// What to call it in errors and logs.
        name: String,
        /// The content.
        bytes: Vec<u8>,
    },
    /// Source text.
    Text {
        /// What to call it in errors and logs; its ending tells the language where a runtime has several.
        name: String,
        /// The text.
        text: String,
    },
}

impl ModuleSource {
    /// For people: the path, or the name.
    pub fn display(&self) -> String {
        match self {
            ModuleSource::Path(path) => path.display().to_string(),
            ModuleSource::Name(name) | ModuleSource::Bytes { name, .. } | ModuleSource::Text { name, .. } => {
                name.clone()
            }
        }
    }
}

/// How to load a module.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The name in errors and logs. By default it is made from the source.
    pub name: Option<String>,
    /// What the module may call.
    pub services: Services,
    /// By when the load has to be over. Without one, the default, it takes as long as the module's own code does.
    ///
    /// Checked before the module's code runs; that is stopped where the runtime can ([`Capabilities::INTERRUPT`]).
    /// Elsewhere it is told, as a call is, and the load returns when it does. The loaded module has no deadline.
    pub deadline: Option<Instant>,
    /// Separate copies of the module's state, each of which takes part of the calls. 1 by default.
    pub instances: usize,
    /// Where its log goes.
    pub log: LogSink,
    /// What it may take. A runtime that can't enforce one of them refuses to load.
    pub limits: Limits,
    /// Options of one runtime, such as `memory_limit`. An unknown one is an error.
    pub options: Vec<(String, String)>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            name: None,
            services: Services::new(),
            deadline: None,
            instances: 1,
            log: LogSink::default(),
            limits: Limits::new(),
            options: Vec::new(),
        }
    }
}

impl LoadOptions {
    /// The defaults.
    pub fn new() -> Self {
        LoadOptions::default()
    }

    /// Sets the name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets what the module may call.
    pub fn services(mut self, services: Services) -> Self {
        self.services = services;
        self
    }

    /// Sets by when the load has to be over.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the number of instances.
    pub fn instances(mut self, instances: usize) -> Self {
        self.instances = instances;
        self
    }

    /// Sets where the log goes.
    pub fn log(mut self, log: LogSink) -> Self {
        self.log = log;
        self
    }

    /// Sets what it may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds an option of one runtime.
    pub fn option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((key.into(), value.into()));
        self
    }

    /// What the module's code runs in while it is loaded. For use by hosts.
    pub fn context(&self) -> CallContext {
        self.deadline.map_or_else(CallContext::none, |deadline| CallContext::none().with_deadline(deadline))
    }

    /// The log of a module by this name, with the limits on its volume. For use by hosts.
    pub fn log_of(&self, module: &str) -> LogSink {
        self.log.limited(module, &self.limits)
    }

    /// Refuses options that are not among `known`, by name, and limits that mean nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`].
    pub fn check_options(&self, known: &[&str]) -> Result<()> {
        self.limits.check()?;
        match self.options.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) => {
                let known = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
                Err(Error::new(ErrorKind::Config, format!("unknown option {key}; this runtime knows: {known}")))
            }
        }
    }
}
