//! W3C trace context, as it travels in the metadata of a call.

use crate::call::{CallContext, Metadata};

/// The name of the metadata entry with the trace and the caller's place in it.
const TRACEPARENT: &str = "traceparent";
/// That with what vendors add to it.
const TRACESTATE: &str = "tracestate";

/// A `traceparent` that is as the W3C's trace context has it: `00-<trace id>-<parent id>-<flags>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent<'a>(&'a str);

impl<'a> TraceParent<'a> {
    /// Reads one; `None` where it is not as it should be, which is to be taken for no trace at all.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let is_hex = |text: &[u8]| text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_zero = |text: &[u8]| text.iter().all(|b| *b == b'0');
        if value.len() != 55 || [value[2], value[35], value[52]] != [b'-'; 3] {
            return None;
        }
        let (version, trace, parent, flags) = (&value[..2], &value[3..35], &value[36..52], &value[53..]);
        let good = [version, trace, parent, flags].into_iter().all(is_hex);
        let good = good && version != b"ff" && !is_zero(trace) && !is_zero(parent);
        good.then(|| str::from_utf8(value).ok().map(TraceParent)).flatten()
    }

    /// The whole.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The trace, 32 hexadecimal digits.
    pub fn trace_id(self) -> &'a str {
        &self.0[3..35]
    }

    /// The span that calls, 16 hexadecimal digits.
    pub fn parent_id(self) -> &'a str {
        &self.0[36..52]
    }

    /// Whether the caller records the trace.
    pub fn is_sampled(self) -> bool {
        u8::from_str_radix(&self.0[53..], 16).is_ok_and(|flags| flags & 1 == 1)
    }
}

impl CallContext {
    /// Sets the trace that the call belongs to, in the place of the one it has: the metadata `traceparent` and, unless
    /// it is empty, `tracestate`. Guests read it, and hand it on to the services that they call.
    pub fn with_trace(self, parent: TraceParent<'_>, state: &str) -> Self {
        let entries = [(TRACEPARENT, parent.as_str()), (TRACESTATE, state)];
        let entries = entries.into_iter().filter(|(_, value)| !value.is_empty());
        let others = self.metadata().iter().filter(|(key, _)| ![TRACEPARENT, TRACESTATE].contains(&&**key)).cloned();
        let metadata: Metadata = others.chain(entries.map(|(key, value)| (key.into(), value.into()))).collect();
        self.with_all_metadata(metadata)
    }

    /// The trace that the call belongs to, if it does to any.
    pub fn trace_parent(&self) -> Option<TraceParent<'_>> {
        TraceParent::parse(self.metadata_value(TRACEPARENT)?.as_bytes())
    }

    /// What vendors have added to the trace.
    pub fn trace_state(&self) -> Option<&str> {
        self.metadata_value(TRACESTATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_a_good_traceparent_is_one() {
        let good = TraceParent::parse(GOOD.as_bytes()).expect("is good");
        let parts = (good.trace_id(), good.parent_id(), good.is_sampled());
        assert_eq!(("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", true), parts);
        for bad in [
            "",
            &GOOD[..54],
            &format!("{GOOD}-x"),
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace('-', "_"),
        ] {
            assert_eq!(None, TraceParent::parse(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_call_belongs_to_one_trace() {
        let cx = CallContext::none().with_metadata("a", "1").with_metadata(TRACEPARENT, "bad");
        assert_eq!((None, None), (cx.trace_parent(), cx.trace_state()));
        let parent = TraceParent::parse(GOOD.as_bytes()).expect("is good");
        let cx = cx.with_trace(parent, "v=1");
        assert_eq!((Some(parent), Some("v=1")), (cx.trace_parent(), cx.trace_state()));
        let cx = cx.with_trace(parent, "");
        assert_eq!((Some(parent), None), (cx.trace_parent(), cx.trace_state()));
        assert_eq!(2, cx.metadata().len());
    }
}
