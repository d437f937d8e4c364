use super::*;

fn decode(path: &str) -> String {
    let mut out = vec![0; path.len()];
    let len = decode_path(path.as_bytes(), &mut out).unwrap_or_else(|NullInPath| panic!("{path} holds a null"));
    String::from_utf8(out[..len].to_vec()).unwrap()
}

#[test]
fn paths_decode_as_in_kestrel() {
    #[rustfmt::skip]
    let paths = [
        ("/", "/"), ("/a", "/a"), ("/%41", "/A"), ("/%2f", "/%2f"), ("/%2F%2e", "/%2F."), ("/%zz", "/%zz"), ("/%", "/%"),
        ("/%4", "/%4"), ("/%C3%A9", "/é"), ("/%c3%a9", "/é"), ("/%C3", "/%C3"), ("/%C3%28", "/%C3("), ("/%C3a", "/%C3a"),
        ("/%E2%82%41", "/%E2%82A"), ("/%E2%82%AC", "/€"), ("/%E2%82", "/%E2%82"), ("/%E2%82%2F", "/%E2%82%2F"),
        ("/%E2%28%A1", "/%E2(%A1"), ("/%ED%A0%80", "/%ED%A0%80"), ("/%F0%9F%98%80", "/😀"), ("/%F4%8F%BF%BF", "/\u{10ffff}"),
        ("/%F4%90%80%80", "/%F4%90%80%80"), ("/%F0%80%80%80", "/%F0%80%80%80"), ("/%C0%AF", "/%C0%AF"), ("/%E0%80%AF", "/%E0%80%AF"),
        ("/%F8%88%80%80%80", "/%F8%88%80%80%80"), ("/%FF", "/%FF"), ("/%80", "/%80"), ("/%0a", "/\n"), ("/%25", "/%"),
        ("/%2541", "/%41"), ("/a+b", "/a+b"), ("/%20", "/ "), ("/%5c..%5c", "/\\..\\"), ("/%EF%BB%BF", "/\u{feff}"),
        ("/a/../b", "/b"), ("/../b", "/b"), ("/a/..", "/"), ("/a/.", "/a/"), ("/.", "/"), ("/..", "/"), ("/./a", "/a"), ("/./", "/"),
        ("/a/./b/../../c", "/c"), ("/%2e%2e/a", "/a"), ("/a/%2E%2e", "/"), ("/a/.%2e/b", "/b"), ("/a%2f..%2fb", "/a%2f..%2fb"),
        ("/..%2f", "/..%2f"), ("/a//../b", "/a/b"), ("/a/b/..//c", "/a//c"), ("//..", "/"), ("//a/..", "//"), ("/...", "/..."),
        ("/.a", "/.a"), ("/a./b", "/a./b"), ("/a../b", "/a../b"), ("/..a/b", "/..a/b"), ("/%252e%252e/", "/%2e%2e/"),
        ("/a/../../../b", "/b"), ("/a;b/../c", "/c"), ("/a/b/c/../..", "/a/"), ("/a/b/c/./../../g", "/a/g"), ("", ""),
        ("/%C3%A9/../%E2%82%AC/.%2e/x", "/x"),
    ];
    for (path, expected) in paths {
        assert_eq!(decode(path), expected, "{path}");
    }
    for path in ["/%00", "/a%00b", "/%00/..", "/%41%00"] {
        assert_eq!(decode_path(path.as_bytes(), &mut vec![0; path.len()]), Err(NullInPath), "{path}");
    }
}

#[test]
fn only_paths_that_change_are_decoded() {
    for (path, expected) in [
        ("/", false),
        ("/a.b/c.d", false),
        ("/a", false),
        ("/%41", true),
        ("/.a", true),
        ("/a/..", true),
        ("/a.b/.", true),
    ] {
        assert_eq!(split(Method::Get, path.as_bytes()).unwrap().encoded, expected, "{path}");
    }
}

#[test]
fn decoding_leaves_no_dot_segment() {
    let mut random = crate::h1::random::Random::new(3);
    let pieces =
        ["/", ".", "..", "%2e", "%2E%2e", "%2F", "a", "%C3%A9", "%E2%82", "%", "/./", "/../", "%25", "%5c", ";"];
    for _ in 0..20_000 {
        let path: String = (0..1 + random.below(12)).map(|_| pieces[random.below(pieces.len())]).collect();
        let decoded = decode(&format!("/{path}"));
        assert!(decoded.starts_with('/'), "{path}");
        assert!(!decoded.split('/').any(|segment| segment == "." || segment == ".."), "/{path} became {decoded}");
    }
}
