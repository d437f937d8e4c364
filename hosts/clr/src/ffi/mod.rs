//! All that is unsafe here: starting .NET, calling the shim, signal stacks and signal handlers.

pub(crate) mod altstack;
#[cfg(feature = "aspnet")]
pub(crate) mod aspnet;
#[cfg(feature = "aspnet")]
mod block;
pub(crate) mod guest;
pub(crate) mod hostfxr;
pub(crate) mod signals;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
compile_error!(
    "polyhost-clr is for x86-64 Linux with glibc, where it is tested; build polyhost without its feature `clr` elsewhere"
);
