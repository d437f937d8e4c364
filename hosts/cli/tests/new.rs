//! `polyhost new`: each kind of project is made, and does what its README says, by the commands that stand there.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyhost_toolchain::dotnet::{self, DotnetRoot};
use polyhost_toolchain::setup::{Project, guests};
use polyhost_toolchain::{Machine, roslyn};
use serde_json::Value;
use tempfile::TempDir;

use common::{Run, checkout, command, required, run};

const EXPORT: &str = "greeter.v1.Greeter/SayHello";
const GREETING: &str = "{\"text\":\"Hello, you!\"}\n";

/// A project that the program has made.
struct Made {
    /// What it lies in.
    _around: TempDir,
    folder: PathBuf,
    /// What the program told.
    told: Value,
    /// For the commands of its README.
    variables: Vec<(String, String)>,
}

impl Made {
    /// Makes a project called `word-count`.
    fn new(kind: &str, options: &[&str]) -> Made {
        Made::with(kind, options, Vec::new())
    }

    /// The same with variables for the program and the commands.
    fn with(kind: &str, options: &[&str], variables: Vec<(String, String)>) -> Made {
        let around = tempfile::tempdir().expect("a folder");
        let mut program = command(["new", kind, "word-count", "--json"].iter().chain(options));
        let told = run(program.current_dir(around.path()).envs(variables.iter().cloned())).json();
        let folder = around.path().join("word-count");
        let made = Made { _around: around, folder, told, variables };
        made.is_as_told();
        made
    }

    /// Checks that what was told is what is there, under the project's name.
    fn is_as_told(&self) {
        let mut files = Vec::new();
        collect(&self.folder, &mut files);
        for file in &files {
            let path = file.strip_prefix(&self.folder).expect("inside").to_str().expect("UTF-8");
            let told = self.told["files"].as_array().expect("a list").iter().find(|it| it["path"] == path);
            assert!(told.is_some_and(|it| it["what"] != ""), "{path} is not told");
            let content = String::from_utf8_lossy(&fs::read(file).expect("can be read")).into_owned();
            for text in [path, &content] {
                let left = ["my_project", "MyProject", "@polyhost@", "@cpython"].iter().find(|it| text.contains(**it));
                assert_eq!(None, left, "in {path}");
            }
        }
        assert_eq!(files.len(), self.told["files"].as_array().map_or(0, Vec::len));
    }

    /// The commands that come next, but for the change of folder.
    fn commands(&self) -> Vec<&str> {
        let mut commands = self.told["next"].as_array().expect("a list").iter().filter_map(Value::as_str);
        assert_eq!(Some("cd word-count"), commands.next());
        let commands: Vec<_> = commands.collect();
        let readme = fs::read_to_string(self.folder.join("README.md")).expect("there");
        assert!(!commands.is_empty() && commands.iter().all(|it| readme.contains(it)), "{commands:?}");
        commands
    }

    /// Runs a command as a person does who has `polyhost` on the path.
    fn shell(&self, line: &str) -> Run {
        let program = Path::new(env!("CARGO_BIN_EXE_polyhost")).parent().expect("a folder");
        let line = format!("PATH={}:$PATH\n{line}", program.display());
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(&self.folder);
        // Of whoever runs the tests, and `make` may.
        for name in ["VIRTUAL_ENV", "CARGO_TARGET_DIR", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
            shell.env_remove(name);
        }
        run(shell.envs(self.variables.iter().cloned()))
    }

