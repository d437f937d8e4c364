//! What a run found out, as it is written to a file and read back.

pub(crate) mod environment;
mod file;
pub mod schema;

pub use file::{parse, read, write};
