//! What a published application is, before .NET starts for it.

use std::fs;
use std::path::{Path, PathBuf};

use polyhost_bridge::{Error, ErrorKind, Result};
use polyhost_toolchain::dotnet::{self, ASPNET, CORE, DotnetRoot};
use polyhost_toolchain::{Machine, Version};
use serde_json::Value;

use crate::config::ClrConfig;
use crate::{error, image};

/// A published application.
#[derive(Debug)]
pub(crate) struct Published {
    /// Its assembly, absolute.
    pub(crate) assembly: PathBuf,
    /// The shared frameworks it runs on.
    pub(crate) frameworks: Vec<&'static str>,
    /// The same with the versions it asks for, for messages.
    pub(crate) wanted: String,
    /// Whether it brings its own runtime.
    self_contained: bool,
}

const CONFIG: &str = "runtimeconfig.json";

impl Published {
    /// Looks at an application, given by its assembly or by the folder it was published to.
    ///
    /// # Errors
    /// [`ErrorKind::Load`] where it is none, or of a kind that can't be hosted: which, and what to do.
    pub(crate) fn at(path: &Path) -> Result<Published> {
        // As `dotnet` does: the application sees where it really lies.
        let path = path.canonicalize().map_err(|e| image::missing(path, &e))?;
        let assembly = if path.is_dir() { in_folder(&path)? } else { path };
        image::check_assembly(&assembly)?;
        let config_file = assembly.with_extension(CONFIG);
        let text = fs::read_to_string(&config_file).map_err(|e| no_config(&assembly, &config_file, &e))?;
        // .NET allows comments there.
        let config: Value = serde_json::from_str(&without_comments(&text)).map_err(|e| {
            refused(&assembly, &format!("has a {CONFIG} beside it that is no JSON: {e}; publish it again")).caused_by(e)
        })?;
        let options = &config["runtimeOptions"];
        let self_contained = options.get("includedFrameworks").is_some();
        let list = if self_contained { &options["includedFrameworks"] } else { &options["frameworks"] };
        let named = list.as_array().into_iter().flatten().chain(options.get("framework"));
        let with_version = |framework: &Value| {
            let name = framework["name"].as_str()?.to_owned();
            Some((name, framework["version"].as_str().unwrap_or_default().to_owned()))
        };
        let named: Vec<(String, String)> = named.filter_map(with_version).collect();
        let wanted: Vec<String> = named.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let named: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        if !named.contains(&ASPNET) {
            let what = format!(
                "is no web application: its {CONFIG} names {} and not {ASPNET}; build it with the SDK Microsoft.NET.Sdk.Web",
                if named.is_empty() { "no framework".to_owned() } else { named.join(" and ") }
            );
            return Err(refused(&assembly, &what));
        }
        let app = Published { assembly, frameworks: vec![CORE, ASPNET], wanted: wanted.join(", "), self_contained };
        if self_contained {
            app.check_self_contained()?;
        }
        Ok(app)
    }

    /// The folder it lies in.
    pub(crate) fn folder(&self) -> &Path {
        self.assembly.parent().unwrap_or(Path::new("/"))
    }

    /// The .NET it starts with: its own where it brings one, else one of the machine's.
    ///
    /// # Errors
    /// [`ErrorKind::Load`] where there is none.
    pub(crate) fn root(&self, config: &ClrConfig, machine: &Machine) -> Result<DotnetRoot> {
        if !self.self_contained {
            let mut wanted = config.wanted();
            wanted.aspnet = true;
            let search = dotnet::search(machine, config.dotnet_root.as_deref(), &wanted);
            return search.into_result().map_err(|e| error::no_dotnet(&e));
        }
        Ok(DotnetRoot {
            root: self.folder().to_owned(),
            hostfxr: self.folder().join("libhostfxr.so"),
            hostfxr_version: Version::new(0, 0, 0),
            runtimes: std::collections::BTreeMap::new(),
            sdks: Vec::new(),
            found_by: "the application, which is self-contained".to_owned(),
        })
    }

