//! A loaded module.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use polyhost_bridge::{
    CancelReason, Error, ErrorKind, Export, Function, Lifecycle, LoadOptions, Module, ModuleSource, Result,
    UnloadVerdict, no_such_export, still_inside,
};
use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::error;
use crate::ffi::{self, Entry, EventLoop, Guest, Interpreter, Object, Reply, Voice};
use crate::function::CpythonFunction;
use crate::gate::Habit;
use crate::runtime::NAME;

/// What the guest package offers the host, found once.
pub(crate) struct Helpers {
    pub(crate) load: Object,
    pub(crate) unload: Object,
    pub(crate) describe: Object,
    pub(crate) load_error: Object,
    pub(crate) service_error: Object,
    pub(crate) cancelled: Object,
    pub(crate) deadline_exceeded: Object,
    /// The native type, and the function that makes a `CallContext` of an instance.
    pub(crate) call_type: Object,
    pub(crate) wrap_call: Object,
    /// The context variable with the `Call` that a task runs for.
    pub(crate) current_call: Object,
    /// Makes the event loop of a module. Imported when it is first called: asyncio takes long to import.
    pub(crate) event_loop: Object,
    /// Hide the loop of a thread from a call that is nested in it, and show it again.
    pub(crate) put_aside: Object,
    pub(crate) take_back: Object,
    /// `asyncio.CancelledError`, once there is an event loop.
    cancelled_error: OnceLock<Object>,
}

impl Helpers {
    pub(crate) fn find(py: Python<'_>, native: &Bound<'_, PyModule>) -> PyResult<Helpers> {
        let get = |module: &str, name: &str| -> PyResult<Object> {
            Ok(Object::new(py.import(format!("polyhost.{module}"))?.getattr(name)?))
        };
        Ok(Helpers {
            load: get("_module", "load")?,
            unload: get("_module", "unload")?,
            describe: get("_report", "describe")?,
            load_error: get("_module", "LoadError")?,
            service_error: get("_errors", "ServiceError")?,
            cancelled: get("_errors", "Cancelled")?,
            deadline_exceeded: get("_errors", "DeadlineExceeded")?,
            call_type: Object::new(native.getattr("Call")?),
            wrap_call: get("_call", "wrap")?,
            current_call: get("_call", "current_call")?,
            event_loop: get("_module", "event_loop")?,
            put_aside: get("_module", "put_aside")?,
            take_back: get("_module", "take_back")?,
            cancelled_error: OnceLock::new(),
        })
    }

    /// What stops a task. There are none before the first event loop.
    pub(crate) fn cancelled_error(&self) -> &Object {
        self.cancelled_error.get().unwrap_or(&self.cancelled)
    }

    /// Finds what event loops need of asyncio.
    pub(crate) fn find_asyncio(&self, py: Python<'_>) -> PyResult<()> {
        let class = py.import("asyncio")?.getattr("CancelledError")?;
        let _ = self.cancelled_error.set(Object::new(class));
        Ok(())
    }

    /// The class that stops a call for this reason.
    pub(crate) fn stopped(&self, reason: CancelReason) -> &Object {
        match reason {
            CancelReason::Cancelled => &self.cancelled,
            CancelReason::DeadlineExceeded => &self.deadline_exceeded,
        }
    }
}

/// A module in a tree of modules of its own.
pub(crate) struct CpythonModule(pub(crate) Arc<Loaded>);

/// What a module and its functions share. The last of them lets Python have its code back.
pub(crate) struct Loaded {
    guest: Arc<Guest>,
    exports: Vec<Export>,
    /// In the same order.
    entries: Vec<Arc<Entry>>,
    descriptors: Option<Vec<u8>>,
    /// The guest package's record of what was imported.
    tree: Option<Object>,
    /// For `async def` exports, from the first call of one on.
    event_loop: OnceLock<EventLoop>,
    starting: Mutex<()>,
    /// Whether Python was told to let it go.
    released: AtomicBool,
}

