//! What the harness and a worker say to each other: a line of JSON each way.

use serde::{Deserialize, Serialize};

use crate::facts::Fact;
use crate::measure::stages::Told;
use crate::result::schema::{Steady, Usage};
use crate::workloads::custom::Case;

/// What a worker is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Start a contender, by its name or a module's location. Answered by [`Answer::Started`].
    Start { contender: String, seed: u64 },
    /// Tell versions and settings of the contender. Answered by [`Answer::Facts`].
    Facts,
    /// Load what it needs for a workload. Answered by [`Answer::Loaded`].
    Load { task: Task },
    /// Make a hundred calls. Answered by [`Answer::Called`].
    Call { payload: usize },
    /// Get ready for so many callers; check a reply of each. Answered by [`Answer::Prepared`].
    Prepare { payload: usize, concurrency: usize },
    /// Call until the times are steady; nanoseconds. Answered by [`Answer::Warm`].
    WarmUp { at_least: u64, at_most: u64 },
    /// Call in a closed loop for so many nanoseconds. Answered by [`Answer::Closed`].
    Closed { slice: u64 },
    /// Call at a rate for so many nanoseconds. Answered by [`Answer::Open`].
    Open { slice: u64, rate: f64 },
    /// Tell where the time of a call goes. Answered by [`Answer::Stages`].
    Stages { payload: usize },
    /// Tell the memory in use. Answered by [`Answer::Memory`].
    Memory,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// A workload of ours.
    Workload(String),
    /// A user's module.
    Custom(Case),
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It runs.
    Started { nanos: f64, usage: Option<Usage> },
    /// Versions and settings that matter.
    Facts(Vec<Fact>),
    /// It is loaded.
    Loaded { nanos: f64, usage: Option<Usage> },
    /// How long the first and the hundredth call took.
    Called { first: f64, hundredth: f64 },
    /// All replies are right. `replies`: what they are, for a user's module; `payload`: the bytes of a request, on
    /// average.
    Prepared { replies: Vec<String>, payload: usize },
    /// It has warmed up.
    Warm { steady: Steady, call: f64 },
    /// A round of the closed loop.
    Closed(Closed),
    /// A round of the open loop.
    Open(Open),
    /// Where the time of a call goes, as far as the contender and the workload can tell.
    Stages(Told),
    /// Memory in use.
    Memory { usage: Option<Usage> },
    /// Something it needs is not there.
    Skipped(String),
    /// Something is wrong.
    Failed(String),
}

/// A round of the closed loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Closed {
    pub(crate) calls: u64,
    /// Nanoseconds of a call as its caller sees it.
    pub(crate) call: f64,
    /// Calls a second of all callers.
    pub(crate) throughput: f64,
    /// CPU nanoseconds of a call.
    pub(crate) cpu: Option<f64>,
    /// Context switches of all calls.
    pub(crate) switches: Option<u64>,
    /// Times of single calls: a histogram, empty where they can't be timed.
    pub(crate) single: String,
    /// Nanoseconds that are known to be in a call.
    pub(crate) injected: Option<f64>,
}

/// A round of the open loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Open {
    /// Calls that were answered.
    pub(crate) calls: u64,
    /// Nanoseconds from the first intended send to the end of the round, or to the last answer where that came later.
    pub(crate) nanos: f64,
    /// A histogram of the times from the intended send on.
    pub(crate) times: String,
}
