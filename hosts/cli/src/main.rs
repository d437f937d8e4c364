//! The polyhost program.
fn main() {}
