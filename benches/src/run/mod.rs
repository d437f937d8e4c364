//! A run: the harness, which never has a guest in its own process.

mod lineup;
mod present;
mod starts;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::contenders::{self, Known};
use crate::facts::{Fact, fact};
use crate::matrix::{Plan, Point};
use crate::report::units;
use crate::result::environment::{self, Noise};
use crate::result::schema::{Cell, Contender, Outcome, RunResult, SCHEMA, Start};
use crate::worker::client::{Gone, Launcher};
use crate::worker::protocol::{Answer, Ask, Task};
use crate::workloads::custom::{Case, Custom};
use lineup::{Lineup, SOON, strange};
pub(crate) use present::missing;

/// Who takes part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entrant {
    /// In reports; of its own.
    pub(crate) name: String,
    pub(crate) what: String,
    /// What a worker starts: a contender of ours, or a module's location.
    pub(crate) start: String,
    /// A user's module.
    pub(crate) case: Option<Case>,
}

impl Entrant {
    /// A contender of ours.
    pub(crate) fn of(known: Known) -> Entrant {
        Entrant { start: known.name.clone(), name: known.name, what: known.what, case: None }
    }

    /// Modules of users. Two of one location get names of their own.
    pub(crate) fn of_cases(cases: Vec<Case>) -> Vec<Entrant> {
        let mut entrants: Vec<Entrant> = Vec::new();
        for case in cases {
            let location = case.location.clone();
            let before = entrants.iter().filter(|it| it.start == location).count();
            let name = if before == 0 { location.clone() } else { format!("{location} #{}", before + 1) };
            entrants.push(Entrant { name, what: case.export.clone(), start: location, case: Some(case) });
        }
        entrants
    }

    /// Whether it has a part in a workload.
    pub(crate) fn knows(&self, workload: &str) -> bool {
        self.case.is_some() || contenders::knows(&self.start, workload)
    }

    /// Whether it takes part in a point.
    fn takes(&self, point: &Point) -> bool {
        self.case.is_some() || contenders::takes(&self.start, point)
    }

    fn task(&self, workload: &str) -> Task {
        match &self.case {
            Some(case) => Task::Custom(case.clone()),
            None => Task::Workload(workload.to_owned()),
        }
    }
}

/// What a run needs to know.
pub(crate) struct Setup {
    pub(crate) plan: Plan,
    pub(crate) entrants: Vec<Entrant>,
    pub(crate) seed: u64,
    pub(crate) label: String,
    /// See [`Launcher::patience`].
    pub(crate) patience: Duration,
    /// Replies of users' modules need not be the same.
    pub(crate) unchecked: bool,
    /// Set from outside to end the run.
    pub(crate) interrupted: Arc<AtomicBool>,
}

impl Setup {
    /// How many take part in a point.
    fn takers(&self, point: &Point) -> usize {
        self.entrants.iter().filter(|it| it.takes(point)).count()
    }

    /// Each contender in each point that it has a part in.
    pub(crate) fn cells(&self) -> usize {
        self.plan.points.iter().map(|point| self.takers(point)).sum()
    }

    /// How long the run takes at most, where nothing hangs.
    pub(crate) fn longest(&self) -> Duration {
        self.plan.longest(|point| self.takers(point), self.entrants.len())
    }
}

/// Hears how a run goes.
pub(crate) trait Progress {
    /// So many steps will come.
    fn begin(&mut self, steps: usize);
    /// What is being done now.
    fn now(&mut self, what: &str);
    /// A step is done.
    fn step(&mut self);
    /// A cell is done.
    fn cell(&mut self, cell: &Cell);
    /// No more comes.
    fn end(&mut self);
}

/// Measures. Whatever goes wrong is in the result.
pub(crate) fn run(setup: Setup, progress: &mut dyn Progress) -> RunResult {
    run_injected(setup, progress).0
}

/// For each entrant, nanoseconds that were known to be in its calls, round by round.
pub(crate) type Injected = Vec<Vec<f64>>;

/// As [`run`], with what was injected.
pub(crate) fn run_injected(setup: Setup, progress: &mut dyn Progress) -> (RunResult, Injected) {
    let (began, started) = (Instant::now(), SystemTime::now());
    let environment = environment::read(&setup.label);
    let noise = Noise::watch();
    let mut run = Run::new(setup, progress);
    let ended = run.all();
    run.progress.end();
    let mut warnings = noise.warnings(&environment);
    warnings.extend(run.remarks());
    let result = RunResult {
        schema: SCHEMA.to_owned(),
        started: humantime::format_rfc3339_seconds(started).to_string(),
        seconds: began.elapsed().as_secs_f64(),
        plan: run.setup.plan.name.to_owned(),
        seed: run.setup.seed,
        partial: ended.is_err(),
        environment,
        warnings,
        contenders: run.contenders,
        cells: run.cells,
        starts: run.starts,
    };
    (result, run.injected)
}

/// The user wants it to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interrupted;

/// Cells that a remark names.
const NAMED: usize = 4;

struct Run<'a> {
    setup: Setup,
    launcher: Launcher,
    random: fastrand::Rng,
    progress: &'a mut dyn Progress,
    contenders: Vec<Contender>,
    cells: Vec<Cell>,
    starts: Vec<Start>,
    injected: Injected,
}

