//! A stable name over changing modules.

mod function;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use crate::boundary::{Current, Drained, Replaced};
use crate::error::{Error, ErrorKind, Result};
use crate::function::{Export, Function};
use crate::module::{Module, UnloadVerdict, no_such_export, still_inside};
use crate::sync::{Mutex, MutexGuard};
use function::{Deployed, View};

/// A name under which one version of a module after another runs.
///
/// Functions of a deployment stay good: each call runs in the version that is
/// current when it begins, wholly, and no call fails because versions change.
/// [`Deployment::deploy`] loads the next one beside the current, switches all
/// functions at one instant, waits until the calls inside the old version are
/// out, and unloads it.
///
/// Cheap to clone; a clone is the same deployment. The current version stays
/// loaded as long as there is a clone, a function or a module of it. Where
/// guests call each other through deployments in a circle, they keep each other
/// loaded until one is [closed](Deployment::close).
///
/// Functions and modules from before a deployment, or from
/// [`Module::function`] of one version, belong to that version: they are closed
/// with it.
#[derive(Clone)]
pub struct Deployment(Arc<Shared>);

/// What came of a deploy that succeeded.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeployReport {
    /// The number of the version that is current now. The first is 1.
    pub version: u64,
    /// How long the load and the switch took.
    pub load: Duration,
    /// What became of the versions before: the one that was replaced first, then those that were still used when they
    /// were replaced earlier.
    pub replaced: Vec<ReplacedVersion>,
}

/// A version that is not current any more.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReplacedVersion {
    /// Its number.
    pub version: u64,
    /// Its module; [`Module::unload`] looks again at what holds it, once no call is inside.
    pub module: Arc<dyn Module>,
    /// What became of it.
    pub verdict: UnloadVerdict,
    /// How long it took to wait for its calls and to unload it.
    pub unload: Duration,
}

struct Shared {
    name: String,
    current: Current<Version>,
    /// Held by a deploy from its load to its switch.
    deploying: Mutex<()>,
    table: Mutex<Table>,
}

/// One module with its functions, by their places in the [`Table`].
struct Version {
    number: u64,
    module: Arc<dyn Module>,
    /// None of them once the deployment is closed.
    functions: Vec<Option<Arc<dyn Function>>>,
}

struct Table {
    /// The names of the current version's exports, each in a place that it keeps while a function is held.
    places: Vec<Option<Place>>,
    version: u64,
    module: Arc<dyn Module>,
    /// The modules of the versions before, as long as somebody has them: each is unloaded, or is going to be.
    past: Vec<(u64, Weak<dyn Module>)>,
    closed: bool,
    /// Versions that were still used when they had been waited for.
    lingering: Vec<Replaced<Version>>,
}

struct Place {
    export: Export,
    /// What was handed out.
    function: Weak<Deployed>,
}

type Resolved = Vec<(Export, Arc<dyn Function>)>;

impl Deployment {
    /// A deployment whose first version is `module`.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] where the module is unloaded.
    pub fn new(module: Arc<dyn Module>) -> Result<Deployment> {
        let resolved = resolve(&*module)?;
        let mut table = Table {
            places: Vec::new(),
            version: 1,
            module: module.clone(),
            past: Vec::new(),
            closed: false,
            lingering: Vec::new(),
        };
        let functions = table.place(resolved);
        let name = module.name().to_owned();
        let current = Current::new(Version { number: 1, module, functions });
        Ok(Deployment(Arc::new(Shared { name, current, deploying: Mutex::new(()), table: Mutex::new(table) })))
    }

    /// The name of the first version's module.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The number of the current version.
    pub fn version(&self) -> u64 {
        self.0.table().version
    }

    /// A function that always calls the current version. It keeps the deployment.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], with the names that the current version exports; [`ErrorKind::Closed`] after
    /// [`Deployment::close`].
    pub fn function(&self, name: &str) -> Result<Arc<dyn Function>> {
        self.0.clone().function(name)
    }

    /// The deployment as a module: its exports and descriptors are those of the version that is current now, its
    /// functions are [`Deployment::function`]s, and to unload it is to [close](Deployment::close) the deployment.
    pub fn module(&self) -> Arc<dyn Module> {
        let module = self.0.table().module.clone();
        Arc::new(View {
            exports: module.exports().to_vec(),
            descriptors: module.descriptors().map(<[u8]>::to_vec),
            deployment: self.clone(),
        })
    }

