//! Examples of ASP.NET Core applications, published, served by `polyhost serve`, and used as people use them.
#![cfg(feature = "aspnet")]

mod common;

#[path = "web/bookshelf.rs"]
mod bookshelf;
#[path = "web/chat.rs"]
mod chat;
#[path = "serve/running.rs"]
mod running;
#[path = "web/tools.rs"]
mod tools;
#[path = "web/visitor.rs"]
mod visitor;
