#![doc = include_str!("../README.md")]

mod config;
mod error;
mod ffi;
mod function;
mod host;
mod library;
mod message;
mod module;
mod pool;
mod printed;
mod runtime;
mod scratch;
mod threads;
mod types;

pub use config::LuaJitConfig;
pub use module::LuaModule;
pub use runtime::LuaJit;

#[doc(hidden)]
pub use ffi::floor;
