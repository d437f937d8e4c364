//! The wire format: keys, varints, fixed and delimited values.

use super::{Failure, Wrong};

type Result<T> = std::result::Result<T, Failure>;

/// How a value is written; the number is its code in the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Delimited = 2,
    StartGroup = 3,
    EndGroup = 4,
    Fixed32 = 5,
}

/// Reads from the front of a message's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What has been read since `before`, a copy of this reader from then.
    pub(super) fn since(&self, before: Reader<'a>) -> &'a [u8] {
        &before.0[..before.0.len() - self.0.len()]
    }

    pub(super) fn varint(&mut self) -> Result<u64> {
        if let [first @ 0..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok(u64::from(*first));
        }
        let mut value = 0u64;
        for (at, byte) in self.0.iter().enumerate().take(10) {
            // Of the tenth byte one bit is left.
            if at == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Ok(value);
            }
        }
        Err(if self.0.len() < 10 { cut_short() } else { Wrong::new("a varint of more than 64 bits") })
    }

    /// The number and the wire type of the next field.
    pub(super) fn key(&mut self) -> Result<(u32, WireType)> {
        let key = self.varint()?;
        let wire_type = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Delimited,
            3 => WireType::StartGroup,
            4 => WireType::EndGroup,
            5 => WireType::Fixed32,
            other => return Err(Wrong::new(format!("wire type {other}, which there is not"))),
        };
        match u32::try_from(key >> 3) {
            Ok(number @ 1..=MAX_NUMBER) => Ok((number, wire_type)),
            _ => Err(Wrong::new(format!("field number {}, which there is not", key >> 3))),
        }
    }

    pub(super) fn fixed32(&mut self) -> Result<[u8; 4]> {
        let (value, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*value)
    }

    pub(super) fn fixed64(&mut self) -> Result<[u8; 8]> {
        let (value, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*value)
    }

    pub(super) fn delimited(&mut self) -> Result<&'a [u8]> {
        let len = self.varint()?;
        let len = usize::try_from(len).ok().filter(|len| *len <= self.0.len()).ok_or_else(cut_short)?;
        let (value, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(value)
    }

    /// Passes over the value of a field that is unknown.
    pub(super) fn skip(&mut self, number: u32, wire_type: WireType, depth: usize) -> Result<()> {
        match wire_type {
            WireType::Varint => self.varint().map(drop),
            WireType::Fixed64 => self.fixed64().map(drop),
            WireType::Delimited => self.delimited().map(drop),
            WireType::Fixed32 => self.fixed32().map(drop),
            WireType::EndGroup => Err(unopened(number)),
            WireType::StartGroup => {
                let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
                loop {
                    match self.key()? {
                        (end, WireType::EndGroup) if end == number => return Ok(()),
                        (inner, wire_type) => self.skip(inner, wire_type, depth)?,
                    }
                }
            }
        }
    }
}

const MAX_NUMBER: u32 = (1 << 29) - 1;

#[cold]
fn cut_short() -> Failure {
    Wrong::new("it ends in the middle of a field")
}

#[cold]
pub(super) fn unopened(number: u32) -> Failure {
    Wrong::new(format!("group {number} ends that did not begin"))
}

#[cold]
pub(super) fn too_deep() -> Failure {
    Wrong::new(format!("messages are nested more than {} deep", super::MAX_DEPTH))
}

/// Writes a message's bytes, up to a limit.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    limit: usize,
}

impl<'a> Writer<'a> {
    /// Appends to `bytes`, which may hold `limit` bytes in all.
    pub(super) fn new(bytes: &'a mut Vec<u8>, limit: usize) -> Self {
        Writer { bytes, limit }
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        if self.limit - self.bytes.len() < bytes.len() {
            return Err(self.over_limit(bytes.len()));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn varint(&mut self, value: u64) -> Result<()> {
        let mut buffer = [0; 10];
        let len = varint(value, &mut buffer);
        self.raw(&buffer[..len])
    }

    pub(super) fn key(&mut self, number: u32, wire_type: WireType) -> Result<()> {
        self.varint(u64::from(number) << 3 | wire_type as u64)
    }

    pub(super) fn delimited(&mut self, bytes: &[u8]) -> Result<()> {
        self.varint(bytes.len() as u64)?;
        self.raw(bytes)
    }

    /// Writes what `write` writes, with its length before it.
    pub(super) fn nested(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        // Most are short enough for one byte of length; what is not is moved.
        let start = self.bytes.len();
        self.raw(&[0])?;
        write(self)?;
        let len = self.bytes.len() - start - 1;
        let mut buffer = [0; 10];
        let more = varint(len as u64, &mut buffer) - 1;
        if more > 0 {
            self.raw(&buffer[..more])?;
            self.bytes.copy_within(start + 1..start + 1 + len, start + 1 + more);
        }
        self.bytes[start..=start + more].copy_from_slice(&buffer[..=more]);
        Ok(())
    }

    #[cold]
    fn over_limit(&self, more: usize) -> Failure {
        Failure::TooLong { limit: self.limit, written: self.bytes.len(), more }
    }
}

/// Appends a field of one varint.
pub(super) fn append_varint(bytes: &mut Vec<u8>, number: u32, value: u64) {
    let mut buffer = [0; 10];
    for part in [u64::from(number) << 3, value] {
        let len = varint(part, &mut buffer);
        bytes.extend_from_slice(&buffer[..len]);
    }
}

fn varint(mut value: u64, buffer: &mut [u8; 10]) -> usize {
    let mut len = 0;
    loop {
        buffer[len] = value as u8 & 0x7f;
        value >>= 7;
        if value == 0 {
            return len + 1;
        }
        buffer[len] |= 0x80;
        len += 1;
    }
}

pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: u64) {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes, 10).varint(value).expect("room");
        let mut expected = Vec::new();
        prost::encoding::encode_varint(value, &mut expected);
        assert_eq!(expected, bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(value, reader.varint().expect("its own"));
        assert!(reader.is_empty());
        assert_eq!(value as i64, unzigzag(zigzag(value as i64)));
        for cut in 0..bytes.len() {
            assert!(Reader::new(&bytes[..cut]).varint().is_err());
        }
    }

    #[test]
    fn varints_are_as_prost_writes_them() {
        for shift in 0..64 {
            let bit = 1u64 << shift;
            [bit - 1, bit, bit + 1, !bit].into_iter().for_each(check);
        }
        assert!(Reader::new(&[0x80; 11]).varint().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint().is_err());
    }

    #[test]
    fn lengths_of_any_size_fit_in_after_the_fact() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let mut bytes = vec![9];
            Writer::new(&mut bytes, usize::MAX).nested(|it| it.raw(&vec![7; len])).expect("room");
            let mut reader = Reader::new(&bytes[1..]);
            assert_eq!(vec![7; len], reader.delimited().expect("its own"));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn the_limit_is_kept() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, 3);
        writer.raw(&[1, 2]).expect("room");
        assert!(matches!(writer.raw(&[3, 4]), Err(Failure::TooLong { more: 2, .. })));
        writer.raw(&[3]).expect("exactly");
    }
}
