//! Words to make texts of.

/// Some beyond ASCII, of two, three and four bytes.
const WORDS: [&str; 24] = [
    "amber", "bridge", "café", "delta", "engine", "field", "größe", "harbour", "island", "journey", "キー", "lamp",
    "market", "north", "orbit", "paper", "quiet", "river", "stone", "tower", "🎉", "violet", "winter", "yard",
];

/// One of them.
pub(super) fn one(random: &mut fastrand::Rng) -> &'static str {
    WORDS[random.usize(..WORDS.len())]
}

/// So many, with a space between, and a number: texts differ.
pub(super) fn some(count: usize, random: &mut fastrand::Rng) -> String {
    let mut text = String::new();
    for _ in 0..count {
        text += one(random);
        text.push(' ');
    }
    text + &random.u32(..100_000).to_string()
}
