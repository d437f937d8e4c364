//! What guests print, as lines of the log.

use std::cell::{Cell, RefCell};

use polyhost_bridge::LogLevel;

use crate::host::Host;

/// A longer line that has no newline yet is cut rather than kept.
const MAX_LINE: usize = 64 << 10;

/// One of the two streams that guests print to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Out,
    Err,
}

impl Stream {
    fn log(self, host: &Host, lines: &[u8]) {
        let (level, target) = match self {
            Stream::Out => (LogLevel::Info, "stdout"),
            Stream::Err => (LogLevel::Warn, "stderr"),
        };
        for line in String::from_utf8_lossy(lines).split('\n') {
            host.log(level, target, line.strip_suffix('\r').unwrap_or(line));
        }
    }
}

/// What a VM's guest has printed and has no newline yet.
#[derive(Debug, Default)]
pub(crate) struct Printed {
    /// Whether there is any, for every call to look at.
    any: Cell<bool>,
    /// By stream. Not borrowed while the host's sink runs, which may come back into the VM.
    partial: RefCell<[Vec<u8>; 2]>,
}

impl Printed {
    /// Adds `bytes`, and logs the lines that are complete.
    pub(crate) fn add(&self, host: &Host, stream: Stream, bytes: &[u8]) {
        if let Some(lines) = self.take_lines(stream, bytes) {
            stream.log(host, &lines);
        }
    }

    fn take_lines(&self, stream: Stream, bytes: &[u8]) -> Option<Vec<u8>> {
        let partial = &mut self.partial.borrow_mut()[stream as usize];
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            self.any.set(true);
            partial.extend_from_slice(bytes);
            return (partial.len() > MAX_LINE).then(|| std::mem::take(partial));
        };
        let mut lines = std::mem::replace(partial, bytes[end + 1..].to_vec());
        self.any.set(self.any.get() || !partial.is_empty());
        lines.extend_from_slice(&bytes[..end]);
        Some(lines)
    }

    /// Logs what has no newline at its end: nothing follows it.
    #[inline]
    pub(crate) fn flush(&self, host: &Host) {
        if self.any.get() {
            self.flush_now(host);
        }
    }

    #[cold]
    fn flush_now(&self, host: &Host) {
        self.any.set(false);
        let [out, err] = self.partial.take();
        for (stream, rest) in [(Stream::Out, out), (Stream::Err, err)] {
            if !rest.is_empty() {
                stream.log(host, &rest);
            }
        }
    }
}
