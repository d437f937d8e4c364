//! Building C# projects, the guests of samples and examples and the tests, each into a folder of its own under
//! `target/guests`.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::compile::Plan;
use super::files::{Part, ending, sha256, write_if_changed};
use super::{Error, Project, Result, protobuf, roslyn, say};
use crate::dotnet::DotnetRoot;

/// Folders whose subfolders may hold a project.
const SAMPLES: &str = "dotnet/samples";
const EXAMPLES: &str = "hosts/examples";
const TESTS: &str = "dotnet/tests";
const BENCHES: [&str; 2] = ["benches/guests", "benches/guests/clr"];

/// What a guest is built from, besides its own folder.
const SHARED: [&str; 2] = ["dotnet", "proto"];

/// How the guests were got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guests {
    /// Built by the SDK, this many of them.
    Built(usize),
    /// Compiled by Polyhost itself.
    Compiled {
        /// How many of them.
        count: usize,
        /// Why there was no SDK to do it.
        why: String,
        /// Which could not be, each with its reason.
        left_out: Vec<String>,
    },
}

/// Makes sure of the C# guests. `None` where they can be neither built nor compiled by Polyhost; the reason is told.
///
/// # Errors
/// When a guest does not compile.
pub fn ensure(project: &Project, dotnet: &DotnetRoot) -> Result<Result<Guests>> {
    let mut guests = Vec::new();
    for folder in [SAMPLES, EXAMPLES, TESTS].iter().chain(&BENCHES) {
        guests.extend(projects(&project.root().join(folder)));
    }
    guests.retain(|path| !is_test_program(path));
    match build(project, dotnet, "guests", &guests)? {
        Ok(()) => Ok(Ok(Guests::Built(guests.len()))),
        Err(why) => without_sdk(project, &guests, why.to_string()),
    }
}

/// Builds the C# tests and runs them one after the other, with their output on this process's own.
///
/// The inner error says why they cannot be built here.
///
/// # Errors
/// When one does not compile, or fails.
pub fn test(project: &Project, dotnet: &DotnetRoot) -> Result<Result<()>> {
    let mut tests = projects(&project.root().join(TESTS));
    tests.retain(|path| is_test_program(path));
    if let Err(why) = build(project, dotnet, "dotnet-tests", &tests)? {
        return Ok(Err(why));
    }
    let muxer = dotnet.muxer().unwrap_or_default();
    for test in tests {
        let program = place(project, &test).join(format!("{}.dll", name(&test)));
        say(format_args!("running {}", name(&test)));
        let mut command = dotnet_command(project, &muxer);
        if !std::io::stdout().is_terminal() {
            command.env("NO_COLOR", "1");
        }
        let status = command.arg(&program).status();
        let status = status.map_err(|e| Error::about(muxer.display(), e))?;
        if !status.success() {
            return Err(Error::new(format!("{} failed ({status})", name(&test))));
        }
    }
    Ok(Ok(()))
}

/// Builds projects into `target/guests`. The inner error says why that cannot be done here.
fn build(project: &Project, dotnet: &DotnetRoot, label: &str, projects: &[PathBuf]) -> Result<Result<()>> {
    refuse_namesakes(projects)?;
    let (Some(muxer), Some(sdk)) = (dotnet.muxer(), dotnet.sdks.first()) else {
        return Ok(Err(Error::new("there is no .NET SDK")));
    };
    if projects.is_empty() {
        return Ok(Ok(()));
    }
    let stamp_file = project.work().join(format!("{label}.stamp"));
    let stamp = format!("{sdk}\n{}", fingerprint(project, projects)?);
    let there = projects.iter().all(|path| place(project, path).is_dir());
    if there && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok(Ok(()));
    }
    let list = project.work().join(format!("{label}.proj"));
    write_if_changed(&list, &traversal(projects))?;
    say(format_args!("building {} C# projects with SDK {sdk}", projects.len()));
    let mut restore = msbuild(project, &muxer, &list, "Restore");
    if let Err(error) = project.run(&format!("{label}-restore"), &mut restore) {
        say(format_args!("no NuGet packages: {error}"));
        forget(project, &stamp_file, projects);
        return Ok(Err(Error::new("the SDK gets no NuGet packages; set POLYHOST_OFFLINE to a folder with nuget/")));
    }
    let mut compile = msbuild(project, &muxer, &list, "Build");
    project.run(&format!("{label}-build"), &mut compile)?;
    if projects.iter().any(|path| is_web(path)) {
        let mut publish = msbuild(project, &muxer, &list, "Publish");
        project.run(&format!("{label}-publish"), &mut publish)?;
    }
    for path in projects {
        copy_built(project, path)?;
    }
    write_if_changed(&stamp_file, &stamp)?;
    Ok(Ok(()))
}

