//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use polyhost_bridge::{CallContext, LoadOptions, Module, ModuleSource, Output, Result, Runtime};
use polyhost_clr::{Clr, ClrConfig};

/// The conformance guest, built by `polyhost-setup`.
pub(crate) fn guest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests/Conformance/Conformance.dll")
}

/// Why the tests can't run here, if they can't. Panics where `POLYHOST_REQUIRE` says that they must.
pub(crate) fn reason_to_skip() -> Option<String> {
    let config = ClrConfig::default();
    let missing = match polyhost_toolchain::dotnet::find_for_host(config.dotnet_root.as_deref()) {
        Err(error) => error.to_string(),
        Ok(_) if !guest().is_file() => format!("{} is not built; run `make setup`", guest().display()),
        Ok(_) => return None,
    };
    let required = std::env::var("POLYHOST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name.trim() == "clr"), "POLYHOST_REQUIRE names clr, and {missing}");
    Some(missing)
}

pub(crate) fn start() -> Arc<dyn Runtime> {
    Clr::start(&ClrConfig::default()).unwrap_or_else(|error| panic!("{error:?}"))
}

pub(crate) fn load(runtime: &dyn Runtime) -> Arc<dyn Module> {
    let source = ModuleSource::Path(guest());
    runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"))
}

pub(crate) fn call(module: &dyn Module, name: &str, input: &[u8]) -> Result<Vec<u8>> {
    let mut output = Output::new();
    module.function(name)?.call(&CallContext::none(), input, &mut output)?;
    Ok(output.into_vec())
}
