//! Calls through the trait.

use std::sync::Arc;

use polyhost_bridge::{CallContext, Function, LoadOptions, Module, ModuleSource, Output, Result, Runtime};
use polyhost_cpython::{Cpython, CpythonConfig};

fn python() -> Arc<dyn Runtime> {
    Cpython::start(&CpythonConfig::new()).expect("Python starts")
}

fn load(text: &str) -> Arc<dyn Module> {
    let source = ModuleSource::Text { name: "guest.py".into(), text: text.into() };
    python().load(&source, &LoadOptions::new()).expect("it loads")
}

fn call(function: &dyn Function, input: &[u8]) -> Result<Vec<u8>> {
    let mut output = Output::new();
    function.call(&CallContext::none(), input, &mut output)?;
    Ok(output.into_vec())
}

#[test]
fn bytes_come_back() {
    let module =
        load("from polyhost import export\n@export('raw/Echo')\ndef echo(data: bytes) -> bytes:\n    return data\n");
    let echo = module.function("raw/Echo").expect("exported");
    assert_eq!(b"hello".to_vec(), call(&*echo, b"hello").expect("it echoes"));
    assert_eq!(b"".to_vec(), call(&*echo, b"").expect("it echoes"));
}
