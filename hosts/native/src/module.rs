//! A loaded module, of closures or of a shared library.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use polyhost_bridge::{
    CallContext, Error, ErrorKind, Export, Function, Lifecycle, Limits, LoadOptions, LogSink, Method, Module, Output,
    Result, UnloadVerdict, no_such_export, still_inside,
};
use prost::{Message, Name};

use crate::error;
use crate::ffi::OpenModule;
use crate::function::{Closure, typed, typed_export};
use crate::runtime::NAME;

/// A module of native code.
pub struct NativeModule {
    name: String,
    exports: Vec<Export>,
    descriptors: Option<Vec<u8>>,
    lifecycle: Arc<Lifecycle>,
    /// In the order of `exports`; empty once unloaded.
    functions: Mutex<Vec<Arc<dyn Function>>>,
    /// What the library has to close, where the code is one.
    library: Option<Arc<OpenModule>>,
    /// That of a module of closures.
    log: LogSink,
}

impl NativeModule {
    /// A module of Rust closures that is loaded as soon as it is built.
    pub fn builder(name: impl Into<String>) -> ModuleBuilder {
        let name = name.into();
        let lifecycle = Arc::new(Lifecycle::of(NAME, &name, &Limits::new()));
        ModuleBuilder { name, lifecycle, functions: Vec::new(), descriptors: None, log: LogSink::default() }
    }

    pub(crate) fn of_library(
        name: String,
        functions: Vec<Arc<dyn Function>>,
        descriptors: Option<Vec<u8>>,
        library: Arc<OpenModule>,
    ) -> Result<NativeModule> {
        NativeModule::new(name, library.lifecycle().clone(), functions, descriptors, Some(library), LogSink::default())
    }

    fn new(
        name: String,
        lifecycle: Arc<Lifecycle>,
        mut functions: Vec<Arc<dyn Function>>,
        descriptors: Option<Vec<u8>>,
        library: Option<Arc<OpenModule>>,
        log: LogSink,
    ) -> Result<NativeModule> {
        functions.sort_by(|a, b| a.export().name().cmp(b.export().name()));
        let exports: Vec<_> = functions.iter().map(|function| function.export().clone()).collect();
        if let Some(pair) = exports.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
            return Err(error::twice(pair[0].name()).with("module", name));
        }
        Ok(NativeModule { name, exports, descriptors, lifecycle, functions: Mutex::new(functions), library, log })
    }

    /// What the runtime keeps of it.
    pub(crate) fn known(self: &Arc<Self>) -> Known {
        let library = self.library.as_ref().map(Arc::downgrade).unwrap_or_default();
        let (module, lifecycle) = (Arc::downgrade(self), Arc::downgrade(&self.lifecycle));
        Known { name: self.name.clone(), module, lifecycle, library }
    }
}

/// A module as its runtime knows it: until nobody has it, nor a function of it.
pub(crate) struct Known {
    name: String,
    module: Weak<NativeModule>,
    lifecycle: Weak<Lifecycle>,
    library: Weak<OpenModule>,
}

/// A [`Known`] that is to be shut down.
pub(crate) struct Closed {
    name: String,
    module: Option<Arc<NativeModule>>,
    lifecycle: Arc<Lifecycle>,
    library: Option<Arc<OpenModule>>,
}

impl Known {
    pub(crate) fn is_alive(&self) -> bool {
        self.lifecycle.strong_count() > 0
    }

    /// Refuses new calls. `None` where there is nobody left to call.
    pub(crate) fn close(&self) -> Option<Closed> {
        let lifecycle = self.lifecycle.upgrade()?;
        lifecycle.close();
        let (module, library) = (self.module.upgrade(), self.library.upgrade());
        Some(Closed { name: self.name.clone(), module, lifecycle, library })
    }
}

impl Closed {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the calls inside, but those of this thread, and returns how many are left.
    pub(crate) fn drain(&self, grace: Duration) -> usize {
        self.lifecycle.drain(grace)
    }

    /// How many calls of this thread are inside.
    pub(crate) fn inside_here(&self) -> usize {
        self.lifecycle.inside_here()
    }

