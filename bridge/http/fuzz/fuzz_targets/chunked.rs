//! A body in chunks that arrives in pieces is taken apart as the one that arrives at once, and nothing after its end
//! is taken. The first byte says how long the pieces are.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use polyhost_http::{
    h1::chunked::{Chunked, ChunkedDecoder},
    limits::Limits,
};

fuzz_target!(|input: &[u8]| {
    let Some((step, bytes)) = input.split_first() else { return };
    let at_once = decode(bytes, bytes.len().max(1));
    let in_pieces = decode(bytes, usize::from(*step).max(1));
    assert_eq!(at_once, in_pieces);
});

/// The data, and where the body ended with which trailers, or that it is wrong.
#[derive(Debug, PartialEq)]
struct Outcome {
    data: Vec<u8>,
    end: Option<(usize, Vec<u8>)>,
    is_wrong: bool,
}

fn decode(bytes: &[u8], step: usize) -> Outcome {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    let mut buffer = BytesMut::new();
    let mut outcome = Outcome { data: Vec::new(), end: None, is_wrong: false };
    let mut arrived = 0;
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        arrived += piece.len();
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Chunked::Data(data)) => {
                    assert!(!data.is_empty());
                    outcome.data.extend_from_slice(&data);
                }
                Ok(Chunked::NeedMore) => break,
                Ok(Chunked::End { trailers }) => {
                    outcome.end = Some((arrived - buffer.len(), trailers.to_vec()));
                    return outcome;
                }
                Err(_) => {
                    outcome.is_wrong = true;
                    return outcome;
                }
            }
        }
    }
    outcome
}
