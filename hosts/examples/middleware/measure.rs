//! A rough timing: enough to see who is fast, and no more. `polyhost-bench` is the tool for numbers.

use std::fs;
use std::time::{Duration, Instant};

use polyhost::{CallContext, Function, Output, Result};
use serde::Serialize;

/// How long calls run before they count: a JIT compiler wants to see the code at work first.
const WARM_UP: Duration = Duration::from_millis(400);
/// How long calls are counted, with a look at the clock after each round of all inputs only.
const COUNT: Duration = Duration::from_millis(500);
/// How long calls are timed one by one.
const TIME: Duration = Duration::from_millis(300);
/// At most so many are.
const MOST: usize = 1 << 20;

/// What calls of one function cost.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Speed {
    /// How many were counted.
    pub(crate) calls: usize,
    /// Of those.
    pub(crate) calls_per_second: f64,
    /// Of calls timed one by one, a look at the clock included.
    pub p50_us: f64,
    /// The same.
    pub p99_us: f64,
}

/// Times calls. Its memory is taken before the first call, so that it does not count as a guest's.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    /// Nanoseconds.
    times: Vec<u32>,
}

impl Stopwatch {
    /// Takes the memory.
    pub(crate) fn new() -> Self {
        // Ones, because memory of zeros is not there before it is written to.
        Stopwatch { times: vec![1; MOST] }
    }

    /// Calls `function` with one input after the other, so that no two calls in a row are alike.
    ///
    /// # Errors
    /// What a call returned.
    pub(crate) fn speed(&mut self, function: &dyn Function, inputs: &[Vec<u8>]) -> Result<Speed> {
        let (cx, mut output) = (CallContext::none(), Output::new());
        let mut call = |input: &Vec<u8>| {
            output.clear();
            function.call(&cx, input, &mut output)
        };

        let start = Instant::now();
        while start.elapsed() < WARM_UP {
            inputs.iter().try_for_each(&mut call)?;
        }

        let (mut calls, start) = (0, Instant::now());
        while start.elapsed() < COUNT {
            inputs.iter().try_for_each(&mut call)?;
            calls += inputs.len();
        }
        let calls_per_second = calls as f64 / start.elapsed().as_secs_f64();

        self.times.clear();
        let start = Instant::now();
        while start.elapsed() < TIME && self.times.len() + inputs.len() <= MOST {
            for input in inputs {
                let before = Instant::now();
                call(input)?;
                self.times.push(u32::try_from(before.elapsed().as_nanos()).unwrap_or(u32::MAX));
            }
        }
        self.times.sort_unstable();
        Ok(Speed { calls, calls_per_second, p50_us: self.percentile(50), p99_us: self.percentile(99) })
    }

    fn percentile(&self, percent: usize) -> f64 {
        f64::from(self.times[(self.times.len() - 1) * percent / 100]) / 1e3
    }
}

/// What timing nothing costs, in nanoseconds: every percentile includes it.
pub(crate) fn clock_ns() -> u64 {
    let mut times: Vec<_> = (0..10_001).map(|_| Instant::now().elapsed()).collect();
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as u64
}

/// The memory of this process that is in RAM, in bytes; 0 where the system does not tell.
pub(crate) fn resident() -> u64 {
    // Fields: size, resident, …, in pages (proc_pid_statm(5)); x86-64 has pages of 4 KiB.
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
