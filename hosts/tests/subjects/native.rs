//! Rust closures, and the same code as a shared library behind the C ABI.

#[path = "../../native/samples/rust/conformance.rs"]
mod conformance;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Once};
use std::time::Duration;

use conformance::{Conformance, Host};
use polyhost::native::{Native, NativeConfig};
use polyhost::{CallContext, LoadOptions, LogLevel, LogRecord, ModuleSource, Output, Result, Runtime};
use polyhost_testkit::Subject;

/// Rust closures.
pub(super) fn closures() -> Subject {
    Subject::new("native", || Ok(start()), ModuleSource::Name("conformance".into()))
        .broken("a module that is not registered", ModuleSource::Name("missing".into()), &["missing", "conformance"])
        .expectations(include_str!("../expectations/native.txt"))
}

/// A shared library.
pub(super) fn library() -> Subject {
    let file = super::in_workspace("Cargo.toml");
    Subject::new("library", start_libraries, ModuleSource::Path(sample()))
        .prepare(build_once)
        .broken("a file that is no library", ModuleSource::Path(file), &["not a shared library", "Cargo.toml"])
        .expectations(include_str!("../expectations/library.txt"))
}

fn start() -> Arc<dyn Runtime> {
    Native::start(NativeConfig::new().module("conformance", |mut module, options| {
        let state = Arc::new(Conformance::new());
        let name = options.name.clone().unwrap_or_else(|| "conformance".into());
        for (export, handler) in Conformance::exports() {
            let (state, options, name) = (state.clone(), options.clone(), name.clone());
            module = module.export(export, move |cx, input, output| {
                let host = Call { cx, options: &options, module: &name };
                output.write(&handler(&state, &host, input)?)
            });
        }
        Ok(module.descriptors(polyhost_proto::DESCRIPTORS))
    }))
}

struct Call<'a> {
    cx: &'a CallContext,
    options: &'a LoadOptions,
    module: &'a str,
}

impl Host for Call<'_> {
    fn service(&self, name: &str, input: &[u8]) -> Result<Vec<u8>> {
        let mut output = Output::new();
        let id = self.options.services.find(name)?;
        self.options.services.call(id, self.cx, input, &mut output)?;
        Ok(output.into_vec())
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.options.log.write(&LogRecord::new(self.module, level, "conformance", message));
    }

    fn metadata(&self) -> Vec<(String, String)> {
        self.cx.metadata().to_vec()
    }

    fn remaining(&self) -> Option<Duration> {
        self.cx.remaining()
    }

    fn check(&self) -> Result<()> {
        self.cx.check()
    }
}

fn start_libraries() -> Result<Arc<dyn Runtime>> {
    // The parent has built it for its children.
    if !polyhost_testkit::is_child() {
        build_once();
    }
    // SAFETY: only the sample is loaded, and a text that is none.
    Ok(unsafe { Native::with_libraries() })
}

fn build_once() {
    static BUILT: Once = Once::new();
    BUILT.call_once(build);
}

/// Builds the sample, which cargo does not do for the tests of another package. Cheap once it is there.
fn build() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "-p", "polyhost-native", "--example", "guest"]);
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo has built this test");
    assert!(status.success(), "the sample in Rust does not build");
    assert!(sample().exists(), "cargo built no {}", sample().display());
}

/// This test is in `target/PROFILE/deps`, the sample in `target/PROFILE/examples`.
fn sample() -> PathBuf {
    let program = std::env::current_exe().expect("the program knows where it is");
    let profile = program.parent().and_then(Path::parent).expect("it is in deps");
    profile.join("examples").join("libguest.so")
}
