//! The same ASP.NET Core application behind Kestrel and behind Polyhost: what a request costs the server's processor.
//!
//! Each server is a process of its own; the load comes from this one. Servers take turns in random order, round by round.

mod client;
mod connection;
mod latency;
mod load;
mod memory;
mod nginx;
mod process;
mod rounds;
mod serve;
mod server;

use std::time::{Duration, Instant};

pub(crate) use connection::{Connection, TEXT};
use load::Shape;
use rounds::{Contender, Cost, Rounds, compare, in_turns};
pub(crate) use serve::{What, run as serve};
pub(crate) use server::{Kind, Server, need};

use crate::facts::{self, Fact, fact};
use crate::stats::Target;
use crate::targets::Outcome;
use crate::targets::report::Unmeasured;

/// How long and how often to measure.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rounds: usize,
    /// How long a server is loaded in a round. The split into user and system comes by clock ticks and wants many.
    slice: Duration,
    /// How long before the first round: until tiered compilation has settled.
    warm_up: Duration,
    starts: usize,
    /// How long a round is where requests come at their own pace: long enough that some are above the 99th percentile.
    paced: Duration,
    /// Processes of each server, where one gives one number.
    processes: usize,
    /// While memory is to stay as it is.
    requests: u64,
    /// WebSockets that are idle.
    sockets: usize,
}

const STANDARD: Plan = Plan {
    rounds: 11,
    slice: Duration::from_millis(1500),
    warm_up: Duration::from_secs(3),
    starts: 7,
    paced: Duration::from_millis(1500),
    processes: 3,
    requests: 1_000_000,
    sockets: 5_000,
};
const QUICK: Plan = Plan {
    rounds: 3,
    slice: Duration::from_millis(150),
    warm_up: Duration::from_millis(300),
    starts: 3,
    paced: Duration::from_millis(300),
    processes: 1,
    requests: 50_000,
    sockets: 300,
};

impl Plan {
    /// More and shorter rounds in the same time, for checks that don't ask for the split into user and system.
    fn without_ticks(self) -> Plan {
        Plan { rounds: self.rounds * 4 / 3, slice: self.slice / 2, ..self }
    }
}

const CONNECTIONS: usize = 64;
const DEPTH: usize = 16;
const BODIES: usize = 4;

/// The checks of ASP.NET Core, with the rounds that several of them are computed from.
pub(crate) struct Http {
    plan: Plan,
    keep_alive: Measured,
    pipelined: Measured,
    proxied: Measured,
}

type Measured = Option<Result<Rounds, Unmeasured>>;

impl Http {
    /// Checks that have started nothing as yet.
    pub(crate) fn new(quick: bool) -> Http {
        Http { plan: if quick { QUICK } else { STANDARD }, keep_alive: None, pipelined: None, proxied: None }
    }

    /// Runs the check of this name.
    pub(crate) fn check(&mut self, name: &str, random: &mut fastrand::Rng) -> (Target, Outcome) {
        use Kind::{Hello, Inline, Kestrel, Nginx, Observed, Pipeline, Pool};
        use Target::{AtLeast, AtMost};
        let (total, user) = (|cost: Cost| cost.total, |cost: Cost| cost.user);
        let plan = self.plan;
        match name {
            "http.pool" => (AtMost(1.0), self.keep_alive(random).map(|it| it.ratio(Pool, Kestrel, total, random))),
            "http.inline" => (AtLeast(1.3), self.keep_alive(random).map(|it| it.ratio(Kestrel, Inline, total, random))),
            "http.inline.user" => {
                (AtLeast(1.8), self.keep_alive(random).map(|it| it.ratio(Kestrel, Inline, user, random)))
            }
            "http.nginx" => (AtLeast(2.2), self.proxied(random).map(|it| it.ratio(Nginx, Pool, total, random))),
            "http.nginx.inline" => {
                (AtLeast(2.2), self.proxied(random).map(|it| it.ratio(Nginx, Inline, total, random)))
            }
            "http.pipelined" => {
                (AtLeast(1.25), self.pipelined(random).map(|it| it.ratio(Kestrel, Inline, total, random)))
            }
            "http.pipelined.floor" => {
                (AtMost(0.5), self.pipelined(random).map(|it| it.above(Inline, &[Hello, Pipeline], random)))
            }
            "http.blocking.p99" => (AtMost(1.0), latency::p99(plan, random)),
            "http.body" => {
                let rounds = Rounds::measure(plan.without_ticks(), &[Kestrel, Pool], Shape::Bodies, random);
                (AtMost(1.0), rounds.map(|it| it.ratio(Pool, Kestrel, total, random)))
            }
            // A tenth of what a keep-alive request costs in all.
            "http.observe" => {
                let kinds = [Inline, Observed];
                let rounds = Rounds::measure(plan.without_ticks(), &kinds, Shape::Requests(1), random);
                (AtMost(1.0), rounds.map(|it| it.above(Observed, &[Inline], random)))
            }
            // Whatever is kept of each request is more than a byte.
            "http.memory" => (AtMost(1.0), memory::growth(plan, random)),
            "http.websockets" => (AtMost(1.0), memory::sockets(plan, random)),
            "http.start" => (AtMost(1.1), starts(plan, random)),
            other => unreachable!("{other} has a name and no check"),
        }
    }

