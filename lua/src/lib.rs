//! The Lua side of Polyhost, embedded: what guests get as `require "polyhost"`.

/// `polyhost/init.lua`: the guest library.
pub const LIBRARY: &str = include_str!("../polyhost/init.lua");

/// `polyhost/sandbox.lua`: takes away what guests don't get, before they run.
pub const SANDBOX: &str = include_str!("../polyhost/sandbox.lua");
