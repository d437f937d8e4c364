//! The HTTP front of Polyhost: a strict HTTP/1 codec and the exchange between a connection and an application.
#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod exchange;
pub mod h1;
pub mod head;
pub mod limits;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod observe;
pub mod packed;
pub mod server;
pub mod tower;
pub mod transport;

pub use app::{ConnectionInfo, Endpoint, HttpApp, Turn};
pub use exchange::{BodyError, Data, Events, ExchangeId, Read, ResponseHead, SendFlags, Sent};
pub use listen::Address;
pub use observe::Observer;
pub use server::Server;