    /// Refuses it where .NET runs already, with what it can't run on.
    ///
    /// # Errors
    /// [`ErrorKind::Load`].
    pub(crate) fn check_running(&self, frameworks: &image::Frameworks) -> Result<()> {
        if self.self_contained {
            let what = "brings a runtime of its own, and .NET runs in this process already; start it first, or publish it with --self-contained false";
            return Err(refused(&self.assembly, what));
        }
        image::check_file(&self.assembly, frameworks)
    }

    fn check_self_contained(&self) -> Result<()> {
        let missing = |file: &str| !self.folder().join(file).is_file();
        if let Some(file) =
            ["libhostfxr.so", "libhostpolicy.so", "libcoreclr.so"].into_iter().find(|file| missing(file))
        {
            let what = format!("is self-contained, but {file} does not lie beside it; publish it again");
            return Err(refused(&self.assembly, &what));
        }
        // Assemblies that the server needs and that trimming takes out of an application with its own.
        let needed = [
            "Microsoft.AspNetCore.Server.Kestrel.Core.dll",
            "Microsoft.Extensions.Hosting.dll",
            "System.Runtime.Loader.dll",
        ];
        if needed.into_iter().any(missing) {
            return Err(refused(
                &self.assembly,
                "was trimmed, so what its server needs may be gone; publish it without PublishTrimmed",
            ));
        }
        Ok(())
    }
}

/// The one application in a folder.
fn in_folder(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).map_err(|e| image::missing(folder, &e))?;
    let name = |entry: fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(&format!(".{CONFIG}"))?.to_owned());
    let mut names: Vec<String> = entries.flatten().filter_map(name).collect();
    names.sort();
    match names.as_slice() {
        [name] => Ok(folder.join(format!("{name}.dll"))),
        [] => {
            // Single-file, or compiled ahead of time: what it is, is told by name.
            let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
            if let Some(program) = files.filter(|path| path.is_file()).find(|path| image::is_program(path)) {
                // With an assembly beside it, the file that is not there is the cause.
                let assembly = PathBuf::from(format!("{}.dll", program.display()));
                return Ok(if assembly.is_file() { assembly } else { program });
            }
            let message = format!(
                "no application in {}: nothing there ends in .{CONFIG}; name the folder that `dotnet publish` wrote",
                folder.display()
            );
            Err(Error::new(ErrorKind::Load, message))
        }
        several => {
            let message = format!(
                "{} applications in {}: {}; name the .dll",
                several.len(),
                folder.display(),
                several.join(", ")
            );
            Err(Error::new(ErrorKind::Load, message))
        }
    }
}

#[cold]
fn refused(assembly: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Load, format!("{} {what}", assembly.display()))
}

#[cold]
fn no_config(assembly: &Path, config: &Path, error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        let name = config.file_name().unwrap_or_default().to_string_lossy();
        return refused(assembly, &format!("is a library or was not published: no {name} lies beside it"));
    }
    image::missing(config, error)
}

/// Blanks out `//` and `/* */` outside of strings.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(_)) if in_string => out.extend([c, chars.next().unwrap_or_default()]),
            ('"', _) => {
                in_string = !in_string;
                out.push(c);
            }
            ('/', Some('/')) if !in_string => {
                for c in chars.by_ref() {
                    if c == '\n' {
                        out.push(c);
                        break;
                    }
                }
            }
            ('/', Some('*')) if !in_string => {
                let mut last = ' ';
                for c in chars.by_ref().skip(1) {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
                out.push(' ');
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_blanked_out_and_strings_kept() {
        assert_eq!("{\"a//b\": 1 \n}", without_comments("{\"a//b\": 1 // c\n}"));
        assert_eq!("[\"\\\"/*\",   2]", without_comments("[\"\\\"/*\", /* x * y */ 2]"));
    }
}
