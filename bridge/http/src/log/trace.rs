//! W3C trace context, as .NET's `Activity` reads it.

use crate::head::{Known, RequestHead};

/// The trace id of a request that has one `traceparent` line, and a good one.
pub(crate) fn id_of(head: &RequestHead) -> Option<&[u8]> {
    let number = Known::TraceParent as u8;
    let mut lines = head.headers().filter(|line| line.known == number);
    let first = lines.next()?;
    // Two are joined by a comma in .NET, which makes none.
    if lines.next().is_some() { None } else { id(first.value) }
}

fn id(value: &[u8]) -> Option<&[u8]> {
    let is_hex = |text: &[u8]| text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |text: &[u8]| text.iter().all(|b| *b == b'0');
    if value.len() != 55 || [value[2], value[35], value[52]] != [b'-'; 3] {
        return None;
    }
    let (version, trace, parent, flags) = (&value[..2], &value[3..35], &value[36..52], &value[53..]);
    let good = [version, trace, parent, flags].into_iter().all(is_hex);
    (good && version != b"ff" && !is_zero(trace) && !is_zero(parent)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn only_a_good_traceparent_has_an_id() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(Some(&b"4bf92f3577b34da6a3ce929d0e0e4736"[..]), id(good.as_bytes()));
        for bad in [
            "",
            &good[..54],
            &format!("{good}-x"),
            &good.to_uppercase(),
            &good.replacen("00", "ff", 1),
            &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &good.replace('-', "_"),
        ] {
            assert_eq!(None, id(bad.as_bytes()), "{bad}");
        }
    }
}
