//! What .NET counts.

use std::time::Duration;

/// What .NET has counted so far, for all applications and guests of the process together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Garbage collections of generations 0, 1 and 2. One of a generation counts for the younger ones, too.
    pub collections: [u64; 3],
    /// How long collections have stopped all managed threads.
    pub pause: Duration,
    /// Bytes that managed objects take, including those not yet collected.
    pub heap_bytes: u64,
    /// Threads of the pool, where applications run unless they are called inline.
    pub thread_pool_threads: u32,
    /// Work that waits for one of them. It grows where threads are blocked.
    pub thread_pool_queue: u64,
}
