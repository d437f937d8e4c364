//! What the tests share.
#![allow(dead_code, reason = "each test file uses a part")]

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