    /// Puts what `load` loads in the place of the current version.
    ///
    /// The new version has to export whatever functions of this deployment are held, with the same message types by
    /// name; that their fields fit is for their authors to see to, as between any two programs that exchange messages.
    /// After the switch no new call gets into the old version. Those inside go on to their end and are waited for, for
    /// `grace` at most; then the old version is unloaded. One that is still used then stays loaded and serves these calls,
    /// and the next deploy, or [`Deployment::settle`], looks at it again.
    ///
    /// `load` runs on this thread, while calls go on: `|| runtime.load(&source, &options)`, or of a
    /// [`Registry`](crate::Registry), also of another runtime than before.
    ///
    /// A deploy from within a call of the version that it replaces can't wait for that call: it switches, and the verdict
    /// says so.
    ///
    /// # Errors
    /// What `load` fails with, and the current version goes on, as after each of these:
    /// - [`ErrorKind::Load`] where the new version lacks an export that is held, or has it with other types.
    /// - [`ErrorKind::Config`] where what was loaded is the module of the current version or of one before.
    /// - [`ErrorKind::Exhausted`] where another deploy has not switched yet.
    /// - [`ErrorKind::Closed`] after [`Deployment::close`].
    pub fn deploy(&self, grace: Duration, load: impl FnOnce() -> Result<Arc<dyn Module>>) -> Result<DeployReport> {
        let started = Instant::now();
        let (version, old) = self.0.switch(load).map_err(|error| error.with("deployment", self.name()))?;
        let load = started.elapsed();
        let older = self.settle(Duration::ZERO);
        let mut replaced = vec![self.0.unload(old, grace)];
        replaced.extend(older);
        Ok(DeployReport { version, load, replaced })
    }

    /// Looks again at versions that were still used when they had been replaced, and unloads those that are not.
    ///
    /// `grace` is for all of them together.
    pub fn settle(&self, grace: Duration) -> Vec<ReplacedVersion> {
        let end = Instant::now().checked_add(grace);
        let mut lingering = std::mem::take(&mut self.0.table().lingering);
        lingering.sort_by_key(|version| std::cmp::Reverse(version.number));
        let left = || end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        lingering.into_iter().map(|version| self.0.unload(version, left())).collect()
    }

    /// Refuses new calls and deploys, waits for the calls inside, for `grace` at most, and unloads.
    ///
    /// Calling it again looks again.
    pub fn close(&self, grace: Duration) -> UnloadVerdict {
        self.0.shut();
        let unloaded = self.settle(grace);
        if unloaded.is_empty() {
            let module = self.0.table().module.clone();
            return module.unload(grace);
        }
        let mut what = Vec::new();
        for ReplacedVersion { version, verdict, .. } in unloaded {
            if let UnloadVerdict::StillAlive { what: held } = verdict {
                what.extend(held.into_iter().map(|line| format!("version {version}: {line}")));
            }
        }
        if what.is_empty() { UnloadVerdict::Unloaded } else { UnloadVerdict::StillAlive { what } }
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("name", &self.name())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn function(self: Arc<Self>, name: &str) -> Result<Arc<dyn Function>> {
        let mut table = self.table();
        if table.closed {
            return Err(closed(&self.name));
        }
        let found = table.places.iter_mut().enumerate().find_map(|(at, place)| {
            place.as_mut().filter(|place| place.export.name() == name).map(|place| (at, place))
        });
        let Some((at, place)) = found else {
            let module = table.module.clone();
            drop(table);
            return Err(no_such_export(&self.name, module.exports(), name));
        };
        if let Some(function) = place.function.upgrade() {
            return Ok(function);
        }
        let function = Arc::new(Deployed { shared: self.clone(), at, export: place.export.clone() });
        place.function = Arc::downgrade(&function);
        Ok(function)
    }

    /// Loads the next version and makes it the current one, whose number it returns with the old one.
    fn switch(&self, load: impl FnOnce() -> Result<Arc<dyn Module>>) -> Result<(u64, Replaced<Version>)> {
        let _deploying = match self.deploying.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(busy(&self.name)),
        };
        if self.table().closed {
            return Err(closed(&self.name));
        }
        let module = load()?;
        if let Some(version) = self.table().version_of(&*module) {
            return Err(had_before(version));
        }
        let switched = resolve(&*module).and_then(|resolved| self.put(module.clone(), resolved));
        if switched.is_err() {
            // Nobody has called it.
            module.unload(Duration::ZERO);
        }
        switched
    }

    fn put(&self, module: Arc<dyn Module>, resolved: Resolved) -> Result<(u64, Replaced<Version>)> {
        let mut table = self.table();
        if table.closed {
            return Err(closed(&self.name));
        }
        table.check(&self.name, &resolved)?;
        let functions = table.place(resolved);
        let number = table.advance(module.clone());
        Ok((number, self.current.replace(Version { number, module, functions })))
    }

    /// Refuses new calls and deploys. The version that was current is one to be settled.
    fn shut(&self) {
        let mut table = self.table();
        if table.closed {
            return;
        }
        table.closed = true;
        table.places.clear();
        let (number, module) = (table.version, table.module.clone());
        let old = self.current.replace(Version { number, module, functions: Vec::new() });
        table.lingering.push(old);
    }

