//! Results made in code, for tests: the same each time.

use crate::measure::histogram;
use crate::result::schema::{
    ACCOUNT, Cell, Contender, Environment, Measured, Memory, OpenLoop, Outcome, RunResult, SCHEMA, Stages, Start,
    StartOutcome, StartTimes, Steady, Usage,
};
use crate::stats::Estimate;
use crate::workloads::http::NAME as HTTP;

/// Name, what it is, nanoseconds of a call, nanoseconds a byte, milliseconds to start, MiB, what two callers gain.
type Known = (&'static str, &'static str, f64, f64, f64, u64, f64);

const KNOWN: [Known; 9] = [
    ("native", "a Rust closure in this process: the floor", 31.0, 0.02, 0.02, 6, 1.98),
    ("clib", "a shared library in C, in this process", 32.0, 0.02, 0.4, 6, 1.97),
    ("clr", "C# in .NET, in this process", 148.0, 0.05, 61.0, 48, 1.92),
    ("cpython", "Python in CPython, in this process", 1210.0, 0.06, 38.0, 31, 0.81),
    ("luajit", "Lua in LuaJIT, in this process", 310.0, 0.11, 1.4, 9, 1.9),
    ("grpc-rust", "tonic over a unix socket", 41_000.0, 0.9, 9.0, 19, 1.6),
    ("grpc-python", "grpcio over a unix socket", 182_000.0, 1.6, 412.0, 58, 1.05),
    ("child-rust", "a child process over its standard input and output", 11_800.0, 0.5, 2.1, 8, 1.7),
    ("child-python", "the same in Python", 21_500.0, 0.7, 46.0, 22, 1.6),
];

const SERVERS: [Known; 5] = [
    ("polyhost-pool", "ASP.NET Core behind Polyhost", 61_000.0, 0.9, 310.0, 71, 3.4),
    ("polyhost-inline", "the same, inline", 42_000.0, 0.8, 305.0, 66, 3.9),
    ("kestrel", "the same behind Kestrel", 78_000.0, 0.9, 290.0, 74, 3.1),
    ("nginx-kestrel", "the same behind nginx", 131_000.0, 1.4, 340.0, 88, 2.7),
    ("hyper", "hyper alone", 29_000.0, 0.4, 12.0, 7, 4.1),
];

/// Workload, how much slower than echo.
const WORKLOADS: [(&str, f64); 6] =
    [("echo", 1.0), ("sum", 2.1), ("transform", 9.0), ("middleware", 3.2), ("render", 60.0), ("callback", 5.0)];

/// What a standard run looks like: more than 80 cells, and those of `http`.
pub(crate) fn standard() -> RunResult {
    let mut random = fastrand::Rng::with_seed(1);
    let mut cells = Vec::new();
    for (workload, slower) in WORKLOADS {
        let payloads: &[usize] = if workload == "echo" { &[0, 64, 1 << 10, 64 << 10, 1 << 20] } else { &[1 << 10] };
        for &payload in payloads {
            let two = matches!(workload, "echo" | "middleware") && payload == 1 << 10;
            for concurrency in if two { vec![1, 2] } else { vec![1] } {
                for known in KNOWN {
                    let outcome = outcome(known, workload, slower, payload, concurrency, &mut random);
                    let (workload, contender) = (workload.to_owned(), known.0.to_owned());
                    cells.push(Cell { workload, payload, concurrency, contender, outcome });
                }
            }
        }
    }
    for (payload, concurrency) in [(0, 1), (0, 16), (1 << 10, 1), (1 << 10, 16), (64 << 10, 1)] {
        for known in SERVERS {
            let outcome = outcome(known, HTTP, 1.0, payload, concurrency, &mut random);
            let (workload, contender) = (HTTP.to_owned(), known.0.to_owned());
            cells.push(Cell { workload, payload, concurrency, contender, outcome });
        }
    }
    let all: Vec<Known> = KNOWN.into_iter().chain(SERVERS).collect();
    let mut contenders: Vec<_> = all.iter().copied().map(contender).collect();
    let skipped = Some("no JVM on PATH; apt install default-jdk".to_owned());
    contenders.push(Contender {
        name: "jvm".to_owned(),
        what: "Java in this process".to_owned(),
        facts: Vec::new(),
        skipped,
    });
    RunResult { cells, contenders, starts: all.into_iter().map(start).collect(), ..none() }
}

