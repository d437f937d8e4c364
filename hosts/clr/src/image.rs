//! What a file is that is to be loaded as an assembly.
//!
//! .NET says of all of these only that the format is bad.

use std::fs;
#[cfg(feature = "aspnet")]
use std::io::Read;
use std::path::Path;

use polyhost_bridge::{Error, ErrorKind, Result};
use polyhost_toolchain::Version;
use serde_json::Value;

/// The frameworks that were named at start, and the version of the runtime: those of one release belong together.
#[derive(Debug, Clone)]
pub(crate) struct Frameworks {
    pub names: Vec<&'static str>,
    pub version: Version,
}

/// Refuses a file that this process can't load, and says what it is.
///
/// # Errors
/// [`ErrorKind::Load`].
pub(crate) fn check_file(path: &Path, frameworks: &Frameworks) -> Result<()> {
    check_assembly(path)?;
    check_runtime_config(&path.with_extension("runtimeconfig.json"), frameworks).map_err(|what| refused(path, &what))
}

/// Refuses a file that is no assembly for this processor.
///
/// # Errors
/// [`ErrorKind::Load`].
pub(crate) fn check_assembly(path: &Path) -> Result<()> {
    let metadata = path.metadata().map_err(|e| missing(path, &e))?;
    if metadata.is_dir() {
        return Err(refused(path, "is a folder; name the assembly in it, such as App.dll"));
    }
    let image = fs::read(path).map_err(|e| missing(path, &e))?;
    check(&image).map_err(|what| refused(path, &what))
}

#[cold]
fn refused(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Load, format!("{} {what}", path.display()))
}

/// The same for the content of a file.
///
/// # Errors
/// [`ErrorKind::Load`].
pub(crate) fn check_bytes(name: &str, image: &[u8]) -> Result<()> {
    check(image).map_err(|what| Error::new(ErrorKind::Load, format!("{name} {what}")))
}

#[cold]
pub(crate) fn missing(path: &Path, error: &std::io::Error) -> Error {
    let message = match (error.kind(), path.is_absolute(), std::env::current_dir()) {
        (std::io::ErrorKind::NotFound, false, Ok(folder)) => {
            format!("no file {}; looked in {}", path.display(), folder.display())
        }
        (std::io::ErrorKind::NotFound, ..) => format!("no file {}", path.display()),
        _ => format!("{} can't be read: {error}", path.display()),
    };
    Error::new(ErrorKind::Load, message)
}

// PE/COFF, and ECMA-335 II.25 for what .NET adds to it.
const PE_OFFSET: usize = 0x3c;
const COFF_SIZE: usize = 20;
const SECTION_SIZE: usize = 40;
const PE32: u16 = 0x10b;
const PE32_PLUS: u16 = 0x20b;
const CLI_HEADER: usize = 14;
const X86: u16 = 0x014c;
const X64: u16 = 0x8664;
const ONLY_32_BIT: u32 = 2;
/// Code that was compiled ahead for another system than Windows has the machine's number combined with one of these.
const SYSTEMS: [u16; 5] = [0, 0x7b79, 0x4644, 0xadc4, 0x1993];
const OTHERS: [(u16, &str); 4] = [(0xaa64, "arm64"), (0x01c4, "arm"), (0x6264, "loongarch64"), (0x5064, "riscv64")];

/// What stands in every program that starts a .NET application, behind the place of the application's files in it
/// (dotnet/runtime `src/native/corehost/apphost/bundle_marker.cpp`).
const BUNDLE: [u8; 32] = [
    0x8b, 0x12, 0x02, 0xb9, 0x6a, 0x61, 0x20, 0x38, 0x72, 0x7b, 0x93, 0x02, 0x14, 0xd7, 0xa0, 0x32, 0x13, 0xf5, 0xb9,
    0xe6, 0xef, 0xae, 0x33, 0x18, 0xee, 0x3b, 0x2d, 0xce, 0x24, 0xb3, 0x6a, 0xae,
];
/// Where it is at the latest; the application's own files come behind.
const BUNDLE_WITHIN: usize = 32 << 20;