/// Removes what was built from older sources: nobody is to take it for what the sources say now.
fn forget(project: &Project, stamp_file: &Path, projects: &[PathBuf]) {
    if fs::remove_file(stamp_file).is_ok() {
        for path in projects {
            // One that was never built is not there.
            let _ = fs::remove_dir_all(place(project, path));
        }
    }
}

/// `dotnet` with its state inside the checkout, no telemetry, and nothing that stays behind.
pub fn dotnet_command(project: &Project, muxer: &Path) -> Command {
    let mut command = Command::new(muxer);
    command.current_dir(project.root());
    command
        .env("DOTNET_CLI_HOME", project.work().join("dotnet-home"))
        .env("NUGET_PACKAGES", project.nuget_cache())
        .env("DOTNET_CLI_TELEMETRY_OPTOUT", "1")
        .env("DOTNET_NOLOGO", "1")
        .env("DOTNET_GENERATE_ASPNET_CERTIFICATE", "false")
        .env("DOTNET_ADD_GLOBAL_TOOLS_TO_PATH", "false")
        .env("DOTNET_SKIP_WORKLOAD_INTEGRITY_CHECK", "1")
        // Where no NuGet source can be reached, that is known after one try.
        .env("NUGET_ENHANCED_MAX_NETWORK_TRY_COUNT", "1")
        .env("MSBUILDDISABLENODEREUSE", "1")
        .env("DOTNET_CLI_USE_MSBUILD_SERVER", "0")
        .env("UseSharedCompilation", "false");
    if let Some(root) = muxer.parent() {
        command.env("DOTNET_ROOT", root);
    }
    if !crate::dotnet::has_icu(project.machine()) {
        command.env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1");
    }
    command
}

/// Properties that make a build of ours: output under `target`, packages from the offline feed where it is there.
pub fn properties(project: &Project) -> Vec<String> {
    let mut list = vec![
        "-p:Configuration=Release".to_owned(),
        format!("-p:ArtifactsPath={}", artifacts(project).display()),
        // The audit asks a server, and its answer of tomorrow would fail a build that is good today.
        "-p:NuGetAudit=false".to_owned(),
    ];
    if let Some(feed) = project.feed() {
        list.push(format!("-p:RestoreSources={}", feed.display()));
    }
    list
}

fn artifacts(project: &Project) -> PathBuf {
    project.root().join("target/dotnet")
}

fn msbuild(project: &Project, muxer: &Path, list: &Path, target: &str) -> Command {
    let mut command = dotnet_command(project, muxer);
    command.arg("msbuild").arg(list).arg(format!("-t:{target}")).args(properties(project)).args([
        "-nodeReuse:false",
        "-nologo",
        "-v:minimal",
        "-m",
    ]);
    command
}

/// The project files in the subfolders of a folder, and in a `clr` folder of each and the folders in that, sorted by
/// name.
fn projects(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for sample in folders_in(folder) {
        let clr = sample.join("clr");
        let several = folders_in(&clr);
        for folder in [sample, clr].iter().chain(&several) {
            found.extend(ending(folder, ".csproj"));
        }
    }
    found.sort_by_key(|path| name(path));
    found
}

/// What is in the tests' folder is a guest for the Rust tests, or a program of tests by itself.
fn is_test_program(project: &Path) -> bool {
    fs::read_to_string(project).is_ok_and(|text| text.contains("\"xunit."))
}

/// What is left beside a web application by a build refers to the sources (wwwroot above all); it has to be published.
fn is_web(project: &Path) -> bool {
    fs::read_to_string(project).is_ok_and(|text| text.contains("\"Microsoft.NET.Sdk.Web\""))
}

/// Two projects of one name would get in each other's way under `target`.
fn refuse_namesakes(projects: &[PathBuf]) -> Result<()> {
    let mut names: Vec<String> = projects.iter().map(|path| name(path)).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::new(format!("two C# projects named {}", pair[0]))),
        None => Ok(()),
    }
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|p| p.is_dir()).collect()
}

