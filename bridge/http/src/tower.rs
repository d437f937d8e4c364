//! Between exchanges and `tower` services, both ways.
//!
//! [`TowerApp`] puts a service, such as an axum `Router`, behind a front of
//! this crate. [`AppService`] makes a service of an [`HttpApp`](crate::HttpApp),
//! to be nested in a router, or served by another HTTP implementation.
//!
//! Upgrades do not pass: a service that asks hyper for one finds none, and an
//! application behind [`AppService`] is not told that the client wants one.

mod app;
mod pump;
mod service;

pub use app::{RequestBody, TowerApp};
pub use service::{AppService, ResponseBody, ResponseFuture, serve_exchange};

/// The error of any service or body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
