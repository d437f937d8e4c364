//! Files and folders: written so that a kill in the middle leaves nothing that looks finished.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256, Sha512};

use super::{Error, Result};

/// A folder built beside its place. It is removed again unless it gets there.
///
/// The name carries this process's id: a program started by a setup that was killed may still be writing into that
/// one's folder.
pub(crate) struct Part {
    path: PathBuf,
}

impl Part {
    /// An empty folder beside `place`; those that killed runs have left are removed.
    pub(crate) fn beside(place: &Path) -> Result<Self> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let parent = place.parent().unwrap_or(Path::new("."));
        let about = |e| Error::about(parent.display(), e);
        fs::create_dir_all(parent).map_err(about)?;
        let prefix = format!("{name}.part-");
        for entry in fs::read_dir(parent).map_err(about)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                // A program of the killed run may be writing into it still: then a later run removes it.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = parent.join(format!("{prefix}{}", std::process::id()));
        fs::create_dir(&path).map_err(|e| Error::about(path.display(), e))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the folder, or a folder inside it, at its place, which must be free or is replaced.
    pub(crate) fn replace(self, inside: &Path, place: &Path) -> Result<()> {
        let about = |e| Error::about(place.display(), e);
        if place.exists() {
            fs::remove_dir_all(place).map_err(about)?;
        }
        fs::rename(inside, place).map_err(about)
    }

    /// Moves everything in the folder to a place that may hold other things, `last` after all else: what the place is
    /// recognised by must not be there before the rest is.
    pub(crate) fn merge(self, place: &Path, last: &[&str]) -> Result<()> {
        let is_last = |name: &&str| last.contains(name);
        let names: Vec<String> = names_in(&self.path)?;
        let all = || names.iter().map(String::as_str);
        for name in all().filter(|n| !is_last(n)).chain(all().filter(is_last)) {
            let to = place.join(name);
            merge(&self.path.join(name), &to).map_err(|e| Error::about(to.display(), e))?;
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It is gone when it was renamed; what cannot be removed is removed by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn merge(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() || from.is_symlink() || !to.is_dir() {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        return fs::rename(from, to);
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        merge(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|e| Error::about(folder.display(), e))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// The files of a folder whose names end so, sorted; none where there is no folder.
pub(crate) fn ending(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(end))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// Writes a file in one step, and only if that changes it; tells whether it did.
pub(crate) fn write_if_changed(path: &Path, content: &str) -> Result<bool> {
    if fs::read_to_string(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    let about = |e| Error::about(path.display(), e);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(about)?;
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    fs::write(&part, content).map_err(about)?;
    fs::rename(&part, path).map_err(about)?;
    Ok(true)
}

/// A pinned hash of a downloaded file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pin {
    /// 64 hexadecimal digits.
    Sha256(&'static str),
    /// 128 hexadecimal digits.
    Sha512(&'static str),
}

impl Pin {
    /// Compares a file with the pin.
    pub(crate) fn check(self, file: &Path) -> Result<()> {
        let (name, got, want) = match self {
            Self::Sha256(want) => ("sha256", hash::<Sha256>(file)?, want),
            Self::Sha512(want) => ("sha512", hash::<Sha512>(file)?, want),
        };
        compare(file, name, &got, want)
    }
}

/// Compares a file with the line for `name` in a `SHA256SUMS`, if the list is there and has one.
pub(crate) fn check_listed(file: &Path, sums: &Path, name: &str) -> Result<()> {
    let Ok(list) = fs::read_to_string(sums) else {
        return Ok(());
    };
    let want = list.lines().find_map(|line| {
        let (hash, listed) = line.split_once(char::is_whitespace)?;
        let listed = listed.trim_start().trim_start_matches('*');
        (listed == name).then_some(hash)
    });
    match want {
        Some(want) => compare(file, "sha256", &hash::<Sha256>(file)?, want),
        None => Ok(()),
    }
}

fn compare(file: &Path, name: &str, got: &str, want: &str) -> Result<()> {
    if got == want {
        return Ok(());
    }
    Err(Error::new(format!(
        "{}: its {name} is {got}, not {want}: not the file that was pinned, so it is not used",
        file.display()
    )))
}

/// The SHA-256 of some bytes, in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hash<D: Digest>(file: &Path) -> Result<String> {
    let about = |e| Error::about(file.display(), e);
    let mut reader = File::open(file).map_err(about)?;
    let mut digest = D::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = reader.read(&mut buffer).map_err(about)?;
        if n == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..n]);
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn disk() -> TempDir {
        TempDir::new().expect("a temporary folder")
    }

    #[test]
    fn refuses_a_file_that_is_not_the_pinned_one() {
        let disk = disk();
        let file = disk.path().join("a");
        fs::write(&file, "abc").expect("written");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        Pin::Sha256(abc).check(&file).expect("the pinned file");
        fs::write(&file, "abd").expect("written");
        let error = Pin::Sha256(abc).check(&file).expect_err("another file");
        assert!(error.to_string().contains("not the file that was pinned"));
        let sums = disk.path().join("SHA256SUMS");
        check_listed(&file, &sums, "x/a").expect("no list");
        fs::write(&sums, format!("{abc}  x/a\n")).expect("written");
        check_listed(&file, &sums, "x/b").expect("not listed");
        check_listed(&file, &sums, "x/a").expect_err("listed otherwise");
    }

    #[test]
    fn merges_into_a_folder_that_holds_other_things() {
        let disk = disk();
        let place = disk.path().join("place");
        let write = |path: PathBuf| {
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "").expect("written");
        };
        write(place.join("shared/a/1/x"));
        let part = Part::beside(&place).expect("made");
        write(part.path().join("shared/a/2/x"));
        write(part.path().join("host/x"));
        part.merge(&place, &["host"]).expect("merged");
        for file in ["shared/a/1/x", "shared/a/2/x", "host/x"] {
            assert!(place.join(file).is_file(), "{file}");
        }
        assert_eq!(names_in(disk.path()).expect("readable"), ["place"]);
    }

    #[test]
    fn removes_what_a_killed_run_has_left() {
        let disk = disk();
        let place = disk.path().join("place");
        fs::create_dir_all(disk.path().join("place.part-1/half")).expect("made");
        drop(Part::beside(&place).expect("made"));
        assert_eq!(names_in(disk.path()).expect("readable"), [""; 0]);
    }
}
