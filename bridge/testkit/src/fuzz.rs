//! Fuzz tests: what is right, with mistakes in it.
//!
//! ```
//! polyhost_testkit::fuzz::edited(["12", "-3"], |bytes| {
//!     let _ = std::str::from_utf8(bytes).map(str::parse::<i32>);
//! });
//! ```
//!
//! A test runs for a second, or for as many as the environment variable `POLYHOST_FUZZ_SECONDS` says. What fails is
//! made smaller and shown, with a number for `POLYHOST_FUZZ_SEED` that makes it again.

use std::time::{Duration, Instant, SystemTime};

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// The most edits of a seed, and the longest piece that one puts in, takes out or says again.
const EDITS: usize = 12;
const PIECE: usize = 40;

/// Cases of one seed.
const CASES: u32 = 500;

/// Numbers that lengths and counts go wrong at.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    i32::MAX as u64,
    u32::MAX as u64,
    1 << 32,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];

/// Runs a check on examples with a few bytes changed, put in, taken out, moved, or taken from another example; some are
/// left as they are.
///
/// # Panics
/// Where the check does.
pub fn edited<S: AsRef<[u8]>>(examples: impl IntoIterator<Item = S>, check: impl Fn(&[u8])) {
    let examples: Vec<_> = examples.into_iter().map(|example| example.as_ref().to_vec()).collect();
    let strategy = (any::<Index>(), vec(edits(), 0..EDITS)).prop_map(|(index, edits)| {
        let mut bytes = index.get(&examples).clone();
        edits.iter().for_each(|edit| edit.apply(&mut bytes, &examples));
        bytes
    });
    let end = Instant::now() + Duration::from_secs(number("POLYHOST_FUZZ_SECONDS").unwrap_or(1));
    let mut seed = number("POLYHOST_FUZZ_SEED").unwrap_or_else(new_seed);
    loop {
        if let Err(TestError::Fail(why, bytes)) = runner(seed).run(&strategy, |bytes| {
            check(&bytes);
            Ok(())
        }) {
            panic!("POLYHOST_FUZZ_SEED={seed}: {why}\n{bytes:02x?}\n{}", String::from_utf8_lossy(&bytes));
        }
        if Instant::now() >= end {
            return;
        }
        seed = seed.wrapping_add(1);
    }
}

fn runner(seed: u64) -> TestRunner {
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_time: 10_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Another one at each run.
fn new_seed() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64)
}

#[derive(Debug, Clone)]
struct Edit {
    kind: u8,
    at: Index,
    length: usize,
    byte: u8,
    other: Index,
}

fn edits() -> impl Strategy<Value = Edit> {
    (0u8..9, any::<Index>(), 0..PIECE, any::<u8>(), any::<Index>()).prop_map(|(kind, at, length, byte, other)| Edit {
        kind,
        at,
        length,
        byte,
        other,
    })
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>, examples: &[Vec<u8>]) {
        let at = self.at.index(bytes.len() + 1);
        let end = bytes.len().min(at + self.length);
        match self.kind {
            0 if at < bytes.len() => bytes[at] ^= 1 << (self.byte % 8),
            1 if at < bytes.len() => bytes[at] = self.byte,
            2 => bytes.insert(at, self.byte),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.truncate(at),
            5 => {
                let piece = bytes[at..end].to_vec();
                let to = self.other.index(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            6 => {
                let other = self.other.get(examples);
                let from = other.len() * usize::from(self.byte) / 256;
                let piece = &other[from..other.len().min(from + self.length)];
                bytes.splice(at..end, piece.iter().copied());
            }
            7 => {
                let mut varint = Vec::new();
                prost::encoding::encode_varint(*self.other.get(&EDGES), &mut varint);
                bytes.splice(at..bytes.len().min(at + 1), varint);
            }
            _ => {
                let (number, width) = (self.other.get(&EDGES).to_le_bytes(), 2 << (self.byte % 3));
                bytes.splice(at..bytes.len().min(at + width), number[..width].iter().copied());
            }
        }
    }
}
