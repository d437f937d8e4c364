//! A loaded Lua file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use polyhost_bridge::observe::Waits;
use polyhost_bridge::{
    CallContext, Error, ErrorKind, Export, Function, Lifecycle, LoadOptions, Module, ModuleSource, Result,
    UnloadVerdict, no_such_export, still_inside,
};

use crate::config::Settings;
use crate::error;
use crate::ffi::{Instances, Vm};
use crate::function::LuaFunction;
use crate::host::{Exported, Handler, Host};
use crate::message::Schema;
use crate::pool::Names;
use crate::runtime::NAME;
use crate::types;

/// A Lua module: one or several VMs that have loaded the same text.
pub struct LuaModule(Arc<Loaded>);

/// What a module and its functions share.
pub(crate) struct Loaded {
    pub(crate) host: Arc<Host>,
    /// Sorted by name.
    pub(crate) exports: Vec<Export>,
    /// What each takes and returns; `None` for raw bytes.
    types: Vec<Types>,
    /// Of each export.
    handlers: Vec<Handler>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) instances: Instances,
    descriptors: Option<Vec<u8>>,
}

impl Loaded {
    pub(crate) fn load(source: &ModuleSource, options: &LoadOptions, settings: Settings) -> Result<Loaded> {
        let cx = options.context();
        let script = Script::read(source)?;
        let name = options.name.clone().unwrap_or_else(|| source.display());
        let instances = settings.instances;
        let wait = settings.wait;
        let (log, lifecycle) = (options.log_of(&name), Arc::new(Lifecycle::of(NAME, &name, &options.limits)));
        let host = Arc::new(Host::new(name, script.folder.clone(), settings, options.services.clone(), log));
        let (first, mut exported) = open(&host, &script, &cx)?;
        let mut vms = vec![first];
        for _ in 1..instances {
            let (vm, again) = open(&host, &script, &cx)?;
            let same = |(a, b): (&Exported, &Exported)| a.name == b.name && a.handler == b.handler;
            if again.len() != exported.len() || !exported.iter().zip(&again).all(same) {
                return Err(instances_differ(&host.name));
            }
            vms.push(vm);
        }
        exported.sort_by(|a, b| a.name.cmp(&b.name));
        let typed = exported.iter().map(|it| export(&host, it)).collect::<Result<Vec<_>>>()?;
        let handlers = exported.iter().map(|it| it.handler).collect();
        let (exports, types) = typed.into_iter().unzip();
        let descriptors = host.types().descriptors();
        let waits = Waits::new(NAME, "vm", Some(&host.name));
        let instances = Instances::new(vms, wait, waits);
        Ok(Loaded { host, exports, types, handlers, lifecycle, instances, descriptors })
    }
}

impl LuaModule {
    pub(crate) fn new(loaded: Arc<Loaded>) -> LuaModule {
        LuaModule(loaded)
    }
}

/// A VM with the script loaded in `cx`, and what it exported, by name.
fn open(host: &Arc<Host>, script: &Script, cx: &CallContext) -> Result<(Box<Vm>, Vec<Exported>)> {
    cx.check().map_err(|error| error.with("module", &host.name))?;
    let limit = host.settings.memory_limit;
    let vm = Vm::open(host.clone())?;
    let exports = vm
        .load(cx, &script.text, &script.chunk_name())
        .map_err(|raised| error::in_load(&script.name, cx, limit, *raised).with("module", &host.name))?
        .exports;
    Ok((vm, exports))
}

type Types = Option<(Arc<Schema>, Arc<Schema>)>;

/// An export with the types that a `.proto` file gives it.
fn export(host: &Host, exported: &Exported) -> Result<(Export, Types)> {
    let name = &exported.name;
    let mut all = host.types();
    if !exported.raw {
        all.check_export(name).map_err(|error| error.with("module", &host.name))?;
    }
    let Some(method) = all.method(name).filter(|_| !exported.raw) else {
        return Ok((Export::bytes(name).with_doc(exported.doc.clone().unwrap_or_default()), None));
    };
    let types = all.of_method(&method).map_err(|error| error.with_kind(ErrorKind::Load).with("module", &host.name))?;
    let doc = exported.doc.clone().unwrap_or_else(|| types::doc(&method));
    Ok((Export::messages(name, types.0.name(), types.1.name()).with_doc(doc), Some(types)))
}

impl Names for Loaded {
    fn name(&self, call: usize) -> &str {
        self.exports.get(call).map_or("?", Export::name)
    }
}

impl Module for LuaModule {
    fn name(&self) -> &str {
        &self.0.host.name
    }

    fn exports(&self) -> &[Export] {
        &self.0.exports
    }

    fn descriptors(&self) -> Option<&[u8]> {
        self.0.descriptors.as_deref()
    }

    fn function(&self, name: &str) -> Result<Arc<dyn Function>> {
        if self.0.lifecycle.is_closed() {
            let message = "the module is unloaded; load it again";
            return Err(Error::new(ErrorKind::Closed, message).with("module", self.name()));
        }
        match self.0.exports.iter().position(|it| it.name() == name) {
            Some(place) => Ok(Arc::new(LuaFunction::new(
                self.0.clone(),
                place,
                self.0.handlers[place],
                self.0.types[place].clone(),
            ))),
            None => Err(no_such_export(self.name(), self.exports(), name)),
        }
    }

    fn unload(&self, grace: Duration) -> UnloadVerdict {
        self.0.lifecycle.close();
        let inside = self.0.lifecycle.drain(grace);
        if inside > 0 {
            return UnloadVerdict::StillAlive { what: vec![still_inside(inside)] };
        }
        self.0.host.log.tell_dropped();
        match self.0.instances.close() {
            true => UnloadVerdict::Unloaded,
            false => UnloadVerdict::StillAlive { what: vec!["the call that unloads it is inside itself".into()] },
        }
    }
}

impl fmt::Debug for LuaModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exports: Vec<_> = self.0.exports.iter().map(Export::name).collect();
        f.debug_struct("LuaModule").field("name", &self.name()).field("exports", &exports).finish_non_exhaustive()
    }
}

/// The text of a module and where it is from.
struct Script {
    /// As it stands in stack traces.
    name: String,
    folder: Option<PathBuf>,
    text: Vec<u8>,
}

impl Script {
    fn read(source: &ModuleSource) -> Result<Script> {
        match source {
            ModuleSource::Path(path) => Script::read_file(path),
            ModuleSource::Text { name, text } => {
                Ok(Script { name: name.clone(), folder: None, text: text.clone().into_bytes() })
            }
            _ => Err(Error::new(ErrorKind::Unsupported, "Lua modules are files, by path, or source text")),
        }
    }

    fn read_file(path: &Path) -> Result<Script> {
        let file = if path.is_dir() { path.join("init.lua") } else { path.to_owned() };
        let name = file.display().to_string();
        let text = std::fs::read(&file).map_err(|e| {
            let found = std::env::current_dir().map_or(String::new(), |folder| format!(", from {}", folder.display()));
            Error::new(ErrorKind::Load, format!("no Lua file {name}{found}: {e}")).caused_by(e)
        })?;
        // An empty parent is the current folder.
        let folder = file.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        Ok(Script { name, folder: folder.map(Path::to_owned), text })
    }

    /// How Lua is told: `@` marks a file's name, which is shown as it is.
    fn chunk_name(&self) -> String {
        format!("@{}", self.name)
    }
}

#[cold]
fn instances_differ(module: &str) -> Error {
    let message = format!("the instances of {module} export different things; export the same at every load");
    Error::new(ErrorKind::Load, message)
}
