//! The conformance suite of Polyhost, for any host.
//!
//! A host that passes behaves as every other does: errors, cancellation,
//! concurrency, limits, lifetimes. This is all it takes, in
//! `tests/conformance.rs` with `harness = false`:
//!
//! ```no_run
//! use polyhost_bridge::{ModuleSource, Runtime};
//! use polyhost_testkit::Subject;
//! # fn start() -> polyhost_bridge::Result<std::sync::Arc<dyn Runtime>> { unimplemented!() }
//!
//! fn main() -> std::process::ExitCode {
//!     polyhost_testkit::main([
//!         Subject::new("mine", || start(), ModuleSource::Path("tests/conformance.mine".into()))
//!             .broken("a syntax error", ModuleSource::Path("tests/syntax.mine".into()), &["line 3"])
//!             .expectations("log::keeps_the_order_of_lines: why this fails, and what would mend it"),
//!     ])
//! }
//! ```
//!
//! `tests/conformance.mine` is a guest that implements the service of
//! `proto/conformance/v1/conformance.proto`; its comments are the contract.
//!
//! # How cases run
//! Every case runs for every subject, and where it makes calls, by `call` and by
//! `call_async`. Each capability that a runtime claims has cases of its own,
//! which those that do not claim it skip; to claim one without a case is a
//! failure. A known failure stands in the subject's expectations with its
//! reason, and has to fail. A runtime that can't be started is skipped with its
//! reason, unless the environment variable `POLYHOST_REQUIRE` names the subject.
//!
//! Cases that start, shut down or kill a runtime run in a process of their own:
//! the same program, started again with a hidden argument. Nothing sleeps, and
//! no time that a call took decides; waits for what may never come end after
//! [`PATIENCE`].

pub mod canonical;
#[cfg(feature = "fuzz")]
pub mod fuzz;

mod case;
mod cases;
mod child;
mod expectations;
mod golden;
mod meeting;
mod random;
mod subject;
mod suite;

pub use case::{Case, Cx, Mode, block_on, case};
pub use child::{Exit, is_child};
pub use meeting::{Meeting, PATIENCE};
pub use random::Random;
pub use subject::{Subject, service};
pub use suite::{cases, main, main_with};
