//! What the access log is told of a request.

use std::time::{Duration, SystemTime};

use super::trace;
use crate::app::Endpoint;
use crate::head::{Known, RequestHead, Version};

/// A request that has ended.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) begun: SystemTime,
    pub(crate) remote: Endpoint,
    pub(crate) connection: u64,
    /// Its number on the connection.
    pub(crate) number: u64,
    /// `None`: it was refused before its head was read.
    pub(crate) version: Option<Version>,
    pub(crate) status: u16,
    /// Bytes of the response body.
    pub(crate) bytes: u64,
    pub(crate) total: Duration,
    /// How long the I/O thread had it.
    pub(crate) handle: Duration,
    /// Until the response began, if it did.
    pub(crate) first: Option<Duration>,
    pub(crate) inline: bool,
    pub(crate) outcome: Outcome,
    pub(crate) texts: Texts,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its response was written.
    Complete,
    /// The client went away.
    Lost,
    /// The server or the application ended the connection.
    Cut,
    /// The application has not seen it.
    Refused,
}

/// The texts of a request, in one piece of memory.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    ends: [u32; 6],
    given: u8,
}

impl Texts {
    pub(crate) const METHOD: usize = 0;
    pub(crate) const TARGET: usize = 1;
    pub(crate) const HOST: usize = 2;
    pub(crate) const REFERRER: usize = 3;
    pub(crate) const AGENT: usize = 4;
    pub(crate) const TRACE: usize = 5;

    pub(crate) fn of(head: &RequestHead) -> Self {
        let all = [
            Some(head.method_text()),
            Some(head.target()),
            head.header(Known::Host),
            head.header(Known::Referer),
            head.header(Known::UserAgent),
            trace::id_of(head).map(str::as_bytes),
        ];
        let len = all.iter().flatten().map(|text| text.len()).sum();
        let mut texts = Texts { bytes: Vec::with_capacity(len), ..Texts::default() };
        for (index, text) in all.iter().enumerate() {
            if let Some(text) = text {
                texts.bytes.extend_from_slice(text);
                texts.given |= 1 << index;
            }
            // A head is far smaller than 4 GiB.
            texts.ends[index] = texts.bytes.len() as u32;
        }
        texts
    }

    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        (self.given & (1 << index) != 0).then(|| &self.bytes[start as usize..self.ends[index] as usize])
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}
