//! `polyhost serve` takes applications over: what they see around them, where they listen, how they end.
#![cfg(feature = "aspnet")]

mod common;

#[path = "serve/dispatch.rs"]
mod dispatch;
#[path = "serve/ends.rs"]
mod ends;
#[path = "serve/listens.rs"]
mod listens;
#[path = "serve/publishes.rs"]
mod publishes;
#[path = "serve/refuses.rs"]
mod refuses;
#[path = "serve/running.rs"]
mod running;
#[path = "serve/sees.rs"]
mod sees;
#[path = "serve/slow.rs"]
mod slow;
