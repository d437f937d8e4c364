#![doc = include_str!("../README.md")]
//!
//! # For authors of hosts
//! This crate is also the template for a host: each has the same files, `lib config runtime module function error ffi`.

mod config;
mod error;
mod ffi;
mod function;
mod module;
mod runtime;

pub use config::NativeConfig;
pub use ffi::guest;
pub use function::{function, method};
pub use module::{ModuleBuilder, NativeModule};
pub use runtime::Native;
