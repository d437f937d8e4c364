//! What a project in Rust depends on.

use std::path::Path;

use clap::ValueEnum;

use crate::failure::Failure;

/// The checkout that this program was built in, if it was: a packed crate lies elsewhere.
const BUILT_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A runtime that a host may have, by the name of its feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// .NET
    Clr,
    /// Python; the program is linked with the libpython of the Python that is found when it is built
    Cpython,
    /// Lua, which every host of this kind has: its sample guest is in Lua
    Luajit,
}

impl Runtime {
    /// The feature of the crate `polyhost`.
    pub(crate) fn feature(self) -> &'static str {
        match self {
            Runtime::Clr => "clr",
            Runtime::Cpython => "cpython",
            Runtime::Luajit => "luajit",
        }
    }
}

/// Where the crate `polyhost` is, as a manifest says it: `path = "…"`.
///
/// # Errors
/// [`Failure::Usage`] where what was asked for is not there, or nothing was and there is no checkout.
pub(crate) fn dependency(asked: Option<&str>) -> Result<String, Failure> {
    let Some(asked) = asked else {
        return checkout(Path::new(BUILT_IN)).ok_or_else(|| {
            Failure::Usage(
                "the crate `polyhost` is on no registry yet, and the checkout that this program was built in is gone; \
                 say where one is by --polyhost PATH, or a VERSION or the URL of a git repository"
                    .to_owned(),
            )
        });
    };
    if asked.contains("://") {
        return Ok(format!("git = {}", quoted(asked)));
    }
    if asked.starts_with(|first: char| first.is_ascii_digit() || "^~=<>".contains(first)) {
        return Ok(format!("version = {}", quoted(asked)));
    }
    checkout(Path::new(asked)).ok_or_else(|| {
        Failure::Usage(format!(
            "--polyhost {asked}: no checkout of Polyhost (no hosts/Cargo.toml in it), no version, no URL"
        ))
    })
}

fn checkout(folder: &Path) -> Option<String> {
    let crate_folder = folder.canonicalize().ok()?.join("hosts");
    // The name of its package, not that of any folder with a manifest.
    let manifest = std::fs::read_to_string(crate_folder.join("Cargo.toml")).ok()?;
    manifest.contains("name = \"polyhost\"").then(|| format!("path = {}", quoted(&crate_folder.to_string_lossy())))
}

/// A string of TOML, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_is_in_a_checkout_on_a_registry_or_in_a_repository() {
        let good = |asked| dependency(asked).expect("good");
        let here = good(None);
        assert!(here.starts_with("path = \"/") && here.ends_with("/hosts\""), "{here}");
        assert_eq!(here, good(Some(BUILT_IN)));
        assert_eq!("version = \"0.1\"", good(Some("0.1")));
        assert_eq!("version = \">=0.1, <2\"", good(Some(">=0.1, <2")));
        assert_eq!("git = \"https://example.org/p\"", good(Some("https://example.org/p")));
        assert!(dependency(Some("nowhere")).is_err());
        // A folder with a package of another name.
        assert!(dependency(Some(env!("CARGO_MANIFEST_DIR"))).is_err());
    }
}