    fn writes(&self, path: &str, old: &str, new: &str) {
        let file = self.folder.join(path);
        let text = fs::read_to_string(&file).expect("there");
        assert!(text.contains(old), "{path}: {text}");
        fs::write(file, text.replace(old, new)).expect("written");
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

/// Says why a kind is not tried, unless it has to be.
fn skip(runtime: &str, why: &str) {
    assert!(!required(runtime), "{why}, and POLYHOST_REQUIRE asks for {runtime}");
    println!("skipped: {runtime}: {why}");
}

#[test]
fn a_guest_in_lua_is_called_and_tested() {
    if !cfg!(feature = "luajit") {
        return skip("luajit", "it is not in this build");
    }
    let made = Made::new("lua", &[]);
    let [inspect, call, test] = made.commands()[..] else { panic!("{:?}", made.commands()) };
    assert!(made.shell(inspect).text().contains(EXPORT));
    assert_eq!(GREETING, made.shell(call).text());
    assert_eq!("ok: greets_by_name\nok: refuses_an_empty_name\n", made.shell(test).text());
    made.writes("word_count.lua", "Hello, ", "Bye, ");
    made.shell(test).fails(1, &["test greets_by_name failed", "got Bye, you!"]);
}

#[test]
fn a_guest_in_c_is_built_called_and_tested() {
    let strict = [("CFLAGS".to_owned(), "-O1 -Werror".to_owned())];
    let made = Made::with("c", &[], strict.to_vec());
    let [build, call, test] = made.commands()[..] else { panic!("{:?}", made.commands()) };
    made.shell(build).text();
    assert_eq!(GREETING, made.shell(call).text());
    let tested = made.shell(test).text();
    assert!(tested.ends_with("ok: greets by name\nok: refuses an empty name\n"), "{tested}");
    let bytes =
        |hex: &str| made.shell(&format!("polyhost call native:./libword_count.so {EXPORT} --hex --input {hex}"));
    // An unknown group, and one that does not end; a name that is no text, and a length beyond the end.
    assert_eq!(GREETING, bytes("131408010a03796f75").text());
    for (hex, said) in [("13", "no greeter.v1.HelloRequest"), ("0a02c080", "not UTF-8"), ("0a05ff", "no greeter")] {
        bytes(hex).fails(1, &["INVALID_ARGUMENT", said]);
    }
    made.writes("guest.c", "Hello, ", "Bye, ");
    let failed = made.shell(test);
    assert_ne!(Some(0), failed.code());
    assert!(String::from_utf8_lossy(&failed.stdout).contains("FAILED: greets by name"), "{}", failed.stderr);
}

#[test]
fn a_guest_in_python_is_called_and_tested() {
    let python = checkout().join(".venv/bin/python");
    if !cfg!(feature = "cpython") {
        return skip("cpython", "it is not in this build");
    }
    if !python.is_file() {
        return skip("cpython", "there is no .venv; run `make setup`");
    }
    let made = Made::new("py", &[]);
    let [_environment, call, test] = made.commands()[..] else { panic!("{:?}", made.commands()) };
    environment(&python, &made.folder);
    let active = |line: &str| made.shell(&format!(". .venv/bin/activate && {line}"));
    assert_eq!(GREETING, active(call).text());
    let tested = active(test).text();
    assert!(tested.contains("2 passed"), "{tested}");
    made.writes("word_count.py", "Hello, ", "Bye, ");
    let failed = active(test);
    assert_eq!(Some(1), failed.code(), "{}", failed.stderr);
}

/// An environment of the project's own, as its first command makes one. What pip would get from an index are the
/// packages of the checkout.
fn environment(python: &Path, folder: &Path) {
    let mut venv = Command::new(python);
    assert!(
        venv.args(["-m", "venv", "--without-pip", ".venv"]).current_dir(folder).status().expect("starts").success()
    );
    let say = "import sysconfig; print(sysconfig.get_path('purelib'), end='')";
    let folder_of = |python: &Path| run(Command::new(python).args(["-c", say])).text();
    let (ours, its) = (folder_of(python), folder_of(&folder.join(".venv/bin/python")));
    fs::remove_dir(&its).expect("it is empty");
    symlink(ours, its).expect("linked");
}

/// Where .NET is, and the variables that its SDK takes here: packages from the offline feed, if there is one.
fn sdk() -> Result<(DotnetRoot, Vec<(String, String)>), String> {
    let project = Project::around(checkout(), Machine::current()).map_err(|e| e.to_string())?;
    let wanted = dotnet::Wanted { sdk: true, ..dotnet::Wanted::default() };
    let root = dotnet::search(project.machine(), None, &wanted).into_result().map_err(|e| e.to_string())?;
    let muxer = root.muxer().ok_or("there is no .NET SDK")?;
    let command = guests::dotnet_command(&project, &muxer);
    let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
    let mut variables: Vec<_> =
        command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?)))).collect();
    let path = std::env::var("PATH").unwrap_or_default();
    variables.push(("PATH".to_owned(), format!("{}:{path}", root.root.display())));
    variables.push(("NuGetAudit".to_owned(), "false".to_owned()));
    variables.extend(project.feed().map(|feed| ("RestoreSources".to_owned(), text(feed.as_os_str()))));
    Ok((root, variables))
}

#[test]
fn a_guest_in_csharp_is_built_called_and_tested() {
    let variables = match sdk() {
        _ if !cfg!(feature = "clr") => return skip("clr", "it is not in this build"),
        Ok((_, variables)) => variables,
        Err(why) => return skip("clr", &why),
    };
    let made = Made::with("clr", &[], variables);
    assert_eq!(Value::Null, made.told["note"]);
    let [build, call, test] = made.commands()[..] else { panic!("{:?}", made.commands()) };
    let built = made.shell(build);
    let said = String::from_utf8_lossy(&built.stdout).into_owned();
    if ["error NU1101", "error NU1102", "error NU1301"].iter().any(|code| said.contains(code)) {
        return skip("clr", &format!("no NuGet packages: {said}"));
    }
    assert!(built.code() == Some(0) && said.contains("0 Warning(s)"), "{said}{}", built.stderr);
    assert_eq!(GREETING, made.shell(call).text());
    assert!(made.shell(&format!("polyhost inspect clr:out/WordCount.dll {EXPORT}")).text().contains("Greets by name."));
    assert_eq!("ok: greets by name\nok: refuses an empty name\n", made.shell(test).text());
    made.writes("src/GreeterGuest.cs", "Hello, ", "Bye, ");
    let failed = made.shell(test);
    let said = String::from_utf8_lossy(&failed.stdout).into_owned();
    assert!(failed.code() == Some(1) && said.contains("FAILED: greets by name"), "{said}");
}

