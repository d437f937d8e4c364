//! A loaded module.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use polyhost_bridge::abi::{GuestModule, Opened, Source};
use polyhost_bridge::observe::Callee;
use polyhost_bridge::{
    CallContext, Error, ErrorKind, Export, Function, Lifecycle, Module, Output, Result, UnloadVerdict, no_such_export,
    still_inside,
};

use crate::error;
use crate::ffi::guest::Shim;
use crate::function::ClrFunction;

/// A module in a load context of its own.
pub(crate) struct ClrModule(Arc<Loaded>);

/// What a module and its functions share. The last of them lets .NET have its code back.
pub(crate) struct Loaded {
    shim: &'static Shim,
    guest: GuestModule,
    lifecycle: Lifecycle,
    /// The shim's id of it.
    id: u64,
    /// Whether the shim was told to let it go.
    released: AtomicBool,
    exports: Vec<Export>,
    /// What the shim knows each export by, in the same order.
    ids: Vec<u64>,
    descriptors: Option<Vec<u8>>,
}

impl Loaded {
    /// Has the shim open `source` in `cx`.
    pub(crate) fn open(
        shim: &'static Shim,
        guest: GuestModule,
        lifecycle: Lifecycle,
        source: &Source<'_>,
        cx: &CallContext,
    ) -> Result<Arc<Loaded>> {
        let Opened { module, functions, descriptors, .. } =
            shim.open(&guest, source, cx).map_err(error::with_initializer)?;
        let (ids, exports) = functions.into_iter().unzip();
        Ok(Arc::new(Loaded {
            shim,
            guest,
            lifecycle,
            id: module,
            released: AtomicBool::new(false),
            exports,
            ids,
            descriptors,
        }))
    }

    pub(crate) fn name(&self) -> &str {
        self.guest.name()
    }

    pub(crate) fn exports(&self) -> &[Export] {
        &self.exports
    }

    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    #[inline]
    pub(crate) fn call(
        &self,
        callee: &Callee,
        function: u64,
        cx: &CallContext,
        input: &[u8],
        output: &mut Output,
    ) -> Result<()> {
        self.lifecycle.call(callee, cx, input, output, |output| {
            let outcome = self.shim.call(function, &self.guest, cx, input, output);
            outcome.map_err(|error| error::in_call(cx, error))
        })
    }

    pub(crate) fn function(self: &Arc<Self>, name: &str) -> Result<ClrFunction> {
        if self.lifecycle.is_closed() {
            return Err(
                Error::new(ErrorKind::Closed, "the module is unloaded; load it again").with("module", self.name())
            );
        }
        match self.exports.binary_search_by(|export| export.name().cmp(name)) {
            Ok(at) => {
                let callee = self.lifecycle.callee(name);
                Ok(ClrFunction { module: self.clone(), at, id: self.ids[at], callee })
            }
            Err(_) => Err(no_such_export(self.name(), &self.exports, name)),
        }
    }

    /// Lets go of the module, whose calls have all ended, and tells what else holds it.
    fn close(&self) -> Result<Vec<String>> {
        self.released.store(true, Ordering::Relaxed);
        self.shim.close(&self.guest, self.id)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // Nobody is inside: a call holds a function, and that this. Nobody asks what became of it either, so no
        // garbage is collected to find out.
        if !*self.released.get_mut() {
            let _ = self.shim.release(&self.guest, self.id);
        }
    }
}

impl ClrModule {
    pub(crate) fn new(loaded: Arc<Loaded>) -> Self {
        ClrModule(loaded)
    }
}

impl Module for ClrModule {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn exports(&self) -> &[Export] {
        self.0.exports()
    }

    fn descriptors(&self) -> Option<&[u8]> {
        self.0.descriptors.as_deref()
    }

    fn function(&self, name: &str) -> Result<Arc<dyn Function>> {
        Ok(Arc::new(self.0.function(name)?))
    }

    fn unload(&self, grace: Duration) -> UnloadVerdict {
        self.0.lifecycle.close();
        let inside = self.0.lifecycle.drain(grace);
        if inside > 0 {
            return UnloadVerdict::StillAlive { what: vec![still_inside(inside)] };
        }
        // What it stands on is not taken away under it.
        if self.0.lifecycle.inside_here() > 0 {
            return UnloadVerdict::StillAlive { what: vec!["the call that unloads it is inside itself".into()] };
        }
        let closed = self.0.close();
        self.0.guest.tell_dropped();
        match closed {
            Ok(held) if held.is_empty() => UnloadVerdict::Unloaded,
            Ok(what) => UnloadVerdict::StillAlive { what },
            Err(error) => UnloadVerdict::StillAlive { what: vec![format!("unloading it failed: {error}")] },
        }
    }
}

impl fmt::Debug for ClrModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exports: Vec<_> = self.0.exports.iter().map(Export::name).collect();
        f.debug_struct("ClrModule").field("name", &self.0.name()).field("exports", &exports).finish_non_exhaustive()
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Loaded").field(&self.name()).finish()
    }
}
