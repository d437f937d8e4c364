//! Runtimes by the scheme of a module's location.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::module::Module;
use crate::runtime::{LoadOptions, ModuleSource, Runtime};

/// Starts runtimes when they are first needed, and loads modules by location: `clr:path/App.dll`,
/// `clr:guest.cs`, `py:package.module`, `py:path/file.py`, `lua:path/file.lua`, `native:path/lib.so`.
#[derive(Default)]
pub struct Registry {
    entries: BTreeMap<&'static str, Entry>,
}

struct Entry {
    start: Box<dyn Fn() -> Result<Arc<dyn Runtime>> + Send + Sync>,
    // A mutex and not a OnceLock: a start that failed may be tried again after its cause is mended.
    started: Mutex<Option<Arc<dyn Runtime>>>,
}

impl Registry {
    /// Without any runtime.
    pub fn new() -> Self {
        Registry::default()
    }

    /// Adds a runtime that `start` starts when it is first needed. A later one replaces one of the same scheme.
    pub fn add(&mut self, scheme: &'static str, start: impl Fn() -> Result<Arc<dyn Runtime>> + Send + Sync + 'static) {
        self.entries.insert(scheme, Entry { start: Box::new(start), started: Mutex::new(None) });
    }

    /// The schemes there are, sorted.
    pub fn schemes(&self) -> impl Iterator<Item = &'static str> {
        self.entries.keys().copied()
    }

    /// The runtime of a scheme, started if it was not.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a scheme nobody added; what the start says.
    pub fn runtime(&self, scheme: &str) -> Result<Arc<dyn Runtime>> {
        let entry = self.entries.get(scheme).ok_or_else(|| self.unknown(scheme))?;
        let mut started = entry.started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*started {
            return Ok(runtime.clone());
        }
        let runtime = (entry.start)().map_err(|error| error.operation(format!("start {scheme}")))?;
        Ok(started.insert(runtime).clone())
    }

    /// The runtimes that have been started.
    pub fn started(&self) -> Vec<Arc<dyn Runtime>> {
        let started = |entry: &Entry| entry.started.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.entries.values().filter_map(started).collect()
    }

    /// Loads the module at `location`, a scheme and what the runtime is to load.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a location without a scheme; as [`Registry::runtime`] and [`Runtime::load`].
    pub fn load(&self, location: &str, options: &LoadOptions) -> Result<Arc<dyn Module>> {
        let (scheme, source) = self.parse(location)?;
        let operation = || format!("load {location}");
        let runtime = self.runtime(scheme).map_err(|error| error.operation(operation()))?;
        runtime.load(&source, options).map_err(|error| error.operation(operation()))
    }

    /// Splits a location into its scheme and the source.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn parse<'a>(&self, location: &'a str) -> Result<(&'a str, ModuleSource)> {
        let Some((scheme, rest)) = location.split_once(':').filter(|(_, rest)| !rest.is_empty()) else {
            let message = format!("{location} is no location: write SCHEME:PATH, such as lua:path/file.lua");
            return Err(Error::new(ErrorKind::Config, message).with("schemes", self.list()));
        };
        if !self.entries.contains_key(scheme) {
            return Err(self.unknown(scheme).operation(format!("load {location}")));
        }
        // Python finds modules by dotted names; everything else, and what looks like a file, is a path.
        let is_name = scheme == "py" && !rest.contains('/') && !rest.ends_with(".py");
        let source =
            if is_name { ModuleSource::Name(rest.to_owned()) } else { ModuleSource::Path(PathBuf::from(rest)) };
        Ok((scheme, source))
    }

    fn list(&self) -> String {
        self.schemes().collect::<Vec<_>>().join(", ")
    }

    #[cold]
    fn unknown(&self, scheme: &str) -> Error {
        let message = if self.entries.is_empty() {
            format!("no runtime {scheme}: this program was built without any; enable a feature of polyhost")
        } else {
            format!("no runtime {scheme}; this program was built with: {}", self.list())
        };
        Error::new(ErrorKind::NotFound, message)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.list()).finish()
    }
}
