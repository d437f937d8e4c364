//! Header lines packed into one run of bytes, as they cross between Rust and a guest.
//!
//! One entry per line: `u16` length of the name, `u32` length of the value (both little endian, unaligned), name, value.

use bytes::{BufMut, BytesMut};

/// Appends one header line.
///
/// # Panics
/// When the name is longer than 65,535 bytes or the value longer than 4 GiB.
pub fn push(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    let name_len = u16::try_from(name.len()).expect("a header name is shorter than 64 KiB");
    let value_len = u32::try_from(value.len()).expect("a header value is shorter than 4 GiB");
    out.reserve(6 + name.len() + value.len());
    out.put_u16_le(name_len);
    out.put_u32_le(value_len);
    out.put_slice(name);
    out.put_slice(value);
}

/// Name and value of a header line.
pub type Line<'a> = (&'a [u8], &'a [u8]);

/// Reads packed header lines, in order.
#[derive(Debug, Clone, Copy, Default)]
pub struct PackedHeaders<'a> {
    rest: &'a [u8],
}

/// Packed header lines that end in the middle of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated;

impl<'a> PackedHeaders<'a> {
    /// Reads from `packed`.
    pub fn new(packed: &'a [u8]) -> Self {
        Self { rest: packed }
    }

    /// The next line, or `None` after the last.
    ///
    /// # Errors
    /// [`Truncated`] when the bytes end in the middle of a line.
    pub fn try_next(&mut self) -> Result<Option<Line<'a>>, Truncated> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (lengths, rest) = self.rest.split_first_chunk::<6>().ok_or(Truncated)?;
        let name_len = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
        let value_len = u32::from_le_bytes([lengths[2], lengths[3], lengths[4], lengths[5]]) as usize;
        let (name, rest) = rest.split_at_checked(name_len).ok_or(Truncated)?;
        let (value, rest) = rest.split_at_checked(value_len).ok_or(Truncated)?;
        self.rest = rest;
        Ok(Some((name, value)))
    }
}
