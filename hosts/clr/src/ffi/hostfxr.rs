//! The one way in: hostfxr starts .NET, and the shim's bootstrap is fetched out of bytes.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::mem;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;

use netcorehost::hostfxr::{Hostfxr, HostfxrContext, InitializedForRuntimeConfig};
use netcorehost::pdcstring::PdCString;
use polyhost_bridge::abi::sys::{PolyhostGuest, PolyhostHost, PolyhostSlice, PolyhostStatus};
use polyhost_bridge::{Error, ErrorKind, Result};
use polyhost_toolchain::dotnet::DotnetRoot;

use super::altstack;
use super::signals::Handlers;
use crate::error;

/// The shim's entry: a `PolyhostGuestEntry`.
type Bootstrap = unsafe fn(*const PolyhostHost, *mut PolyhostGuest, *mut PolyhostSlice) -> PolyhostStatus;
/// The same as the pointer that comes back: on x86-64 Linux the one calling convention there is.
pub(super) type Entry =
    unsafe extern "system" fn(*const PolyhostHost, *mut PolyhostGuest, *mut PolyhostSlice) -> PolyhostStatus;

/// How .NET is to start.
pub(crate) struct Launch<'a> {
    pub root: &'a DotnetRoot,
    /// The content of a `runtimeconfig.json`.
    pub runtime_config: &'a str,
    /// What `AppContext.BaseDirectory` is to say; without it, that is empty (dotnet/runtime#74720).
    pub base_directory: &'a Path,
}

/// Starts .NET for modules and gives the shim's bootstrap. Once per process: what failed before the runtime started may
/// be tried again, the rest may not.
///
/// An application that decides how .NET starts would come in here too: initialized by its command line instead of by
/// a configuration of ours, everything from [`bring_up`] on is the same for both.
pub(crate) fn start(launch: &Launch<'_>) -> Result<Entry> {
    let hostfxr = Hostfxr::load_from_path(&launch.root.hostfxr)
        .map_err(|e| error::hostfxr_not_loaded(&launch.root.hostfxr, e))?;
    // hostfxr must never be unmapped: .NET keeps pointers into it, and a later start in this process would fail with
    // 0x80008081. Its library is counted; this count is never given back.
    mem::forget(hostfxr.clone());
    let said = Said::listen(&hostfxr);
    let context = initialize(&hostfxr, launch, &said)?;
    bring_up(context, launch, &said)
}

fn initialize(
    hostfxr: &Hostfxr,
    launch: &Launch<'_>,
    said: &Said<'_>,
) -> Result<HostfxrContext<InitializedForRuntimeConfig>> {
    // hostfxr opens the file by its path, and refuses that of a memfd. Nobody reads it after `initialize`, which
    // leaves the folder to be removed.
    let write = || {
        let permissions = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("polyhost-").permissions(permissions).tempdir()?;
        let file = folder.path().join("polyhost.runtimeconfig.json");
        fs::write(&file, launch.runtime_config)?;
        Ok((folder, file))
    };
    let (_folder, file) = write().map_err(error::no_temporary_file)?;
    let (file, root) = (path(&file)?, path(&launch.root.root)?);
    hostfxr
        .initialize_for_runtime_config_with_dotnet_root(file, root)
        .map_err(|e| error::start(launch.root, e.value(), &said.text()))
}

/// Starts the runtime of a context, loads the shim, and gives its bootstrap.
fn bring_up<I>(mut context: HostfxrContext<I>, launch: &Launch<'_>, said: &Said<'_>) -> Result<Entry> {
    let failed = |code: u32| error::start(launch.root, code, &said.text());
    // Where somebody else in this process has started .NET, its properties are set for good.
    if context.is_primary() {
        // .NET wants it with the separator at its end.
        let folder = path(&launch.base_directory.join(""))?;
        let key = text("APP_CONTEXT_BASE_DIRECTORY")?;
        context.set_runtime_property_value(key, folder).map_err(|e| failed(e.value()))?;
    }
    altstack::ready()?;
    let handlers = Handlers::keep();
    let loader = context.get_delegate_loader();
    handlers.restore();
    let loader = loader.map_err(|e| failed(e.value()))?;
    for assembly in [polyhost_dotnet::GUEST, polyhost_dotnet::SHIM] {
        context.load_assembly_from_bytes(assembly, []).map_err(|e| failed(e.value()))?;
    }
    // Closing it would free what hostfxr knows of this runtime; nothing is gained by it.
    mem::forget(context);
    let bootstrap = loader
        .get_function_with_unmanaged_callers_only::<Bootstrap>(
            &text(polyhost_dotnet::SHIM_TYPE)?,
            &text(polyhost_dotnet::SHIM_METHOD)?,
        )
        .map_err(error::no_bootstrap)?;
    Ok(*bootstrap)
}

/// What hostfxr says while this lives. Listeners belong to threads, so it stays on its own.
struct Said<'a> {
    hostfxr: &'a Hostfxr,
    lines: Rc<RefCell<Vec<String>>>,
}

impl<'a> Said<'a> {
    fn listen(hostfxr: &'a Hostfxr) -> Self {
        let lines = Rc::<RefCell<Vec<String>>>::default();
        let writer = lines.clone();
        // It is called through `extern "C"`, where a panic would end the process: it must not find the list borrowed.
        hostfxr.set_error_writer(Some(Box::new(move |line| {
            if let Ok(mut lines) = writer.try_borrow_mut() {
                lines.push(line.to_string_lossy());
            }
        })));
        Said { hostfxr, lines }
    }

    fn text(&self) -> String {
        self.lines.borrow().join("\n")
    }
}

impl Drop for Said<'_> {
    fn drop(&mut self) {
        self.hostfxr.set_error_writer(None);
    }
}

fn text(text: &str) -> Result<PdCString> {
    PdCString::from_os_str(text).map_err(|e| {
        Error::new(ErrorKind::Config, format!("{text:?} has a zero in it; .NET takes no such text")).caused_by(e)
    })
}

fn path(path: &Path) -> Result<PdCString> {
    PdCString::from_os_str(path).map_err(|e| {
        Error::new(ErrorKind::Config, format!("{} has a zero in it; .NET takes no such path", path.display()))
            .caused_by(e)
    })
}
