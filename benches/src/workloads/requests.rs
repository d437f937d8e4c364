//! Requests in turn, each other than all before it.

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// Where 8 bytes may be counted up without the request becoming another kind of one; less at its end.
    pub(crate) counter: Option<usize>,
}

/// What one caller sends: its requests in turn. An unchanging one would be interned once, and flatter LuaJIT threefold.
#[derive(Debug)]
pub(crate) struct Requests {
    ring: Vec<Request>,
    sent: u64,
    /// Where the one that was sent last is.
    at: usize,
}

/// Bytes that a caller keeps, so that requests don't dominate the memory of the contender.
const KEPT: usize = 1 << 20;
const MOST: usize = 1024;
const FEWEST: usize = 4;

/// How many requests of a size a caller keeps.
pub(crate) fn ring(payload: usize) -> usize {
    (KEPT / payload.max(1)).clamp(FEWEST, MOST)
}

impl Requests {
    /// These in turn.
    ///
    /// # Panics
    /// For none.
    pub(crate) fn new(ring: Vec<Request>) -> Requests {
        assert!(!ring.is_empty(), "no requests");
        Requests { at: ring.len() - 1, ring, sent: 0 }
    }

    /// The next one.
    #[inline]
    pub(crate) fn next(&mut self) -> &[u8] {
        self.sent += 1;
        // A division here would cost more than some calls do.
        self.at = if self.at + 1 == self.ring.len() { 0 } else { self.at + 1 };
        let request = &mut self.ring[self.at];
        if let Some(place) = request.counter {
            count(&mut request.bytes[place..], self.sent);
        }
        &request.bytes
    }

    /// The one that was sent last, or would be sent after all others.
    pub(crate) fn last(&self) -> &[u8] {
        &self.ring[self.at].bytes
    }

    /// How many there are before they come again.
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Bytes of one, on average.
    pub(crate) fn bytes(&self) -> usize {
        self.ring.iter().map(|it| it.bytes.len()).sum::<usize>() / self.ring.len()
    }
}

/// Writes a counter to the front of `bytes`, as much of it as they have room for.
#[inline]
fn count(bytes: &mut [u8], number: u64) {
    let number = number.to_le_bytes();
    match bytes.first_chunk_mut() {
        Some(front) => *front = number,
        None => bytes.copy_from_slice(&number[..bytes.len()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(bytes: &[&[u8]], counter: Option<usize>) -> Requests {
        Requests::new(bytes.iter().map(|it| Request { bytes: it.to_vec(), counter }).collect())
    }

    #[test]
    fn they_come_in_turn_and_with_a_counter_never_again() {
        let mut plain = requests(&[b"a", b"b"], None);
        let seen: Vec<_> = (0..4).map(|_| plain.next().to_vec()).collect();
        assert_eq!(b"abab", seen.concat().as_slice(), "the first of them first");
        assert_eq!(b"b", plain.last());
        assert_eq!(2, requests(&[b"a", b"bcd"], None).bytes());
        let mut counted = requests(&[&[0; 12], &[1; 12]], Some(2));
        let seen: std::collections::HashSet<_> = (0..100).map(|_| counted.next().to_vec()).collect();
        assert_eq!(100, seen.len());
        assert!(seen.iter().all(|it| it.len() == 12 && (it[..2] == [0, 0] || it[..2] == [1, 1])));
    }

    #[test]
    fn the_counter_stays_within_the_request() {
        for len in 0..12 {
            let bytes = vec![9; len];
            assert_eq!(len, requests(&[&bytes], Some(0)).next().len());
        }
    }

    #[test]
    fn large_requests_are_few() {
        assert_eq!([1024, 1024, 16, 4], [0, 64, 64 << 10, 4 << 20].map(ring));
    }
}
