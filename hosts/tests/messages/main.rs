//! Messages against what others say of them: the protobuf project's own conformance test, and random messages of random
//! types through each language.

mod conformance;
mod guests;
mod random;
mod schema;

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};
use polyhost_toolchain::Machine;
use polyhost_toolchain::setup::Project;

fn main() -> ExitCode {
    if let Some(code) = conformance::testee() {
        return code;
    }
    let trials = vec![
        trial("conformance", "the_protobuf_projects_own_conformance_test", conformance::run),
        trial("luajit", "random_messages_through_lua", random::lua),
        #[cfg(feature = "cpython")]
        trial("cpython", "random_messages_through_python", random::python),
        #[cfg(feature = "clr")]
        trial("clr", "random_messages_through_csharp", random::csharp),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A test that tells why it can't run here, and fails then where `POLYHOST_REQUIRE` names what it needs.
fn trial(needs: &'static str, name: &str, test: fn(&Project) -> Result<(), String>) -> Trial {
    Trial::ignorable_test(name, move || {
        let project = Project::around(Path::new(env!("CARGO_MANIFEST_DIR")), Machine::current())?;
        let Err(reason) = test(&project) else { return Ok(Completion::Completed) };
        let required = std::env::var("POLYHOST_REQUIRE").unwrap_or_default();
        let required = required.split(',').any(|name| name.trim() == needs);
        assert!(!required, "POLYHOST_REQUIRE names {needs}, and {reason}");
        Ok(Completion::ignored_with(reason))
    })
}
