//! Where NuGet packages come from: the offline folder's feed where there is one, else what the user has configured.

use std::path::PathBuf;

use super::Project;

impl Project {
    /// The offline folder's feed, if it has one.
    pub fn feed(&self) -> Option<PathBuf> {
        let feed = self.offline()?.join("nuget");
        feed.is_dir().then_some(feed)
    }

    /// The project's own package cache: packages of the offline feed may differ from the published ones of the same
    /// version, and must not end up in the user's.
    pub(crate) fn nuget_cache(&self) -> PathBuf {
        self.root().join("target/nuget")
    }
}
