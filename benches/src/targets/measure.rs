//! Timing: interleaved rounds, in random order, with a payload that differs at each call.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use polyhost::{CallContext, Error, ErrorKind, Function, Output, Result};

use crate::stats::Estimate;

/// How long and how often to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// How long each contender runs within a round, at least.
    pub(crate) slice: Duration,
    /// How long each contender runs before the first round.
    pub(crate) warm_up: Duration,
}

impl Plan {
    /// 41 rounds of 10 ms after 300 ms of warm-up: tiered compilation has settled by then.
    pub(crate) const STANDARD: Plan =
        Plan { rounds: 41, slice: Duration::from_millis(10), warm_up: Duration::from_millis(300) };
    /// Enough to see that everything runs.
    pub(crate) const QUICK: Plan =
        Plan { rounds: 9, slice: Duration::from_millis(2), warm_up: Duration::from_millis(50) };
}

/// Something that can be called `n` times in a row.
pub(crate) type Contender<'a> = Box<dyn FnMut(u64) -> Result<()> + 'a>;

/// Nanoseconds a call, for each contender and each round.
pub(crate) struct Rounds {
    samples: Vec<Vec<f64>>,
}

impl Rounds {
    /// Runs all contenders in turn, in another order each round, so that what slows the machine slows all alike.
    pub(crate) fn run(plan: Plan, contenders: &mut [Contender<'_>], random: &mut fastrand::Rng) -> Result<Rounds> {
        let mut batches = Vec::new();
        for contender in contenders.iter_mut() {
            batches.push(warm_up(plan, contender)?);
        }
        let mut samples = vec![Vec::with_capacity(plan.rounds); contenders.len()];
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        for _ in 0..plan.rounds {
            random.shuffle(&mut order);
            for &i in &order {
                let started = Instant::now();
                contenders[i](batches[i])?;
                samples[i].push(started.elapsed().as_nanos() as f64 / batches[i] as f64);
            }
        }
        Ok(Rounds { samples })
    }

    /// Nanoseconds a call of one contender.
    pub(crate) fn nanos(&self, contender: usize, random: &mut fastrand::Rng) -> Estimate {
        Estimate::median_of(&self.samples[contender], random)
    }

    /// Nanoseconds a call that one contender takes more than another, round by round.
    pub(crate) fn difference(&self, contender: usize, against: usize, random: &mut fastrand::Rng) -> Estimate {
        let pairs = self.samples[contender].iter().zip(&self.samples[against]);
        let differences: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
        Estimate::median_of(&differences, random)
    }

    /// One contender against another, round by round: what both suffered in a round cancels out.
    pub(crate) fn ratio(&self, contender: usize, against: usize, random: &mut fastrand::Rng) -> Estimate {
        let pairs = self.samples[contender].iter().zip(&self.samples[against]);
        let ratios: Vec<f64> = pairs.map(|(a, b)| a / b).collect();
        Estimate::median_of(&ratios, random)
    }
}

/// Runs a contender until it is warm, and finds how many calls fill a slice.
fn warm_up(plan: Plan, contender: &mut Contender<'_>) -> Result<u64> {
    let until = Instant::now() + plan.warm_up;
    let mut batch = 16;
    loop {
        let started = Instant::now();
        contender(batch)?;
        let took = started.elapsed();
        if took < plan.slice {
            batch = (batch * 2).min(1 << 32);
        }
        if Instant::now() >= until && took >= plan.slice {
            return Ok(batch);
        }
    }
}

/// Payloads of one size that differ from call to call: an unchanging string would be interned once and flatter
/// LuaJIT threefold.
pub(crate) struct Payloads {
    bytes: Vec<Vec<u8>>,
    next: usize,
}

impl Payloads {
    /// So many payloads of `size` bytes of text.
    pub(crate) fn new(size: usize, random: &mut fastrand::Rng) -> Payloads {
        let bytes = (0..1024).map(|_| (0..size).map(|_| random.alphanumeric() as u8).collect()).collect();
        Payloads { bytes, next: 0 }
    }

    /// The next one. A counter is written into it, so that it equals none before it.
    pub(crate) fn next(&mut self) -> &[u8] {
        self.next += 1;
        let at = self.next % self.bytes.len();
        let counter = (self.next as u64).to_le_bytes();
        let payload = &mut self.bytes[at];
        let room = payload.len().min(counter.len());
        payload[..room].copy_from_slice(&counter[..room]);
        payload
    }
}

/// Calls a function `n` times with differing payloads and checks each length.
pub(crate) fn caller<'a>(function: &'a dyn Function, size: usize, random: &mut fastrand::Rng) -> Contender<'a> {
    let mut payloads = Payloads::new(size, random);
    let mut output = Output::new();
    let cx = CallContext::none();
    Box::new(move |n| {
        for _ in 0..n {
            call_echo(function, &cx, payloads.next(), &mut output)?;
        }
        Ok(())
    })
}

/// Calls a function that returns its request; `output` holds nothing but the reply then.
///
/// # Errors
/// What the call fails with, or that the reply has another length.
pub(crate) fn call_echo(function: &dyn Function, cx: &CallContext, payload: &[u8], output: &mut Output) -> Result<()> {
    output.clear();
    function.call(cx, payload, output)?;
    if output.len() == payload.len() { Ok(()) } else { Err(no_echo(function.export().name())) }
}

#[cold]
pub(crate) fn no_echo(name: &str) -> Error {
    Error::new(ErrorKind::Encode, format!("{name} does not return its request"))
}

/// Calls a second by `threads` callers of `call`, each with its own payloads, for `slice`. `call` clears the output.
pub(crate) fn throughput(
    threads: usize,
    slice: Duration,
    seed: u64,
    call: &(dyn Fn(&[u8], &mut Output) -> Result<()> + Sync),
) -> Result<f64> {
    let (start, calls) = (Barrier::new(threads + 1), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let one = |thread: usize| -> Result<()> {
        let mut random = fastrand::Rng::with_seed(seed + thread as u64);
        let (mut payloads, mut output) = (Payloads::new(128, &mut random), Output::new());
        // Attaching a thread to a runtime is paid once and is not what is measured.
        let warm = call(payloads.next(), &mut output);
        start.wait();
        warm?;
        let mut done = 0;
        while !stop.load(Ordering::Relaxed) {
            call(payloads.next(), &mut output)?;
            done += 1;
        }
        calls.fetch_add(done, Ordering::Relaxed);
        Ok(())
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn({
                    let one = &one;
                    move || one(thread)
                })
            })
            .collect();
        start.wait();
        let started = Instant::now();
        std::thread::sleep(slice);
        stop.store(true, Ordering::Relaxed);
        let mut outcome = Ok(());
        for handle in handles {
            let result = handle.join().expect("a caller does not panic");
            outcome = outcome.and(result);
        }
        outcome.map(|()| calls.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
    })
}