    fn keep_alive(&mut self, random: &mut fastrand::Rng) -> Result<Rounds, Unmeasured> {
        let kinds = [Kind::Kestrel, Kind::Pool, Kind::Inline];
        let run = || Rounds::measure(self.plan, &kinds, Shape::Requests(1), random);
        self.keep_alive.get_or_insert_with(run).clone()
    }

    fn proxied(&mut self, random: &mut fastrand::Rng) -> Result<Rounds, Unmeasured> {
        let kinds = [Kind::Nginx, Kind::Pool, Kind::Inline];
        let run = || Rounds::measure(self.plan.without_ticks(), &kinds, Shape::Requests(1), random);
        self.proxied.get_or_insert_with(run).clone()
    }

    fn pipelined(&mut self, random: &mut fastrand::Rng) -> Result<Rounds, Unmeasured> {
        let kinds = [Kind::Kestrel, Kind::Inline, Kind::Hello, Kind::Pipeline];
        let run = || Rounds::measure(self.plan.without_ticks(), &kinds, Shape::Requests(DEPTH), random);
        self.pipelined.get_or_insert_with(run).clone()
    }
}

/// Versions and settings that the numbers of a server depend on; those of .NET are told by the application itself.
pub(crate) fn facts_of(kind: Kind, server: &Server) -> Vec<Fact> {
    let mut facts = match kind {
        Kind::Hello => vec![fact("server", facts::locked("hyper")), fact("compiler", env!("POLYHOST_BENCH_RUSTC"))],
        Kind::Nginx => vec![fact("proxy", nginx::version().unwrap_or_else(|e| format!("not told: {e}")))],
        _ => Vec::new(),
    };
    let what = match kind {
        Kind::Pool => Some(What::Pool),
        Kind::Inline => Some(What::Inline),
        Kind::Hello => Some(What::Hello),
        _ => None,
    };
    facts.extend(what.map(|what| fact("I/O threads", serve::io_threads(what).to_string())));
    if kind != Kind::Hello {
        match told_by(server) {
            Ok(told) if told.starts_with("runtime: ") => facts.extend(facts::parsed(&told)),
            // It answers anything.
            Ok(_) => facts.push(fact("facts", "not told: the application is of an older build; run `make setup`")),
            Err(e) => facts.push(fact("facts", format!("not told: {e}"))),
        }
    }
    facts.push(fact("processes", server.pids().len().to_string()));
    facts
}

fn told_by(server: &Server) -> std::io::Result<String> {
    let mut told = Vec::new();
    let take = |piece: &[u8]| {
        told.extend_from_slice(piece);
        Ok(())
    };
    Connection::open(server.address)?.get("/facts", take)?;
    Ok(String::from_utf8_lossy(&told).into_owned())
}

/// From nothing to the first response, against `dotnet App.dll`.
fn starts(plan: Plan, random: &mut fastrand::Rng) -> Outcome {
    let kinds = [Kind::Pool, Kind::Kestrel];
    server::need(&kinds)?;
    // The first of each reads the files from the disk.
    let millis = in_turns(&kinds, 1, plan.starts, random, |i| {
        let begun = Instant::now();
        Contender::start(kinds[i], Shape::Requests(1))?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    })?;
    Ok(compare((kinds[0], &millis[0]), (kinds[1], &millis[1]), "ms", random))
}