    /// Waits for those who use a version, and unloads it. Where somebody still does, it is kept for later.
    fn unload(&self, replaced: Replaced<Version>, grace: Duration) -> ReplacedVersion {
        let started = Instant::now();
        let (version, module) = (replaced.number, replaced.module.clone());
        let verdict = match self.current.drain(replaced, grace) {
            Drained::Free(old) => {
                // Its functions first: they would be told to hold it.
                drop(old);
                module.unload(grace.saturating_sub(started.elapsed()))
            }
            Drained::Used(replaced, others, own) => {
                self.table().lingering.push(replaced);
                UnloadVerdict::StillAlive { what: still_used(others, own) }
            }
        };
        ReplacedVersion { version, module, verdict, unload: started.elapsed() }
    }
}

impl Table {
    /// Of which version this is the module.
    fn version_of(&self, module: &dyn Module) -> Option<u64> {
        let is_same = |it: *const dyn Module| std::ptr::addr_eq(it, std::ptr::from_ref(module));
        if is_same(Arc::as_ptr(&self.module)) {
            return Some(self.version);
        }
        // A Weak keeps the place of its module, so that no other is there.
        self.past.iter().find(|(_, it)| is_same(it.as_ptr())).map(|(version, _)| *version)
    }

    /// Goes on to the next version, whose number it returns.
    fn advance(&mut self, module: Arc<dyn Module>) -> u64 {
        self.past.retain(|(_, it)| it.strong_count() > 0);
        self.past.push((self.version, Arc::downgrade(&self.module)));
        self.version += 1;
        self.module = module;
        self.version
    }

    /// Gives every export its place: the one it had, or a free one.
    fn place(&mut self, resolved: Resolved) -> Vec<Option<Arc<dyn Function>>> {
        let had: BTreeMap<String, (usize, Weak<Deployed>)> = std::mem::take(&mut self.places)
            .into_iter()
            .enumerate()
            .filter_map(|(at, place)| place.map(|place| (place.export.name().to_owned(), (at, place.function))))
            .collect();
        let size = had.values().map(|(at, _)| at + 1).max().unwrap_or(0).max(resolved.len());
        let mut functions: Vec<Option<Arc<dyn Function>>> = vec![None; size];
        self.places.resize_with(size, || None);
        let mut new = Vec::new();
        for (export, function) in resolved {
            match had.get(export.name()) {
                Some((at, held)) => {
                    self.places[*at] = Some(Place { export, function: held.clone() });
                    functions[*at] = Some(function);
                }
                None => new.push((export, function)),
            }
        }
        let mut at = 0;
        for (export, function) in new {
            while functions[at].is_some() {
                at += 1;
            }
            self.places[at] = Some(Place { export, function: Weak::new() });
            functions[at] = Some(function);
        }
        functions
    }

    /// Refuses a version that lacks what is held.
    fn check(&self, deployment: &str, resolved: &Resolved) -> Result<()> {
        let mut wrong = Vec::new();
        let held = self.places.iter().flatten().filter_map(|place| place.function.upgrade());
        for function in held {
            let export = &function.export;
            match resolved.iter().find(|(it, _)| it.name() == export.name()) {
                None => wrong.push(format!("it lacks {}", export.name())),
                Some((it, _)) if types(it) != types(export) => {
                    let (new, old) = (types(it), types(export));
                    wrong.push(format!("its {} is {} -> {} and was {} -> {}", it.name(), new.0, new.1, old.0, old.1));
                }
                Some(_) => {}
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(does_not_fit(deployment, self.version, &wrong)) }
    }
}

/// The message types of an export.
fn types(export: &Export) -> (&str, &str) {
    (export.input_type().unwrap_or("bytes"), export.output_type().unwrap_or("bytes"))
}

fn resolve(module: &dyn Module) -> Result<Resolved> {
    module.exports().iter().map(|export| Ok((export.clone(), module.function(export.name())?))).collect()
}

fn still_used(others: usize, own: usize) -> Vec<String> {
    let mut what = Vec::new();
    if others > 0 {
        what.push(still_inside(others));
    }
    if own > 0 {
        what.push("the call that deploys is inside itself; settle the deployment when it is out".to_owned());
    }
    what
}

#[cold]
fn closed(deployment: &str) -> Error {
    Error::new(ErrorKind::Closed, "the deployment is closed; make another").with("deployment", deployment)
}

#[cold]
fn busy(deployment: &str) -> Error {
    let message = format!("another deploy of {deployment} has not switched yet; deploy again when it has");
    Error::new(ErrorKind::Exhausted, message)
}

#[cold]
fn had_before(version: u64) -> Error {
    let message = format!("what is to be deployed is the module of version {version} itself; load it anew");
    Error::new(ErrorKind::Config, message)
}

#[cold]
fn does_not_fit(deployment: &str, version: u64, wrong: &[String]) -> Error {
    let wrong = wrong.join(", ");
    let message = format!(
        "the new version does not fit the functions of {deployment} that are held: {wrong}; version {version} goes on"
    );
    Error::new(ErrorKind::Load, message)
}

#[cfg(test)]
mod tests;