fn check(image: &[u8]) -> Result<(), String> {
    if image.is_empty() {
        return Err("is empty".to_owned());
    }
    if image.starts_with(b"\x7fELF") {
        return Err(elf(image).to_owned());
    }
    if !image.starts_with(b"MZ") {
        return Err("is no .NET assembly: it has no PE header".to_owned());
    }
    let (machine, flags) = parse(image).ok_or("is cut short, or damaged: its PE header names what is not there")??;
    if machine == X86 && flags & ONLY_32_BIT != 0 {
        return Err("is for 32-bit processes (x86); build it for AnyCPU or x64".to_owned());
    }
    let other = |(number, _): &&(u16, &str)| SYSTEMS.iter().any(|system| machine ^ system == *number);
    match OTHERS.iter().find(other) {
        Some((_, name)) => Err(format!("is for {name}; build it for AnyCPU or x64")),
        None if machine == X86 || SYSTEMS.iter().any(|system| machine ^ system == X64) => Ok(()),
        None => Err(format!("is for another processor (PE machine {machine:#06x}); build it for AnyCPU or x64")),
    }
}

/// The machine, and the flags of the CLI header. `None` where something lies behind the end.
fn parse(image: &[u8]) -> Option<Result<(u16, u32), &'static str>> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(image.get(at..at.checked_add(2)?)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(image.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let pe = u32_at(PE_OFFSET)? as usize;
    if image.get(pe..pe + 4)? != b"PE\0\0" {
        return Some(Err("is a DOS program and no .NET assembly"));
    }
    let coff = pe + 4;
    let (machine, sections, optional_size) = (u16_at(coff)?, u16_at(coff + 2)?, u16_at(coff + 16)?);
    let optional = coff + COFF_SIZE;
    let directories = match u16_at(optional)? {
        PE32 => optional + 96,
        PE32_PLUS => optional + 112,
        _ => return Some(Err("is no .NET assembly: its PE header is of an unknown kind")),
    };
    let cli = if u32_at(directories - 4)? as usize > CLI_HEADER { u32_at(directories + 8 * CLI_HEADER)? } else { 0 };
    if cli == 0 {
        return Some(Err("is native Windows code and no .NET assembly"));
    }
    let mut flags = None;
    let table = optional + optional_size as usize;
    for section in (0..sections as usize).map(|i| table + i * SECTION_SIZE) {
        let (address, size, offset) = (u32_at(section + 12)?, u32_at(section + 16)?, u32_at(section + 20)?);
        if offset.checked_add(size)? as usize > image.len() {
            return None;
        }
        if let Some(within) = cli.checked_sub(address).filter(|within| *within < size) {
            flags = u32_at((offset + within) as usize + 16);
        }
    }
    Some(Ok((machine, flags?)))
}

/// Whether a file is a program that starts a .NET application, or that one was made into.
#[cfg(feature = "aspnet")]
pub(crate) fn is_program(path: &Path) -> bool {
    let magic = fs::File::open(path).and_then(|mut file| {
        let mut magic = [0; 4];
        file.read_exact(&mut magic).map(|()| magic)
    });
    if !magic.is_ok_and(|magic| &magic == b"\x7fELF") {
        return false;
    }
    let Ok(image) = fs::read(path) else { return false };
    find_bundle(&image).is_some() || is_compiled_ahead(&image)
}

fn find_bundle(image: &[u8]) -> Option<usize> {
    image[..image.len().min(BUNDLE_WITHIN)].windows(BUNDLE.len()).position(|window| window == BUNDLE)
}

/// Whether an ELF file has the section into which the compiler ahead of time puts managed code (dotnet/runtime
/// `ObjectNodeSection.cs`). It is there when symbols are stripped, too.
fn is_compiled_ahead(image: &[u8]) -> bool {
    const MANAGED_CODE: &[u8] = b"__managedcode\0";
    let u16_at = |at: usize| Some(u16::from_le_bytes(image.get(at..at + 2)?.try_into().ok()?) as usize);
    let u64_at =
        |at: usize| usize::try_from(u64::from_le_bytes(image.get(at..at.checked_add(8)?)?.try_into().ok()?)).ok();
    // The header of the section that holds the names of all.
    let names = || {
        let header = u64_at(0x28)?.checked_add(u16_at(0x3a)?.checked_mul(u16_at(0x3e)?)?)?;
        let (from, size) = (u64_at(header.checked_add(0x18)?)?, u64_at(header.checked_add(0x20)?)?);
        image.get(from..from.checked_add(size)?)
    };
    names().is_some_and(|names| names.windows(MANAGED_CODE.len()).any(|window| window == MANAGED_CODE))
}

