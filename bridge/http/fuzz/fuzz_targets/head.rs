//! A head that arrives in pieces is read as the one that arrives at once, and what was taken keeps its promises.
//! The first byte says how long the pieces are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polyhost_http::{
    h1::{BadRequest, parse::parse_head},
    head::RequestHead,
    limits::Limits,
};

fuzz_target!(|input: &[u8]| {
    let Some((step, bytes)) = input.split_first() else { return };
    let mut whole = RequestHead::new();
    let at_once = read(bytes, bytes.len().max(1), &mut whole);
    let mut pieces = RequestHead::new();
    let in_pieces = read(bytes, usize::from(*step).max(1), &mut pieces);
    match (&at_once, &in_pieces) {
        (Ok(taken), Ok(also)) => assert_eq!(taken, also),
        (Err(_), Err(_)) => return,
        (one, other) => panic!("{one:?} at once, {other:?} in pieces"),
    }
    if at_once != Ok(None) {
        assert_eq!(facts(&whole), facts(&pieces));
        check(&whole);
    }
});

fn read(bytes: &[u8], step: usize, head: &mut RequestHead) -> Result<Option<usize>, BadRequest> {
    let (mut searched, mut end) = (0, 0);
    while end < bytes.len() {
        end = bytes.len().min(end + step);
        if let Some(taken) = parse_head(&bytes[..end], &mut searched, &Limits::default(), head)? {
            return Ok(Some(taken));
        }
        assert!(searched <= end);
    }
    Ok(None)
}

fn facts(head: &RequestHead) -> (&[u8], &[u8], &[u8], &[u8], u32, Option<u64>, Vec<(u8, &[u8], &[u8])>) {
    let headers = head.headers().map(|h| (h.known, h.name, h.value)).collect();
    let flags = head.flags().bits();
    (head.method_text(), head.target(), head.path(), head.query(), flags, head.content_length(), headers)
}

fn check(head: &RequestHead) {
    let path = std::str::from_utf8(head.path()).expect("a path is UTF-8");
    assert!(path.is_empty() || path.starts_with('/'));
    assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{path}");
    assert!(head.target().iter().all(u8::is_ascii_graphic));
    for header in head.headers() {
        assert!(!header.name.is_empty());
        let value = std::str::from_utf8(header.value).expect("a value is UTF-8");
        assert!(!value.contains(['\0', '\r', '\n']) && value.trim_matches([' ', '\t']) == value);
    }
}
