//! ASP.NET Core applications, published and unchanged, behind a Rust HTTP server in this process.

mod app;
mod config;
mod inline;
pub(crate) mod published;
pub(crate) mod state;
mod stats;

pub use app::AspNetApp;
pub use config::{AspNetConfig, ServerSettings};
pub use inline::Inline;
pub use stats::Stats;
