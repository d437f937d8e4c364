use super::*;
use crate::packed::PackedHeaders;

/// The data and trailers of a body, or the status of its refusal; `None`: it goes on.
type Outcome = Result<Option<(String, String)>, u16>;

fn decode(body: &[u8], step: usize) -> (Outcome, usize) {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    let (mut buffer, mut data, mut arrived) = (BytesMut::new(), Vec::new(), 0);
    for piece in body.chunks(step) {
        buffer.extend_from_slice(piece);
        arrived += piece.len();
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Chunked::Data(more)) => data.extend_from_slice(&more),
                Ok(Chunked::NeedMore) => break,
                Ok(Chunked::End { trailers }) => {
                    let text = data.escape_ascii().to_string();
                    return (Ok(Some((text, lines(&trailers)))), arrived - buffer.len());
                }
                Err(refused) => return (Err(refused.status), 0),
            }
        }
    }
    (Ok(None), 0)
}

fn lines(packed: &[u8]) -> String {
    let (mut headers, mut text) = (PackedHeaders::new(packed), String::new());
    while let Some((name, value)) = headers.try_next().unwrap() {
        text += &format!("{}={};", name.escape_ascii(), value.escape_ascii());
    }
    text
}

#[track_caller]
fn check(body: &[u8], expected: Outcome) {
    for step in [1, 2, 3, 7, body.len()] {
        assert_eq!(decode(body, step).0, expected, "'{}' in pieces of {step}", body.escape_ascii());
    }
}

#[test]
fn accepted_bodies() {
    #[rustfmt::skip]
    let bodies: &[(&str, &str, &str)] = &[
        ("0\r\n\r\n", "", ""), ("00\r\n\r\n", "", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("5;a=b\r\nhello\r\n0\r\n\r\n", "hello", ""), ("5;\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("5;a=\"\tb;c\"\r\nhello\r\n0;x\r\n\r\n", "hello", ""), ("00000005\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", ""),
        ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", ""), ("4\r\n\r\n\r\n\r\n0\r\n\r\n", r"\r\n\r\n", ""),
        ("0\r\nT: v\r\n\r\n", "", "T=v;"), ("1\r\na\r\n0\r\nT:v\r\nU: \r\n\r\n", "a", "T=v;U=;"),
    ];
    for (body, data, trailers) in bodies {
        check(body.as_bytes(), Ok(Some((data.to_string(), trailers.to_string()))));
        let more = [body.as_bytes(), b"GET /"].concat();
        assert_eq!(decode(&more, more.len()).1, body.len(), "the next request is left alone");
    }
}

#[test]
fn refused_bodies() {
    #[rustfmt::skip]
    let bodies: &[&[u8]] = &[
        b"\r\nhello\r\n", b";a\r\nhello\r\n", b"g\r\n", b" 5\r\nhello\r\n", b"+5\r\nhello\r\n", b"-5\r\n", b"0x5\r\nhello\r\n",
        b"5 \r\nhello\r\n", b"5 ;a\r\nhello\r\n", b"5\t\r\nhello\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n",
        b"5\r\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n", b"000000005\r\nhello\r\n", b"80000000\r\n", b"FFFFFFFF\r\n", b"100000000\r\n", b"fffffffffffffffff\r\n",
        b"5;a\nb\r\nhello\r\n", b"5;a\rb\r\nhello\r\n", b"5;a\r\r\nhello\r\n", b"5;a\n\r\nhello\r\n", b"5;\nhello\r\n",
        b"5;a=\"\x01\"\r\nhello\r\n", b"5;\x00\r\nhello\r\n", b"5;\x7f\r\nhello\r\n", b"5,a\r\nhello\r\n", b"5\x00\r\n",
        b"0\n\n", b"0\r\n\n", b"0;a\n\r\n", b"0\r\nT : v\r\n\r\n", b"0\r\n T: v\r\n\r\n", b"0\r\nT: v\n\r\n", b"0\r\nT: v\r\n\n",
        b"0\r\nT: v\rU: w\r\n\r\n", b"0\r\nT: \x00\r\n\r\n", b"0\r\nT: \xff\r\n\r\n", b"0\r\n: v\r\n\r\n", b"0\r\nT\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\ntransfer-encoding: chunked\r\n\r\n", b"0\r\nHost: b\r\n\r\n",
    ];
    for body in bodies {
        check(body, Err(400));
    }
}

#[test]
fn unfinished_bodies() {
    let body = b"3;x\r\nabc\r\n0\r\nT: v\r\n\r\n";
    for end in 1..body.len() {
        check(&body[..end], Ok(None));
    }
}

#[test]
fn extensions_and_trailers_have_limits() {
    let extension = |len: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(len - 1)).into_bytes();
    check(&extension(4096), Ok(Some(("a".into(), String::new()))));
    check(&extension(4097), Err(400));
    let many = |count: usize| format!("0\r\n{}\r\n", "T: v\r\n".repeat(count)).into_bytes();
    check(&many(100), Ok(Some((String::new(), "T=v;".repeat(100)))));
    check(&many(101), Err(431));
    check(&[b"0\r\nT: ".as_slice(), &[b'v'; 32768]].concat(), Err(431));
}

#[test]
fn data_is_not_copied_and_framing_is_counted() {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    let mut buffer = BytesMut::from(&b"5;a\r\nhello\r\n0\r\n\r\n"[..]);
    let at = buffer[5..].as_ptr();
    let Ok(Chunked::Data(data)) = decoder.decode(&mut buffer) else { panic!("data is due") };
    assert_eq!((data.as_ptr(), data.len(), decoder.wire_bytes()), (at, 5, 10));
    assert_eq!(decoder.decode(&mut buffer), Ok(Chunked::End { trailers: Bytes::new() }));
    assert_eq!(decoder.wire_bytes(), 15);
    assert_eq!(decoder.decode(&mut buffer), Ok(Chunked::End { trailers: Bytes::new() }));
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = crate::h1::random::Random::new(11);
    for _ in 0..20_000 {
        let mut body = b"5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: v\r\nU: w\r\n\r\n".to_vec();
        random.mutate(&mut body);
        let step = 1 + random.below(20);
        assert_eq!(decode(&body, step).0, decode(&body, body.len()).0, "'{}'", body.escape_ascii());
    }
}
