//! The same ASP.NET Core application behind Kestrel and behind Polyhost: what a request costs the server's processor.
//!
//! Each server is a process of its own; the load comes from this one. Servers take turns in random order, round by round.

mod cpu;
mod load;
mod serve;
mod server;

use std::time::{Duration, Instant};

use cpu::{Account, Used};
use load::{Load, Shape};
pub(crate) use serve::{What, run as serve};
use server::{Kind, Server};

use crate::report::{Unmeasured, show};
use crate::stats::{Estimate, Target, median};
use crate::targets::Outcome;

/// How long and how often to measure.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rounds: usize,
    /// How long a server is loaded in a round. The split into user and system comes by clock ticks and wants many.
    slice: Duration,
    /// How long before the first round: until tiered compilation has settled.
    warm_up: Duration,
    starts: usize,
}

const STANDARD: Plan =
    Plan { rounds: 11, slice: Duration::from_millis(1500), warm_up: Duration::from_secs(3), starts: 7 };
const QUICK: Plan =
    Plan { rounds: 3, slice: Duration::from_millis(150), warm_up: Duration::from_millis(300), starts: 3 };

impl Plan {
    /// More and shorter rounds in the same time, for checks that don't ask for the split into user and system.
    fn without_ticks(self) -> Plan {
        Plan { rounds: self.rounds * 4 / 3, slice: self.slice / 2, ..self }
    }
}

const CONNECTIONS: usize = 64;
const DEPTH: usize = 16;
const BODIES: usize = 4;

/// What a request costs a server, in microseconds of CPU.
#[derive(Debug, Clone, Copy)]
struct Cost {
    total: f64,
    user: f64,
}

/// Servers that took turns under one load.
#[derive(Debug, Clone, Default)]
struct Rounds {
    kinds: Vec<Kind>,
    /// For each server, a cost for each round.
    costs: Vec<Vec<Cost>>,
    /// Microseconds that a request costs with no HTTP, for each round, where the inline server was asked.
    floor: Vec<f64>,
}

/// The checks of ASP.NET Core, with the rounds that several of them are computed from.
pub(crate) struct Http {
    plan: Plan,
    keep_alive: Option<Result<Rounds, Unmeasured>>,
    pipelined: Option<Result<Rounds, Unmeasured>>,
}

impl Http {
    /// Checks that have started nothing as yet.
    pub(crate) fn new(quick: bool) -> Http {
        Http { plan: if quick { QUICK } else { STANDARD }, keep_alive: None, pipelined: None }
    }

    /// Runs the check of this name.
    pub(crate) fn check(&mut self, name: &str, random: &mut fastrand::Rng) -> (Target, Outcome) {
        use Kind::{Inline, Kestrel, Pool};
        let (total, user) = (|cost: Cost| cost.total, |cost: Cost| cost.user);
        match name {
            "http.pool" => {
                let rounds = self.keep_alive(random);
                (Target::AtMost(1.0), rounds.map(|rounds| rounds.ratio(Pool, Kestrel, total, random)))
            }
            "http.inline" => {
                let rounds = self.keep_alive(random);
                (Target::AtLeast(1.3), rounds.map(|rounds| rounds.ratio(Kestrel, Inline, total, random)))
            }
            "http.inline.user" => {
                let rounds = self.keep_alive(random);
                (Target::AtLeast(1.8), rounds.map(|rounds| rounds.ratio(Kestrel, Inline, user, random)))
            }
            "http.pipelined" => {
                let rounds = self.pipelined(random);
                (Target::AtLeast(1.25), rounds.map(|rounds| rounds.ratio(Kestrel, Inline, total, random)))
            }
            "http.pipelined.floor" => {
                let rounds = self.pipelined(random);
                (Target::AtMost(0.5), rounds.map(|rounds| rounds.above_floors(random)))
            }
            "http.body" => {
                let rounds = measure(self.plan.without_ticks(), &[Kestrel, Pool], Shape::Bodies, BODIES, random);
                (Target::AtMost(1.0), rounds.map(|rounds| rounds.ratio(Pool, Kestrel, total, random)))
            }
            "http.start" => (Target::AtMost(1.1), starts(self.plan.starts, random)),
            other => unreachable!("{other} has a name and no check"),
        }
    }

    fn keep_alive(&mut self, random: &mut fastrand::Rng) -> Result<Rounds, Unmeasured> {
        let kinds = [Kind::Kestrel, Kind::Pool, Kind::Inline];
        let run = || measure(self.plan, &kinds, Shape::Requests(1), CONNECTIONS, random);
        self.keep_alive.get_or_insert_with(run).clone()
    }

    fn pipelined(&mut self, random: &mut fastrand::Rng) -> Result<Rounds, Unmeasured> {
        let kinds = [Kind::Kestrel, Kind::Inline, Kind::Hello];
        let run = || measure(self.plan.without_ticks(), &kinds, Shape::Requests(DEPTH), CONNECTIONS, random);
        self.pipelined.get_or_insert_with(run).clone()
    }
}

