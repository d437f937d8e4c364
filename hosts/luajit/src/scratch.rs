//! Memory for the bytes of one message after the other.

/// The buffer of a VM. It is kept from message to message: malloc would give the memory of a large one back to the
/// kernel, which hands it out page by page, and so let a message of 1 MiB cost ten times as much.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    /// How many messages in a row have needed but little of it.
    small: u32,
}

/// A buffer up to this is always kept.
const KEEP: usize = 1 << 20;
/// A larger one is kept up to this, as long as there are messages that need it: the VM's own strings are about as large.
const MOST: usize = 16 << 20;
/// So many that need less than a quarter of it in a row, and nobody needs it any more.
const SMALL: u32 = 32;

impl Scratch {
    /// Uses the buffer, empty at first.
    pub(crate) fn with<T>(&mut self, use_it: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.bytes.clear();
        let outcome = use_it(&mut self.bytes);
        let capacity = self.bytes.capacity();
        if capacity > KEEP {
            self.small = if self.bytes.len() < capacity / 4 { self.small + 1 } else { 0 };
            if capacity > MOST || self.small >= SMALL {
                *self = Scratch::default();
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(scratch: &mut Scratch, len: usize) -> usize {
        scratch.with(|bytes| {
            assert!(bytes.is_empty());
            bytes.resize(len, 7);
        });
        scratch.bytes.capacity()
    }

    #[test]
    fn it_is_kept_while_messages_are_large() {
        let mut scratch = Scratch::default();
        assert!(write(&mut scratch, 3 << 20) >= 3 << 20);
        let kept = scratch.bytes.as_ptr();
        for _ in 0..3 * SMALL {
            write(&mut scratch, 10);
            write(&mut scratch, 3 << 20);
        }
        assert_eq!(kept, scratch.bytes.as_ptr(), "it is the same memory");
    }

    #[test]
    fn it_is_given_back_when_they_no_longer_are() {
        let mut scratch = Scratch::default();
        write(&mut scratch, 3 << 20);
        (1..SMALL).for_each(|_| assert!(write(&mut scratch, 10) >= 3 << 20));
        assert_eq!(0, write(&mut scratch, 10));
        assert_eq!(0, write(&mut scratch, MOST + 1), "it would be too much to keep");
        assert_eq!(KEEP, write(&mut scratch, KEEP));
        (0..2 * SMALL).for_each(|_| assert_eq!(KEEP, write(&mut scratch, 10)));
    }
}
