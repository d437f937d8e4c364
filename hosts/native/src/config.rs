//! What the runtime may load.

use std::collections::BTreeMap;
use std::fmt;

use polyhost_bridge::{LoadOptions, Result};

use crate::module::ModuleBuilder;

/// What a [`crate::Native`] runtime may load: Rust modules by name, and shared libraries once they are allowed.
#[derive(Default)]
pub struct NativeConfig {
    pub(crate) modules: BTreeMap<String, Make>,
    pub(crate) libraries: bool,
}

pub(crate) type Make = Box<dyn Fn(ModuleBuilder, &LoadOptions) -> Result<ModuleBuilder> + Send + Sync>;

impl NativeConfig {
    /// Without modules; shared libraries are refused.
    pub fn new() -> Self {
        NativeConfig::default()
    }

    /// Adds a Rust module. `make` runs at each load, so that every load has state of its own; what the module may
    /// call and where it logs are in the options.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use polyhost_bridge::{Export, LoadOptions, ModuleSource, Runtime};
    /// use polyhost_native::{Native, NativeConfig};
    ///
    /// let native = Native::start(NativeConfig::new().module("counter", |module, _options| {
    ///     let count = AtomicU64::new(0);
    ///     let next = move |_cx: &_, _input: &[u8], output: &mut polyhost_bridge::Output| {
    ///         output.write(count.fetch_add(1, Ordering::Relaxed).to_string().as_bytes())
    ///     };
    ///     Ok(module.export(Export::bytes("counter/Next"), next))
    /// }));
    /// let module = native.load(&ModuleSource::Name("counter".into()), &LoadOptions::new())?;
    /// assert_eq!("counter/Next", module.exports()[0].name());
    /// # Ok::<_, polyhost_bridge::Error>(())
    /// ```
    pub fn module(
        mut self,
        name: impl Into<String>,
        make: impl Fn(ModuleBuilder, &LoadOptions) -> Result<ModuleBuilder> + Send + Sync + 'static,
    ) -> Self {
        self.modules.insert(name.into(), Box::new(make));
        self
    }
}

impl fmt::Debug for NativeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeConfig")
            .field("modules", &self.modules.keys())
            .field("libraries", &self.libraries)
            .finish()
    }
}
