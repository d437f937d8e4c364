use super::*;
use crate::{limits::Limits, packed::Line};

fn parts<'a>(
    target: &'a [u8],
    lines: &'a [(&'a [u8], &'a [u8])],
) -> Parts<'a, impl Iterator<Item = (&'a [u8], &'a [u8])>> {
    Parts {
        method: b"GET",
        target,
        version: Version::Http2,
        host: Some(b"a"),
        headers: lines.iter().copied(),
        has_body: false,
    }
}

#[test]
fn a_filled_head_is_as_a_parsed_one() {
    let mut head = RequestHead::new();
    head.fill(parts(b"/%41/../b?c", &[(b"host", b"other"), (b"accept", b"*/*")]), &Limits::default()).unwrap();
    assert_eq!((head.path(), head.query(), head.target()), (&b"/b"[..], &b"?c"[..], &b"/%41/../b?c"[..]));
    let lines: Vec<_> = head.headers().map(|h| (h.known, h.name, h.value)).collect();
    assert_eq!(lines, [(1, &b"Host"[..], &b"a"[..]), (3, b"accept", b"*/*")]);
    assert_eq!((head.method(), head.version(), head.flags()), (Method::Get, Version::Http2, Flags::KEEP_ALIVE));
    head.fill(Parts { has_body: true, method: b"X", ..parts(b"/", &[]) }, &Limits::default()).unwrap();
    assert!(head.flags().contains(Flags::HAS_BODY) && head.method_text() == b"X");
}

#[test]
fn a_filled_head_obeys_the_same_rules() {
    let status = |target: &[u8], lines: &[(&[u8], &[u8])]| {
        RequestHead::new().fill(parts(target, lines), &Limits::default()).map_err(|refused| refused.status)
    };
    assert_eq!(status(b"/", &[(b"a", b"b")]), Ok(()));
    let (many, long): ([Line<'_>; 101], _) = ([(b"a", b""); 101], [b'v'; 40_000]);
    #[rustfmt::skip]
    let refused: &[(&[u8], &[Line<'_>], u16)] = &[
        (b"a b", &[], 400), (b"", &[], 400), (b"/%00", &[], 400), (b"a", &[], 405), (b"/", &[(b"a b", b"")], 400),
        (b"/", &[(b"", b"")], 400), (b"/", &[(b"a", b"\r\n")], 400), (b"/", &[(b"a", b"\xff")], 400),
        (b"/", &[(b"content-length", b"x")], 400), (b"/", &[(b"transfer-encoding", b"chunked")], 400),
        (b"/", &many, 431), (b"/", &[(b"a", &long)], 431), (&[b'/'; 9000], &[], 414),
    ];
    for (target, lines, expected) in refused {
        assert_eq!(status(target, lines), Err(*expected));
    }
}

#[test]
fn memory_of_a_head_stays_where_it_was() {
    let mut head = RequestHead::new();
    let mut fill = |len: usize| {
        head.fill(parts(b"/", &[(b"a", &vec![b'v'; len])]), &Limits::default()).unwrap();
        (head.arena.pieces[0].as_ptr(), head.arena.pieces.len())
    };
    let (first, _) = fill(10);
    assert_eq!(fill(10), (first, 1));
    assert_eq!(fill(30_000), (first, 2));
    assert_eq!(fill(10), (first, 2));
}

#[test]
fn debug_shows_no_values() {
    let mut head = RequestHead::new();
    head.fill(parts(b"/", &[(b"cookie", b"secret")]), &Limits::default()).unwrap();
    let text = format!("{head:?}");
    assert!(text.contains("cookie") && !text.contains("secret"), "{text}");
}
