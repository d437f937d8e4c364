//! LuaJIT.

use polyhost::ModuleSource;
use polyhost::luajit::{LuaJit, LuaJitConfig};
use polyhost_testkit::Subject;

use super::in_workspace;

pub(super) fn subject() -> Subject {
    let guest = in_workspace("lua/tests/conformance.lua");
    let text = |name: &str, text: &str| ModuleSource::Text { name: name.into(), text: text.into() };
    Subject::new("luajit", || Ok(LuaJit::start(LuaJitConfig::default())), ModuleSource::Path(guest))
        // For raw/ReadFile.
        .option("libs", "io")
        .text(text("echo.lua", ECHO))
        .endless(text("endless.lua", "while true do end\n"))
        .broken("a syntax error", text("syntax.lua", "local x = 1\nlocal y = = 2\n"), &["syntax.lua", "2"])
        .broken("an error while it loads", text("raises.lua", "\nerror('no luck')\n"), &["raises.lua", "no luck"])
        .versions("versions.lua", VERSIONS, VERSIONS.replace("\"1\"", "\"2\""))
        .expectations(include_str!("../expectations/luajit.txt"))
}

const VERSIONS: &str = r#"
local polyhost = require "polyhost"

local function tell()
    return "1"
end

polyhost.export("raw/Tell", tell)

polyhost.export("raw/Across", function(input)
    polyhost.service("between")(input)
    return tell()
end)
"#;

const ECHO: &str = r#"
local polyhost = require "polyhost"

polyhost.export("raw/Echo", function(input)
    return input
end)
"#;
