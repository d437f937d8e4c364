//! Results for people, and for programs of theirs.

mod colours;
pub(crate) mod csv;
pub(crate) mod html;
pub(crate) mod markdown;
mod plots;
pub(crate) mod readme;
#[cfg(test)]
pub(crate) mod sample;
mod svg;
pub(crate) mod terminal;
pub(crate) mod units;
pub(crate) mod view;
