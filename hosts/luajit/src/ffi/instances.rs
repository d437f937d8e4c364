//! The VMs of a module, each for one thread at a time.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use polyhost_bridge::observe::Waits;
use polyhost_bridge::{CallContext, Result};

use super::vm::Vm;
use crate::pool::{Lease, Names, Pool};

/// The VMs of one module.
pub(crate) struct Instances {
    pool: Pool,
    vms: Box<[Box<Vm>]>,
    /// What each had taken when that was last asked for.
    heaps: Box<[AtomicUsize]>,
}

// SAFETY: a VM has no tie to the thread that made it.
unsafe impl Send for Instances {}
// SAFETY: a VM is reached through `Instances::borrow` alone, and `Pool` lends a place to one thread at a time, handing
// it from one to the next with release and acquire. A thread that holds it may borrow it again: `Vm` has only shared
// methods and cells.
unsafe impl Sync for Instances {}

/// A VM that this thread holds.
pub(crate) struct Borrowed<'a> {
    vm: &'a Vm,
    /// Given back when dropped. Neither Send nor Sync.
    lease: Lease<'a>,
}

impl Instances {
    #[expect(clippy::vec_box, reason = "Lua holds the address of its Vm")]
    pub(crate) fn new(vms: Vec<Box<Vm>>, patience: Duration, waits: Waits) -> Instances {
        let heaps = vms.iter().map(|vm| AtomicUsize::new(vm.heap())).collect();
        Instances { pool: Pool::new(vms.len(), patience, waits), vms: vms.into_boxed_slice(), heaps }
    }

    /// How many bytes the VMs have; what one had the last time, where it is in use.
    pub(crate) fn heap(&self) -> usize {
        let ask = |(index, known): (usize, &AtomicUsize)| {
            if let Some(_lease) = self.pool.borrow_this(index) {
                known.store(self.vms[index].heap(), Ordering::Relaxed);
            }
            known.load(Ordering::Relaxed)
        };
        self.heaps.iter().enumerate().map(ask).sum()
    }

    /// The VM this thread holds already, or a free one; see [`Pool::borrow`].
    #[inline]
    pub(crate) fn borrow(&self, call: usize, names: &dyn Names, cx: &CallContext) -> Result<Borrowed<'_>> {
        let lease = self.pool.borrow(call, names, cx)?;
        Ok(Borrowed { vm: &self.vms[lease.index()], lease })
    }

    /// Closes every VM, and frees what they hold. False where one is in use.
    pub(crate) fn close(&self) -> bool {
        let mut all = true;
        for (index, vm) in self.vms.iter().enumerate() {
            // Never given back: a closed VM is for nobody.
            let free = self.pool.retire(index);
            if free {
                vm.close();
            }
            all &= free;
        }
        all
    }
}

impl Deref for Borrowed<'_> {
    type Target = Vm;

    #[inline]
    fn deref(&self) -> &Vm {
        self.vm
    }
}

impl std::fmt::Debug for Borrowed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Borrowed").field(&self.lease.index()).finish()
    }
}
