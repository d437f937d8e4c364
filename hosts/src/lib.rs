//! One process, many runtimes: .NET, CPython, LuaJIT and native code behind one trait.
//!
//! ```no_run
//! use polyhost::{CallContext, LoadOptions, Output};
//!
//! let registry = polyhost::registry();
//! for location in ["clr:Greeter.dll", "py:greeter", "lua:greeter.lua", "native:libgreeter.so"] {
//!     let module = registry.load(location, &LoadOptions::new())?;
//!     let hello = module.function("greeter.v1.Greeter/SayHello")?;
//!     let mut reply = Output::new();
//!     hello.call(&CallContext::none(), b"\x0a\x05world", &mut reply)?;
//! }
//! # Ok::<_, polyhost::Error>(())
//! ```
//!
//! A [`Runtime`] loads a [`Module`], which exports [`Function`]s. They take and
//! return bytes; [`Method`] puts prost messages on top of them, and
//! `JsonFunction` JSON (feature `json`). What a guest may call is given to it as
//! [`Services`]: closures, or the exports of another guest. Whatever fails is an
//! [`Error`], with the stack of every language that the call went through.
//!
//! ```
//! use polyhost::{CallContext, Code, Error, Export, Module, Output};
//! use polyhost::native::NativeModule;
//!
//! let module = NativeModule::builder("greeter")
//!     .export(Export::bytes("SayHello"), |_cx, name, reply| match name {
//!         b"" => Err(Error::status(Code::InvalidArgument, "name is empty")),
//!         name => reply.write(&[b"Hello, ", name].concat()),
//!     })
//!     .build()?;
//! let hello = module.function("SayHello")?;
//! let mut reply = Output::new();
//! hello.call(&CallContext::none(), b"world", &mut reply)?;
//! assert_eq!(b"Hello, world", reply.as_slice());
//! let error = hello.call(&CallContext::none(), b"", &mut reply).unwrap_err();
//! assert_eq!("call SayHello: INVALID_ARGUMENT: name is empty", error.to_string());
//! # Ok::<_, polyhost::Error>(())
//! ```
//!
//! # Versions
//! A [`Deployment`] is a name over changing modules. Its functions call the version that is current, and no call fails
//! when the next one takes its place.
//!
//! ```
//! use std::time::Duration;
//!
//! use polyhost::native::NativeModule;
//! use polyhost::{CallContext, Deployment, Export, Module, Output, Result, UnloadVerdict};
//! # use std::sync::Arc;
//!
//! // In the place of `registry.load(location, &options)`.
//! let load = |greeting: &'static [u8]| -> Result<Arc<dyn Module>> {
//!     let builder = NativeModule::builder("greeter");
//!     Ok(builder.export(Export::bytes("SayHello"), move |_cx, _name, reply| reply.write(greeting)).build()?)
//! };
//! let greeter = Deployment::new(load(b"Hello")?)?;
//! let hello = greeter.function("SayHello")?;
//!
//! let report = greeter.deploy(Duration::from_secs(10), || load(b"Good day"))?;
//! assert_eq!((2, &UnloadVerdict::Unloaded), (report.version, &report.replaced[0].verdict));
//!
//! let mut reply = Output::new();
//! hello.call(&CallContext::none(), b"", &mut reply)?;
//! assert_eq!(b"Good day", reply.as_slice());
//!
//! // What does not load, or lacks an export that is held, leaves the current version running.
//! let other = || -> Result<Arc<dyn Module>> { Ok(NativeModule::builder("other").build()?) };
//! let error = greeter.deploy(Duration::ZERO, other).unwrap_err();
//! assert!(error.message().contains("it lacks SayHello"));
//! # Ok::<_, polyhost::Error>(())
//! ```
//!
//! # Features
//! Each host is a feature, and none is on by default: `clr`, `cpython`, `luajit`. Native code needs none. `json` calls
//! exports with JSON by their descriptors; `metrics` counts calls, errors and waits by the facade of that name. With `cpython`, a package that makes a program needs a build script of one
//! line, so that the program finds its libpython: see [`cpython`](https://docs.rs/polyhost-cpython).

/// Holds the project's README to what compiles.
#[cfg(all(doctest, feature = "json"))]
#[doc = include_str!("../../README.md")]
pub struct Readme;

pub use polyhost_bridge::*;
#[cfg(feature = "clr")]
pub use polyhost_clr as clr;
#[cfg(feature = "aspnet")]
pub use polyhost_clr::aspnet;
#[cfg(feature = "cpython")]
pub use polyhost_cpython as cpython;
#[cfg(feature = "aspnet")]
pub use polyhost_http as http;
#[cfg(feature = "luajit")]
pub use polyhost_luajit as luajit;
pub use polyhost_native as native;

/// Every runtime that this was built with, each with its default configuration. A runtime starts when its first
/// module is loaded.
///
/// To configure one, put your own in its place. So do programs that load shared libraries, which no safe function
/// can allow:
///
/// ```
/// use polyhost::native::Native;
///
/// let mut registry = polyhost::registry();
/// // SAFETY: this program loads libraries of its own package alone.
/// registry.add("native", || Ok(unsafe { Native::with_libraries() }));
/// # assert!(registry.schemes().any(|scheme| scheme == "native"));
/// ```
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add("native", || Ok(native::Native::new()));
    #[cfg(feature = "clr")]
    registry.add("clr", || clr::Clr::start(&clr::ClrConfig::default()));
    #[cfg(feature = "cpython")]
    registry.add("py", || cpython::Cpython::start(&cpython::CpythonConfig::default()));
    #[cfg(feature = "luajit")]
    registry.add("lua", || Ok(luajit::LuaJit::start(luajit::LuaJitConfig::default())));
    registry
}
