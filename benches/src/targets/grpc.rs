//! Calls in this process against the same service behind gRPC, by the contenders of the matrix.

use std::sync::Arc;

use polyhost::Output;

use super::measure::{self, Rounds};
use super::report::Unmeasured;
use super::{Outcome, Targets};
use crate::contenders::{self, Contender};
use crate::report::units::nanos;
use crate::workloads::{self, Requests, Workload, ring};

const PAYLOAD: usize = 1 << 10;

impl Targets {
    /// How many times as long a call of `served` takes as one of `inside`.
    pub(super) fn grpc(&mut self, served: &str, inside: &str) -> Outcome {
        let workload = workloads::named("echo").map_err(Unmeasured::Failed)?;
        let mut started = Vec::new();
        for name in [served, inside] {
            let mut contender = contenders::start(name)?;
            contender.load(&workload)?;
            started.push(contender);
        }
        let mut pair = Vec::new();
        for contender in &started {
            pair.push(self.caller(&**contender, &workload)?);
        }
        let random = &mut self.random;
        let rounds = Rounds::run(self.plan, &mut pair, random)?;
        let detail = [0, 1].map(|i| nanos(rounds.nanos(i, random).value)).join(" against ");
        Ok((rounds.ratio(0, 1, random), detail))
    }

    /// A caller whose replies are checked before any is timed.
    fn caller(
        &mut self,
        contender: &dyn Contender,
        workload: &Arc<dyn Workload>,
    ) -> Result<measure::Contender<'static>, Unmeasured> {
        let mut requests = Requests::new(workload.requests(PAYLOAD, ring(PAYLOAD), &mut self.random));
        let (mut caller, mut output) = (contender.caller()?, Output::new());
        caller.batch(&mut requests, &mut output, 1)?;
        workload.check(requests.last(), output.as_slice()).map_err(Unmeasured::Failed)?;
        Ok(Box::new(move |calls| caller.batch(&mut requests, &mut output, calls)))
    }
}
