//! Results for people.

pub(crate) mod terminal;