/// Loads each server in turn, in another order each round.
fn measure(
    plan: Plan,
    kinds: &[Kind],
    shape: Shape,
    connections: usize,
    random: &mut fastrand::Rng,
) -> Result<Rounds, Unmeasured> {
    server::need()?;
    let mut contenders = Vec::new();
    for &kind in kinds {
        let mut contender = Contender::start(kind, shape, connections)?;
        contender.cost(plan.warm_up)?;
        contenders.push(contender);
    }
    let mut rounds = Rounds { kinds: kinds.to_vec(), costs: vec![Vec::new(); kinds.len()], floor: Vec::new() };
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    let with_floor = kinds.contains(&Kind::Hello);
    for round in 0..=plan.rounds {
        random.shuffle(&mut order);
        for &i in &order {
            let cost = contenders[i].cost(plan.slice)?;
            let floor = (with_floor && kinds[i] == Kind::Inline).then(|| contenders[i].floor()).transpose()?;
            // The first is warm-up, too.
            if round > 0 {
                rounds.costs[i].push(cost);
                rounds.floor.extend(floor);
            }
        }
    }
    Ok(rounds)
}

/// A server and the connections that load it.
struct Contender {
    kind: Kind,
    load: Load,
    server: Server,
}

impl Contender {
    fn start(kind: Kind, shape: Shape, connections: usize) -> Result<Contender, Unmeasured> {
        let server = Server::start(kind)?;
        let load =
            Load::new(server.address, shape, connections).map_err(|e| Unmeasured::Failed(format!("{kind:?}: {e}")))?;
        Ok(Contender { kind, load, server })
    }

    fn cost(&mut self, slice: Duration) -> Result<Cost, Unmeasured> {
        let failed = |reason: String| Unmeasured::Failed(format!("{:?}: {reason}", self.kind));
        let before = Account::of(self.server.pid()).map_err(failed)?;
        let requests = self.load.run(slice).map_err(|e| failed(e.to_string()))?;
        let Used { total, user } = Account::of(self.server.pid()).map_err(failed)?.since(&before);
        // Where every connection is stuck in its first exchange, that has failed.
        let requests = requests.max(1) as f64 * 1e3;
        Ok(Cost { total: total / requests, user: user / requests })
    }

    fn floor(&mut self) -> Result<f64, Unmeasured> {
        let answer = self.server.ask(serve::FLOOR);
        let nanos = answer.and_then(|text| text.trim().parse::<f64>().map_err(|e| format!("{text}: {e}")));
        nanos.map(|nanos| nanos / 1e3).map_err(|reason| Unmeasured::Failed(format!("{:?}: {reason}", self.kind)))
    }
}

impl Rounds {
    fn of(&self, kind: Kind) -> &[Cost] {
        let at = self.kinds.iter().position(|k| *k == kind).expect("it took part");
        &self.costs[at]
    }

    /// One server's costs against another's, round by round.
    fn ratio(
        &self,
        one: Kind,
        other: Kind,
        cost: impl Fn(Cost) -> f64,
        random: &mut fastrand::Rng,
    ) -> (Estimate, String) {
        let pairs = self.of(one).iter().zip(self.of(other));
        let ratios: Vec<f64> = pairs.map(|(a, b)| cost(*a) / cost(*b)).collect();
        let middle = |kind| show(median(&mut self.of(kind).iter().map(|c| cost(*c)).collect::<Vec<_>>()));
        let detail = format!("{one:?} {} µs, {other:?} {} µs", middle(one), middle(other));
        (Estimate::median_of(&ratios, random), detail)
    }

    /// Microseconds of the inline server that neither hyper's hello needs, nor the application with no HTTP.
    fn above_floors(&self, random: &mut fastrand::Rng) -> (Estimate, String) {
        let (inline, hello) = (self.of(Kind::Inline), self.of(Kind::Hello));
        let above = inline.iter().zip(hello).zip(&self.floor);
        let above: Vec<f64> = above.map(|((inline, hello), floor)| inline.total - hello.total - floor).collect();
        let middle = |costs: &[Cost]| show(median(&mut costs.iter().map(|c| c.total).collect::<Vec<_>>()));
        let floor = show(median(&mut self.floor.clone()));
        let detail = format!("{} µs above {} µs of hello and {floor} µs of call", middle(inline), middle(hello));
        (Estimate::median_of(&above, random), detail)
    }
}

/// From nothing to the first response, against `dotnet App.dll`.
fn starts(times: usize, random: &mut fastrand::Rng) -> Outcome {
    server::need()?;
    let mut millis = [Vec::new(), Vec::new()];
    let kinds = [Kind::Pool, Kind::Kestrel];
    let mut order = [0, 1];
    for round in 0..=times {
        random.shuffle(&mut order);
        for &i in &order {
            let begun = Instant::now();
            Contender::start(kinds[i], Shape::Requests(1), 1)?;
            let took = begun.elapsed().as_secs_f64() * 1e3;
            // The first reads the files from the disk.
            if round > 0 {
                millis[i].push(took);
            }
        }
    }
    let ratios: Vec<f64> = millis[0].iter().zip(&millis[1]).map(|(a, b)| a / b).collect();
    let detail = format!("{} ms, dotnet {} ms", show(median(&mut millis[0])), show(median(&mut millis[1])));
    Ok((Estimate::median_of(&ratios, random), detail))
}
