//! One process, many runtimes.

pub use polyhost_bridge::*;
#[cfg(feature = "clr")]
pub use polyhost_clr as clr;
#[cfg(feature = "cpython")]
pub use polyhost_cpython as cpython;
#[cfg(feature = "luajit")]
pub use polyhost_luajit as luajit;
pub use polyhost_native as native;

/// Every runtime that this was built with, none started yet, each with its default configuration.
///
/// `native:` loads nothing until a runtime of its own takes its place
/// ([`Registry::add`]): shared libraries have to be [allowed](native::NativeConfig::allow_libraries).
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add("native", || Ok(native::Native::new()));
    #[cfg(feature = "clr")]
    registry.add("clr", || clr::Clr::start(&clr::ClrConfig::default()));
    #[cfg(feature = "luajit")]
    registry.add("lua", || Ok(luajit::LuaJit::start(luajit::LuaJitConfig::default())));
    registry
}
