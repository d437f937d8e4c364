#![doc = include_str!("../README.md")]

#[cfg(feature = "aspnet")]
pub mod aspnet;
mod config;
mod error;
mod ffi;
mod function;
mod image;
mod module;
mod runtime;

pub use config::{Aspnet, ClrConfig, GcConfig, GuestExit, GuestFailure, GuestFailures, JitConfig, RollForward};
pub use polyhost_toolchain::Version;
pub use runtime::Clr;
