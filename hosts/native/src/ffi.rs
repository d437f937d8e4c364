//! Shared libraries, and leave to load them: all unsafe code of this host.
//!
//! A library is never unmapped. What it left behind would jump into nothing:
//! its threads, thread-local destructors and `atexit` handlers, a cancel on its
//! way, a pointer that another library took. No host can know that none is left.

pub mod guest;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::Metadata;
use std::mem::size_of;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libloading::os::unix;
use polyhost_bridge::abi::sys::{POLYHOST_SOURCE_SELF, PolyhostGuest, PolyhostGuestEntry, PolyhostSlice};
use polyhost_bridge::abi::{self, GuestModule, Source};
use polyhost_bridge::observe::Callee;
use polyhost_bridge::{CallContext, Error, ErrorKind, Export, Function, Lifecycle, LoadOptions, Output, Result};

use crate::config::NativeConfig;
use crate::error;
use crate::module::NativeModule;
use crate::runtime::{NAME, Native};

#[cfg(not(unix))]
compile_error!("polyhost-native opens shared libraries with dlopen; this target has none");

const ENTRY: &str = "polyhost_guest";

impl NativeConfig {
    /// Allows loading shared libraries by path.
    ///
    /// # Safety
    /// Every file that is loaded through this runtime
    /// - may be mapped into this process, and what it runs when it is mapped is sound there;
    /// - keeps the contract of `polyhost.h` wherever it exports `polyhost_guest`: it reads and writes no memory but
    ///   its own and what it is given for as long as it is given, and lets nothing unwind or jump out of its
    ///   functions;
    /// - is not written to while it is mapped, which is until the process ends: a new version takes its place by
    ///   a rename.
    pub unsafe fn allow_libraries(mut self) -> Self {
        self.libraries = true;
        self
    }
}

impl Native {
    /// A runtime that loads shared libraries.
    ///
    /// # Safety
    /// As [`NativeConfig::allow_libraries`].
    pub unsafe fn with_libraries() -> Arc<Native> {
        // SAFETY: the caller vouches for every library.
        Native::start(unsafe { NativeConfig::new().allow_libraries() })
    }
}

/// A mapped library with the guest in it. Lives as long as the process.
pub(crate) struct Library {
    path: PathBuf,
    file: FileId,
    guest: PolyhostGuest,
    users: Mutex<Users>,
}

/// Which runtimes use a library. Once all have left, it is told so, and is of no more use.
#[derive(Default)]
struct Users {
    count: usize,
    left: bool,
}

// SAFETY: the raw pointers in `guest` are to the guest's constants, which live as long as the process; its functions
// may be called on any thread (polyhost.h, "Threads").
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// A file that was replaced is another library, even at the same path.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        FileId { device: metadata.dev(), inode: metadata.ino(), modified, size: metadata.size() }
    }
}

impl Library {
    /// Maps the library at `path`, unless that was done before.
    ///
    /// Safe code gets here only by [`crate::NativeConfig::allow_libraries`], where the program's author has vouched
    /// for each file that is loaded.
    ///
    /// # Errors
    /// [`ErrorKind::Load`].
    pub(crate) fn open(path: &Path) -> Result<&'static Library> {
        static LIBRARIES: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());

        let absolute = path.canonicalize().map_err(|cause| missing(path, cause))?;
        let metadata = absolute.metadata().map_err(|cause| missing(path, cause))?;
        if !metadata.is_file() {
            return Err(error::library(path, "not a file but a folder or a device"));
        }
        let file = FileId::of(&metadata);
        // Held while the library is mapped and started: nobody else may see it half done.
        let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = libraries.iter().find(|it| it.file == file) {
            return Ok(library);
        }
        let earlier = libraries.iter().filter(|it| it.path == absolute).count();
        let guest = start(&absolute, &name_for_dlopen(&absolute, earlier))?;
        let library: &'static Library =
            Box::leak(Box::new(Library { path: absolute, file, guest, users: Mutex::default() }));
        libraries.push(library);
        Ok(library)
    }

    /// Counts a runtime among the users.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] where all that used it have shut down.
    pub(crate) fn join(&self) -> Result<()> {
        let mut users = self.users();
        if users.left {
            let message = "the library was told that no more calls come, when the last runtime that used it shut down; start a new process";
            return Err(Error::new(ErrorKind::Closed, message).with("library", self.path.display().to_string()));
        }
        users.count += 1;
        Ok(())
    }

    /// Takes a runtime that makes no more calls off the users.
    pub(crate) fn leave(&self) {
        let mut users = self.users();
        users.count -= 1;
        users.left = users.count == 0;
        let last = users.left;
        drop(users);
        if let (true, Some(shutdown)) = (last, self.guest.shutdown) {
            // SAFETY: no runtime that could call has a module of it open, and none opens one again.
            unsafe { shutdown() };
        }
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a module of the library.
    ///
    /// # Errors
    /// [`ErrorKind::Load`].
    pub(crate) fn load(&'static self, name: String, options: &LoadOptions) -> Result<NativeModule> {
        let guest = GuestModule::new(&name, options.services.clone(), options.log_of(&name));
        let path = self.path.as_os_str().as_encoded_bytes();
        let source = Source { kind: POLYHOST_SOURCE_SELF, name: path, data: &[], options: &[] };
        // SAFETY: the library's author keeps the contract of polyhost.h, and it is never unmapped.
        let opened = unsafe { abi::open(&self.guest, &guest, &source, &options.context()) }.map_err(|failed| {
            let kind = if failed.kind() == ErrorKind::Guest { ErrorKind::Load } else { failed.kind() };
            failed.with_kind(kind).with("library", self.path.display().to_string())
        })?;
        let lifecycle = Arc::new(Lifecycle::of(NAME, &name, &options.limits));
        let module = Mutex::new(Some(opened.module));
        let module = Arc::new(OpenModule { library: self, guest, lifecycle, module });
        let function = |(id, export): (u64, Export)| -> Arc<dyn Function> {
            let callee = module.lifecycle.callee(export.name());
            Arc::new(LibraryFunction { export, id, callee, module: module.clone() })
        };
        let functions = opened.functions.into_iter().map(function).collect();
        NativeModule::of_library(name, functions, opened.descriptors, module.clone())
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Library").field(&self.path).finish()
    }
}