#[test]
fn an_sdk_that_a_shell_does_not_find_is_named() {
    let root = match sdk() {
        Ok((root, _)) => root.root.display().to_string(),
        Err(why) => return skip("clr", &why),
    };
    let nothing = tempfile::tempdir().expect("a folder").path().display().to_string();
    let made = Made::with("clr", &[], vec![("PATH".to_owned(), nothing), ("DOTNET_ROOT".to_owned(), root.clone())]);
    let note = made.told["note"].as_str().expect("there is something to know");
    assert!(note.contains("not on PATH") && note.contains(&format!("export PATH={root}:")), "{note}");
}

#[test]
fn a_guest_in_csharp_runs_from_its_source_where_there_is_no_sdk() {
    let protobuf = checkout().join("target/guests/Greeter/Google.Protobuf.dll");
    let found = dotnet::find_for_host(None).map_err(|e| e.to_string());
    let found =
        found.and_then(|root| roslyn::find(Some(&root)).map(|roslyn| (root, roslyn)).map_err(|e| e.to_string()));
    let (root, roslyn) = match found {
        _ if !cfg!(feature = "clr") => return skip("clr", "it is not in this build"),
        _ if !protobuf.is_file() => return skip("clr", "there is no target/guests/Greeter; run `make setup`"),
        Ok(found) => found,
        Err(why) => return skip("clr", &why),
    };
    // A .NET of which nobody sees more than the runtime.
    let machine = tempfile::tempdir().expect("a folder");
    for part in ["host", "shared"] {
        symlink(root.root.join(part), machine.path().join(part)).expect("linked");
    }
    fs::create_dir(machine.path().join("protobuf")).expect("made");
    fs::copy(protobuf, machine.path().join("protobuf/Google.Protobuf.dll")).expect("copied");
    let text = |path: &Path| path.display().to_string();
    let mut variables = vec![("POLYHOST_DOTNET".to_owned(), text(machine.path()))];
    variables.push(("POLYHOST_ROSLYN".to_owned(), text(&roslyn)));
    variables.extend(["DOTNET_ROOT", "DOTNET_ROOT_X64"].map(|name| (name.to_owned(), String::new())));
    let sees =
        Machine::current().with("POLYHOST_DOTNET", machine.path()).without("DOTNET_ROOT").without("DOTNET_ROOT_X64");
    let wanted = dotnet::Wanted { sdk: true, ..dotnet::Wanted::default() };
    if let Some(sdk) = dotnet::search(&sees, None, &wanted).found {
        // One in a standard folder can't be hidden; that other machines have none is what this is for.
        println!("skipped: clr: {} has an SDK", sdk.root.display());
        return;
    }
    let made = Made::with("clr", &[], variables);
    assert!(made.told["note"].as_str().is_some_and(|note| note.contains("no .NET SDK")), "{}", made.told);
    let [call] = made.commands()[..] else { panic!("{:?}", made.commands()) };
    assert_eq!(GREETING, made.shell(call).text());
}

#[test]
fn a_guest_in_rust_is_built_called_and_tested() {
    let made = Made::with("rust", &[], cargo());
    build_as_here(&made);
    let [build, call, test] = made.commands()[..] else { panic!("{:?}", made.commands()) };
    let built = made.shell(build);
    assert!(built.code() == Some(0) && !built.stderr.contains("warning"), "{}", built.stderr);
    assert_eq!(GREETING, made.shell(call).text());
    made.shell(&call.replace("you", "")).fails(1, &["INVALID_ARGUMENT: name is empty"]);
    assert!(made.shell(&call.replace("call", "inspect").replace(" --input", " #")).text().contains("Greets by name."));
    assert!(made.shell(test).text().contains("2 passed"));
    made.shell("cargo fmt --check").text();
}

