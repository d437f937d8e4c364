//! The header names that have a number.

/// Names with a number, in the order of the numbers: a name's number is its index plus one.
#[rustfmt::skip]
pub const KNOWN: [&str; 40] = [
    "Host",
    "User-Agent",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Connection",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "Authorization",
    "Cache-Control",
    "Pragma",
    "Origin",
    "Referer",
    "If-None-Match",
    "If-Modified-Since",
    "If-Match",
    "If-Unmodified-Since",
    "If-Range",
    "Range",
    "Upgrade",
    "Upgrade-Insecure-Requests",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "Transfer-Encoding",
    "Expect",
    "TE",
    "Trailer",
    "Date",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Requested-With",
    "traceparent",
    "tracestate",
    "baggage",
    "DNT",
];

/// A header name with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Known {
    Host = 1,
    UserAgent = 2,
    Accept = 3,
    AcceptEncoding = 4,
    AcceptLanguage = 5,
    Connection = 6,
    ContentLength = 7,
    ContentType = 8,
    Cookie = 9,
    Authorization = 10,
    CacheControl = 11,
    Pragma = 12,
    Origin = 13,
    Referer = 14,
    IfNoneMatch = 15,
    IfModifiedSince = 16,
    IfMatch = 17,
    IfUnmodifiedSince = 18,
    IfRange = 19,
    Range = 20,
    Upgrade = 21,
    UpgradeInsecureRequests = 22,
    SecWebSocketKey = 23,
    SecWebSocketVersion = 24,
    SecWebSocketProtocol = 25,
    SecWebSocketExtensions = 26,
    TransferEncoding = 27,
    Expect = 28,
    Te = 29,
    Trailer = 30,
    Date = 31,
    Via = 32,
    XForwardedFor = 33,
    XForwardedProto = 34,
    XForwardedHost = 35,
    XRequestedWith = 36,
    TraceParent = 37,
    TraceState = 38,
    Baggage = 39,
    Dnt = 40,
}

/// The number of a name, whatever its case; 0: none.
///
/// Length and one letter leave at most one candidate, which is then compared.
pub(crate) fn number(name: &[u8]) -> u8 {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return 0 };
    let candidate = match (name.len(), first | 0x20, last | 0x20) {
        (2, b't', b'e') => Known::Te,
        (3, b'd', b't') => Known::Dnt,
        (3, b'v', b'a') => Known::Via,
        (4, b'd', b'e') => Known::Date,
        (4, b'h', b't') => Known::Host,
        (5, b'r', b'e') => Known::Range,
        (6, b'a', b't') => Known::Accept,
        (6, b'c', b'e') => Known::Cookie,
        (6, b'e', b't') => Known::Expect,
        (6, b'o', b'n') => Known::Origin,
        (6, b'p', b'a') => Known::Pragma,
        (7, b'b', b'e') => Known::Baggage,
        (7, b'r', b'r') => Known::Referer,
        (7, b't', b'r') => Known::Trailer,
        (7, b'u', b'e') => Known::Upgrade,
        (8, b'i', b'e') => Known::IfRange,
        (8, b'i', b'h') => Known::IfMatch,
        (10, b'c', b'n') => Known::Connection,
        (10, b't', b'e') => Known::TraceState,
        (10, b'u', b't') => Known::UserAgent,
        (11, b't', b't') => Known::TraceParent,
        (12, b'c', b'e') => Known::ContentType,
        (13, b'a', b'n') => Known::Authorization,
        (13, b'c', b'l') => Known::CacheControl,
        (13, b'i', b'h') => Known::IfNoneMatch,
        (14, b'c', b'h') => Known::ContentLength,
        (15, b'a', b'e') => Known::AcceptLanguage,
        (15, b'a', b'g') => Known::AcceptEncoding,
        (15, b'x', b'r') => Known::XForwardedFor,
        (16, b'x', b'h') => Known::XRequestedWith,
        (16, b'x', b't') => Known::XForwardedHost,
        (17, b'i', b'e') => Known::IfModifiedSince,
        (17, b's', b'y') => Known::SecWebSocketKey,
        (17, b't', b'g') => Known::TransferEncoding,
        (17, b'x', b'o') => Known::XForwardedProto,
        (19, b'i', b'e') => Known::IfUnmodifiedSince,
        (21, b's', b'n') => Known::SecWebSocketVersion,
        (22, b's', b'l') => Known::SecWebSocketProtocol,
        (24, b's', b's') => Known::SecWebSocketExtensions,
        (25, b'u', b's') => Known::UpgradeInsecureRequests,
        _ => return 0,
    } as u8;
    let known = KNOWN[usize::from(candidate) - 1].as_bytes();
    if name == known || name.eq_ignore_ascii_case(known) { candidate } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for (index, name) in KNOWN.iter().enumerate() {
            for name in [name.to_string(), name.to_uppercase(), name.to_lowercase()] {
                assert_eq!(usize::from(number(name.as_bytes())), index + 1, "{name}");
            }
        }
        assert_eq!(KNOWN[Known::Dnt as usize - 1], "DNT");
        assert_eq!(KNOWN[Known::TransferEncoding as usize - 1], "Transfer-Encoding");
    }

    #[test]
    fn neighbours_of_known_names_are_unknown() {
        for name in KNOWN {
            assert_eq!(number(&name.as_bytes()[1..]), 0, "{name}");
            assert_eq!(number(format!("{name}s").as_bytes()), 0, "{name}");
            let mut other = name.as_bytes().to_vec();
            let middle = other.len() / 2;
            if middle != 0 && middle != other.len() - 1 {
                other[middle] = b'!';
                assert_eq!(number(&other), 0, "{name}");
            }
        }
        assert_eq!(number(b""), 0);
    }
}
