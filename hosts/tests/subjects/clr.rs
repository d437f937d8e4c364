//! .NET.

use polyhost::clr::{Clr, ClrConfig};
use polyhost::{Error, ErrorKind, ModuleSource};
use polyhost_testkit::Subject;
use polyhost_toolchain::dotnet::CORE;

use super::in_workspace;

pub(super) fn subject() -> Subject {
    // Built by `make setup` from dotnet/tests/Conformance.
    let guest = in_workspace("target/guests/Conformance/Conformance.dll");
    let start = {
        let guest = guest.clone();
        move || {
            if !guest.exists() {
                let message = format!("{} was not built; run `make setup`", guest.display());
                return Err(Error::new(ErrorKind::Config, message));
            }
            Clr::start(&ClrConfig::default())
        }
    };
    let limited = || {
        let mut config = ClrConfig::default();
        config.gc.heap_hard_limit = Some(256 << 20);
        Clr::start(&config)
    };
    Subject::new("clr", start, ModuleSource::Path(guest))
        .limited(limited)
        .text(ModuleSource::Text { name: "Echo.cs".into(), text: ECHO.into() })
        .broken("a file that is no assembly", ModuleSource::Path(in_workspace("Cargo.toml")), &["Cargo.toml"])
        .broken("a syntax error", source("Broken.cs", "class Broken\n{\n    int\n}\n"), &["Broken.cs", "CS"])
        .versions("Versions.cs", VERSIONS, VERSIONS.replace("\"1\"", "\"2\""))
        .expectations(&expectations())
}

/// The known failures, with those of an older runtime where one will be started.
fn expectations() -> String {
    let mut lines = include_str!("../expectations/clr.txt").to_owned();
    let root = polyhost_toolchain::dotnet::find_for_host(None).ok();
    if root.is_some_and(|root| root.newest(CORE).is_some_and(|version| version.major < 10)) {
        lines += include_str!("../expectations/clr-before-10.txt");
    }
    lines
}

fn source(name: &str, text: &str) -> ModuleSource {
    ModuleSource::Text { name: name.into(), text: text.into() }
}

const VERSIONS: &str = r#"
using Polyhost;

public static class Versions
{
    [Export("raw/Tell")]
    public static byte[] Tell(byte[] input) => "1"u8.ToArray();

    [Export("raw/Across")]
    public static byte[] Across(byte[] input, CallContext context)
    {
        context.Call("between", input);
        return Tell(input);
    }
}
"#;

const ECHO: &str = r#"
using Polyhost;

public static class Text
{
    [Export("raw/Echo")]
    public static byte[] Echo(byte[] input) => input;
}
"#;
