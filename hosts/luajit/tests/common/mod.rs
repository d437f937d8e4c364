//! What the tests share.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use polyhost_bridge::{CallContext, LoadOptions, Module, ModuleSource, Output, Result, Runtime};
use polyhost_luajit::{LuaJit, LuaJitConfig};

pub fn lua() -> Arc<LuaJit> {
    LuaJit::start(LuaJitConfig::new())
}

pub fn source(text: &str) -> ModuleSource {
    ModuleSource::Text { name: "test.lua".into(), text: text.into() }
}

pub fn load(lua: &LuaJit, text: &str) -> Arc<dyn Module> {
    lua.load(&source(text), &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"))
}

pub fn load_with(text: &str, options: LoadOptions) -> Arc<dyn Module> {
    lua().load(&source(text), &options).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Calls an export without a deadline.
pub fn call(module: &dyn Module, export: &str, input: &[u8]) -> Result<Output> {
    let mut output = Output::new();
    module.function(export)?.call(&CallContext::none(), input, &mut output)?;
    Ok(output)
}

/// Runs the rest of the calling test in a process of its own, so that a crash is a failed test and not the end of all.
/// True in the child.
pub fn in_child(test: &str) -> bool {
    const CHILD: &str = "POLYHOST_LUAJIT_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let this = std::env::current_exe().expect("the test's own program");
    let output = std::process::Command::new(this)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("the test's own program starts");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the child ended with {}: {text}", output.status);
    assert!(text.contains("1 passed"), "the child ran no test {test}: {text}");
    false
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The conformance guest.
pub fn conformance() -> Arc<dyn Module> {
    conformance_with(LoadOptions::new())
}

pub fn conformance_with(options: LoadOptions) -> Arc<dyn Module> {
    let source = ModuleSource::Path(project("lua/tests/conformance.lua"));
    lua().load(&source, &options).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Loads a text that asks for the project's own `.proto` files.
pub fn load_proto(text: &str) -> Arc<dyn Module> {
    load_with(text, LoadOptions::new().option("proto_path", project("proto").display().to_string()))
}

/// The sample of the guest library.
pub fn sample() -> Arc<dyn Module> {
    let source = ModuleSource::Path(project("lua/samples/greeter/greeter.lua"));
    lua().load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"))
}
