//! Rust closures and shared libraries as Polyhost modules.
//!
//! A closure is a module's export, or a host service that guests of any
//! language may call:
//!
//! ```
//! use polyhost_bridge::{CallContext, Export, Module, Output};
//! use polyhost_native::NativeModule;
//!
//! let module = NativeModule::builder("shout")
//!     .export(Export::bytes("shout/Upper"), |_cx, input, output| output.write(&input.to_ascii_uppercase()))
//!     .build()?;
//! let mut output = Output::new();
//! module.function("shout/Upper")?.call(&CallContext::none(), b"hello", &mut output)?;
//! assert_eq!(b"HELLO", output.as_slice());
//! # Ok::<_, polyhost_bridge::Error>(())
//! ```
//!
//! A shared library that implements `polyhost.h` is loaded through [`Native`],
//! in whatever language it was written. It becomes part of the process, so that
//! allowing it is [unsafe](NativeConfig::allow_libraries).
//!
//! This crate is also the template for a host: each has the same files, `lib
//! config runtime module function error ffi`.

mod config;
mod error;
mod ffi;
mod function;
mod module;
mod runtime;

pub use config::NativeConfig;
pub use function::{function, method};
pub use module::{ModuleBuilder, NativeModule};
pub use runtime::Native;
