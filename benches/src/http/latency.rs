//! How long quick requests take while others hold threads: an open loop, so that a server that falls behind is not
//! asked less often, and a request that was sent late counts from when it should have been.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Plan;
use super::client::Client;
use super::load::PATH;
use super::rounds::{compare, in_turns};
use super::server::{self, Kind, Server};
use crate::targets::Outcome;
use crate::targets::report::Unmeasured;

/// Holds a thread of the application for 50 ms.
const BLOCKING: &str = "/blocking?milliseconds=50";
/// Connections with quick requests, and how often each makes one on average.
const QUICK: (usize, Duration) = (32, Duration::from_millis(20));
/// The same of those that block: 2 % of all requests, which hold 1.6 threads on average and 4 at most.
const SLOW: (usize, Duration) = (4, Duration::from_millis(125));

/// A server and its clients.
struct Mix {
    quick: Vec<Client>,
    slow: Vec<Client>,
    _server: Server,
}

/// p99 of quick requests on .NET's pool, of Kestrel's.
pub(super) fn p99(plan: Plan, random: &mut fastrand::Rng) -> Outcome {
    let kinds = [Kind::Pool, Kind::Kestrel];
    server::need(&kinds)?;
    let mut mixes = Vec::new();
    for kind in kinds {
        let mut mix = Mix::start(kind)?;
        mix.run(kind, plan.warm_up, random)?;
        mixes.push(mix);
    }
    let mut orders = random.fork();
    let samples = in_turns(&kinds, 1, plan.rounds, &mut orders, |i| {
        let seen = mixes[i].run(kinds[i], plan.paced, random)?;
        Ok(seen.value_at_quantile(0.99) as f64 / 1e6)
    })?;
    let (ratio, detail) = compare((kinds[0], &samples[0]), (kinds[1], &samples[1]), "ms", random);
    let per_second = |(connections, gap): (usize, Duration)| connections as f64 / gap.as_secs_f64();
    let mix = format!("{} a second, and {} of 50 ms with threads enough", per_second(QUICK), per_second(SLOW));
    Ok((ratio, format!("{detail}; {mix}")))
}

impl Mix {
    fn start(kind: Kind) -> std::result::Result<Mix, Unmeasured> {
        let server = Server::start_with(kind, &[threads()])?;
        let clients =
            || Ok::<_, Error>((clients(server.address, PATH, QUICK.0)?, clients(server.address, BLOCKING, SLOW.0)?));
        let (quick, slow) = clients().map_err(|e| Unmeasured::Failed(format!("{kind:?}: {e}")))?;
        Ok(Mix { quick, slow, _server: server })
    }

    /// Nanoseconds that quick requests take, for so long.
    fn run(
        &mut self,
        kind: Kind,
        slice: Duration,
        random: &mut fastrand::Rng,
    ) -> std::result::Result<Histogram<u64>, Unmeasured> {
        let Mix { quick, slow, .. } = self;
        let ran = std::thread::scope(|scope| {
            let begin = Instant::now();
            let mut run = |client, gap| {
                let due = Schedule { due: begin, end: begin + slice, gap, random: random.fork() };
                scope.spawn(move || paced(client, due))
            };
            let quick: Vec<_> = quick.iter_mut().map(|client| run(client, QUICK.1)).collect();
            let slow: Vec<_> = slow.iter_mut().map(|client| run(client, SLOW.1)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Histogram<u64>>>| {
                thread.join().expect("a client does not panic")
            };
            let mut all = histogram()?;
            for thread in quick {
                all.add(join(thread)?).map_err(Error::other)?;
            }
            for thread in slow {
                join(thread)?;
            }
            Ok::<_, Error>(all)
        });
        ran.map_err(|e| Unmeasured::Failed(format!("{kind:?}: {e}")))
    }
}

/// Has .NET's pool a thread for each that is held, besides those that it begins with anyway. How it finds out that it
/// needs them is its own affair, and takes a p99 from 1 to 500 ms from one round to the next, whoever serves.
fn threads() -> (&'static str, String) {
    let processors = std::thread::available_parallelism().map_or(1, |it| it.get());
    // .NET reads such numbers as hexadecimal.
    ("DOTNET_ThreadPool_ForceMinWorkerThreads", format!("{:x}", processors + SLOW.0))
}

fn clients(address: SocketAddr, target: &str, count: usize) -> Result<Vec<Client>> {
    (0..count).map(|_| Client::connect(address, target, "")).collect()
}

/// When the requests of a connection are due: at random, as those of many users are.
struct Schedule {
    due: Instant,
    end: Instant,
    gap: Duration,
    random: fastrand::Rng,
}

impl Iterator for Schedule {
    type Item = Instant;

    fn next(&mut self) -> Option<Instant> {
        self.due += self.gap.mul_f64(-(1.0 - self.random.f64()).ln());
        (self.due < self.end).then_some(self.due)
    }
}

/// Makes requests when they are due, or as soon after as the one before is answered; nanoseconds from when they were due.
fn paced(client: &mut Client, schedule: Schedule) -> Result<Histogram<u64>> {
    let mut seen = histogram()?;
    for due in schedule {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        client.exchange()?;
        seen.saturating_record(u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(seen)
}

/// From a microsecond to a minute, in three digits.
fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).map_err(Error::other)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn requests_come_at_random_and_as_often_as_asked() {
        let begin = Instant::now();
        let (end, gap) = (begin + Duration::from_secs(100), Duration::from_millis(10));
        let due: Vec<_> = Schedule { due: begin, end, gap, random: fastrand::Rng::with_seed(1) }.collect();
        // Poisson: four standard deviations of 10,000 are 400.
        assert!((9_600..=10_400).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted() && due.iter().all(|it| *it < end));
        let late = due.windows(2).filter(|pair| pair[1] - pair[0] > gap).count() as f64 / due.len() as f64;
        assert!((0.34..=0.40).contains(&late), "of exponential gaps, 1/e are above their mean: {late}");
    }

    #[test]
    fn a_late_answer_counts_from_when_its_request_was_due() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut buffer = [0; 1024];
            while stream.read(&mut buffer).is_ok_and(|got| got > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("it reads");
            }
        });
        let mut client = Client::connect(address, "/", "").expect("it listens");
        // All are due long before now, so that none is waited for.
        let second = Duration::from_secs(1);
        let begin = Instant::now().checked_sub(10 * second).expect("the machine is up for so long");
        let schedule =
            Schedule { due: begin, end: begin + second, gap: second / 50, random: fastrand::Rng::with_seed(1) };
        let seen = paced(&mut client, schedule).expect("it answers");
        assert!(seen.len() > 20 && seen.min() > 8_900_000_000, "{} from {} ns", seen.len(), seen.min());
        drop(client);
        server.join().expect("it ends");
    }
}