/// A run in which nothing was measured.
pub(crate) fn none() -> RunResult {
    RunResult {
        schema: SCHEMA.to_owned(),
        started: "2026-11-21T17:00:00Z".to_owned(),
        seconds: 421.0,
        plan: "standard".to_owned(),
        seed: 1,
        partial: false,
        environment: Environment {
            label: "two-core-vm".to_owned(),
            cpu: "A Processor @ 2.60GHz".to_owned(),
            cores: 2,
            memory: 8 << 30,
            system: "Debian GNU/Linux 13".to_owned(),
            kernel: "6.12.0".to_owned(),
            governor: String::new(),
            load: 0.1,
            commit: "0123456789ab".to_owned(),
            build: "release".to_owned(),
            clock: 21.0,
            clock_resolution: 1.0,
            own_cost: 1.9,
        },
        warnings: vec!["other programs used 0.21 processors during the run".to_owned()],
        contenders: Vec::new(),
        cells: Vec::new(),
        starts: Vec::new(),
    }
}

/// One contender alone, and only what each measurement has.
pub(crate) fn one() -> RunResult {
    let measured = bare(250.0);
    let outcome = Outcome::Measured(Box::new(measured));
    let cell =
        Cell { workload: "custom".to_owned(), payload: 0, concurrency: 1, contender: "clr:My.dll".to_owned(), outcome };
    let contender = Contender { name: "clr:My.dll".to_owned(), what: String::new(), facts: Vec::new(), skipped: None };
    RunResult { contenders: vec![contender], cells: vec![cell], partial: true, ..none() }
}

/// Names and numbers that nobody would want.
pub(crate) fn strange() -> RunResult {
    let names = [
        "<b>&\"bold\"'</b>",
        "größer→漢字漢字漢字漢字",
        "clr:a/very/long/path/of/a/users/own/Module.With.Parts.dll",
        "=cmd,\"x\"\n2",
    ];
    let times = [1e-9, 3e17, 5.0, 1e9];
    let mut random = fastrand::Rng::with_seed(2);
    let mut cells = Vec::new();
    let mut starts = Vec::new();
    for (name, time) in names.into_iter().zip(times) {
        for (payload, concurrency) in [(0, 1), (0, 3), (usize::MAX >> 1, 1), (7, 1)] {
            let mut measured = bare(time);
            measured.service = histogram_of(time.min(1e15), &mut random);
            measured.stages = Some(Stages { encode: 0.0, cross: -3.0, guest: time, decode: f64::MAX });
            measured.memory = Some(memory(1 << 40));
            let outcome = Outcome::Measured(Box::new(measured));
            cells.push(Cell {
                workload: "<&\"Ω".to_owned(),
                payload,
                concurrency,
                contender: name.to_owned(),
                outcome,
            });
        }
        let all = Estimate { value: time, low: 0.0, high: f64::MAX };
        let times = StartTimes { processes: 1, runtime: all, load: all, first: all, hundredth: all };
        starts.push(Start { contender: name.to_owned(), outcome: StartOutcome::Measured(times) });
    }
    let contenders = names.map(|name| {
        let facts = vec![("<key>".to_owned(), "a & b".to_owned())];
        Contender { name: name.to_owned(), what: "]]> & <".to_owned(), facts, skipped: None }
    });
    let warnings = vec!["<script>alert(1)</script> & |".to_owned()];
    RunResult { contenders: contenders.to_vec(), cells, starts, warnings, ..none() }
}

/// With an open loop: its stall shows there alone.
pub(crate) fn open_loop() -> RunResult {
    let mut result = standard();
    let mut random = fastrand::Rng::with_seed(3);
    for cell in result.cells.iter_mut().filter(|it| it.workload == "echo" && it.payload == 1 << 10) {
        if let Outcome::Measured(measured) = &mut cell.outcome {
            let time = measured.call.value * 1.4;
            measured.response =
                histogram_of(time, &mut random).map(|latency| OpenLoop { rate: 2000.0, reached: 1999.0, latency });
        }
    }
    result
}

/// A measurement with only what every one has.
pub(crate) fn bare(time: f64) -> Measured {
    Measured {
        call: Estimate::exact(time),
        rounds: vec![time; 3],
        throughput: Estimate::exact(1e9 / time),
        service: None,
        response: None,
        cpu: None,
        switches: None,
        steady: Steady { reached: false, calls: 0 },
        stages: None,
        untold: None,
        memory: None,
    }
}

