//! Finding the C# compiler's two libraries, which Polyhost hosts to load C# from source.

use std::path::{Path, PathBuf};

use crate::dotnet::{self, DotnetRoot};
use crate::{Machine, Search};

/// Names the folder to use, before any other.
pub const VARIABLE: &str = "POLYHOST_ROSLYN";

/// The libraries that the folder must hold.
pub const LIBRARIES: [&str; 2] = ["Microsoft.CodeAnalysis.dll", "Microsoft.CodeAnalysis.CSharp.dll"];

const ADVICE: &str = "install a .NET SDK, or set POLYHOST_ROSLYN to a folder with Microsoft.CodeAnalysis.dll and \
                      Microsoft.CodeAnalysis.CSharp.dll";

/// Searches for a folder with both libraries, in this order: the one that `POLYHOST_ROSLYN` names, the newest SDK of
/// `runtime` (its `Roslyn/bincore`), and `roslyn/` in the project's own folder ([`dotnet::LOCAL`]).
///
/// `runtime` is the root that will run the compiler: one out of a newer root's SDK would not load.
pub fn search(machine: &Machine, runtime: Option<&DotnetRoot>) -> Search<PathBuf> {
    let mut search = Search::new("C# compiler".to_owned(), ADVICE);
    let sdk = runtime.and_then(DotnetRoot::sdk).map(|sdk| sdk.join("Roslyn/bincore"));
    let local = machine.var_path(dotnet::LOCAL).map(|folder| folder.join("roslyn"));
    for (place, folder) in [(VARIABLE, machine.var_path(VARIABLE)), ("SDK of the runtime", sdk), (dotnet::LOCAL, local)]
    {
        match folder {
            Some(folder) if folder.is_dir() => {
                let verdict = judge(&folder);
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
