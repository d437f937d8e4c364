//! What `dotnet publish` makes of an application besides a folder for an installed .NET: self-contained, single-file,
//! trimmed, compiled ahead of time.
//!
//! The runtime packages that this takes are made of the frameworks beside the SDK. There are none here for trimming and
//! for compiling ahead of time, so those two are stood in for by what they differ in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::checkout;
use crate::running::{Running, muxer, refuses, serve, takeover};

const PROJECT: &str = "source/Takeover.csproj";

/// An SDK, and the packages for it.
struct Publisher {
    muxer: PathBuf,
    folder: tempfile::TempDir,
}

impl Publisher {
    /// `None`, with the reason told, where there is no SDK that has its own frameworks beside it.
    fn new() -> Option<Publisher> {
        takeover()?;
        let muxer = muxer()?;
        let root = muxer.parent().expect("a folder").to_owned();
        let publisher = Publisher { muxer, folder: tempfile::tempdir().expect("a folder") };
        publisher.write_project("");
        let ask = |name: &str| {
            let output = publisher.dotnet(&["msbuild", PROJECT, &format!("-getProperty:{name}")]).ok()?;
            Some(output.trim().to_owned()).filter(|value| value.starts_with(|c: char| c.is_ascii_digit()))
        };
        let found = ask("BundledNETCoreAppPackageVersion").zip(ask("BundledNETCoreAppTargetFrameworkVersion"));
        let beside = |version: &str| root.join("shared/Microsoft.AspNetCore.App").join(version).is_dir();
        let Some((version, release)) = found.filter(|(version, _)| beside(version)) else {
            println!("skipped: there is no .NET SDK with its own ASP.NET Core beside it at {}", root.display());
            return None;
        };
        publisher.write_project(&release);
        let packs = checkout().join("hosts/cli/tests/serve/packs.proj");
        let set = |name: &str, value: &str| format!("-p:{name}={value}");
        let path = |part: &str| publisher.path(part).display().to_string();
        fs::create_dir(publisher.path("feed")).expect("made");
        publisher
            .dotnet(&[
                "msbuild",
                &packs.display().to_string(),
                &set("Root", &root.display().to_string()),
                &set("Version", &version),
                &set("Release", &release),
                &set("Work", &path("packs")),
                &set("Feed", &path("feed")),
            ])
            .unwrap_or_else(|said| panic!("the packages: {said}"));
        Some(publisher)
    }

    /// The application of dotnet/tests/Takeover, for the SDK's own release: there are packages for that.
    fn write_project(&self, release: &str) {
        let sources = checkout().join("dotnet/tests/Takeover/*.cs");
        let text = format!(
            "<Project Sdk=\"Microsoft.NET.Sdk.Web\"><PropertyGroup><TargetFramework>net{release}</TargetFramework>\
             <Nullable>enable</Nullable><ImplicitUsings>enable</ImplicitUsings></PropertyGroup>\
             <ItemGroup><Compile Include=\"{}\" /></ItemGroup></Project>",
            sources.display()
        );
        let file = self.path(PROJECT);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, text).expect("written");
    }

    fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    /// What it has said; the error is the same.
    fn dotnet(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.muxer);
        command.args(arguments).current_dir(self.folder.path());
        command.env("DOTNET_ROOT", self.muxer.parent().expect("a folder"));
        command.env("DOTNET_CLI_HOME", self.path("home")).env("DOTNET_CLI_TELEMETRY_OPTOUT", "1");
        command.env("DOTNET_NOLOGO", "1").env("DOTNET_GENERATE_ASPNET_CERTIFICATE", "false");
        // Packages that look like Microsoft's and are not must not stay on this machine.
        command.env("NUGET_PACKAGES", self.path("nuget"));
        command.env("MSBUILDDISABLENODEREUSE", "1").env("DOTNET_CLI_USE_MSBUILD_SERVER", "0");
        command.env("UseSharedCompilation", "false");
        let output = command.output().expect("the SDK's program runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// The folder of the application, published in some way.
    fn publish(&self, name: &str, more: &[&str]) -> PathBuf {
        let out = self.path(name);
        let sources = format!("-p:RestoreSources={}", self.path("feed").display());
        let to = out.display().to_string();
        let mut arguments = vec!["publish", PROJECT, "-c", "Release", "-r", "linux-x64", "-o", &to];
        // The analyzer of single files is a package of its own.
        arguments.extend(["-p:NuGetAudit=false", "-p:EnableSingleFileAnalyzer=false", &sources]);
        arguments.extend(more);
        self.dotnet(&arguments).unwrap_or_else(|said| panic!("dotnet publish {more:?}: {said}"));
        out
    }
}

#[test]
fn a_self_contained_one_runs_on_its_own_runtime_and_others_are_refused() {
    let Some(publisher) = Publisher::new() else { return };
    let alone = publisher.publish("alone", &["--self-contained", "true"]);
    let mut command = serve(&alone, &["--listen", "127.0.0.1:0"]);
    // Not even where there is another one.
    command.env_remove("DOTNET_ROOT");
    let running = Running::start(command);
    let env = running.env();
    assert_eq!("Polyhost.AspNetCore.HostServer", env["server"]);
    assert_eq!(format!("{}/", alone.display()), env["base directory"].as_str().unwrap_or_default());
    let maps = fs::read_to_string(format!("/proc/{}/maps", running.pid())).expect("readable");
    for file in ["libhostfxr.so", "libhostpolicy.so", "libcoreclr.so", "Microsoft.AspNetCore.Http.dll"] {
        assert!(maps.contains(&alone.join(file).display().to_string()), "{file} of its own is not in use");
    }
    running.stop();

    let single = publisher.publish("single", &["--self-contained", "false", "-p:PublishSingleFile=true"]);
    for path in [&single, &single.join("Takeover")] {
        refuses(serve(path, &[]), 1, &["single/Takeover", "single-file application", "without PublishSingleFile"]);
    }

    // What trimming takes out of an application that uses Kestrel's defaults, as far as it matters here.
    fs::remove_file(alone.join("System.Runtime.Loader.dll")).expect("it is there");
    refuses(serve(&alone, &[]), 1, &["was trimmed", "PublishTrimmed"]);
}

#[test]
fn one_that_was_compiled_ahead_of_time_is_refused() {
    if takeover().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (source, program) = (folder.path().join("App.c"), folder.path().join("App"));
    // The section that its compiler puts managed code into.
    fs::write(&source, "__attribute__((section(\"__managedcode\"))) int main(void) { return 0; }\n").expect("written");
    match Command::new("cc").arg(&source).arg("-o").arg(&program).status() {
        Ok(status) => assert!(status.success(), "cc: {status}"),
        Err(e) => return println!("skipped: no C compiler: {e}"),
    }
    for path in [folder.path(), Path::new(&program)] {
        refuses(serve(path, &[]), 1, &["App ", "compiled ahead of time", "without PublishAot"]);
    }
}
