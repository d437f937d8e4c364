//! One call in three languages. Run it at the top of a checkout, after `make setup`:
//!
//! ```sh
//! cargo run -p polyhost --features full --example hello
//! ```

use polyhost::{CallContext, JsonFunction, LoadOptions};

fn main() -> polyhost::Result<()> {
    let registry = polyhost::registry();
    let python = "py:hosts/examples/hello/python/greeter.py";
    for location in ["clr:target/guests/Greeter/Greeter.dll", python, "lua:hosts/examples/hello/lua/greeter.lua"] {
        let greeter = registry.load(location, &LoadOptions::new())?;
        let hello = JsonFunction::of(&*greeter, "greeter.v1.Greeter/SayHello")?;
        println!("{location}: {}", hello.call(&CallContext::none(), r#"{"name":"world"}"#)?);
    }
    Ok(())
}
