#![doc = include_str!("../README.md")]

mod config;
mod error;
mod ffi;
mod function;
mod gate;
mod module;
mod runtime;

pub use config::{CpythonConfig, MemoryLimits};
pub use runtime::Cpython;

/// For the bench alone.
#[doc(hidden)]
pub mod floor {
    pub use crate::ffi::floor::Floor;
}
