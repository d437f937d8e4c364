//! The buffer a reply is written to.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A growing buffer with a limit, owned by the host and written by host and guest alike.
///
/// Its memory layout is `PolyhostOutput` of `polyhost.h`, so a guest appends to
/// it in place, with no call and no copy between. Reusing one `Output` for many
/// calls ([`Output::clear`]) saves the allocation.
#[repr(C)]
pub struct Output {
    /// Start of a `Vec<u8>` allocation of `capacity` bytes (dangling where that is 0). Owned by this value.
    data: NonNull<u8>,
    len: usize,
    capacity: usize,
    limit: usize,
}

// SAFETY: an Output owns its bytes alone, as a Vec<u8> does.
unsafe impl Send for Output {}
// SAFETY: through a shared reference it can only be read.
unsafe impl Sync for Output {}

impl Output {
    /// Where the fields lie, for the comparison with `PolyhostOutput`.
    pub(crate) const OFFSETS: [usize; 4] = [
        std::mem::offset_of!(Output, data),
        std::mem::offset_of!(Output, len),
        std::mem::offset_of!(Output, capacity),
        std::mem::offset_of!(Output, limit),
    ];

    /// The limit of [`Output::new`]: 64 MiB.
    pub const DEFAULT_LIMIT: usize = 64 << 20;

    /// An empty buffer that may grow to [`Output::DEFAULT_LIMIT`] bytes.
    pub fn new() -> Self {
        Output::with_limit(Output::DEFAULT_LIMIT)
    }

    /// An empty buffer that may grow to `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Output::from_vec(Vec::new(), limit)
    }

    /// A buffer that goes on in the memory of `bytes`, behind what is in it.
    pub fn from_vec(bytes: Vec<u8>, limit: usize) -> Self {
        let mut bytes = ManuallyDrop::new(bytes);
        let data = NonNull::new(bytes.as_mut_ptr()).expect("a Vec's pointer is never null");
        let limit = limit.max(bytes.len());
        Output { data, len: bytes.len(), capacity: bytes.capacity(), limit }
    }

    /// The bytes, without a copy.
    pub fn into_vec(self) -> Vec<u8> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `data` and `capacity` came from a Vec<u8> (from_vec, set_vec) and `len <= capacity`
        // bytes were written; `this` is not dropped, so the Vec is the only owner.
        unsafe { Vec::from_raw_parts(this.data.as_ptr(), this.len, this.capacity) }
    }

    /// Forgets the content and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Cuts the content down to its first `len` bytes; does nothing where it is shorter.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The bytes it has memory for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The most bytes it may hold.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes no more than `additional` bytes from here on, where the limit leaves so many; returns the limit there was.
    #[inline]
    pub(crate) fn narrow(&mut self, additional: usize) -> usize {
        let limit = self.limit;
        self.limit = limit.min(self.len.saturating_add(additional));
        limit
    }

    /// Has the limit again that [`Output::narrow`] returned.
    #[inline]
    pub(crate) fn widen(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] where that would pass the limit; nothing is written then.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.room() < bytes.len() {
            self.reserve(bytes.len())?;
        }
        // SAFETY: `room` bytes behind `len` are ours and at least bytes.len(); a `&[u8]` can't overlap memory we own
        // alone.
        unsafe { self.data.as_ptr().add(self.len).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        self.len += bytes.len();
        Ok(())
    }

    /// Makes room for `additional` more bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] where that would pass the limit, or memory is out.
    #[cold]
    pub fn reserve(&mut self, additional: usize) -> Result<()> {
        let needed = self.len.checked_add(additional).filter(|needed| *needed <= self.limit);
        let Some(needed) = needed else {
            return Err(self.over_limit(additional));
        };
        if needed <= self.capacity {
            return Ok(());
        }
        // Doubling keeps many small writes linear; the limit caps it.
        let capacity = needed.max(self.capacity.saturating_mul(2)).max(64).min(self.limit);
        let limit = self.limit;
        let mut bytes = std::mem::take(self).into_vec();
        let grown = bytes.try_reserve_exact(capacity - bytes.len());
        *self = Output::from_vec(bytes, limit);
        grown.map_err(|e| Error::new(ErrorKind::Exhausted, "no memory for the reply").caused_by(e))
    }

    /// The bytes so far.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `len` bytes of our allocation were written.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }

    /// Checks what a guest that wrote in place left behind: no guest may have passed `capacity`.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where it did; the content is dropped.
    #[inline]
    pub fn check(&mut self) -> Result<()> {
        if self.len <= self.capacity && self.len <= self.limit {
            return Ok(());
        }
        self.overrun()
    }

    #[cold]
    fn overrun(&mut self) -> Result<()> {
        let (len, room) = (self.len, self.capacity.min(self.limit));
        self.len = 0;
        let kind = if len <= self.capacity { ErrorKind::Exhausted } else { ErrorKind::Internal };
        Err(Error::new(kind, format!("the guest says it wrote {len} bytes into an output of {room}")))
    }

    #[cold]
    fn over_limit(&self, additional: usize) -> Error {
        let message = format!(
            "the reply is over its limit of {} bytes ({} written, {additional} more asked for); raise the limit or reply with less",
            self.limit, self.len
        );
        Error::new(ErrorKind::Exhausted, message)
    }

    #[inline]
    fn room(&self) -> usize {
        self.capacity.min(self.limit).saturating_sub(self.len)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: as in `into_vec`; a length of 0 is always initialised.
        drop(unsafe { Vec::from_raw_parts(self.data.as_ptr(), 0, self.capacity) });
    }
}

impl Default for Output {
    fn default() -> Self {
        Output::new()
    }
}

impl AsRef<[u8]> for Output {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl std::ops::Deref for Output {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("len", &self.len).field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_grows_and_gives_the_bytes_back() {
        let mut output = Output::new();
        for i in 0..1000u32 {
            output.write(&i.to_le_bytes()).expect("under the limit");
        }
        let expected: Vec<u8> = (0..1000u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(expected, output.as_slice());
        assert_eq!(expected, output.into_vec());
    }

    #[test]
    fn refuses_what_passes_the_limit_and_keeps_the_rest() {
        let mut output = Output::with_limit(10);
        output.write(b"12345678").expect("under the limit");
        let error = output.write(b"9abc").expect_err("over the limit");
        assert_eq!(ErrorKind::Exhausted, error.kind());
        assert_eq!(b"12345678", output.as_slice());
        output.write(b"9a").expect("exactly the limit");
        assert_eq!(ErrorKind::Exhausted, output.reserve(usize::MAX).expect_err("overflow").kind());
    }

    #[test]
    fn a_larger_allocation_does_not_widen_the_limit() {
        let mut output = Output::from_vec(Vec::with_capacity(4096), 8);
        assert!(output.write(&[0; 9]).is_err());
        assert!(output.write(&[0; 8]).is_ok());
    }

    #[test]
    fn keeps_its_memory_when_cleared() {
        let mut output = Output::new();
        output.write(&[1; 100]).expect("room");
        let before = output.as_slice().as_ptr();
        output.clear();
        output.write(&[2; 100]).expect("room");
        assert_eq!(before, output.as_slice().as_ptr());
    }
}