impl<'a> Run<'a> {
    fn new(setup: Setup, progress: &'a mut dyn Progress) -> Run<'a> {
        let launcher = Launcher { interrupted: setup.interrupted.clone(), patience: setup.patience };
        let contenders = setup.entrants.iter().map(|entrant| Contender {
            name: entrant.name.clone(),
            what: entrant.what.clone(),
            facts: Vec::new(),
            skipped: None,
        });
        let contenders = contenders.collect();
        let random = fastrand::Rng::with_seed(setup.seed);
        let injected = vec![Vec::new(); setup.entrants.len()];
        Run { setup, launcher, random, progress, contenders, cells: Vec::new(), starts: Vec::new(), injected }
    }

    fn all(&mut self) -> Result<(), Interrupted> {
        self.progress.begin(self.setup.cells() + self.setup.plan.pace.starts);
        self.facts()?;
        for workload in self.setup.plan.workloads() {
            self.workload(&workload)?;
        }
        self.cold_starts()
    }

    /// Versions and settings of all, each told by a worker of its own: what is loaded to find out is in no measurement.
    fn facts(&mut self) -> Result<(), Interrupted> {
        for entrant in 0..self.setup.entrants.len() {
            let name = self.setup.entrants[entrant].start.clone();
            self.progress.now(&format!("asking {name} what it is"));
            self.contenders[entrant].facts = match self.facts_of(name) {
                Ok(facts) => facts,
                // Its workloads are not there either, and say so.
                Err(Gone::Skipped(_)) => Vec::new(),
                Err(Gone::Failed(reason)) => vec![fact("facts", format!("not told: {reason}"))],
                Err(Gone::Interrupted) => return Err(Interrupted),
            };
        }
        Ok(())
    }

    fn facts_of(&mut self, contender: String) -> Result<Vec<Fact>, Gone> {
        let mut worker = self.launcher.launch()?;
        let start = Ask::Start { contender, seed: self.setup.seed };
        let Answer::Started { .. } = worker.ask(&start, SOON)? else { return Err(strange()) };
        let Answer::Facts(facts) = worker.ask(&Ask::Facts, SOON)? else { return Err(strange()) };
        Ok(facts)
    }

    /// All points of a workload, in which the workers live.
    fn workload(&mut self, workload: &str) -> Result<(), Interrupted> {
        let mut lineup = Lineup::launch(self, workload)?;
        let points: Vec<Point> = self.setup.plan.points.iter().filter(|it| it.workload == workload).cloned().collect();
        for mut point in points {
            let measured = lineup.measure(self, &point);
            if workload == Custom::NAME {
                // It is known only now.
                point.payload = lineup.payload().unwrap_or(0);
            }
            let (outcomes, ended) = match measured {
                Ok(outcomes) => (outcomes, Ok(())),
                Err((outcomes, interrupted)) => (outcomes, Err(interrupted)),
            };
            for (entrant, outcome) in outcomes {
                self.add(&point, entrant, outcome);
            }
            ended?;
        }
        Ok(())
    }

    fn add(&mut self, point: &Point, entrant: usize, outcome: Outcome) {
        let cell = Cell {
            workload: point.workload.clone(),
            payload: point.payload,
            concurrency: point.concurrency,
            contender: self.setup.entrants[entrant].name.clone(),
            outcome,
        };
        self.progress.cell(&cell);
        self.cells.push(cell);
    }

    /// What the reader should know of the plan.
    fn remarks(&self) -> Vec<String> {
        let plan = &self.setup.plan;
        let mut remarks = Vec::new();
        if !plan.left_out.is_empty() {
            let names = plan.left_out.iter().map(|it| place(&it.workload, it.payload, it.concurrency));
            let names = names.collect::<Vec<_>>().join(", ");
            remarks.push(format!("left out, to stay within the time of the standard plan: {names}; see --full"));
        }
        if plan
            .points
            .iter()
            .any(|point| self.setup.entrants.iter().any(|it| it.knows(&point.workload) && !it.takes(point)))
        {
            let remark = "contenders that are processes of their own take part in echo with one caller alone, to stay \
                          within the time of the standard plan; see --full, or choose a workload";
            remarks.push(remark.to_owned());
        }
        if plan.workloads().iter().any(|it| it == Custom::NAME) {
            remarks.push(
                "the requests of your own modules come again and again, which flatters runtimes that cache or intern; \
                 an input that is a list of many requests flatters them less"
                    .to_owned(),
            );
        }
        if self.setup.unchecked {
            remarks.push("the replies of your modules were not compared".to_owned());
        }
        let unsteady = |cell: &&Cell| matches!(&cell.outcome, Outcome::Measured(it) if !it.steady.reached);
        let unsteady: Vec<_> = self.cells.iter().filter(unsteady).collect();
        if !unsteady.is_empty() {
            let names = unsteady
                .iter()
                .map(|it| format!("{} {}", it.contender, place(&it.workload, it.payload, it.concurrency)));
            let (some, more) = (names.take(NAMED).collect::<Vec<_>>().join(", "), unsteady.len().saturating_sub(NAMED));
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            remarks.push(format!("still getting faster when their warm-up was over: {some}{more}"));
        }
        remarks
    }

    fn is_interrupted(&self) -> bool {
        self.setup.interrupted.load(Ordering::Relaxed)
    }
}

/// A place of the matrix, for people.
fn place(workload: &str, payload: usize, concurrency: usize) -> String {
    format!("{workload} {} ×{concurrency}", units::bytes(payload as u64))
}