    /// Closes what a library has open, and drops the functions that the module keeps. Nobody is inside.
    pub(crate) fn let_go(&self) {
        if let Some(module) = &self.module {
            module.unload(Duration::ZERO);
        }
        if let Some(library) = &self.library {
            library.close();
        }
    }
}

impl Module for NativeModule {
    fn name(&self) -> &str {
        &self.name
    }

    fn exports(&self) -> &[Export] {
        &self.exports
    }

    fn descriptors(&self) -> Option<&[u8]> {
        self.descriptors.as_deref()
    }

    fn function(&self, name: &str) -> Result<Arc<dyn Function>> {
        if self.lifecycle.is_closed() {
            let message = "the module is unloaded; load it again";
            return Err(Error::new(ErrorKind::Closed, message).with("module", &self.name));
        }
        let functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        match functions.binary_search_by(|function| function.export().name().cmp(name)) {
            Ok(at) => Ok(functions[at].clone()),
            Err(_) => Err(no_such_export(&self.name, &self.exports, name)),
        }
    }

    fn unload(&self, grace: Duration) -> UnloadVerdict {
        self.lifecycle.close();
        let inside = self.lifecycle.drain(grace);
        if inside > 0 {
            return UnloadVerdict::StillAlive { what: vec![still_inside(inside)] };
        }
        // What it runs on is its library's to free.
        if self.lifecycle.inside_here() > 0 {
            return UnloadVerdict::StillAlive { what: vec!["the call that unloads it is inside itself".into()] };
        }
        // Out of the lock before they are dropped: their captures may be anything.
        let functions = std::mem::take(&mut *self.functions.lock().unwrap_or_else(PoisonError::into_inner));
        drop(functions);
        self.log.tell_dropped();
        let held = match &self.library {
            Some(library) => library.close(),
            // Each function of a closure holds the lifecycle; so does this module.
            None => match Arc::strong_count(&self.lifecycle) - 1 {
                0 => Vec::new(),
                held => vec![format!("functions of it are held: {held}")],
            },
        };
        if held.is_empty() { UnloadVerdict::Unloaded } else { UnloadVerdict::StillAlive { what: held } }
    }
}

impl fmt::Debug for NativeModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exports: Vec<_> = self.exports.iter().map(Export::name).collect();
        f.debug_struct("NativeModule").field("name", &self.name).field("exports", &exports).finish_non_exhaustive()
    }
}

/// Puts a module of closures together; see [`NativeModule::builder`].
pub struct ModuleBuilder {
    name: String,
    lifecycle: Arc<Lifecycle>,
    functions: Vec<Arc<dyn Function>>,
    descriptors: Option<Vec<u8>>,
    log: LogSink,
}

impl ModuleBuilder {
    /// Sets what the module may take, before it has exports, and its log.
    pub(crate) fn limited(mut self, options: &LoadOptions) -> Self {
        self.lifecycle = Arc::new(Lifecycle::of(NAME, &self.name, &options.limits));
        self.log = options.log.clone();
        self
    }

    /// Adds an export; see [`crate::function`].
    pub fn export(
        mut self,
        export: Export,
        run: impl Fn(&CallContext, &[u8], &mut Output) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let module = Some((self.lifecycle.clone(), self.lifecycle.callee(export.name())));
        self.functions.push(Arc::new(Closure { export, module, run }));
        self
    }

    /// Adds an export of prost messages; see [`crate::method`].
    pub fn method<Req, Rep>(
        self,
        method: Method<Req, Rep>,
        run: impl Fn(&CallContext, Req) -> Result<Rep> + Send + Sync + 'static,
    ) -> Self
    where
        Req: Message + Name + Default,
        Rep: Message + Name,
    {
        self.export(typed_export(method), typed(run))
    }

    /// Sets the message types: a serialized `google.protobuf.FileDescriptorSet` with all files, dependencies first.
    pub fn descriptors(mut self, descriptors: impl Into<Vec<u8>>) -> Self {
        self.descriptors = Some(descriptors.into());
        self
    }

    /// The module.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where two exports have one name.
    pub fn build(self) -> Result<Arc<NativeModule>> {
        Ok(Arc::new(NativeModule::new(self.name, self.lifecycle, self.functions, self.descriptors, None, self.log)?))
    }
}

impl fmt::Debug for ModuleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
