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
    pub by: By<'a>,
    /// Set on top of what the configuration says.
    pub properties: Vec<(String, String)>,
    /// Assemblies that are loaded, by bytes, besides the shim.
    pub assemblies: &'a [&'a [u8]],
}

/// What decides how .NET starts: whatever comes first in the process.
pub(crate) enum By<'a> {
    /// A module, by the content of a `runtimeconfig.json` of ours.
    Module(&'a str),
    /// An application, by its assembly: the `runtimeconfig.json` and `deps.json` beside it count.
    #[cfg_attr(not(feature = "aspnet"), allow(dead_code, reason = "applications are that feature's"))]
    Application(&'a Path),
}

/// What a started .NET is entered by.
pub(crate) struct Entries {
    pub shim: Entry,
    #[cfg(feature = "aspnet")]
    pub aspnet: Option<super::aspnet::Entry>,
}

/// Starts .NET and gives the ways into it. Once per process: what failed before the runtime started may be tried again,
/// the rest may not.
pub(crate) fn start(launch: &Launch<'_>) -> Result<Entries> {
    let hostfxr = Hostfxr::load_from_path(&launch.root.hostfxr)
        .map_err(|e| error::hostfxr_not_loaded(&launch.root.hostfxr, e))?;
    // hostfxr must never be unmapped: .NET keeps pointers into it, and a later start in this process would fail with
    // 0x80008081. Its library is counted; this count is never given back.
    mem::forget(hostfxr.clone());
    let said = Said::listen(&hostfxr);
    match launch.by {
        By::Module(config) => bring_up(for_module(&hostfxr, launch, config, &said)?, launch, &said),
        By::Application(assembly) => {
            // Its arguments are for its Main, which hostfxr does not run.
            let context = hostfxr
                .initialize_for_dotnet_command_line_with_dotnet_root(path(assembly)?, path(&launch.root.root)?)
                .map_err(|e| error::start(launch.root, e.value(), &said.text()))?;
            bring_up(context, launch, &said)
        }
    }
}

fn for_module(
    hostfxr: &Hostfxr,
    launch: &Launch<'_>,
    config: &str,
    said: &Said<'_>,
) -> Result<HostfxrContext<InitializedForRuntimeConfig>> {
    // hostfxr opens the file by its path, and refuses that of a memfd. Nobody reads it after `initialize`, which
    // leaves the folder to be removed.
    let write = || {
        let permissions = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("polyhost-").permissions(permissions).tempdir()?;
        let file = folder.path().join("polyhost.runtimeconfig.json");
        fs::write(&file, config)?;
        Ok((folder, file))
    };
    let (_folder, file) = write().map_err(error::no_temporary_file)?;
    let (file, root) = (path(&file)?, path(&launch.root.root)?);
    hostfxr
        .initialize_for_runtime_config_with_dotnet_root(file, root)
        .map_err(|e| error::start(launch.root, e.value(), &said.text()))
}

/// Starts the runtime of a context, loads the shim, and gives the ways in.
fn bring_up<I>(mut context: HostfxrContext<I>, launch: &Launch<'_>, said: &Said<'_>) -> Result<Entries> {
    let failed = |code: u32| error::start(launch.root, code, &said.text());
    // Where somebody else in this process has started .NET, its properties are set for good.
    if context.is_primary() {
        for (name, value) in &launch.properties {
            context.set_runtime_property_value(text(name)?, text(value)?).map_err(|e| failed(e.value()))?;
        }
    }
    altstack::ready()?;
    let handlers = Handlers::keep();
    let loader = context.get_delegate_loader();
    handlers.restore();
    let loader = loader.map_err(|e| failed(e.value()))?;
    for assembly in [polyhost_dotnet::GUEST, polyhost_dotnet::SHIM].iter().chain(launch.assemblies) {
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
    #[cfg(feature = "aspnet")]
    let aspnet = (!launch.assemblies.is_empty()).then(|| super::aspnet::entry(&loader)).transpose()?;
    Ok(Entries {
        shim: *bootstrap,
        #[cfg(feature = "aspnet")]
        aspnet,
    })
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

pub(super) fn text(text: &str) -> Result<PdCString> {
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
