//! The files of a module, and when they change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use polyhost::{Error, ErrorKind, ModuleSource};

use crate::failure::Failure;

/// A change is complete when nothing has changed for this long: editors and compilers write in several steps.
const QUIET: Duration = Duration::from_millis(50);
/// What changes without end is taken as it is.
const AT_MOST: Duration = Duration::from_secs(2);

/// What one may write a module in, or what goes with one.
const ENDINGS: [&str; 7] = ["cs", "dll", "lua", "proto", "py", "pyi", "so"];

/// What is watched, and what comes of it.
pub(super) struct Files {
    roots: Vec<Root>,
    changes: Receiver<notify::Result<Event>>,
    /// Ends the watch when it is dropped.
    _watcher: RecommendedWatcher,
}

/// Something that is watched.
struct Root {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    /// The files in this folder, not below, that may be of a module.
    Beside,
    /// Such files in this folder and below.
    Folder,
    /// This file, whatever it is.
    File,
}

impl Files {
    /// Watches the files of a module, and others.
    pub(super) fn watch(source: ModuleSource, also: &[PathBuf]) -> Result<Files, Failure> {
        let mut roots = Vec::new();
        match of_module(&source) {
            Some(path) if path.is_dir() => roots.push(Root::new(&path, Kind::Folder)?),
            Some(path) => roots.push(Root::new(folder_of(&path), Kind::Beside)?),
            None if also.is_empty() => {
                let what = source.display();
                return Err(Failure::Usage(format!(
                    "{what} is no file or folder from here; name what to watch by --also"
                )));
            }
            None => {}
        }
        for path in also {
            roots.push(Root::new(path, if path.is_dir() { Kind::Folder } else { Kind::File })?);
        }
        let (sender, changes) = channel();
        let mut watcher = notify::recommended_watcher(sender).map_err(|error| cannot_watch("files", error))?;
        // A folder is watched where a file is meant, too: most programs write another file and rename it.
        let folders: BTreeSet<_> = roots.iter().map(Root::watched).collect();
        for (folder, deep) in folders {
            let mode = if deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            watcher.watch(folder, mode).map_err(|error| cannot_watch(&folder.display().to_string(), error))?;
        }
        Ok(Files { roots, changes, _watcher: watcher })
    }

    /// Waits for the next change of one of them.
    pub(super) fn changed(&self) -> Result<(), Failure> {
        loop {
            let event = self.changes.recv().map_err(|_| ended())?;
            if self.concerns(event)? {
                break;
            }
        }
        let end = Instant::now() + AT_MOST;
        loop {
            match self.changes.recv_timeout(QUIET.min(end.saturating_duration_since(Instant::now()))) {
                Ok(event) => self.concerns(event)?,
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            };
        }
    }

    /// For people: what is watched.
    pub(super) fn shown(&self) -> Vec<String> {
        self.roots.iter().map(|root| root.path.display().to_string()).collect()
    }

    fn concerns(&self, event: notify::Result<Event>) -> Result<bool, Failure> {
        let event = event.map_err(|error| cannot_watch("files any more", error))?;
        let changes = match event.kind {
            // To load a module reads it.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
            _ => true,
        };
        let meant = |path: &PathBuf| self.roots.iter().any(|root| root.means(path));
        // Some were lost: anything may have changed.
        Ok(event.need_rescan() || changes && event.paths.iter().any(meant))
    }
}

impl Root {
    fn new(path: &Path, kind: Kind) -> Result<Root, Failure> {
        // The kernel tells of files by the names of the folders they are in.
        let named = match (path.file_name(), &kind) {
            (Some(name), Kind::File) => folder_of(path).canonicalize().map(|folder| folder.join(name)),
            _ => path.canonicalize(),
        };
        let path = named.map_err(|error| Failure::io(format_args!("can't watch {}", path.display()), error))?;
        Ok(Root { path, kind })
    }

    /// The folder to watch for it, and whether those below, too.
    fn watched(&self) -> (&Path, bool) {
        match self.kind {
            Kind::Beside => (&self.path, false),
            Kind::Folder => (&self.path, true),
            Kind::File => (folder_of(&self.path), false),
        }
    }

    fn means(&self, path: &Path) -> bool {
        match self.kind {
            Kind::Beside => path.parent() == Some(&self.path) && is_source(path),
            Kind::Folder => path.starts_with(&self.path) && is_source(path),
            Kind::File => path == self.path,
        }
    }
}

/// Whether a file may be of a module; what editors keep beside it is not.
fn is_source(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let ending = path.extension().and_then(|ending| ending.to_str());
    !hidden && ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

/// The file or folder that a source is loaded from.
fn of_module(source: &ModuleSource) -> Option<PathBuf> {
    match source {
        ModuleSource::Path(path) => Some(path.clone()),
        // As Python looks for it in the working folder.
        ModuleSource::Name(name) => {
            let top = PathBuf::from(name.split('.').next()?);
            [top.clone(), top.with_extension("py")].into_iter().find(|path| path.exists())
        }
        _ => None,
    }
}

/// The folder of a file; that of a bare name is the working folder.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot_watch(what: &str, error: notify::Error) -> Failure {
    Failure::Failed(Error::new(ErrorKind::Config, format!("can't watch {what}: {error}")).caused_by(error))
}

fn ended() -> Failure {
    Failure::Failed(Error::new(ErrorKind::Internal, "the watch of files has ended by itself"))
}
