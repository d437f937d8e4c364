//! What a user of the packed crates writes: one call in Lua, which calls back.

use polyhost::{CallContext, Export, LoadOptions, ModuleSource, Output, Services};

const GUEST: &str = r#"
local polyhost = require "polyhost"

polyhost.export("shout", function(input)
    return polyhost.service("upper")(input) .. "!"
end)
"#;

fn main() -> polyhost::Result<()> {
    let mut services = Services::new();
    services.add(polyhost::native::function(Export::bytes("upper"), |_cx, input, output| {
        output.write(&input.to_ascii_uppercase())
    }))?;
    let lua = polyhost::registry().runtime("lua")?;
    let source = ModuleSource::Text { name: "shout.lua".into(), text: GUEST.into() };
    let module = lua.load(&source, &LoadOptions::new().services(services))?;
    let mut reply = Output::new();
    module.function("shout")?.call(&CallContext::none(), b"hello", &mut reply)?;
    println!("{}", String::from_utf8_lossy(&reply));
    Ok(())
}
