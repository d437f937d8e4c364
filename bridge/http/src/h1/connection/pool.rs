//! Buffers, kept by threads and not by connections: an idle connection has none.

use std::cell::RefCell;

use bytes::BytesMut;

/// The size of a fresh buffer.
pub(super) const SIZE: usize = 8 * 1024;
/// How many a thread keeps.
const KEPT: usize = 64;

thread_local! {
    static MINE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn take() -> BytesMut {
    let mine = MINE.try_with(|mine| mine.borrow_mut().pop()).ok().flatten();
    mine.unwrap_or_else(|| BytesMut::with_capacity(SIZE))
}

/// Takes a buffer's memory back, unless a part of it is still in use or it has grown.
pub(super) fn give(buffer: &mut BytesMut) {
    let mut buffer = std::mem::take(buffer);
    buffer.clear();
    if buffer.capacity() <= 2 * SIZE && buffer.try_reclaim(SIZE) {
        let _ = MINE.try_with(|mine| {
            let mut mine = mine.borrow_mut();
            if mine.len() < KEPT {
                mine.push(buffer);
            }
        });
    }
}