fn contender(known: Known) -> Contender {
    let facts: &[(&str, &str)] = match known.0 {
        "clr" => &[("runtime", ".NET 8.0.12"), ("garbage collector", "workstation, concurrent")],
        "cpython" => &[("runtime", "CPython 3.13.2"), ("protobuf", "upb 5.29")],
        "luajit" => &[("runtime", "LuaJIT 2.1.1736781742")],
        _ if SERVERS.contains(&known) => &[(ACCOUNT, "of the server alone")],
        _ => &[],
    };
    let facts = facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Contender { name: known.0.to_owned(), what: known.1.to_owned(), facts, skipped: None }
}

fn outcome(
    known: Known,
    workload: &str,
    slower: f64,
    payload: usize,
    concurrency: usize,
    random: &mut fastrand::Rng,
) -> Outcome {
    let (name, _, call, byte, _, mib, gain) = known;
    match (name, workload) {
        ("clib", "render") => return Outcome::Skipped("no Markdown library for C".to_owned()),
        ("child-python", "callback") => {
            return Outcome::Failed("ended by signal 11; its last words: Segmentation fault".to_owned());
        }
        _ => {}
    }
    let one = call + (slower - 1.0) * (60.0 + call * 0.3) + byte * payload as f64;
    let call = if concurrency == 1 { one } else { one * concurrency as f64 / gain };
    let rounds: Vec<f64> = (0..10).map(|_| call * (1.0 + 0.04 * (random.f64() + random.f64() - 1.0))).collect();
    let estimate = Estimate::median_of(&rounds, random);
    let callers = concurrency as f64 * 1e9;
    let throughput =
        Estimate { value: callers / estimate.value, low: callers / estimate.high, high: callers / estimate.low };
    let coding = (20.0 + 0.05 * payload as f64).min(one * 0.2);
    let guest = one * if one > 5000.0 { 0.2 } else { 0.55 };
    let untold = workload == "middleware" && matches!(name, "cpython" | "child-python");
    Outcome::Measured(Box::new(Measured {
        call: estimate,
        rounds,
        throughput,
        service: if call > 100.0 { histogram_of(call, random) } else { None },
        response: None,
        cpu: Some(estimate.scaled(if one > 5000.0 { 0.7 } else { 1.0 })),
        switches: Some(if one > 5000.0 { 2.02 } else { 0.0 }),
        steady: Steady { reached: name != "luajit" || workload != "render", calls: 100_000 },
        stages: (workload != HTTP && !untold).then_some(Stages {
            encode: coding,
            cross: one - 2.0 * coding - guest,
            guest,
            decode: coding,
        }),
        untold: untold.then(|| "nobody knows".to_owned()),
        memory: Some(memory((mib << 20) + 3 * payload as u64)),
    }))
}

fn memory(bytes: u64) -> Memory {
    let of = |share: u64| Usage { rss: bytes / 10 * share + (2 << 20), pss: bytes / 10 * share };
    Memory { started: of(7), loaded: of(8), after: of(10) }
}

fn histogram_of(call: f64, random: &mut fastrand::Rng) -> Option<crate::result::schema::Latency> {
    let mut times = histogram::empty();
    for _ in 0..4000 {
        let bell = (0..6).map(|_| random.f64()).sum::<f64>() / 3.0 - 1.0;
        let tail = if random.f64() < 0.004 { 1.0 + 30.0 * random.f64() } else { 1.0 };
        times.saturating_record((call * (0.96 + 0.25 * bell.abs()) * tail) as u64);
    }
    histogram::latency(&times)
}

fn start(known: Known) -> Start {
    let spread = |value: f64| Estimate { value, low: value * 0.94, high: value * 1.08 };
    let (name, _, call, _, start, ..) = known;
    let times = StartTimes {
        processes: 5,
        runtime: spread(start * 0.6),
        load: spread(start * 0.3),
        first: spread(start * 0.1 + call / 1e5),
        hundredth: spread(call / 1e6),
    };
    let outcome = match name {
        "grpc-rust" => StartOutcome::Failed("no answer after 30 s".to_owned()),
        "child-python" => StartOutcome::Skipped("no python3 on PATH".to_owned()),
        _ => StartOutcome::Measured(times),
    };
    Start { contender: name.to_owned(), outcome }
}
