//! What a module may take before it is refused more.

use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::MAX_DEPTH;

/// The limits of one module; none but on depth where they are not set.
///
/// What they stop is an error of the one call, or a line that is not written. The host goes on, and so do other modules.
///
/// | limit | who enforces it |
/// | --- | --- |
/// | `reply` | the bridge, in every runtime: the output that a call writes to grows no further |
/// | `depth` | the bridge, in every runtime, before a call enters; on one thread |
/// | `calls` | the bridge, in every runtime, before a call enters |
/// | `memory` | LuaJIT, by the allocator of each VM. Others refuse to load with it: .NET and CPython have one heap for all modules, limited by `ClrConfig::gc` and `CpythonConfig::memory`, and native code has the process's |
/// | `log_lines`, `log_bytes` | the bridge, in every runtime, on the way to the sink |
///
/// A limit of 0, or a depth of more than [`MAX_DEPTH`], is refused when the module is loaded.
///
/// ```
/// use polyhost_bridge::{Limits, LoadOptions};
///
/// let options = LoadOptions::new().limits(Limits::new().reply(1 << 20).calls(100).log_lines(1000));
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes of a reply. A smaller limit of the caller's own output wins.
    pub reply: Option<usize>,
    /// How deep its calls may be nested on one thread: a guest calls a service, which calls a guest, and so on. Calls of
    /// every module on that thread count.
    pub depth: Option<usize>,
    /// How many calls may be inside at a time; one more is refused and does not wait. A call that comes back to its own
    /// module on the same thread is one with the call that it came from.
    pub calls: Option<usize>,
    /// The most bytes that the module's objects may take; with several instances, those of each.
    pub memory: Option<usize>,
    /// Lines of log a second, what is printed included. Those beyond are dropped; how many is told in the log when it
    /// goes on, and when the module is unloaded.
    pub log_lines: Option<usize>,
    /// Bytes of log a second, likewise. A single line may be longer; what follows it waits for the balance.
    pub log_bytes: Option<usize>,
}

impl Limits {
    /// None.
    pub fn new() -> Self {
        Limits::default()
    }

    /// Limits the bytes of a reply.
    pub fn reply(mut self, bytes: usize) -> Self {
        self.reply = Some(bytes);
        self
    }

    /// Limits how deep calls may be nested.
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = Some(depth);
        self
    }

    /// Limits how many calls may be inside at a time.
    pub fn calls(mut self, calls: usize) -> Self {
        self.calls = Some(calls);
        self
    }

    /// Limits the memory of each instance.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Limits the lines of log a second.
    pub fn log_lines(mut self, lines: usize) -> Self {
        self.log_lines = Some(lines);
        self
    }

    /// Limits the bytes of log a second.
    pub fn log_bytes(mut self, bytes: usize) -> Self {
        self.log_bytes = Some(bytes);
        self
    }

    /// Refuses limits that mean nothing.
    pub(crate) fn check(&self) -> Result<()> {
        let all = [
            ("reply", self.reply),
            ("depth", self.depth),
            ("calls", self.calls),
            ("memory", self.memory),
            ("log_lines", self.log_lines),
            ("log_bytes", self.log_bytes),
        ];
        if let Some((name, _)) = all.into_iter().find(|(_, limit)| *limit == Some(0)) {
            return Err(Error::new(ErrorKind::Config, format!("the limit {name} is 0; leave it out for none")));
        }
        match self.depth {
            Some(depth) if depth > MAX_DEPTH => {
                let message = format!("the limit depth is {depth}; calls nest {MAX_DEPTH} deep at most");
                Err(Error::new(ErrorKind::Config, message))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a limit on memory, for a runtime that has none for one module. `instead` says what limits it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`].
    pub fn refuse_memory(&self, instead: &str) -> Result<()> {
        match self.memory {
            None => Ok(()),
            Some(_) => {
                let message = format!("the memory of one module can't be limited here: {instead}");
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_means_nothing_is_named() {
        assert!(Limits::new().check().is_ok());
        assert!(Limits::new().reply(1).depth(MAX_DEPTH).calls(1).memory(1).log_lines(1).log_bytes(1).check().is_ok());
        let says = |limits: Limits| limits.check().expect_err("means nothing").to_string();
        assert_eq!("the limit calls is 0; leave it out for none", says(Limits::new().calls(0)));
        assert_eq!("the limit depth is 65; calls nest 64 deep at most", says(Limits::new().depth(65)));
    }

    #[test]
    fn a_runtime_that_cannot_limit_memory_says_who_can() {
        let error = Limits::new().memory(1).refuse_memory("ask the kernel").expect_err("can't");
        assert_eq!(ErrorKind::Unsupported, error.kind());
        assert!(error.to_string().ends_with("ask the kernel"), "{error}");
        assert!(Limits::new().refuse_memory("").is_ok());
    }
}
