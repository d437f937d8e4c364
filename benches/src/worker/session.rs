//! What a worker does when it is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::crew::{Checks, Crew};
use super::protocol::{Answer, Ask, Closed, Open, Task};
use crate::contenders::{self, Contender};
use crate::measure::clock::{self, Clock};
use crate::measure::closed::Timing;
use crate::measure::cpu::{self, Account};
use crate::measure::stages::{self, Told};
use crate::measure::{histogram, memory};
use crate::result::schema::{Steady, Usage};
use crate::stats::median;
use crate::stats::steady::is_steady;
use crate::targets::report::Unmeasured;
use crate::workloads::custom::Custom;
use crate::workloads::{self, Requests, Workload, ring};

/// How long calls are made next to a stage, to tell its share.
const BESIDE: Duration = Duration::from_millis(5);

/// A worker's contender, as far as it has come.
pub(super) struct Session {
    clock: Clock,
    random: fastrand::Rng,
    timing: Timing,
    // Dropped before the contender whose callers it has.
    crew: Option<Crew>,
    workload: Option<Arc<dyn Workload>>,
    contender: Option<Box<dyn Contender>>,
}

impl Session {
    pub(super) fn new() -> Session {
        let timing = Timing { batch: 1, single: false };
        let (random, clock) = (fastrand::Rng::with_seed(0), Clock { cost: 0.0, resolution: 0.0 });
        Session { clock, random, timing, crew: None, workload: None, contender: None }
    }

    pub(super) fn answer(&mut self, ask: Ask) -> Answer {
        let answer = match ask {
            Ask::Start { contender, seed } => self.start(&contender, seed),
            Ask::Facts => self.facts(),
            Ask::Load { task } => self.load(task),
            Ask::Call { payload } => self.call(payload),
            Ask::Prepare { payload, concurrency } => self.prepare(payload, concurrency),
            Ask::WarmUp { at_least, at_most } => self.warm_up(nanos(at_least), nanos(at_most)),
            Ask::Closed { slice } => self.closed(nanos(slice)).map(Answer::Closed),
            Ask::Open { slice, rate } => self.open(nanos(slice), rate).map(Answer::Open),
            Ask::Stages { payload } => self.stages(payload).map(Answer::Stages),
            Ask::Memory => Ok(Answer::Memory { usage: self.usage() }),
        };
        match answer {
            Ok(answer) => answer,
            Err(Unmeasured::Skipped(reason)) => Answer::Skipped(reason),
            Err(Unmeasured::Failed(reason)) => Answer::Failed(reason),
        }
    }

    fn start(&mut self, name: &str, seed: u64) -> Result<Answer, Unmeasured> {
        let started = Instant::now();
        let contender = contenders::start(name)?;
        let nanos = clock::nanos(started, Instant::now());
        self.contender = Some(contender);
        self.random = fastrand::Rng::with_seed(seed);
        Ok(Answer::Started { nanos, usage: self.usage() })
    }

    fn facts(&self) -> Result<Answer, Unmeasured> {
        Ok(Answer::Facts(self.contender.as_ref().ok_or_else(nothing)?.facts()))
    }

    fn load(&mut self, task: Task) -> Result<Answer, Unmeasured> {
        let workload: Arc<dyn Workload> = match task {
            Task::Workload(name) => workloads::named(&name).map_err(Unmeasured::Failed)?,
            Task::Custom(case) => Arc::new(Custom::new(case)),
        };
        let contender = self.contender.as_mut().ok_or_else(nothing)?;
        let started = Instant::now();
        contender.load(&workload)?;
        let nanos = clock::nanos(started, Instant::now());
        if let Some(module) = contender.module() {
            workload.bind(&*module).map_err(Unmeasured::Failed)?;
        }
        self.workload = Some(workload);
        Ok(Answer::Loaded { nanos, usage: self.usage() })
    }

