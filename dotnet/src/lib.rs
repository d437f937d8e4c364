//! The .NET side of Polyhost, embedded: the resident shim and what C# guests reference.
//!
//! The three assemblies are built from the C# sources in this crate for net8.0 and run on every later .NET. A test
//! builds them again with the pinned SDK and compares the bytes, so users need a runtime only.

/// `Polyhost.dll`, the resident shim. Loaded by bytes into the default load context, after [`GUEST`].
///
/// Its entry is [`SHIM_TYPE`]`.`[`SHIM_METHOD`], `[UnmanagedCallersOnly]`, a `PolyhostGuestEntry` of `polyhost.h`.
pub const SHIM: &[u8] = include_bytes!("../prebuilt/Polyhost.dll");

/// `Polyhost.Guest.dll`, which guests reference. Loaded by bytes into the default load context before [`SHIM`]; guests
/// get this copy, whatever lies beside them.
pub const GUEST: &[u8] = include_bytes!("../prebuilt/Polyhost.Guest.dll");

/// The assembly-qualified name of the type with the shim's entry.
pub const SHIM_TYPE: &str = "Polyhost.Shim, Polyhost";

/// The name of the shim's entry.
pub const SHIM_METHOD: &str = "Bootstrap";
