//! The cases, by what they are about.

mod bodies;
mod connections;
mod failures;
mod files;
mod forms;
mod framing;
mod headers;
mod hosts;
mod lifetimes;
mod limits;
mod lines;
mod responses;
mod slow;
mod targets;
mod tight;
mod upgrades;
mod websockets;

use crate::case::Case;

pub(crate) fn all() -> Vec<Case> {
    let groups = [
        ("target", targets::cases()),
        ("host", hosts::cases()),
        ("header", headers::cases()),
        ("line", lines::cases()),
        ("framing", framing::cases()),
        ("connection", connections::cases()),
        ("body", bodies::cases()),
        ("form", forms::cases()),
        ("response", responses::cases()),
        ("failure", failures::cases()),
        ("lifetime", lifetimes::cases()),
        ("file", files::cases()),
        ("upgrade", upgrades::cases()),
        ("websocket", websockets::cases()),
        ("limit", limits::cases()),
        ("tight", tight::cases()),
        ("slow", slow::cases()),
    ];
    let named = |(group, mut cases): (&str, Vec<Case>)| {
        cases.iter_mut().for_each(|case| case.name = format!("{group}::{}", case.name.replace(' ', "_")));
        cases
    };
    groups.into_iter().flat_map(named).collect()
}

/// The bytes of a row: each character is one, up to U+00FF.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("rows hold characters below U+0100")).collect()
}