    /// A hundred calls from this thread, each timed; every reply is checked.
    fn call(&mut self, payload: usize) -> Result<Answer, Unmeasured> {
        const CALLS: usize = 100;
        let mut requests = self.requests(payload, CALLS)?;
        let (contender, workload) = self.loaded()?;
        let (mut caller, mut output) = (contender.caller()?, polyhost::Output::new());
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let started = Instant::now();
            caller.batch(&mut requests, &mut output, 1)?;
            times.push(clock::nanos(started, Instant::now()));
            workload.check(requests.last(), &output).map_err(Unmeasured::Failed)?;
        }
        Ok(Answer::Called { first: times[0], hundredth: times[CALLS - 1] })
    }

    fn prepare(&mut self, payload: usize, concurrency: usize) -> Result<Answer, Unmeasured> {
        self.clock = Clock::calibrate();
        self.crew = None;
        let mut lanes =
            (0..concurrency).map(|_| self.requests(payload, ring(payload))).collect::<Result<Vec<_>, _>>()?;
        let bytes = lanes.first().map_or(0, Requests::bytes);
        let contender = self.contender.as_mut().ok_or_else(nothing)?;
        contender.prepare(concurrency)?;
        let (contender, workload) = self.loaded()?;
        let crew = Crew::new(contender, workload, concurrency, || lanes.pop().expect("one for each"))?;
        // Those of a user's module are compared with those of another by the harness, so all of them.
        let compared = workload.name() == Custom::NAME;
        let mut replies =
            crew.check(if compared { Checks::All } else { Checks::of(bytes) }).map_err(Unmeasured::Failed)?;
        if !compared {
            replies.clear();
        }
        self.crew = Some(crew);
        Ok(Answer::Prepared { replies, payload: bytes })
    }

    /// Calls until it is steady, in slices a twentieth of the time as long.
    fn warm_up(&mut self, at_least: Duration, at_most: Duration) -> Result<Answer, Unmeasured> {
        let crew = self.crew.as_ref().ok_or_else(nothing)?;
        let started = Instant::now();
        let slice = at_least / 20;
        let (mut slices, mut calls) = (Vec::new(), 0);
        let mut timing = Timing { batch: 1, single: false };
        loop {
            let rounds = crew.closed(timing, slice).map_err(Unmeasured::Failed)?;
            let call = per_call(&rounds);
            calls += rounds.iter().map(|it| it.calls).sum::<u64>();
            slices.push(call);
            // The fastest slice tells how long a call takes by itself; in the others, something else may have run.
            let fastest = slices.iter().copied().fold(f64::INFINITY, f64::min);
            timing = Timing { single: false, ..Timing::of(self.clock, fastest) };
            let (took, reached) = (started.elapsed(), is_steady(&slices));
            if took >= at_most || (took >= at_least && reached) {
                let last = slices.len().saturating_sub(5);
                let call = median(&mut slices[last..].to_vec());
                self.timing = Timing::of(self.clock, fastest);
                return Ok(Answer::Warm { steady: Steady { reached, calls }, call });
            }
        }
    }

    fn closed(&mut self, slice: Duration) -> Result<Closed, Unmeasured> {
        let crew = self.crew.as_ref().ok_or_else(nothing)?;
        let pids = self.pids();
        let before = (Account::of(&pids).ok(), cpu::switches(&pids).ok());
        let rounds = crew.closed(self.timing, slice).map_err(Unmeasured::Failed)?;
        let after = (Account::of(&pids).ok(), cpu::switches(&pids).ok());
        // Single calls that were timed besides count for what the process has used.
        let extra = if self.timing.batch > 1 { rounds.iter().map(|it| it.single.len()).sum() } else { 0 };
        let calls = rounds.iter().map(|it| it.calls).sum::<u64>();
        let all = (calls + extra) as f64;
        let mut single = histogram::empty();
        rounds.iter().try_for_each(|it| single.add(&it.single)).expect("it grows");
        Ok(Closed {
            calls: calls + extra,
            call: per_call(&rounds),
            throughput: rounds.iter().map(|it| it.calls as f64 / it.nanos * 1e9).sum(),
            cpu: before.0.zip(after.0).map(|(before, after)| after.since(&before).total / all),
            switches: before.1.zip(after.1).map(|(before, after)| after.saturating_sub(before)),
            single: if single.is_empty() { String::new() } else { histogram::to_text(&single) },
            injected: crew.injected(slice).map_err(Unmeasured::Failed)?,
        })
    }

    fn open(&mut self, slice: Duration, rate: f64) -> Result<Open, Unmeasured> {
        let crew = self.crew.as_ref().ok_or_else(nothing)?;
        let (begin, rounds) = crew.open(rate, slice).map_err(Unmeasured::Failed)?;
        let mut times = histogram::empty();
        rounds.iter().try_for_each(|it| times.add(&it.times)).expect("it grows");
        // A round lasts as long as calls are due, though the last of them is answered before.
        let end = rounds.iter().map(|it| it.end).max().unwrap_or(begin).max(begin + slice);
        let calls = rounds.iter().map(|it| it.calls).sum();
        Ok(Open { calls, nanos: clock::nanos(begin, end), times: histogram::to_text(&times) })
    }

    /// Whatever goes wrong here is a reason: the cell itself is measured.
    fn stages(&mut self, payload: usize) -> Result<Told, Unmeasured> {
        // They cross in one message.
        let count = if payload > 64 << 10 { 2 } else { 8 };
        let (contender, workload) = self.loaded()?;
        let (method, workload) = (workload.native().export().name().to_owned(), workload.clone());
        if let Some(reason) = workload.untold() {
            return Ok(Err(reason.to_owned()));
        }
        let repeater = contender.repeater();
        let (crew, timing) = (self.crew.as_ref().ok_or_else(nothing)?, Timing { single: false, ..self.timing });
        let call = || crew.closed(timing, BESIDE).map(|rounds| per_call(&rounds));
        let inputs: Vec<_> =
            workload.requests(payload, count, &mut self.random).into_iter().map(|it| it.bytes).collect();
        let told = || {
            let request = inputs.first().cloned().ok_or("the workload has no requests")?;
            let (encode, decode) = match workload.codec() {
                Some(codec) => (codec.encode(&request)?, codec.decode(&workload.expected(&request)?)?),
                None => (0.0, 0.0),
            };
            Ok((encode, stages::guest(&mut *repeater?, &method, inputs, call)?, decode))
        };
        Ok(told())
    }

    fn requests(&mut self, payload: usize, count: usize) -> Result<Requests, Unmeasured> {
        let workload = self.workload.as_ref().ok_or_else(nothing)?;
        Ok(Requests::new(workload.requests(payload, count, &mut self.random)))
    }

    fn loaded(&self) -> Result<(&dyn Contender, &Arc<dyn Workload>), Unmeasured> {
        let contender = self.contender.as_deref().ok_or_else(nothing)?;
        Ok((contender, self.workload.as_ref().ok_or_else(nothing)?))
    }

    fn usage(&self) -> Option<Usage> {
        memory::of(&self.pids()).ok()
    }

    fn pids(&self) -> Vec<u32> {
        let Some(contender) = &self.contender else { return vec![std::process::id()] };
        let mut pids = contender.pids();
        if !contender.is_apart() {
            pids.push(std::process::id());
        }
        pids
    }
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[cold]
fn nothing() -> Unmeasured {
    Unmeasured::Failed("the harness asks out of order; please report this".to_owned())
}

/// Nanoseconds of a call as its caller sees it, over all callers.
fn per_call(rounds: &[crate::measure::closed::Round]) -> f64 {
    let calls: u64 = rounds.iter().map(|it| it.calls).sum();
    rounds.iter().map(|it| it.nanos).sum::<f64>() / calls.max(1) as f64
}
