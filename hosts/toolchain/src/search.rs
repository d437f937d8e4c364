//! The record of a search: every place that was looked at, and what was seen there.

use std::fmt;
use std::path::PathBuf;

/// One place that a search looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// What named the place: a variable, `PATH`, a file, a standard folder.
    pub place: String,
    /// The folder or file that was looked at, where there was one.
    pub path: Option<PathBuf>,
    /// What was seen there.
    pub outcome: Outcome,
}

/// What was seen at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was looked for; the search ended here.
    Used,
    /// The variable is not set, or nothing is there.
    Absent,
    /// Something is there, but it will not do; the text says why.
    Unusable(String),
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some(path) = &self.path {
            let path = path.display().to_string();
            if path != self.place {
                write!(f, " ({path})")?;
            }
        }
        match &self.outcome {
            Outcome::Used => f.write_str(": used"),
            Outcome::Absent if self.path.is_some() => f.write_str(": nothing there"),
            // A phrase such as `dotnet on PATH`; the name of a variable has no space.
            Outcome::Absent if self.place.contains(' ') => f.write_str(": none"),
            Outcome::Absent => f.write_str(": not set"),
            Outcome::Unusable(why) => write!(f, ": {why}"),
        }
    }
}

/// A search and where it led.
#[derive(Clone, Debug)]
pub struct Search<T> {
    /// What was looked for, as it stands in an error: ".NET runtime 8.0.0 or newer".
    pub wanted: String,
    /// What to do when there is none.
    pub advice: &'static str,
    /// What was found, if anything.
    pub found: Option<T>,
    /// Every place that was looked at, in order.
    pub looked: Vec<Looked>,
}

impl<T> Search<T> {
    pub(crate) fn new(wanted: String, advice: &'static str) -> Self {
        Self { wanted, advice, found: None, looked: Vec::new() }
    }

    /// Notes that nothing was named by `place`.
    pub(crate) fn absent(&mut self, place: &str, path: Option<PathBuf>) {
        self.note(place, path, Outcome::Absent);
    }

    /// Notes a place and what became of it; the first success is kept.
    pub(crate) fn judge(&mut self, place: &str, path: PathBuf, verdict: Result<T, String>) {
        match verdict {
            Ok(found) => {
                self.found = Some(found);
                self.note(place, Some(path), Outcome::Used);
            }
            Err(why) => self.note(place, Some(path), Outcome::Unusable(why)),
        }
    }

    fn note(&mut self, place: &str, path: Option<PathBuf>, outcome: Outcome) {
        self.looked.push(Looked { place: place.to_owned(), path, outcome });
    }

    /// What was found, or the error that lists every place.
    ///
    /// # Errors
    /// [`NotFound`] when no place had what was wanted.
    pub fn into_result(self) -> Result<T, NotFound> {
        match self.found {
            Some(found) => Ok(found),
            None => Err(NotFound { wanted: self.wanted, advice: self.advice, looked: self.looked }),
        }
    }
}

/// Nothing suitable was found anywhere. `Display` is one line with every place and what was seen there.
#[derive(Clone, Debug)]
pub struct NotFound {
    wanted: String,
    advice: &'static str,
    looked: Vec<Looked>,
}

impl NotFound {
    /// What was looked for.
    pub fn wanted(&self) -> &str {
        &self.wanted
    }

    /// Every place that was looked at, in order.
    pub fn looked(&self) -> &[Looked] {
        &self.looked
    }

    /// What to do about it.
    pub fn advice(&self) -> &str {
        self.advice
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} found; looked at ", self.wanted)?;
        for (i, place) in self.looked.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{place}")?;
        }
        write!(f, "; {}", self.advice)
    }
}

impl std::error::Error for NotFound {}
