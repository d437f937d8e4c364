//! What a run found out, as it is written to a file and read back.
//!
//! Times are nanoseconds and sizes bytes, unless a name says otherwise. A file of another [`SCHEMA`] is refused by name.

use serde::{Deserialize, Serialize};

use crate::stats::Estimate;

/// The version of this format.
pub const SCHEMA: &str = "polyhost-bench/2";

/// A run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunResult {
    /// [`SCHEMA`].
    pub schema: String,
    /// When it began: `2026-11-21T17:00:00Z`.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The plan: `standard`, `full`, `quick` or `custom`.
    pub plan: String,
    /// The seed of payloads, orders and intervals.
    pub seed: u64,
    /// It was interrupted: what was measured so far.
    pub partial: bool,
    /// Where it ran.
    pub environment: Environment,
    /// What the reader should know before trusting a number: a noisy machine, a debug build.
    pub warnings: Vec<String>,
    /// Who took part, in the order of rows.
    pub contenders: Vec<Contender>,
    /// One for each contender of each cell of the matrix.
    pub cells: Vec<Cell>,
    /// Cold starts, one for each contender.
    pub starts: Vec<Start>,
}

/// What the numbers depend on. A label and no host name: a result may be published.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Environment {
    /// What the user calls the machine.
    pub label: String,
    /// The processor's name.
    pub cpu: String,
    /// Processors this process may use.
    pub cores: usize,
    /// Memory of the machine.
    pub memory: u64,
    /// The operating system and its kernel.
    pub system: String,
    /// The kernel's release.
    pub kernel: String,
    /// The frequency governor; empty where none is told.
    pub governor: String,
    /// Load average of the last minute before the run.
    pub load: f64,
    /// The commit of this program; empty where unknown, with `+` where files had changed.
    pub commit: String,
    /// `release` or `debug`.
    pub build: String,
    /// What one reading of the clock costs; batches are so long that it does not show.
    pub clock: f64,
    /// The smallest difference that the clock shows.
    pub clock_resolution: f64,
    /// What the loop around a call costs, which is in the time of every call.
    #[serde(default)]
    pub own_cost: f64,
}

/// The fact of a contender that says whose CPU and memory are told, where that is not all of its processes.
pub const ACCOUNT: &str = "CPU and memory";

/// Who is measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Contender {
    /// Such as `clr`, `grpc-rust`, `child-python`, or the location of a user's module.
    pub name: String,
    /// One line for people.
    pub what: String,
    /// Versions and settings that matter: runtime, garbage collector, protobuf implementation.
    pub facts: Vec<(String, String)>,
    /// Why it is in no row, if so.
    pub skipped: Option<String>,
}

/// One contender's part of one cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cell {
    /// The workload: `echo`, …
    pub workload: String,
    /// The size of a request's payload.
    pub payload: usize,
    /// Callers at the same time.
    pub concurrency: usize,
    /// The contender's name.
    pub contender: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Measured(Box<Measured>),
    /// Something it needs is not there.
    Skipped(String),
    /// A wrong result, a crash, a hang: what happened.
    Failed(String),
}

/// Numbers of one contender in one cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Time of a call as its caller sees it, closed loop: the median of the rounds.
    pub call: Estimate,
    /// That time round by round; rounds of one number ran next to each other in all contenders.
    pub rounds: Vec<f64>,
    /// Calls a second of all callers.
    pub throughput: Estimate,
    /// Times of single calls, closed loop: service time. None where a call is too short to be timed by itself.
    pub service: Option<Latency>,
    /// Times from the intended send on, open loop.
    pub response: Option<OpenLoop>,
    /// CPU time of a call, by the account of the contender's processes.
    pub cpu: Option<Estimate>,
    /// Context switches of a call.
    pub switches: Option<f64>,
    /// Whether and when the times had settled before the rounds began.
    pub steady: Steady,
    /// Where the time of a call goes; told with one caller.
    pub stages: Option<Stages>,
    /// Why that can't be told, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<String>,
    /// Memory of the contender's processes.
    pub memory: Option<Memory>,
}

/// A distribution of times.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// The middle.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// All of them: an HDR histogram (V2, deflated), in base64.
    pub histogram: String,
}

/// Calls sent at a fixed rate, whether or not the ones before were answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenLoop {
    /// Calls a second that were intended.
    pub rate: f64,
    /// Calls a second that were answered.
    pub reached: f64,
    /// From the intended send time to the answer.
    pub latency: Latency,
}

/// How the warm-up went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steady {
    /// The last slices of the warm-up no longer got faster.
    pub reached: bool,
    /// Calls made before.
    pub calls: u64,
}

/// Where the time of a call goes. What is left of a call after the others is the crossing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stages {
    /// The caller makes bytes of its message.
    pub encode: f64,
    /// There and back: everything that is not another stage.
    pub cross: f64,
    /// The guest's code, with its decoding and encoding.
    pub guest: f64,
    /// The caller reads the reply.
    pub decode: f64,
}

/// Memory at three moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The runtime has started.
    pub started: Usage,
    /// The module is loaded.
    pub loaded: Usage,
    /// All calls are made.
    pub after: Usage,
}

/// Resident memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Resident set size.
    pub rss: u64,
    /// The same with shared pages divided among those who share them.
    pub pss: u64,
}

/// A start from nothing, each in a process of its own; in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Start {
    /// The contender's name.
    pub contender: String,
    /// What came of it.
    pub outcome: StartOutcome,
}

/// What came of starting.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartOutcome {
    /// It was measured.
    Measured(StartTimes),
    /// Something it needs is not there.
    Skipped(String),
    /// What went wrong.
    Failed(String),
}

/// Milliseconds of a start.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct StartTimes {
    /// Processes that were started.
    pub processes: usize,
    /// The runtime, or the server or process of the contender.
    pub runtime: Estimate,
    /// Loading the module.
    pub load: Estimate,
    /// The first call.
    pub first: Estimate,
    /// The hundredth call.
    pub hundredth: Estimate,
}
