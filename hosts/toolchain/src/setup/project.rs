//! The checkout that is set up, and the folders in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{Error, Result, say};
use crate::{Machine, dotnet};

/// Names a folder that holds `dotnet/*.tar.xz` and `nuget/`, to do without the network.
pub const OFFLINE: &str = "POLYHOST_OFFLINE";

/// A checkout of the project on this machine.
#[derive(Debug)]
pub struct Project {
    root: PathBuf,
    machine: Machine,
}

impl Project {
    /// The checkout around `folder`: it, or the nearest folder above it that has `hosts/toolchain`.
    ///
    /// # Errors
    /// When there is none.
    pub fn around(folder: &Path, machine: Machine) -> Result<Self> {
        let start = folder.canonicalize().map_err(|e| Error::about(folder.display(), e))?;
        let root =
            start.ancestors().find(|folder| folder.join("hosts/toolchain/Cargo.toml").is_file()).ok_or_else(|| {
                Error::new(format!(
                    "{} is in no checkout of the project; run `make` there, or pass --root",
                    start.display()
                ))
            })?;
        Ok(Self { root: root.to_owned(), machine: machine.with(dotnet::LOCAL, root.join(".dotnet")) })
    }

    /// The checkout's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The machine as the searches see it, with the project's own folder known to them.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The project's own .NET root, `.dotnet`.
    pub fn dotnet(&self) -> PathBuf {
        self.root.join(".dotnet")
    }

    /// The project's own Python environment, `.venv`.
    pub fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// The Lua library that the demo hosts, `.lua`.
    pub fn lua(&self) -> PathBuf {
        self.root.join(".lua")
    }

    /// The C library that the bench has a guest with, `.cmark`.
    pub fn cmark(&self) -> PathBuf {
        self.root.join(".cmark")
    }

    /// The runner of protobuf's conformance test, `.conformance`.
    pub fn conformance(&self) -> PathBuf {
        self.root.join(".conformance")
    }

    /// The npm packages of tests and examples, `.npm`.
    pub fn npm(&self) -> PathBuf {
        self.root.join(".npm")
    }

    /// Where built C# guests go, one folder for each project: `target/guests`.
    ///
    /// It does not follow `CARGO_TARGET_DIR`: two checkouts that share a build folder may have got their guests from
    /// different compilers.
    pub fn guests(&self) -> PathBuf {
        self.root.join("target/guests")
    }

    /// The offline folder, if `POLYHOST_OFFLINE` names one.
    pub fn offline(&self) -> Option<PathBuf> {
        let named = self.machine.var_path(OFFLINE)?;
        Some(self.root.join(named))
    }

    /// Where logs, stamps and downloads go: `target/setup`.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.join("target/setup")
    }

    /// Waits until no other setup works on this checkout, and keeps others out as long as the file lives.
    ///
    /// # Errors
    /// When `target/setup` cannot be written.
    pub fn lock(&self) -> Result<File> {
        let folder = self.work();
        fs::create_dir_all(&folder).map_err(|e| Error::about(folder.display(), e))?;
        let path = folder.join("lock");
        let about = |e| Error::about(path.display(), e);
        let file = File::create(&path).map_err(about)?;
        if file.try_lock().is_err() {
            say("waiting for another setup of this checkout to end");
            file.lock().map_err(about)?;
        }
        Ok(file)
    }
}
