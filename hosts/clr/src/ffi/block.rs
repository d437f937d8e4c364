//! Memory for response bytes, which C# writes and Rust sends, without a copy between.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

use bytes::Bytes;

/// Before the bytes, so that their address alone is enough to free them.
const PREFIX: usize = 16;
/// No block is smaller.
const LEAST: usize = 4 << 10;

/// A piece of memory. Owned by whoever has it, C# perhaps, by the address of its bytes.
pub(super) struct Block(NonNull<u8>);

// SAFETY: a block is memory that only its owner uses.
unsafe impl Send for Block {}
// SAFETY: through a shared reference it can only be read.
unsafe impl Sync for Block {}

impl Block {
    /// At least so many bytes; `None` where there is no memory.
    pub(super) fn new(at_least: usize) -> Option<Block> {
        let capacity = at_least.max(LEAST);
        let layout = layout(capacity)?;
        // SAFETY: the layout is not empty. The length is written before anybody reads it.
        unsafe {
            let start = alloc(layout);
            let start = NonNull::new(start)?;
            start.cast::<usize>().write(capacity);
            Some(Block(start.add(PREFIX)))
        }
    }

    /// Gives it to C#: where its bytes are, and how many.
    pub(super) fn into_raw(self) -> (*mut u8, usize) {
        let this = std::mem::ManuallyDrop::new(self);
        (this.0.as_ptr(), this.capacity())
    }

    /// Takes it back.
    ///
    /// # Safety
    /// `data` came from [`Block::into_raw`], and nobody else has it.
    pub(super) unsafe fn from_raw(data: *mut u8) -> Block {
        // SAFETY: never null, as above.
        Block(unsafe { NonNull::new_unchecked(data) })
    }

    /// The first `len` bytes, which C# has written.
    pub(super) fn into_bytes(self, len: usize) -> Bytes {
        let len = len.min(self.capacity());
        Bytes::from_owner(Written { block: self, len })
    }

    fn capacity(&self) -> usize {
        // SAFETY: `new` wrote it there.
        unsafe { self.0.sub(PREFIX).cast::<usize>().read() }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let layout = layout(self.capacity()).expect("it was allocated with this");
        // SAFETY: allocated by `new` with this layout, and owned by nobody else.
        unsafe { dealloc(self.0.sub(PREFIX).as_ptr(), layout) };
    }
}

struct Written {
    block: Block,
    len: usize,
}

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the bytes are the block's own, at least that many, and C# has written them.
        unsafe { std::slice::from_raw_parts(self.block.0.as_ptr(), self.len) }
    }
}

fn layout(capacity: usize) -> Option<Layout> {
    Layout::from_size_align(capacity.checked_add(PREFIX)?, PREFIX).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_goes_to_c_sharp_and_comes_back_as_bytes() {
        let (data, capacity) = Block::new(10).expect("memory").into_raw();
        assert_eq!(LEAST, capacity);
        // SAFETY: the block is ours, and large enough.
        let bytes = unsafe {
            data.copy_from_nonoverlapping(b"hello".as_ptr(), 5);
            Block::from_raw(data).into_bytes(5)
        };
        assert_eq!(b"hello", &bytes[..]);
        assert!(Block::new(usize::MAX).is_none());
    }
}
