//! Takes bodies in chunks apart (RFC 9112, 7.1).
//!
//! Every line ends in CRLF, and neither CR nor LF stands alone in an extension: two parsers that disagree there see
//! different requests (CVE-2025-55315).

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use super::{BadRequest, parse};
use crate::{head::Known, limits::Limits, packed};

/// What [`ChunkedDecoder::decode`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunked {
    /// Bytes of the body, never none.
    Data(Bytes),
    /// All that can be taken was taken.
    NeedMore,
    /// The body is complete; what is left in the buffer belongs to the next request.
    End {
        /// Trailer lines, [packed].
        trailers: Bytes,
    },
}

/// Takes one body apart as it arrives.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes of a line in the buffer that were searched for its end.
    searched: usize,
    wire_bytes: u64,
    max_extension: usize,
    max_trailer_size: usize,
    max_trailer_count: usize,
    any_encoding: bool,
    trailer_count: usize,
    trailer_size: usize,
    trailers: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { size: u32, digits: u32 },
    Extension { size: u32, len: usize },
    SizeEnd { size: u32 },
    Data { left: u32 },
    DataEnd,
    Trailers,
    End,
}

impl ChunkedDecoder {
    /// `7FFFFFFF` is the longest size Kestrel reads.
    const MAX_DIGITS: u32 = 8;
    const MAX_SIZE: u32 = i32::MAX as u32;

    /// A decoder for one body. Trailers have the limits of headers.
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: State::Size { size: 0, digits: 0 },
            searched: 0,
            wire_bytes: 0,
            max_extension: limits.max_chunk_extension_size,
            max_trailer_size: limits.headers_size(),
            max_trailer_count: limits.max_request_header_count,
            any_encoding: limits.any_header_encoding,
            trailer_count: 0,
            trailer_size: 0,
            trailers: BytesMut::new(),
        }
    }

    /// Counts trailers together with the headers of the head, as Kestrel does.
    pub(crate) fn after_headers(self, count: usize) -> Self {
        Self { trailer_count: count, ..self }
    }

    /// How many bytes were taken, with chunk framing but without trailers: what Kestrel holds against the largest body.
    pub fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    /// Takes the next piece of the body from the front of `buffer`, without copying it.
    ///
    /// # Errors
    /// [`BadRequest`] where the framing is wrong; the rest of the connection then has no meaning.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Chunked, BadRequest> {
        loop {
            self.state = match self.state {
                State::Data { left } => {
                    let len = buffer.len().min(left as usize);
                    if len == 0 {
                        return Ok(Chunked::NeedMore);
                    }
                    self.wire_bytes += len as u64;
                    let left = left - len as u32;
                    self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
                    return Ok(Chunked::Data(buffer.split_to(len).freeze()));
                }
                State::Trailers => match self.trailer(buffer)? {
                    Some(next) => next,
                    None => return Ok(Chunked::NeedMore),
                },
                State::End => return Ok(Chunked::End { trailers: self.trailers.split().freeze() }),
                line => match self.line(line, buffer)? {
                    Some(next) => next,
                    None => return Ok(Chunked::NeedMore),
                },
            }
        }
    }

    /// Takes what frames chunks, some bytes at a time.
    fn line(&mut self, state: State, buffer: &mut BytesMut) -> Result<Option<State>, BadRequest> {
        let (next, taken) = match (state, buffer.as_ref()) {
            (_, []) => return Ok(None),
            (State::Size { size, digits }, [b, ..]) => match (*b as char).to_digit(16) {
                Some(digit) if digits < Self::MAX_DIGITS && size <= Self::MAX_SIZE >> 4 => {
                    (State::Size { size: size << 4 | digit, digits: digits + 1 }, 1)
                }
                None if digits > 0 && *b == b';' => (State::Extension { size, len: 1 }, 1),
                None if digits > 0 && *b == b'\r' => (State::SizeEnd { size }, 0),
                _ => return Err(bad_size()),
            },
            (State::Extension { size, len }, bytes) => {
                let run = bytes.iter().take_while(|b| !parse::is_control(**b)).count();
                if len + run > self.max_extension {
                    return Err(BadRequest::new(400, "Chunk extension too long."));
                }
                match bytes.get(run) {
                    None => (State::Extension { size, len: len + run }, run),
                    Some(b'\r') => (State::SizeEnd { size }, run),
                    Some(_) => return Err(BadRequest::new(400, "Bad chunk extension.")),
                }
            }
            (State::SizeEnd { .. } | State::DataEnd, [b'\r']) => return Ok(None),
            (State::SizeEnd { size: 0 }, [b'\r', b'\n', ..]) => (State::Trailers, 2),
            (State::SizeEnd { size }, [b'\r', b'\n', ..]) => (State::Data { left: size }, 2),
            (State::SizeEnd { .. }, _) => return Err(bad_size()),
            (State::DataEnd, [b'\r', b'\n', ..]) => (State::Size { size: 0, digits: 0 }, 2),
            (State::DataEnd, _) => return Err(BadRequest::new(400, "Bad chunk suffix.")),
            (State::Data { .. } | State::Trailers | State::End, _) => unreachable!("decode takes these itself"),
        };
        buffer.advance(taken);
        self.wire_bytes += taken as u64;
        Ok(Some(next))
    }

    /// Takes one trailer line, or the empty line that ends the body.
    fn trailer(&mut self, buffer: &mut BytesMut) -> Result<Option<State>, BadRequest> {
        let found = memchr(b'\n', &buffer[self.searched..]).map(|at| self.searched + at);
        let size = self.trailer_size + found.map_or(buffer.len(), |end| end + 1);
        if size > self.max_trailer_size {
            return Err(BadRequest::new(431, "Request headers too long."));
        }
        let Some(end) = found else {
            self.searched = buffer.len();
            return Ok(None);
        };
        (self.searched, self.trailer_size) = (0, size);
        if buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            return Ok(Some(State::End));
        }
        self.trailer_count += 1;
        if self.trailer_count > self.max_trailer_count {
            return Err(BadRequest::new(431, "Request contains too many headers."));
        }
        let line = parse::header_line(buffer, 0, end)?;
        let (name, value) = (line.name.of(buffer), line.value.of(buffer));
        // Fields that say where a message ends or whom it is for come too late here.
        let misplaced =
            [Known::ContentLength, Known::TransferEncoding, Known::Host].iter().any(|k| *k as u8 == line.known);
        if misplaced || !parse::is_value(value, self.any_encoding) {
            return Err(BadRequest::detail(400, "Invalid request trailer", &buffer[..end]));
        }
        packed::push(&mut self.trailers, name, value);
        buffer.advance(end + 1);
        Ok(Some(State::Trailers))
    }
}

#[cold]
fn bad_size() -> BadRequest {
    BadRequest::new(400, "Bad chunk size data.")
}

#[cfg(test)]
mod tests;