pub(crate) fn name(guest: &Path) -> String {
    guest.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

pub(crate) fn place(project: &Project, guest: &Path) -> PathBuf {
    project.guests().join(name(guest))
}

/// A project that builds all of them in one run of MSBuild, so that what they share is built once.
fn traversal(projects: &[PathBuf]) -> String {
    let item = |guest: &PathBuf| format!("    <Listed Include=\"{}\" IsWeb=\"{}\" />\n", escape(guest), is_web(guest));
    let items: String = projects.iter().map(item).collect();
    format!(
        "<Project>\n  <ItemGroup>\n{items}  </ItemGroup>\n  \
         <Target Name=\"Restore\"><MSBuild Projects=\"@(Listed)\" Targets=\"Restore\" /></Target>\n  \
         <Target Name=\"Build\"><MSBuild Projects=\"@(Listed)\" Targets=\"Build\" BuildInParallel=\"true\" /></Target>\n  \
         <Target Name=\"Publish\"><ItemGroup><Web Include=\"@(Listed)\" Condition=\"%(IsWeb)\" /></ItemGroup>\
         <MSBuild Projects=\"@(Web)\" Targets=\"Publish\" Properties=\"NoBuild=true\" /></Target>\n\
         </Project>\n"
    )
}

fn escape(path: &Path) -> String {
    let text = path.display().to_string();
    // The percent sign is MSBuild's own escape; it must come before XML's, which brings semicolons.
    text.replace('%', "%25").replace(';', "%3B").replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Copies what was built, or published, to its place.
fn copy_built(project: &Project, guest: &Path) -> Result<()> {
    let place = place(project, guest);
    let kind = if is_web(guest) { "publish" } else { "bin" };
    let built = artifacts(project).join(kind).join(name(guest)).join("release");
    if !built.is_dir() {
        return Err(Error::new(format!(
            "{} was built, but not into {}; a guest targets one framework and leaves its output folder alone",
            guest.display(),
            built.display()
        )));
    }
    let part = Part::beside(&place)?;
    let copy = part.path().join("guest");
    copy_folder(&built, &copy).map_err(|e| Error::about(built.display(), e))?;
    part.replace(&copy, &place)
}

pub(crate) fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// One hash of everything the projects are built from.
fn fingerprint(project: &Project, projects: &[PathBuf]) -> Result<String> {
    let mut files = Vec::new();
    for folder in SHARED {
        collect(&project.root().join(folder), &mut files);
    }
    for guest in projects {
        collect(guest.parent().unwrap_or(guest), &mut files);
    }
    files.sort();
    files.dedup();
    let mut text = String::new();
    for file in files {
        let content = fs::read(&file).map_err(|e| Error::about(file.display(), e))?;
        text += &format!("{} {}\n", file.display(), sha256(&content));
    }
    Ok(sha256(text.as_bytes()))
}

/// Every file below a folder, but for what is hidden or was built.
pub(crate) fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let skipped = name.starts_with('.') || ["bin", "obj", "target"].contains(&name.as_ref());
        let path = entry.path();
        if skipped {
            continue;
        } else if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Has Polyhost compile the guests. The inner error says why it can't.
fn without_sdk(project: &Project, guests: &[PathBuf], why: String) -> Result<Result<Guests>> {
    let compiler = match roslyn::ensure(project) {
        Ok(compiler) => compiler,
        Err(error) => return Ok(Err(error)),
    };
    if let Err(error) = protobuf::ensure(project) {
        return Ok(Err(error));
    }
    let plan = Plan::of(guests)?;
    let stamp_file = project.work().join("guests-compiled.stamp");
    let stamp = format!("{}\n{}", compiler.display(), fingerprint(project, guests)?);
    let there = plan.guests.iter().all(|guest| place(project, &guest.project).is_dir());
    if !there || fs::read_to_string(&stamp_file).map_or(true, |old| old != stamp) {
        plan.compile(project)?;
        write_if_changed(&stamp_file, &stamp)?;
    }
    Ok(Ok(Guests::Compiled { count: plan.guests.len(), why, left_out: plan.left_out }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_paths_for_msbuild_and_for_xml() {
        let text = traversal(&[PathBuf::from("/a b/x;y.csproj"), PathBuf::from("/c&d.csproj")]);
        assert!(text.contains("<Listed Include=\"/a b/x%3By.csproj\" IsWeb=\"false\" />"), "{text}");
        assert!(text.contains("<Listed Include=\"/c&amp;d.csproj\" IsWeb=\"false\" />"), "{text}");
    }
}
