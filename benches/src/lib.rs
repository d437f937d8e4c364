//! What each runtime really costs: the library behind `polyhost-bench`.
//!
//! - [`cli`]: the commands.
//! - [`stats`]: medians, their intervals, comparisons; without a clock.
//! - [`result`]: what a run found out, as it is written to a file and read back.
//!
//! A run never has a guest in its own process. Each contender of each workload lives in a worker, a process of this
//! same program, which is asked over its standard input and answers over its standard output; so its memory and CPU
//! are its own, and where it crashes or hangs the others go on.

#[cfg(test)]
mod agreement;
pub mod alloc;
pub mod cli;
mod compare;
mod contenders;
mod facts;
mod http;
mod matrix;
mod measure;
pub mod peer;
mod project;
mod report;
pub mod result;
mod run;
mod selfcheck;
pub mod stats;
mod targets;
mod worker;
mod workloads;
