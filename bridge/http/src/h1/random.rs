//! Changed inputs for tests, the same in every run.

/// A small generator (xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed * 2 + 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// Changes some bytes to ones that mean something.
    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const BYTES: &[u8] = b"\r\n\0 \t:;,%/.?#*@[]0129aAfF\x7f\x80\xc3\xff";
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len());
            let byte = BYTES[self.below(BYTES.len())];
            match self.below(4) {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.copy_within(at.., at / 2),
            }
        }
    }
}