/// One build for everything: it takes the most time of all.
#[test]
fn a_host_is_built_run_and_tested() {
    if !cfg!(feature = "luajit") {
        return skip("luajit", "it is not in this build");
    }
    let runtimes = if cfg!(feature = "cpython") { "clr,cpython" } else { "clr" };
    let made = Made::with("host", &["--with", runtimes], cargo());
    build_as_here(&made);
    let [build, call, test] = made.commands()[..] else { panic!("{:?}", made.commands()) };
    let built = made.shell(build);
    assert!(built.code() == Some(0) && !built.stderr.contains("warning"), "{}", built.stderr);
    assert_eq!("lua:guests/greeter.lua: Hello, world!\n", made.shell(call).text());
    let hello = checkout().join("hosts/examples/hello/lua/greeter.lua");
    let other = format!("lua:{}", hello.display());
    assert_eq!(format!("{other}: Hello, world, from Lua!\n"), made.shell(&format!("{call} -- {other}")).text());
    assert!(made.shell(test).text().contains("2 passed"));
    made.shell("cargo fmt --check").text();
}

/// Has cargo do without the network, with the settings of the checkout.
fn cargo() -> Vec<(String, String)> {
    let settings = [("CARGO_NET_OFFLINE", "true"), ("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// Lets a project in Rust have the versions that the checkout was tested with, which are on this machine, and what is
/// built of them already.
fn build_as_here(made: &Made) {
    fs::copy(checkout().join("Cargo.lock"), made.folder.join("Cargo.lock")).expect("copied");
    let program = std::env::current_exe().expect("the program knows where it is");
    let target = program.ancestors().nth(3).expect("it is in TARGET/PROFILE/deps");
    symlink(target, made.folder.join("target")).expect("linked");
}

#[test]
fn a_guest_library_is_updated_and_nothing_else() {
    let made = Made::new("lua", &[]);
    made.writes("word_count.lua", "Hello, ", "Bye, ");
    let library = made.folder.join("lib/polyhost.lua");
    let text = fs::read_to_string(&library).expect("there");
    fs::write(&library, "an older one").expect("written");
    assert!(made.shell("polyhost new lua . --update").text().contains("lib/polyhost.lua"));
    assert_eq!(text, fs::read_to_string(&library).expect("there"));
    assert!(fs::read_to_string(made.folder.join("word_count.lua")).expect("there").contains("Bye, "));
    made.shell("polyhost new clr . --update").fails(1, &["no ./lib/Polyhost.Guest.dll", "polyhost new"]);
    made.shell("polyhost new host . --update").fails(2, &["Cargo.toml"]);
}

#[test]
fn people_are_told_what_was_made_and_what_comes_next() {
    let around = tempfile::tempdir().expect("a folder");
    let text = run(command(["new", "python", "my app's/greeter"]).current_dir(around.path())).text();
    for line in
        ["made my app's/greeter, a guest in Python\n", "  greeter.py  ", "  lib/polyhost/  ", "\nnext:\n  cd 'my app"]
    {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert!(!text.contains("__init__"), "{text}");
}

#[test]
fn what_can_not_be_made_is_told_and_leaves_nothing() {
    let around = tempfile::tempdir().expect("a folder");
    let new = |arguments: &[&str]| run(command([&["new"], arguments].concat()).current_dir(around.path()));
    let unknown = new(&["cobol", "greeter"]);
    assert_eq!(Some(2), unknown.code());
    assert!(unknown.stderr.contains("possible values: clr, py, lua, c, rust, host"), "{}", unknown.stderr);
    for name in ["2fast", "a.b", "größe", "a--b", "polyhost", "..", "/"] {
        new(&["lua", name]).fails(2, &["no", "name for a project"]);
    }
    new(&["py", "json"]).fails(2, &["json is something else already"]);
    new(&["lua", "a", "--with", "clr"]).fails(2, &["--with is for a host"]);
    new(&["c", "a", "--polyhost", "1"]).fails(2, &["--polyhost is for projects in Rust"]);
    new(&["host", "a", "--polyhost", "nowhere"]).fails(2, &["--polyhost nowhere", "no checkout", "no version"]);
    assert_eq!(0, fs::read_dir(around.path()).expect("a folder").count());

    fs::write(around.path().join("file"), "mine").expect("written");
    new(&["c", "file"]).fails(1, &["file is there already"]);
    fs::create_dir(around.path().join("full")).expect("made");
    fs::write(around.path().join("full/notes"), "mine").expect("written");
    new(&["c", "full"]).fails(1, &["full is not empty (there is notes)"]);
    assert_eq!(1, fs::read_dir(around.path().join("full")).expect("a folder").count());
    new(&["c", "file/guest"]).fails(1, &["file/guest"]);

    // A folder that waits for its first files, under version control already.
    fs::create_dir_all(around.path().join("fresh/.git")).expect("made");
    new(&["c", "fresh"]).text();
    assert!(around.path().join("fresh/guest.c").is_file());
}
