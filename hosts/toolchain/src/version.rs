//! Version numbers as .NET folders and Python interpreters carry them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// `major.minor.patch`, with an optional pre-release part (`10.0.0-rc.1.25451.107`).
///
/// Versions compare by number, and a pre-release stands below its release, as in Semantic Versioning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number; 0 where it is not written.
    pub minor: u32,
    /// Third number; 0 where it is not written.
    pub patch: u32,
    /// What follows the first `-`, if anything.
    pub pre: Option<String>,
}

impl Version {
    /// A released version.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch, pre: None }
    }

    /// Whether this is a preview, an alpha or a release candidate.
    pub fn is_preview(&self) -> bool {
        self.pre.is_some()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        match &self.pre {
            Some(pre) => write!(f, "-{pre}"),
            None => Ok(()),
        }
    }
}

/// The text is not a version number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAVersion(String);

impl fmt::Display for NotAVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no version number", self.0)
    }
}

impl std::error::Error for NotAVersion {}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let no = || NotAVersion(text.to_owned());
        let release = text.split_once('+').map_or(text, |(before, _build)| before);
        let (numbers, pre) = match release.split_once('-') {
            Some((_, "")) => return Err(no()),
            Some((numbers, pre)) => (numbers, Some(pre.to_owned())),
            None => (release, None),
        };
        let mut parts = [0; 3];
        for (i, part) in numbers.split('.').enumerate() {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            let number = part.parse().ok().filter(|_| digits);
            *parts.get_mut(i).ok_or_else(no)? = number.ok_or_else(no)?;
        }
        let [major, minor, patch] = parts;
        Ok(Self { major, minor, patch, pre })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |v: &Self| (v.major, v.minor, v.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| match (&self.pre, &other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => compare_previews(a, b),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Semantic Versioning 2.0, item 11: numbers by value and below words, words by their bytes, fewer parts first.
fn compare_previews(a: &str, b: &str) -> Ordering {
    let mut left = a.split('.');
    let mut right = b.split('.');
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => x.cmp(y),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    #[test]
    fn reads_what_dotnet_and_python_write() {
        assert_eq!(version("8.0.31"), Version::new(8, 0, 31));
        assert_eq!(version("3.11"), Version::new(3, 11, 0));
        assert_eq!(version("10.0.401+abc"), Version::new(10, 0, 401));
        let preview = version("10.0.0-rc.1.25451.107");
        assert_eq!(preview.pre.as_deref(), Some("rc.1.25451.107"));
        assert_eq!(preview.to_string(), "10.0.0-rc.1.25451.107");
    }

    #[test]
    fn refuses_what_is_no_version() {
        for text in ["", "x", "8.", ".8", "8.0.0.1", "8.0.x", "-1", "8.0-", "99999999999.0", "+8.0"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn orders_by_number_with_previews_below_their_release() {
        let ascending = [
            "8.0.9",
            "8.0.31",
            "9.0.7",
            "10.0.0-alpha",
            "10.0.0-alpha.1",
            "10.0.0-preview.7.1",
            "10.0.0-rc.1.9",
            "10.0.0-rc.1.10",
            "10.0.0",
            "10.0.12",
        ];
        let mut sorted = ascending.map(version);
        sorted.reverse();
        sorted.sort();
        assert_eq!(sorted.map(|v| v.to_string()), ascending);
    }
}
