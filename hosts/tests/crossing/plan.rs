//! What a thread does, as bytes: three for each step, and any bytes are a plan.

use std::fmt;

use polyhost_testkit::Random;

const STEP: usize = 3;
/// With services of services this stays far below the depth that calls may have.
const MOST_STEPS: u64 = 10;

/// What a service does before or around the rest of its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Calls a guest, which calls the service with the rest.
    Guest,
    /// The rest has a deadline.
    Deadline,
    /// The rest is cancelled, now or later.
    Cancel,
    /// The rest runs on a thread of its own.
    Thread,
    /// Another version of a guest; then the rest.
    Deploy,
    /// A module that is unloaded while it is called; then the rest.
    Load,
    /// Panics.
    Panic,
    /// Calls a guest that calls nobody. The rest is not done.
    Leaf,
}

#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    /// Which guest, of as many as there are.
    pub(crate) site: usize,
    /// What else may differ.
    pub(crate) how: u8,
}

impl Step {
    /// The first step of a plan, and the rest.
    pub(crate) fn first(plan: &[u8]) -> Option<(Step, &[u8])> {
        let (&[kind, site, how], rest) = plan.split_first_chunk::<STEP>()?;
        let kind = match kind % 64 {
            0..=31 => Kind::Guest,
            32..=37 => Kind::Deadline,
            38..=42 => Kind::Cancel,
            43..=44 => Kind::Thread,
            45 => Kind::Deploy,
            46 => Kind::Load,
            47 => Kind::Panic,
            _ => Kind::Leaf,
        };
        Some((Step { kind, site: site.into(), how }, rest))
    }

    /// Calls the guest again with the same.
    pub(crate) fn twice(self) -> bool {
        self.how & 7 == 0
    }

    /// The guest catches what the service fails with.
    pub(crate) fn catches(self) -> bool {
        self.how & 8 != 0
    }

    /// Which of the calls that call nobody. The first fails.
    pub(crate) fn leaf(self) -> u8 {
        self.how % 8
    }

    /// How the guest is called.
    pub(crate) fn mode(self) -> Mode {
        match self.how >> 4 {
            0..=9 => Mode::Call,
            10..=13 => Mode::Async,
            _ => Mode::Dropped,
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({}, {:#04x})", self.kind, self.site, self.how)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Call,
    Async,
    /// By a future that is dropped when it was polled once.
    Dropped,
}

/// The plan of this number.
pub(crate) fn plan(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let steps = 1 + random.below(MOST_STEPS) as usize;
    (0..steps * STEP).map(|_| random.below(256) as u8).collect()
}

pub(crate) fn steps(plan: &[u8]) -> impl Iterator<Item = Step> {
    plan.chunks(STEP).filter_map(|step| Step::first(step).map(|(step, _)| step))
}
