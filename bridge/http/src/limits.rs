//! What a client may send, and how slowly. The defaults are Kestrel's.

use std::time::Duration;

/// The limits of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Bytes of a request line with its line end, and of empty lines before it.
    pub max_request_line_size: usize,
    /// Bytes of all header lines with their line ends; trailers may take as much again.
    pub max_request_headers_total_size: usize,
    /// Header lines of a request; trailers may be as many again.
    pub max_request_header_count: usize,
    /// Whether header values may be of any encoding, which the application knows. Otherwise they are UTF-8.
    pub any_header_encoding: bool,
    /// Bytes of a request body with its chunk framing; `None`: no limit.
    pub max_request_body_size: Option<u64>,
    /// Bytes of one chunk's extensions. Kestrel counts them only as a part of the body.
    pub max_chunk_extension_size: usize,
    /// Bytes of a request body that wait unread before the connection is read no more. More than 64 KiB never do, which
    /// Kestrel allows.
    pub max_request_buffer_size: usize,
    /// Bytes of a response that wait unwritten before the application is told to wait.
    pub max_response_buffer_size: usize,
    /// How long a connection may idle between requests.
    pub keep_alive_timeout: Duration,
    /// How long a request head may take, from its first byte to its last.
    pub request_headers_timeout: Duration,
    /// How slowly a request body may arrive; `None`: as slowly as it likes.
    pub min_request_body_data_rate: Option<DataRate>,
    /// How slowly a response may be taken; `None`: as slowly as the client likes.
    pub min_response_data_rate: Option<DataRate>,
}

/// The least rate at which bytes must flow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataRate {
    /// Bytes per second.
    pub bytes_per_second: f64,
    /// How long the rate may be below it at first.
    pub grace_period: Duration,
}

impl Limits {
    /// A head is held whole, at offsets of 32 bits, so it stays far below 4 GiB whatever the limits say.
    const MAX_HEAD: usize = 1 << 28;

    /// The largest request line.
    pub(crate) fn line_size(&self) -> usize {
        self.max_request_line_size.min(Self::MAX_HEAD)
    }

    /// The largest run of header lines, with the empty line after them.
    pub(crate) fn headers_size(&self) -> usize {
        self.max_request_headers_total_size.min(Self::MAX_HEAD) + "\r\n".len()
    }
}

impl Default for Limits {
    fn default() -> Self {
        let rate = DataRate { bytes_per_second: 240.0, grace_period: Duration::from_secs(5) };
        Self {
            max_request_line_size: 8 * 1024,
            max_request_headers_total_size: 32 * 1024,
            max_request_header_count: 100,
            any_header_encoding: false,
            max_request_body_size: Some(30_000_000),
            max_chunk_extension_size: 4 * 1024,
            max_request_buffer_size: 1024 * 1024,
            max_response_buffer_size: 64 * 1024,
            keep_alive_timeout: Duration::from_secs(130),
            request_headers_timeout: Duration::from_secs(30),
            min_request_body_data_rate: Some(rate),
            min_response_data_rate: Some(rate),
        }
    }
}
