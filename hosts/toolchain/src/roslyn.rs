//! Finding the C# compiler's two libraries, which Polyhost hosts to load C# from source.

use std::path::{Path, PathBuf};

use crate::dotnet::{self, DotnetRoot};
use crate::{Machine, Search, Version};

/// Names the folder to use, before any other.
pub const VARIABLE: &str = "POLYHOST_ROSLYN";

/// The libraries that the folder must hold.
pub const LIBRARIES: [&str; 2] = ["Microsoft.CodeAnalysis.dll", "Microsoft.CodeAnalysis.CSharp.dll"];

const ADVICE: &str = "install a .NET SDK, or set POLYHOST_DOTNET to the .dotnet of a checkout of Polyhost after `make \
                      setup`, or POLYHOST_ROSLYN to a folder with Microsoft.CodeAnalysis.dll and \
                      Microsoft.CodeAnalysis.CSharp.dll";

/// Searches for a folder with both libraries, in this order: the one that `POLYHOST_ROSLYN` names, the newest SDK of
/// `runtime` (its `Roslyn/bincore`), `roslyn/` in the project's own folder ([`dotnet::LOCAL`]), and the SDKs of that
/// folder, which loses to every other runtime and so may have the only SDK there is.
///
/// `runtime` is the root that will run the compiler: one out of a newer SDK would not load, and is refused.
pub fn search(machine: &Machine, runtime: Option<&DotnetRoot>) -> Search<PathBuf> {
    let mut search = Search::new("C# compiler".to_owned(), ADVICE);
    let sdk = runtime.and_then(DotnetRoot::sdk).map(compiler_of);
    let local = machine.var_path(dotnet::LOCAL).map(|folder| folder.join("roslyn"));
    let mut candidates = vec![
        (VARIABLE, machine.var_path(VARIABLE), Ok(())),
        ("SDK of the runtime", sdk, Ok(())),
        (dotnet::LOCAL, local, Ok(())),
    ];
    candidates.extend(local_sdks(machine, runtime));
    for (place, folder, fits) in candidates {
        match folder {
            Some(folder) if folder.is_dir() => {
                let verdict = fits.and_then(|()| judge(&folder));
                search.judge(place, folder, verdict);
            }
            nothing => search.absent(place, nothing),
        }
        if search.found.is_some() {
            break;
        }
    }
    search
}

type Candidate = (&'static str, Option<PathBuf>, Result<(), String>);

/// The SDKs of the project's own root, and whether `runtime` runs their compilers.
fn local_sdks(machine: &Machine, runtime: Option<&DotnetRoot>) -> Vec<Candidate> {
    let core = runtime.and_then(|root| root.newest(dotnet::CORE));
    let fits = |sdk: &Version| match core {
        Some(core) if core.major < sdk.major => {
            Err(format!("the compiler of SDK {sdk} does not run on .NET {core}, which was found first"))
        }
        _ => Ok(()),
    };
    let Some(folder) = machine.var_path(dotnet::LOCAL) else { return Vec::new() };
    let roots = [folder.clone(), folder.join("registry")].into_iter();
    let roots = roots.filter_map(|root| dotnet::inspect(&root, dotnet::LOCAL).ok());
    let sdks = roots.flat_map(|root| {
        let folders: Vec<_> = root.sdks.iter().map(|sdk| (sdk.clone(), root.root.join("sdk"))).collect();
        folders
    });
    sdks.map(|(sdk, folder)| (SDK_OF_LOCAL, Some(compiler_of(folder.join(sdk.to_string()))), fits(&sdk))).collect()
}

const SDK_OF_LOCAL: &str = "SDK in POLYHOST_DOTNET";

fn compiler_of(sdk: PathBuf) -> PathBuf {
    sdk.join("Roslyn/bincore")
}

/// Like [`search`] on this machine.
///
/// # Errors
/// [`crate::NotFound`] with every place that was looked at.
pub fn find(runtime: Option<&DotnetRoot>) -> Result<PathBuf, crate::NotFound> {
    search(&Machine::current(), runtime).into_result()
}

fn judge(folder: &Path) -> Result<PathBuf, String> {
    match LIBRARIES.iter().find(|name| !folder.join(name).is_file()) {
        None => Ok(folder.to_owned()),
        Some(missing) => Err(format!("no {missing}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn takes_the_sdk_of_the_projects_own_root_where_the_runtime_has_none() {
        let disk = tempfile::TempDir::new().expect("a temporary folder");
        let write = |file: String, content: &[u8]| {
            let path = disk.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, content).expect("written");
        };
        // An ELF header is all that is read of a library.
        let elf = fs::read(std::env::current_exe().expect("this test")).expect("readable")[..64].to_vec();
        let root = |at: &str, core: &str| {
            write(format!("{at}/host/fxr/{core}/libhostfxr.so"), &elf);
            let name = dotnet::CORE;
            write(format!("{at}/shared/{name}/{core}/{name}.deps.json"), b"{}");
            dotnet::inspect(&disk.path().join(at), "test").expect("a root")
        };
        let (old, new) = (root("old", "8.0.1"), root("new", "10.0.2"));
        root("local", "10.0.1");
        write("local/sdk/10.0.100/dotnet.dll".into(), b"");
        for library in LIBRARIES {
            write(format!("local/sdk/10.0.100/Roslyn/bincore/{library}"), b"");
        }
        let machine = Machine::at(disk.path()).with(dotnet::LOCAL, disk.path().join("local"));
        let compiler = disk.path().join("local/sdk/10.0.100/Roslyn/bincore");
        assert_eq!(Some(compiler), search(&machine, Some(&new)).found);
        let error = search(&machine, Some(&old)).into_result().expect_err("too new").to_string();
        let why = "the compiler of SDK 10.0.100 does not run on .NET 8.0.1, which was found first";
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn takes_a_folder_with_both_libraries_and_names_the_missing_one() {
        let disk = tempfile::TempDir::new().expect("a temporary folder");
        let [named, local] = ["named", "local/roslyn"].map(|name| disk.path().join(name));
        for folder in [&named, &local] {
            fs::create_dir_all(folder).expect("made");
            fs::write(folder.join(LIBRARIES[0]), "").expect("written");
        }
        let machine = Machine::at(disk.path()).with(VARIABLE, &named).with(dotnet::LOCAL, disk.path().join("local"));
        let error = search(&machine, None).into_result().expect_err("half");
        assert!(error.to_string().contains("no Microsoft.CodeAnalysis.CSharp.dll"));
        fs::write(local.join(LIBRARIES[1]), "").expect("written");
        assert_eq!(search(&machine, None).found, Some(local));
        fs::write(named.join(LIBRARIES[1]), "").expect("written");
        assert_eq!(search(&machine, None).found, Some(named));
    }
}
