//! Compiles C# where there is a runtime but no SDK, with a Roslyn that Polyhost hosts. `polyhost-setup` runs it for the
//! guests of this checkout.

use std::error::Error;
use std::process::ExitCode;

use polyhost_bridge::{CallContext, LoadOptions, ModuleSource, Output, Result, Runtime};
use polyhost_clr::{Clr, ClrConfig};
use polyhost_toolchain::{Machine, dotnet, roslyn};
use serde_json::Value;

const USAGE: &str = "\
usage: polyhost-csc FILE

FILE holds a JSON list of what to compile, in this order; `polyhost_dotnet::COMPILER` says what each may have.";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [file] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("polyhost-csc: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn run(file: &str) -> Result<(), Box<dyn Error>> {
    let list: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let runtime = Clr::start(&ClrConfig::default())?;
    let compiler = ModuleSource::Bytes { name: "Polyhost.Compiler".into(), bytes: polyhost_dotnet::COMPILER.to_vec() };
    let options = LoadOptions::new().option("references", libraries(&*runtime)?);
    let compile = runtime.load(&compiler, &options)?.function(polyhost_dotnet::COMPILE)?;
    for request in list {
        let mut output = Output::new();
        let outcome = compile.call(&CallContext::none(), request.to_string().as_bytes(), &mut output);
        outcome.map_err(|error| error.with("output", request["output"].to_string()))?;
        let reply: Value = serde_json::from_slice(&output)?;
        for warning in reply["warnings"].as_array().into_iter().flatten() {
            eprintln!("{}", warning.as_str().unwrap_or_default());
        }
        println!("{}", request["output"].as_str().unwrap_or_default());
    }
    Ok(())
}

/// The folder of Roslyn's libraries that go with the runtime.
fn libraries(runtime: &dyn Runtime) -> Result<String, Box<dyn Error>> {
    let root = match &runtime.info().location {
        Some(root) => Some(dotnet::inspect(root, "the runtime that runs")?),
        None => None,
    };
    let folder = roslyn::search(&Machine::current(), root.as_ref()).into_result()?;
    Ok(folder.display().to_string())
}
