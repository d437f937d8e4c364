//! What is checked in is what its sources give: the assemblies, and the C# messages of the .proto files.

use std::io::Write;
use std::path::{Path, PathBuf};

use polyhost_toolchain::Machine;
use polyhost_toolchain::dotnet::{Wanted, search};
use polyhost_toolchain::setup::guests::{dotnet_command, properties};
use polyhost_toolchain::setup::{Project, protoc};

/// The SDK that the assemblies are built with: another compiler may write other bytes.
const SDK: &str = "10.0.401";

/// The C# that is made of each .proto file.
const FILES: &[(&str, &str)] = &[("conformance/v1/conformance.proto", "tests/Conformance/gen/Conformance.cs")];

/// What to run after a change.
const BLESS: &str = "POLYHOST_BLESS=1 cargo test -p polyhost-dotnet --test prebuilt";

#[test]
fn assemblies_match_their_sources() {
    let project = project();
    let wanted = Wanted { sdk: true, ..Wanted::default() };
    let found = search(project.machine(), None, &wanted).into_result();
    let Some((root, muxer)) = found.ok().and_then(|root| root.muxer().map(|muxer| (root, muxer))) else {
        return skip("there is no .NET SDK; the assemblies in dotnet/prebuilt were not built again", true);
    };
    let sdk = root.sdks[0].to_string();
    if sdk != SDK {
        return skip(&format!("the assemblies in dotnet/prebuilt are built with SDK {SDK}, here is {sdk}"), false);
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prebuilt");
    // The shim's project builds what it needs, which is all but the server.
    for name in ["Polyhost", "Polyhost.AspNetCore"] {
        let mut build = dotnet_command(&project, &muxer);
        build.arg("msbuild").arg(folder().join(format!("src/{name}/{name}.csproj")));
        build.args(["-restore", "-nologo", "-v:quiet", "-nodeReuse:false"]).args(properties(&project));
        // The last one counts: what `make` has built for the guests stays as it is.
        build.arg(format!("-p:ArtifactsPath={}", out.display()));
        let result = build.output().expect("the SDK's program runs");
        let said = String::from_utf8_lossy(&result.stdout);
        if said.contains("NU1301") || said.contains("NU1101") {
            return skip("the SDK gets no NuGet packages; set POLYHOST_OFFLINE to a folder with nuget/", true);
        }
        assert!(result.status.success(), "{said}\n{}", String::from_utf8_lossy(&result.stderr));
    }
    let files = [
        "Polyhost.dll",
        "Polyhost.Guest.dll",
        "Polyhost.Guest.xml",
        "Polyhost.Compiler.dll",
        "Polyhost.AspNetCore.dll",
    ];
    let pairs = files.map(|file| {
        let name = Path::new(file).file_stem().expect("a name").to_string_lossy();
        (out.join(format!("bin/{name}/release/{file}")), folder().join("prebuilt").join(file))
    });
    compare(&pairs);
}

#[test]
fn messages_match_the_proto_files() {
    let Some(mut generate) = protoc::find(&project()) else {
        let why = format!("the C# messages are made by {}, which is not there", protoc::VERSION);
        return skip(&format!("{why}; `make test` gets it"), false);
    };
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("messages");
    std::fs::create_dir_all(&out).expect("temporary folder");
    let descriptors = folder().join("../proto/src/gen/descriptors.binpb");
    generate.arg("--descriptor_set_in").arg(descriptors).arg("--csharp_out").arg(&out);
    let result = generate.args(FILES.iter().map(|(proto, _)| proto)).output().expect("protoc runs");
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    let pairs: Vec<_> = FILES
        .iter()
        .map(|(_, file)| {
            let checked_in = folder().join(file);
            (out.join(checked_in.file_name().expect("a file")), checked_in)
        })
        .collect();
    compare(&pairs);
}

/// The crate's folder.
fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The checkout around it.
fn project() -> Project {
    Project::around(folder(), Machine::current()).expect("the crate lies in a checkout")
}

/// Says why a test proves nothing here. A missing runtime fails it where `POLYHOST_REQUIRE` asks for that.
fn skip(why: &str, is_missing: bool) {
    let required = std::env::var("POLYHOST_REQUIRE").unwrap_or_default();
    let required = required.split(',').any(|name| name.trim() == "clr");
    assert!(!(is_missing && required), "{why}, and POLYHOST_REQUIRE asks for clr");
    // Past the harness, which would show it for a test that fails only.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Compares what is checked in with what was made anew; with `POLYHOST_BLESS=1` writes it instead.
fn compare(fresh: &[(PathBuf, PathBuf)]) {
    for (fresh, checked_in) in fresh {
        let new = std::fs::read(fresh).unwrap_or_else(|e| panic!("{}: {e}", fresh.display()));
        if std::env::var_os("POLYHOST_BLESS").is_some() {
            std::fs::write(checked_in, new).unwrap_or_else(|e| panic!("{}: {e}", checked_in.display()));
            continue;
        }
        let old = std::fs::read(checked_in).unwrap_or_default();
        let same = old == new;
        assert!(same, "{} is not what its sources give; run {BLESS}", checked_in.display());
    }
}
