//! The callers of a cell, each on a thread of its own for as long as the cell is measured.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use polyhost::Output;

use crate::contenders::{Caller, Contender};
use crate::measure::closed::{self, Timing};
use crate::measure::{Lane, open};
use crate::targets::report::Unmeasured;
use crate::workloads::{Requests, Workload};

/// What a caller is to do.
#[derive(Clone)]
enum Order {
    /// Make a call for each request, and check each reply.
    Check(Checks),
    Closed(Timing, Duration),
    Open(open::Schedule),
    Injected(Duration),
}

/// What a caller has done.
#[derive(Debug)]
pub(super) enum Done {
    /// The replies, for people.
    Checked(Vec<String>),
    Closed(closed::Round),
    Open(open::Round),
    Injected(Option<f64>),
}

/// Callers that wait for orders.
pub(super) struct Crew {
    members: Vec<Member>,
}

struct Member {
    orders: Option<Sender<Order>>,
    done: Receiver<Result<Done, String>>,
    thread: Option<JoinHandle<()>>,
}

/// How many replies of each caller are checked before anything is timed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Checks {
    /// The first so many.
    First(usize),
    /// Those to all requests, as long as that takes no longer than a second or more memory than is of use; at least
    /// [`FEW`].
    All,
}

const FEW: usize = 8;
const LONG: Duration = Duration::from_secs(1);
/// Bytes of replies, for people.
const LARGE: usize = 4 << 20;

impl Checks {
    /// Of requests of so many bytes: fewer where one may take seconds.
    pub(super) fn of(payload: usize) -> Checks {
        Checks::First(if payload > 64 << 10 { 2 } else { FEW })
    }
}

impl Crew {
    /// `requests` makes those of each caller.
    pub(super) fn new(
        contender: &dyn Contender,
        workload: &Arc<dyn Workload>,
        callers: usize,
        mut requests: impl FnMut() -> Requests,
    ) -> Result<Crew, Unmeasured> {
        let start = Arc::new(Barrier::new(callers));
        let members = (0..callers).map(|_| {
            let caller = contender.caller()?;
            Ok(Member::new(caller, requests(), workload.clone(), start.clone()))
        });
        Ok(Crew { members: members.collect::<Result<_, Unmeasured>>()? })
    }

    /// Checks replies of each caller; those of the first, for people.
    pub(super) fn check(&self, checks: Checks) -> Result<Vec<String>, String> {
        let first = self.order(&Order::Check(checks))?.into_iter().next();
        Ok(if let Some(Done::Checked(replies)) = first { replies } else { Vec::new() })
    }

    pub(super) fn closed(&self, timing: Timing, slice: Duration) -> Result<Vec<closed::Round>, String> {
        let done = self.order(&Order::Closed(timing, slice))?.into_iter();
        Ok(done.filter_map(|it| if let Done::Closed(round) = it { Some(round) } else { None }).collect())
    }

    /// The rounds of all callers, and when they began.
    pub(super) fn open(&self, rate: f64, slice: Duration) -> Result<(Instant, Vec<open::Round>), String> {
        // Every thread should be there when the first call is due.
        let begin = Instant::now() + Duration::from_millis(2);
        let callers = self.members.len();
        let order = |caller| Order::Open(open::Schedule { begin, slice, rate, callers, caller });
        let done = self.orders((0..callers).map(order))?.into_iter();
        Ok((begin, done.filter_map(|it| if let Done::Open(round) = it { Some(round) } else { None }).collect()))
    }

    /// See [`Caller::injected`]; of the first caller.
    pub(super) fn injected(&self, slice: Duration) -> Result<Option<f64>, String> {
        let first = self.order(&Order::Injected(slice))?.into_iter().next();
        Ok(if let Some(Done::Injected(nanos)) = first { nanos } else { None })
    }

    fn order(&self, order: &Order) -> Result<Vec<Done>, String> {
        self.orders(self.members.iter().map(|_| order.clone()))
    }

    fn orders(&self, orders: impl Iterator<Item = Order>) -> Result<Vec<Done>, String> {
        for (member, order) in self.members.iter().zip(orders) {
            // One that is gone has panicked, and says so below.
            let _ = member.orders.as_ref().map(|orders| orders.send(order));
        }
        // All of them, before the first failure ends it: the others are still at it.
        let done: Vec<_> = self.members.iter().map(Member::wait).collect();
        done.into_iter().collect()
    }
}

impl Member {
    fn new(caller: Box<dyn Caller>, requests: Requests, workload: Arc<dyn Workload>, start: Arc<Barrier>) -> Member {
        let (orders, to_do) = mpsc::channel();
        let (report, done) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut lane = Lane { caller, requests, output: Output::new() };
            for order in to_do {
                start.wait();
                // Nobody listens any more where the crew is gone.
                let _ = report.send(follow(&mut lane, &*workload, order));
            }
        });
        Member { orders: Some(orders), done, thread: Some(thread) }
    }

    fn wait(&self) -> Result<Done, String> {
        self.done.recv().unwrap_or_else(|_| Err("a caller has panicked; see its standard error".to_owned()))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.orders = None;
        }
        for member in &mut self.members {
            // A panic of it has been told.
            let _ = member.thread.take().map(JoinHandle::join);
        }
    }
}

fn follow(lane: &mut Lane, workload: &dyn Workload, order: Order) -> Result<Done, String> {
    let done = match order {
        Order::Check(checks) => return check(lane, workload, checks).map(Done::Checked),
        Order::Injected(slice) => return Ok(Done::Injected(lane.caller.injected(slice))),
        Order::Closed(timing, slice) => closed::round(lane, timing, slice).map(Done::Closed),
        Order::Open(schedule) => open::round(lane, &schedule).map(Done::Open),
    };
    let done = done.map_err(|e| e.to_string())?;
    // A reply may go wrong only once the guest is warm: the last one is looked at, outside of what is timed.
    workload.check(lane.requests.last(), &lane.output)?;
    Ok(done)
}

fn check(lane: &mut Lane, workload: &dyn Workload, checks: Checks) -> Result<Vec<String>, String> {
    let (begin, mut bytes, mut replies) = (Instant::now(), 0, Vec::<String>::new());
    let mut enough = |replies: &[String]| match checks {
        Checks::First(count) => replies.len() >= count,
        Checks::All => {
            bytes += replies.last().map_or(0, String::len);
            replies.len() >= FEW && (bytes > LARGE || begin.elapsed() > LONG)
        }
    };
    while replies.len() < lane.requests.len() && !enough(&replies) {
        lane.caller.batch(&mut lane.requests, &mut lane.output, 1).map_err(|e| e.to_string())?;
        workload.check(lane.requests.last(), &lane.output)?;
        replies.push(workload.show(&lane.output));
    }
    Ok(replies)
}