impl Loaded {
    /// Imports `source` on this thread.
    pub(crate) fn load(
        interpreter: &'static Interpreter,
        source: &ModuleSource,
        options: &LoadOptions,
    ) -> Result<Arc<Loaded>> {
        let name = module_name(source, options);
        let guest = Arc::new(Guest {
            interpreter,
            lifecycle: Arc::new(Lifecycle::of(NAME, &name, &options.limits)),
            voice: Arc::new(Voice { log: options.log_of(&name), name }),
            services: options.services.clone(),
        });
        let (kind, place, text) = match source {
            ModuleSource::Path(path) => {
                check_path(path)?;
                let absolute = path.canonicalize().unwrap_or_else(|_| path.clone());
                ("path", absolute.into_os_string(), None)
            }
            ModuleSource::Name(name) => ("name", name.into(), None),
            ModuleSource::Text { name, text } => ("text", name.into(), Some(text.as_str())),
            _ => return Err(error::no_such_kind_of_source()),
        };
        let folders = search_path(options);
        let cx = options.context();
        ffi::within(&guest, &cx, |py| {
            let helpers = interpreter.helpers();
            let owner = ffi::owner_handle(py, guest.clone()).map_err(|e| error::in_host_code(py, &e))?;
            let imported = helpers.load.bind(py).call1((kind, place, text, folders, owner));
            let imported = imported.map_err(|e| error::in_load(py, helpers, &cx, e))?;
            let loaded = Loaded::read(guest.clone(), &imported).map_err(|e| error::in_host_code(py, &e))?;
            Ok(Arc::new(loaded))
        })
    }

    /// Reads what `polyhost._module.load` returns.
    fn read(guest: Arc<Guest>, imported: &Bound<'_, PyAny>) -> PyResult<Loaded> {
        let (tree, list, descriptors): (Bound<'_, PyAny>, Vec<Bound<'_, PyAny>>, Option<Vec<u8>>) =
            imported.extract()?;
        let (mut exports, mut entries) = (Vec::new(), Vec::new());
        for described in &list {
            let (export, entry) = read_export(described)?;
            exports.push(export);
            entries.push(Arc::new(entry));
        }
        let tree = Some(Object::new(tree));
        Ok(Loaded {
            guest,
            exports,
            entries,
            descriptors,
            tree,
            event_loop: OnceLock::new(),
            starting: Mutex::new(()),
            released: AtomicBool::new(false),
        })
    }

    pub(crate) fn guest(&self) -> &Arc<Guest> {
        &self.guest
    }

    pub(crate) fn export(&self, at: usize) -> &Export {
        &self.exports[at]
    }

    pub(crate) fn entry(&self, at: usize) -> &Arc<Entry> {
        &self.entries[at]
    }

    /// The event loop, started if it was not.
    pub(crate) fn event_loop(&self) -> Result<&EventLoop> {
        if let Some(started) = self.event_loop.get() {
            return Ok(started);
        }
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(started) = self.event_loop.get() {
            return Ok(started);
        }
        let started = EventLoop::start(&self.guest)?;
        Ok(self.event_loop.get_or_init(|| started))
    }

    /// Has the event loop end, where there is one. The module is closed and drained.
    pub(crate) fn stop_event_loop(&self) {
        if let Some(event_loop) = self.event_loop.get() {
            event_loop.stop();
        }
    }

    /// Lets go of the module, whose calls have all ended, and tells what else holds it.
    fn release(&self, grace: Duration) -> Result<Vec<String>> {
        let interpreter = self.guest.interpreter;
        let released = self.released.swap(true, Ordering::Relaxed);
        if let Some(event_loop) = self.event_loop.get() {
            if !released {
                event_loop.stop();
            }
            if !event_loop.wait(grace) {
                return Ok(vec!["its event loop still runs a task that does not end when it is cancelled".to_owned()]);
            }
        }
        interpreter.with(|py| {
            self.entries.iter().for_each(|entry| entry.clear(py));
            let Some(tree) = &self.tree else { return Ok(Vec::new()) };
            let held = interpreter.helpers().unload.bind(py).call1((tree.bind(py),));
            held.and_then(|held| held.extract()).map_err(|e| error::in_host_code(py, &e))
        })
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let interpreter = self.guest.interpreter;
        if !*self.released.get_mut() {
            self.stop_event_loop();
        }
        // Nobody is inside: a call holds a function, and that this. Nobody asks what became of it either, and this
        // thread may be any: Python's own does the work.
        if let (false, Some(tree)) = (*self.released.get_mut(), self.tree.take()) {
            interpreter.later(move |py| {
                let _ = interpreter.helpers().unload.bind(py).call1((tree.bind(py), false));
            });
        }
    }
}