fn elf(image: &[u8]) -> &'static str {
    match find_bundle(image) {
        None if is_compiled_ahead(image) => {
            "is an application that was compiled ahead of time, so there is no assembly; publish it without PublishAot"
        }
        None => "is native code and no .NET assembly; load a shared library as native:PATH",
        Some(at) => match at.checked_sub(8).and_then(|at| image.get(at..at + 8)) {
            Some([0, 0, 0, 0, 0, 0, 0, 0]) => {
                "is the program that starts an assembly; load the .dll of the same name beside it"
            }
            _ => {
                "is a single-file application, which brings a runtime of its own; publish it without PublishSingleFile and load its .dll"
            }
        },
    }
}

/// Compares the frameworks that an application wants with those that run. Libraries have no such file.
fn check_runtime_config(path: &Path, frameworks: &Frameworks) -> Result<(), String> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(()) };
    // Comments are allowed there, so not every file is JSON; .NET's own reader has seen it when it was built.
    let Ok(config) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
    let options = &config["runtimeOptions"];
    if options.get("includedFrameworks").is_some() {
        return Err("is of a self-contained application, which brings a runtime of its own; publish it with --self-contained false".to_owned());
    }
    let one = options.get("framework").into_iter();
    let many = options["frameworks"].as_array().into_iter().flatten();
    for framework in one.chain(many) {
        let name = framework["name"].as_str().unwrap_or_default();
        if !frameworks.names.contains(&name) {
            let running = frameworks.names.join(" and ");
            return Err(format!(
                "needs the framework {name}; this process runs on {running}, which can't be added to: install it, and see ClrConfig::aspnet"
            ));
        }
        let wanted = framework["version"].as_str().and_then(|text| text.parse::<Version>().ok());
        if let Some(wanted) = wanted.filter(|wanted| *wanted > frameworks.version) {
            let running = &frameworks.version;
            return Err(format!("needs {name} {wanted}; this process runs on {running}: install a newer .NET"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use polyhost_testkit::fuzz::edited;

    use super::*;

    fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// The least that is taken for an assembly.
    fn assembly() -> Vec<u8> {
        let mut image = vec![0; 0x300];
        let (pe, optional) = (0x40, 0x40 + 4 + COFF_SIZE);
        put(&mut image, 0, b"MZ");
        put(&mut image, PE_OFFSET, &(pe as u32).to_le_bytes());
        put(&mut image, pe, b"PE\0\0");
        put(&mut image, pe + 4, &X64.to_le_bytes());
        put(&mut image, pe + 6, &1u16.to_le_bytes());
        put(&mut image, pe + 20, &240u16.to_le_bytes());
        put(&mut image, optional, &PE32_PLUS.to_le_bytes());
        put(&mut image, optional + 108, &16u32.to_le_bytes());
        put(&mut image, optional + 112 + 8 * CLI_HEADER, &0x2010u32.to_le_bytes());
        for (at, value) in [(12, 0x2000u32), (16, 0x100), (20, 0x200)] {
            put(&mut image, optional + 240 + at, &value.to_le_bytes());
        }
        image
    }

    /// An ELF file with a section of managed code, and the marker of a bundle.
    fn program() -> Vec<u8> {
        let mut image = vec![0; 0x200];
        put(&mut image, 0, b"\x7fELF");
        put(&mut image, 0x28, &0x40u64.to_le_bytes());
        put(&mut image, 0x3a, &64u16.to_le_bytes());
        put(&mut image, 0x3e, &1u16.to_le_bytes());
        put(&mut image, 0x40 + 64 + 0x18, &0x100u64.to_le_bytes());
        put(&mut image, 0x40 + 64 + 0x20, &0x20u64.to_le_bytes());
        put(&mut image, 0x108, b"__managedcode\0");
        put(&mut image, 0x160, &BUNDLE);
        image
    }

    #[test]
    fn fuzz_files_that_may_be_assemblies() {
        assert_eq!(Ok(()), check(&assembly()));
        assert!(is_compiled_ahead(&program()) && find_bundle(&program()).is_some());
        edited([assembly(), program()], |image| {
            if let Err(what) = check(image) {
                assert!(what.starts_with("is "), "{what}");
            }
            is_compiled_ahead(image);
        });
    }
}
