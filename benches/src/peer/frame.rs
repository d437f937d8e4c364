//! Messages over a pipe: a kind (one byte), a length (four bytes, the lowest first), and that many bytes.

use std::io::{self, Read, Write};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request, or its reply; the first one a child writes says that it is ready.
    Call,
    /// A call of the host service by a child, or its reply.
    Host,
    /// What went wrong, in words.
    Failed,
    /// What is missing, in words.
    Skipped,
}

const KINDS: [Kind; 4] = [Kind::Call, Kind::Host, Kind::Failed, Kind::Skipped];
const HEAD: usize = 5;

/// A length is a claim: memory is taken as the bytes arrive, in such pieces.
const MOST_AT_ONCE: usize = 1 << 20;

/// Writes a frame; `buffer` is for its bytes in one piece.
///
/// # Errors
/// What the pipe says; where a frame is too long.
pub(crate) fn write(pipe: &mut impl Write, kind: Kind, bytes: &[u8], buffer: &mut Vec<u8>) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    buffer.clear();
    buffer.push(kind as u8);
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(bytes);
    pipe.write_all(buffer)?;
    pipe.flush()
}

/// Reads a frame into `bytes`.
///
/// # Errors
/// What the pipe says; [`io::ErrorKind::UnexpectedEof`] where it has ended.
pub(crate) fn read(pipe: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<Kind> {
    let mut head = [0; HEAD];
    pipe.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let kind = KINDS.get(usize::from(kind)).copied();
    let length = u32::from_le_bytes(length) as usize;
    bytes.resize(length.min(MOST_AT_ONCE), 0);
    pipe.read_exact(bytes)?;
    while bytes.len() < length {
        let start = bytes.len();
        bytes.resize(length.min(start + MOST_AT_ONCE), 0);
        pipe.read_exact(&mut bytes[start..])?;
    }
    kind.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a frame of no known kind"))
}

#[cfg(test)]
mod tests {
    use polyhost_testkit::fuzz::edited;

    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in() {
        let mut pipe = Vec::new();
        for (kind, bytes) in [(Kind::Call, &b""[..]), (Kind::Failed, &[7; 3_000_000])] {
            write(&mut pipe, kind, bytes, &mut Vec::new()).expect("a Vec takes everything");
        }
        let (mut pipe, mut bytes) = (pipe.as_slice(), vec![1]);
        assert_eq!(Kind::Call, read(&mut pipe, &mut bytes).expect("the first"));
        assert!(bytes.is_empty());
        assert_eq!(Kind::Failed, read(&mut pipe, &mut bytes).expect("the second"));
        assert_eq!(vec![7; 3_000_000], bytes);
        assert_eq!(io::ErrorKind::UnexpectedEof, read(&mut pipe, &mut bytes).expect_err("no more").kind());
        assert_eq!(io::ErrorKind::InvalidData, read(&mut &[9, 0, 0, 0, 0][..], &mut bytes).expect_err("bad").kind());
    }

    #[test]
    fn fuzz_frames() {
        let mut seed = Vec::new();
        for (kind, bytes) in [(Kind::Call, &b""[..]), (Kind::Host, b"0123456789"), (Kind::Failed, &[7; 300])] {
            write(&mut seed, kind, bytes, &mut Vec::new()).expect("a Vec takes everything");
        }
        edited([seed], |input| {
            let (mut pipe, mut bytes, mut again) = (input, Vec::new(), Vec::new());
            while let Ok(kind) = read(&mut pipe, &mut bytes) {
                write(&mut again, kind, &bytes, &mut Vec::new()).expect("a Vec takes everything");
            }
            assert!(input.starts_with(&again));
            // What a broken child says of its length is not believed before the bytes are there.
            assert!(bytes.capacity() <= MOST_AT_ONCE + input.len());
        });
    }
}
