//! One contender of one workload in a process of its own.

pub(crate) mod client;
mod crew;
pub(crate) mod protocol;
mod serve;
mod session;

pub(crate) use serve::serve;
