//! W3C trace context, as .NET's `Activity` reads it.

use polyhost_bridge::TraceParent;

use crate::head::{Known, RequestHead};

/// The trace id of a request that has one `traceparent` line, and a good one.
pub(crate) fn id_of(head: &RequestHead) -> Option<&str> {
    let number = Known::TraceParent as u8;
    let mut lines = head.headers().filter(|line| line.known == number);
    let first = lines.next()?;
    // Two are joined by a comma in .NET, which makes none.
    if lines.next().is_some() { None } else { TraceParent::parse(first.value).map(TraceParent::trace_id) }
}
