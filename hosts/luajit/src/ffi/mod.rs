//! Everything that touches LuaJIT. All of this crate's `unsafe` is in this folder.
//!
//! # How errors pass
//! A Lua error unwinds the C stack as a foreign exception, which Rust can't
//! catch: `catch_unwind` around a Lua call that raises ends the process. Three
//! rules keep that from happening.
//!
//! 1. *Host code never raises while it pushes.* What raises in a push is want
//!    of memory; [`memory`] takes the VM's limit away while host code runs, and
//!    [`stack::Stack`] makes room before it pushes and gives the API no value
//!    that it refuses.
//! 2. *Guest code runs under `lua_pcall` alone* ([`call`]), with no Rust frame
//!    between that and the guest that has something to drop.
//! 3. *What guest code calls raises last* ([`natives`]): the Rust of a native
//!    function runs inside [`polyhost_bridge::boundary::enter`], everything is
//!    dropped, and then the outermost frame, which has nothing to drop, calls
//!    `lua_error`.
//!
//! # Who owns what
//! A [`vm::Vm`] owns its `lua_State` and lives in a box that does not move,
//! because the state's native functions and its allocator point to it. It is
//! used by the thread that has borrowed it from [`instances::Instances`], and
//! by nobody else but [`interrupt`], which sets the hook under a lock of its own.

mod c_stack;
mod call;
pub mod floor;
mod instances;
mod interrupt;
mod memory;
mod natives;
mod open;
mod stack;
mod traceback;
mod version;
mod vm;

pub(crate) use call::Failed;
pub(crate) use instances::Instances;
pub(crate) use natives::Raise;
pub(crate) use stack::{Interrupted, Kind, MAX_STRING, Stack, Wide};
pub(crate) use vm::Vm;

/// Where the host keeps its values in the registry, by integer key. Guests can't reach the registry: they have no
/// `debug` library.
mod registry {
    use std::ffi::c_int;

    /// The message handler of every protected call.
    pub(super) const TRACEBACK: c_int = 1;
    /// What an interrupt raises.
    pub(super) const INTERRUPTED: c_int = 2;
    /// The second argument of every export.
    pub(super) const CONTEXT: c_int = 3;
    /// The metatable of the guest library's errors.
    pub(super) const ERROR: c_int = 4;
    /// `tostring` as it was before guest code ran.
    pub(super) const TOSTRING: c_int = 5;
    /// Functions that take 64-bit integers apart, and put them together.
    pub(super) const SPLIT: c_int = 6;
    pub(super) const JOIN: c_int = 7;
    /// The unknown fields of decoded messages: tables, weakly held, to bytes.
    pub(super) const UNKNOWN: c_int = 8;
    /// The VM itself, as light userdata.
    pub(super) const VM: c_int = 9;
    /// The handler of export `n` is at `EXPORTS + n`.
    pub(super) const EXPORTS: c_int = 16;
}
pub(crate) use version::version;
