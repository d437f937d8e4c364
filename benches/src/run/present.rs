//! Who could take part on this machine.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Entrant;
use super::lineup::SOON;
use crate::worker::client::{Gone, Launcher};
use crate::worker::protocol::Ask;
use crate::workloads;

/// For each entrant, what it needs and does not find. Each is started, all at the same time, with the first workload
/// that it has a part in.
pub(crate) fn missing(entrants: &[Entrant], patience: Duration, interrupted: &Arc<AtomicBool>) -> Vec<Option<String>> {
    let launcher = Launcher { interrupted: interrupted.clone(), patience };
    let why = |entrant: &Entrant| match start(entrant, &launcher) {
        Ok(()) | Err(Gone::Interrupted) => None,
        Err(Gone::Skipped(reason) | Gone::Failed(reason)) => Some(reason),
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = entrants.iter().map(|entrant| scope.spawn(move || why(entrant))).collect();
        all.into_iter().map(|one| one.join().expect("asking does not panic")).collect()
    })
}

fn start(entrant: &Entrant, launcher: &Launcher) -> Result<(), Gone> {
    let mut worker = launcher.launch()?;
    worker.ask(&Ask::Start { contender: entrant.start.clone(), seed: 1 }, SOON)?;
    let all = workloads::all();
    let Some(workload) = all.iter().find(|it| entrant.knows(it.name())) else { return Ok(()) };
    worker.ask(&Ask::Load { task: entrant.task(workload.name()) }, SOON).map(|_| ())
}