/// A module that a library opened, until it is closed.
pub(crate) struct OpenModule {
    library: &'static Library,
    guest: GuestModule,
    lifecycle: Arc<Lifecycle>,
    /// The library's id of the module; taken by whoever closes it.
    module: Mutex<Option<u64>>,
}

impl OpenModule {
    pub(crate) fn lifecycle(&self) -> &Arc<Lifecycle> {
        &self.lifecycle
    }

    /// Closes the module, whose calls have all ended, and returns what still holds it.
    pub(crate) fn close(&self) -> Vec<String> {
        let module = self.module.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(module) = module else { return Vec::new() };
        // SAFETY: as in `load`; the id came from there and was taken, so that it is closed once.
        let held = unsafe { abi::close(&self.library.guest, &self.guest, module) };
        self.guest.tell_dropped();
        held.unwrap_or_else(|error| vec![format!("closing it failed: {error}")])
    }
}

impl Drop for OpenModule {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for OpenModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenModule").field(&self.guest.name()).finish()
    }
}

/// An export of a library.
#[derive(Debug)]
struct LibraryFunction {
    export: Export,
    /// The library's id of the export.
    id: u64,
    callee: Callee,
    module: Arc<OpenModule>,
}

impl Function for LibraryFunction {
    fn export(&self) -> &Export {
        &self.export
    }

    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        let OpenModule { library, guest, lifecycle, .. } = &*self.module;
        lifecycle.call(&self.callee, cx, input, output, |output| {
            // SAFETY: the library's author keeps the contract of polyhost.h, and it is never unmapped.
            unsafe { abi::call(&library.guest, self.id, guest, cx, input, output) }
                .map_err(|failed| error::in_call(&self.export, cx, failed))
        })
    }
}

/// Maps a library and takes its table of functions.
fn start(path: &Path, name: &OsStr) -> Result<PolyhostGuest> {
    // All symbols now: one that is missing must not end the process at the call that needs it.
    // SAFETY: the program's author vouches for what the library runs when it is mapped.
    let library = unsafe { unix::Library::open(Some(name), unix::RTLD_NOW | unix::RTLD_LOCAL) }
        .map_err(|cause| error::library(path, format!("not a shared library of this system: {cause}")))?;
    // SAFETY: a library that exports a function of this name gives it the type of polyhost.h.
    let entry = unsafe { library.get::<PolyhostGuestEntry>(ENTRY.as_bytes()) }.map(|symbol| *symbol);
    let Ok(Some(entry)) = entry else {
        // Nothing of it was called but its initialisers, which may have left pointers behind all the same.
        std::mem::forget(library);
        let what = format!("exports no function {ENTRY}, so it is no guest; implement polyhost.h");
        return Err(error::library(path, what));
    };
    std::mem::forget(library);
    // SAFETY: all-zero is a valid value of each field.
    let mut guest: PolyhostGuest = unsafe { std::mem::zeroed() };
    guest.size = size_of::<PolyhostGuest>() as u32;
    let mut reason = PolyhostSlice { data: std::ptr::null(), len: 0 };
    // SAFETY: the host's table lives as long as the process; `guest` and `reason` outlive the call.
    let status = unsafe { entry(abi::host(), &mut guest, &mut reason) };
    if status != abi::OK {
        // SAFETY: a guest that refuses gives a reason that lives as long as the process, or none.
        let reason = String::from_utf8_lossy(unsafe { abi::bytes(reason) });
        let reason = if reason.is_empty() { "it gives no reason" } else { &reason };
        return Err(error::library(path, format!("the library refuses this host (status {status}): {reason}")));
    }
    abi::check_version(&guest).map_err(|error| error.with("library", path.display().to_string()))?;
    Ok(guest)
}

/// dlopen gives back what it has under a name without looking whether the file there is still the same. Each `./`
/// makes another name of the same path.
fn name_for_dlopen(path: &Path, earlier: usize) -> OsString {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut name = folder.as_os_str().to_owned();
    name.push("/");
    name.push("./".repeat(earlier));
    name.push(path.file_name().unwrap_or_default());
    name
}

#[cold]
fn missing(path: &Path, cause: std::io::Error) -> Error {
    let error = if cause.kind() == std::io::ErrorKind::NotFound {
        let folder = std::env::current_dir().map(|folder| folder.display().to_string()).unwrap_or_default();
        Error::new(ErrorKind::Load, format!("no file {}; looked from {folder}", path.display()))
    } else {
        Error::new(ErrorKind::Load, format!("cannot read {}: {cause}", path.display()))
    };
    error.caused_by(cause)
}
