//! One process, many runtimes.

pub use polyhost_bridge::*;
