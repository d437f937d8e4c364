//! Measuring, within a worker.

pub(crate) mod clock;
pub(crate) mod closed;
pub(crate) mod cpu;
pub(crate) mod histogram;
pub(crate) mod memory;
pub(crate) mod open;

use polyhost::Output;

use crate::contenders::Caller;
use crate::workloads::Requests;

/// One caller with what it sends and where its replies go; it stays on a thread of its own.
pub(crate) struct Lane {
    pub(crate) caller: Box<dyn Caller>,
    pub(crate) requests: Requests,
    pub(crate) output: Output,
}
