//! The HTTP front of Polyhost: a strict HTTP/1 codec and the exchange between a connection and an application.
#![forbid(unsafe_code)]

pub mod h1;
pub mod head;
pub mod limits;
pub mod packed;
