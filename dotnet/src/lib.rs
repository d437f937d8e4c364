//! The .NET side of Polyhost, embedded: the resident shim and what C# guests reference.
//!
//! The three assemblies are built from the C# sources in this crate for net8.0 and run on every later .NET. A test
//! builds them again with the pinned SDK and compares the bytes, so users need a runtime only.

/// `Polyhost.dll`, the resident shim. Loaded by bytes into the default load context, after [`GUEST`].
///
/// It opens assemblies (path or bytes) and C# source (a path that ends in `.cs`, or text). Its options are
/// `references`, assemblies and folders of them, divided by colons, and `roslyn`, the folder of the compiler's
/// libraries, for source.
///
/// Its entry is [`SHIM_TYPE`]`.`[`SHIM_METHOD`], `[UnmanagedCallersOnly]`, a `PolyhostGuestEntry` of `polyhost.h`.
pub const SHIM: &[u8] = include_bytes!("../prebuilt/Polyhost.dll");

/// `Polyhost.Guest.dll`, which guests reference. Loaded by bytes into the default load context before [`SHIM`]; guests
/// get this copy, whatever lies beside them.
pub const GUEST: &[u8] = include_bytes!("../prebuilt/Polyhost.Guest.dll");

/// `Polyhost.Guest.xml`, the documentation of [`GUEST`] for editors, which look for it beside the assembly.
pub const GUEST_DOCUMENTATION: &str = include_str!("../prebuilt/Polyhost.Guest.xml");

/// `Polyhost.Compiler.dll`, a guest that compiles C# projects where there is no SDK. The shim has a copy of its own for
/// modules that are given as source, so it is loaded as a module only to build assemblies.
///
/// Load it as a module from bytes, with the option `references` naming the folder of Roslyn's libraries (4.8 or later),
/// and call its export [`COMPILE`] with JSON. Relative paths are relative to the working folder of the process.
///
/// | key | |
/// | --- | --- |
/// | `output` | the assembly to write; `.pdb`, `.xml` and, for a program, `.runtimeconfig.json` go beside it |
/// | `sources` | the files to compile |
/// | `references` | assemblies to compile against, besides the framework and `Polyhost.Guest` |
/// | `defines` | preprocessor symbols, besides `NET8_0_OR_GREATER` and the like |
/// | `kind` | `library` (default) or `program` |
/// | `name`, `version` | of the assembly; by default that of the file, and `1.0.0.0` |
/// | `language` | version of C#, such as `12`; by default the compiler's latest |
/// | `web` | `true` for the implicit usings and the framework of ASP.NET Core |
/// | `plain` | `true` for no implicit usings and no nullable annotations |
///
/// It returns `{"warnings": ["…"]}`. Code that does not compile is an error of kind Load with a frame for each of the
/// compiler's errors. Google.Protobuf 3.21.12 is built from its sources with `plain`, `version` `3.21.12.0`, and the
/// symbols `GOOGLE_PROTOBUF_SUPPORT_FAST_STRING` and `GOOGLE_PROTOBUF_SIMD`.
pub const COMPILER: &[u8] = include_bytes!("../prebuilt/Polyhost.Compiler.dll");

/// The export of [`COMPILER`].
pub const COMPILE: &str = "polyhost.compiler/Compile";

/// `Polyhost.AspNetCore.dll`, the server that ASP.NET Core applications get in the place of Kestrel. Loaded by bytes
/// into the default load context of a .NET that has ASP.NET Core.
///
/// Its entry is [`ASPNET_TYPE`]`.`[`ASPNET_METHOD`], `[UnmanagedCallersOnly]`.
#[cfg(feature = "aspnet")]
pub const ASPNET: &[u8] = include_bytes!("../prebuilt/Polyhost.AspNetCore.dll");

/// The assembly-qualified name of the type with the entry of [`ASPNET`].
#[cfg(feature = "aspnet")]
pub const ASPNET_TYPE: &str = "Polyhost.AspNetCore.Entry, Polyhost.AspNetCore";

/// The name of the entry of [`ASPNET`].
#[cfg(feature = "aspnet")]
pub const ASPNET_METHOD: &str = "Start";

/// The assembly-qualified name of the type with the shim's entry.
pub const SHIM_TYPE: &str = "Polyhost.Shim, Polyhost";

/// The name of the shim's entry.
pub const SHIM_METHOD: &str = "Bootstrap";
