//! A decoded path is UTF-8, no longer than it was, and holds no dot segment.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polyhost_http::h1::target::decode_path;

fuzz_target!(|input: &[u8]| {
    if !input.iter().all(u8::is_ascii_graphic) {
        return;
    }
    let path = [b"/", input].concat();
    let mut out = vec![0; path.len()];
    let Ok(len) = decode_path(&path, &mut out) else { return };
    let decoded = std::str::from_utf8(&out[..len]).expect("a path is UTF-8");
    assert!(decoded.starts_with('/'));
    assert!(!decoded.contains('\0'));
    assert!(!decoded.split('/').any(|segment| segment == "." || segment == ".."), "{decoded}");
    let slashes = |text: &[u8]| text.iter().filter(|b| **b == b'/').count();
    assert!(slashes(decoded.as_bytes()) <= slashes(&path), "an escape became a slash");
});