impl Module for CpythonModule {
    fn name(&self) -> &str {
        self.0.guest.name()
    }

    fn exports(&self) -> &[Export] {
        &self.0.exports
    }

    fn descriptors(&self) -> Option<&[u8]> {
        self.0.descriptors.as_deref()
    }

    fn function(&self, name: &str) -> Result<Arc<dyn Function>> {
        if self.0.guest.lifecycle.is_closed() {
            return Err(
                Error::new(ErrorKind::Closed, "the module is unloaded; load it again").with("module", self.name())
            );
        }
        match self.0.exports.binary_search_by(|export| export.name().cmp(name)) {
            Ok(at) => Ok(Arc::new(CpythonFunction::new(self.0.clone(), at))),
            Err(_) => Err(no_such_export(self.name(), &self.0.exports, name)),
        }
    }

    fn unload(&self, grace: Duration) -> UnloadVerdict {
        let end = Instant::now().checked_add(grace);
        let guest = &self.0.guest;
        guest.lifecycle.close();
        let mut what = Vec::new();
        let inside = guest.lifecycle.drain(grace);
        if inside > 0 {
            what.push(still_inside(inside));
        }
        // Its own calls do not hold up a drain: they can't end while it waits.
        if ffi::inside(guest) {
            what.push("the call that unloads it is inside itself".to_owned());
        }
        if what.is_empty() {
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            match self.0.release(left) {
                Ok(held) => what = held,
                // Python has ended, and everything with it.
                Err(error) if error.kind() == ErrorKind::Closed => {}
                Err(error) => what.push(format!("unloading it failed: {error}")),
            }
        }
        if inside == 0 {
            guest.voice.log.tell_dropped();
        }
        if what.is_empty() { UnloadVerdict::Unloaded } else { UnloadVerdict::StillAlive { what } }
    }
}

impl fmt::Debug for CpythonModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exports: Vec<_> = self.0.exports.iter().map(Export::name).collect();
        f.debug_struct("CpythonModule").field("name", &self.name()).field("exports", &exports).finish_non_exhaustive()
    }
}

/// Reads one export as `polyhost._export.resolve` returns it.
fn read_export(described: &Bound<'_, PyAny>) -> PyResult<(Export, Entry)> {
    type Message<'py> = (String, Bound<'py, PyAny>);
    type Described<'py> = (String, Bound<'py, PyAny>, Option<Message<'py>>, Option<Message<'py>>, bool, bool, String);
    let (name, function, request, reply, takes_context, is_async, doc): Described<'_> = described.extract()?;
    let type_name = |message: &Option<Message<'_>>| message.as_ref().map(|(name, _)| name.clone());
    let export = Export::bytes(name).with_types(type_name(&request), type_name(&reply)).with_doc(doc);
    let decode = match request {
        None => None,
        Some((_, class)) => Some(Object::new(class.getattr("FromString")?)),
    };
    let reply = match reply {
        None => None,
        Some((_, class)) => {
            Some(Reply { encode: Object::new(class.getattr("SerializeToString")?), class: Object::new(class) })
        }
    };
    let function = Object::new(function);
    Ok((export, Entry { function, decode, reply, takes_context, is_async, habit: Habit::default() }))
}

fn check_path(path: &Path) -> Result<()> {
    match path.metadata() {
        Ok(_) => Ok(()),
        Err(cause) => {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let message = format!("there is no Python module at {}: {cause}", absolute.display());
            Err(Error::new(ErrorKind::Load, message).caused_by(cause))
        }
    }
}

/// Folders in which the module's own imports look, before those of all modules.
fn search_path(options: &LoadOptions) -> Vec<std::ffi::OsString> {
    let values = options.options.iter().filter(|(key, _)| key == "path");
    values.flat_map(|(_, value)| std::env::split_paths(value)).map(|path| absolute(&path).into_os_string()).collect()
}

fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn module_name(source: &ModuleSource, options: &LoadOptions) -> String {
    options.name.clone().unwrap_or_else(|| match source {
        ModuleSource::Path(path) => path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        other => other.display(),
    })
}
