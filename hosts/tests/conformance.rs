//! The conformance suite, for every host that this was built with.

mod subjects;

fn main() -> std::process::ExitCode {
    polyhost_testkit::main(subjects::all())
}
