//! The machine and this process: processors, memory, stacks.

use std::fs;

use serde::Serialize;

use crate::ffi;

/// What everything runs on.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) os: &'static str,
    pub(super) architecture: &'static str,
    pub(super) kernel: Option<String>,
    /// Processors that this process may use at a time.
    pub(super) processors: Option<usize>,
    /// In bytes.
    pub(super) memory_total: Option<u64>,
    pub(super) memory_available: Option<u64>,
    /// The limit of the control group, where there is one; .NET sizes its heap by it.
    pub(super) memory_limit: Option<u64>,
}

/// How this process stands.
#[derive(Debug, Serialize)]
pub(super) struct Process {
    /// Bytes in memory before and after the start of the runtimes.
    pub(super) resident: Option<u64>,
    pub(super) resident_after_start: Option<u64>,
    pub(super) main_thread: Stack,
    /// What the main thread's became when the runtimes had been started.
    pub(super) main_thread_after_start: Option<Stack>,
    /// A thread as the standard library starts it.
    pub(super) new_thread: Option<Stack>,
    /// What the kernel puts on a signal's stack on this processor, in bytes (AT_MINSIGSTKSZ).
    pub(super) least_signal_stack: u64,
    /// Soft limits: bytes of stack of the main thread, open files.
    pub(super) stack_limit: Option<u64>,
    pub(super) open_files_limit: Option<u64>,
}

/// The stacks of one thread, in bytes.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Stack {
    pub(super) stack: Option<usize>,
    /// The alternate stack, on which signal handlers run that ask for it.
    pub(super) alternate: Option<usize>,
}

impl Machine {
    pub(super) fn read() -> Self {
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
        Machine {
            os: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
            processors: std::thread::available_parallelism().ok().map(usize::from),
            memory_total: kibibytes(&memory, "MemTotal:"),
            memory_available: kibibytes(&memory, "MemAvailable:"),
            memory_limit: limit.trim().parse().ok(),
        }
    }
}

impl Process {
    pub(super) fn read() -> Self {
        let soft = |resource| ffi::limits(resource).and_then(|(soft, _)| soft);
        Process {
            resident: resident(),
            resident_after_start: None,
            main_thread: Stack::of_this_thread(),
            main_thread_after_start: None,
            new_thread: std::thread::spawn(Stack::of_this_thread).join().ok(),
            least_signal_stack: ffi::least_signal_stack(),
            stack_limit: soft(libc::RLIMIT_STACK),
            open_files_limit: soft(libc::RLIMIT_NOFILE),
        }
    }

    pub(super) fn note_start(&mut self) {
        self.resident_after_start = resident();
        self.main_thread_after_start = Some(Stack::of_this_thread());
    }
}

impl Stack {
    fn of_this_thread() -> Self {
        Stack { stack: ffi::thread_stack(), alternate: ffi::alternate_stack() }
    }
}

/// Bytes of this process that are in memory.
pub(super) fn resident() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// A line of a /proc file, `key   123 kB`, in bytes.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_tells() {
        assert_eq!(Some(3 << 10), kibibytes("A: 1\nMemTotal:   3 kB\n", "MemTotal:"));
        assert_eq!(None, kibibytes("MemTotal: x kB", "MemTotal:"));
        assert!(Machine::read().memory_total > Some(0));
        assert!(resident() > Some(0));
    }
}
