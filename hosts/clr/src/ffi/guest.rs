//! The shim, as the host calls it.

use std::fmt;
use std::mem::{MaybeUninit, size_of};
use std::sync::OnceLock;

use polyhost_bridge::abi::sys::{PolyhostGuest, PolyhostSlice};
use polyhost_bridge::abi::{self, GuestModule, Opened, Source};
use polyhost_bridge::{CallContext, Error, ErrorKind, Output, Result};

use super::altstack;
use super::hostfxr::Entry;

/// The shim's functions. They stay good as long as the process: neither the shim nor .NET is ever unloaded.
///
/// Every method that runs managed code makes sure of the thread's signal stack first.
pub(crate) struct Shim {
    /// With [`cancel`] in the place of the shim's own.
    table: PolyhostGuest,
    cancel: Option<unsafe extern "C" fn(u64)>,
}

// SAFETY: the pointers in the table are to functions that may be called on any thread, and to constants.
unsafe impl Send for Shim {}
// SAFETY: as above.
unsafe impl Sync for Shim {}

static SHIM: OnceLock<Shim> = OnceLock::new();

impl Shim {
    /// Hands the host's functions to the shim and takes its own. Once per process.
    ///
    /// # Errors
    /// [`ErrorKind::Load`] where they don't fit together.
    pub(crate) fn connect(entry: Entry) -> Result<&'static Shim> {
        // SAFETY: zeroes are valid for integers, null pointers, empty slices and functions that are not there.
        let mut table: PolyhostGuest = unsafe { MaybeUninit::zeroed().assume_init() };
        table.size = size_of::<PolyhostGuest>() as u32;
        let mut reason = PolyhostSlice { data: std::ptr::null(), len: 0 };
        altstack::ready()?;
        // SAFETY: the host's table lives as long as the process, the two others until the call returns.
        let status = unsafe { entry(abi::host(), &mut table, &mut reason) };
        if status != abi::OK {
            // SAFETY: a reason lives as long as the process.
            let reason = String::from_utf8_lossy(unsafe { abi::bytes(reason) });
            return Err(Error::new(ErrorKind::Load, format!("the shim refused to start (status {status}): {reason}")));
        }
        abi::check_version(&table)?;
        let theirs = table.cancel.replace(cancel);
        Ok(SHIM.get_or_init(|| Shim { table, cancel: theirs }))
    }

    /// The version of .NET that runs.
    pub(crate) fn version(&self) -> String {
        // SAFETY: lives as long as the process.
        String::from_utf8_lossy(unsafe { abi::bytes(self.table.version) }).into_owned()
    }

    /// Loads a module, whose code runs in `cx` meanwhile.
    pub(crate) fn open(&self, module: &GuestModule, source: &Source<'_>, cx: &CallContext) -> Result<Opened> {
        altstack::ready()?;
        // SAFETY: the shim keeps the contract of polyhost.h.
        unsafe { abi::open(&self.table, module, source, cx) }
    }

    /// Unloads a module whose calls have all ended, or looks again at one that was unloaded, and tells what still holds
    /// it.
    pub(crate) fn close(&self, module: &GuestModule, id: u64) -> Result<Vec<String>> {
        altstack::ready()?;
        // SAFETY: the shim keeps the contract of polyhost.h.
        unsafe { abi::close(&self.table, module, id) }
    }

    /// Unloads a module whose calls have all ended, without a look at what becomes of it.
    pub(crate) fn release(&self, module: &GuestModule, id: u64) -> Result<()> {
        altstack::ready()?;
        // SAFETY: the shim keeps the contract of polyhost.h.
        unsafe { abi::release(&self.table, module, id) }
    }

    /// Calls an export on this thread.
    #[inline]
    pub(crate) fn call(
        &self,
        function: u64,
        module: &GuestModule,
        cx: &CallContext,
        input: &[u8],
        output: &mut Output,
    ) -> Result<()> {
        altstack::ready()?;
        // SAFETY: the shim keeps the contract of polyhost.h.
        unsafe { abi::call(&self.table, function, module, cx, input, output) }
    }

    /// How many bytes the managed heap takes.
    pub(crate) fn heap(&self) -> Option<u64> {
        altstack::ready().ok()?;
        // SAFETY: the shim keeps the contract of polyhost.h.
        self.table.heap.map(|heap| unsafe { heap() })
    }

    /// Says that no call comes any more.
    pub(crate) fn shutdown(&self) -> Result<()> {
        altstack::ready()?;
        if let Some(shutdown) = self.table.shutdown {
            // SAFETY: the shim keeps the contract of polyhost.h; its runtime makes no call after this.
            unsafe { shutdown() };
        }
        Ok(())
    }
}

/// Comes from whatever thread cancels a call, most often the watchdog of deadlines, and runs the guest's own callbacks.
unsafe extern "C" fn cancel(id: u64) {
    // A thread that cannot get a signal stack cancels all the same: the call may never end otherwise.
    let _ = altstack::ready();
    if let Some(cancel) = SHIM.get().and_then(|shim| shim.cancel) {
        // SAFETY: the shim keeps the contract of polyhost.h.
        unsafe { cancel(id) };
    }
}

impl fmt::Debug for Shim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shim").field("version", &self.version()).finish_non_exhaustive()
    }
}
