//! The program as its users run it.

mod files;
mod program;
mod runs;
