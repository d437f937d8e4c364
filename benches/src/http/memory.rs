//! What a server's memory does: while it answers a million requests, and for each idle WebSocket.

use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::client::{Client, collect};
use super::load::Shape;
use super::rounds::{Contender, compare, in_turns};
use super::server::{self, Kind, Server};
use super::{DEPTH, Plan};
use crate::measure::memory;
use crate::report::units::digits;
use crate::result::schema::Usage;
use crate::stats::Estimate;
use crate::targets::Outcome;
use crate::targets::report::Unmeasured;

/// Has the server collect its garbage, and reads what is left.
fn settled(server: &Server) -> std::result::Result<Usage, String> {
    collect(server.address).map_err(|e| format!("/collect: {e}"))?;
    memory::of(&server.pids())
}

/// Bytes from an earlier reading to this one; not of the share, which goes up when another process ends, too.
fn grown(before: Usage, after: Usage) -> f64 {
    after.rss as f64 - before.rss as f64
}

/// Bytes that a server grows by for each of a million requests, after it has answered a fifth as many.
pub(super) fn growth(plan: Plan, random: &mut fastrand::Rng) -> Outcome {
    server::need(&[Kind::Pool])?;
    let (mut per_request, mut details) = (Vec::new(), Vec::new());
    for _ in 0..plan.processes {
        let mut contender = Contender::start(Kind::Pool, Shape::Requests(DEPTH))?;
        answer(&mut contender, plan, plan.requests / 5)?;
        let before = settled(&contender.server).map_err(|e| contender.failed(e))?;
        let answered = answer(&mut contender, plan, plan.requests)?;
        let after = settled(&contender.server).map_err(|e| contender.failed(e))?;
        per_request.push(grown(before, after) / answered as f64);
        let mebibytes = |bytes: u64| digits(bytes as f64 / f64::from(1 << 20));
        details.push(format!(
            "PSS {} to {}, RSS {} to {} MiB",
            mebibytes(before.pss),
            mebibytes(after.pss),
            mebibytes(before.rss),
            mebibytes(after.rss)
        ));
    }
    Ok((Estimate::median_of(&per_request, random), details.join("; ")))
}

/// At least so many requests; how many it has answered.
fn answer(contender: &mut Contender, plan: Plan, requests: u64) -> std::result::Result<u64, Unmeasured> {
    let mut answered = 0;
    while answered < requests {
        answered += contender.requests(plan.slice / 5)?;
    }
    Ok(answered)
}

/// What asks for a WebSocket. The key is the one of RFC 6455; nobody here minds that it is always the same.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// Echoes messages, through a buffer as small as that of ASP.NET Core's own examples.
const SOCKET: &str = "/websocket?buffer=4096";
/// WebSockets before the first reading, which stay: until the code for them is compiled.
const WARM: usize = 500;
/// Files of a process besides its connections.
const FILES: u64 = 500;

/// Memory of an idle WebSocket, of Kestrel's.
pub(super) fn sockets(plan: Plan, random: &mut fastrand::Rng) -> Outcome {
    let kinds = [Kind::Pool, Kind::Kestrel];
    server::need(&kinds)?;
    allow_files((plan.sockets + WARM) as u64 + FILES)?;
    let samples = in_turns(&kinds, 0, plan.processes, random, |i| {
        let kind = kinds[i];
        let server = Server::start(kind)?;
        of_a_socket(&server, plan.sockets).map_err(|e| Unmeasured::Failed(format!("{kind:?}: {e}")))
    })?;
    let (ratio, detail) = compare((kinds[0], &samples[0]), (kinds[1], &samples[1]), "KiB", random);
    Ok((ratio, format!("{detail}, each of {}", plan.sockets)))
}

/// KiB of each of so many sockets.
fn of_a_socket(server: &Server, count: usize) -> std::result::Result<f64, String> {
    let open = |count: usize| (0..count).map(|_| socket(server.address)).collect::<Result<Vec<_>>>();
    let open = |count| open(count).map_err(|e| format!("WebSockets: {e}"));
    let warm = open(WARM)?;
    let before = settled(server)?;
    let mut sockets = open(count)?;
    let after = settled(server)?;
    // They were there all the time.
    for socket in sockets.iter_mut().chain(&mut { warm }) {
        echo(socket).map_err(|e| format!("an idle WebSocket: {e}"))?;
    }
    Ok(grown(before, after) / 1024.0 / count as f64)
}

fn socket(address: SocketAddr) -> Result<TcpStream> {
    Client::connect(address, SOCKET, UPGRADE)?.upgrade()
}

/// A message there and back; RFC 6455, 5.2.
fn echo(socket: &mut TcpStream) -> Result<()> {
    // Final, text; masked, four bytes; with a mask that leaves them as they are.
    socket.write_all(b"\x81\x84\0\0\0\0idle")?;
    let mut answer = [0; 6];
    socket.read_exact(&mut answer)?;
    if answer == *b"\x81\x04idle" { Ok(()) } else { Err(Error::other(format!("it answers {answer:?}"))) }
}

/// Has this process, and those it starts from now on, open so many files.
fn allow_files(wanted: u64) -> std::result::Result<(), Unmeasured> {
    let raised = raised(getrlimit(Resource::Nofile), wanted).map_err(Unmeasured::Skipped)?;
    setrlimit(Resource::Nofile, raised).map_err(|e| Unmeasured::Failed(format!("RLIMIT_NOFILE: {e}")))
}

/// The limit for so many files.
fn raised(limit: Rlimit, wanted: u64) -> std::result::Result<Rlimit, String> {
    match limit.maximum {
        Some(most) if most < wanted => {
            Err(format!("{wanted} files are needed, and a process may open {most}; raise the hard limit (ulimit -Hn)"))
        }
        maximum => Ok(Rlimit { current: limit.current.map(|current| current.max(wanted)), maximum }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_may_be_negative() {
        let usage = |rss| Usage { rss, pss: 0 };
        assert_eq!(-1024.0, grown(usage(2048), usage(1024)));
    }

    #[test]
    fn the_limit_of_files_is_raised_as_far_as_it_may_be() {
        let limit = |current, maximum| Rlimit { current, maximum };
        assert_eq!(Ok(limit(Some(600), Some(1000))), raised(limit(Some(256), Some(1000)), 600));
        assert_eq!(Ok(limit(Some(900), None)), raised(limit(Some(900), None), 600));
        assert_eq!(Ok(limit(None, None)), raised(limit(None, None), 600));
        let error = raised(limit(Some(256), Some(500)), 600).expect_err("too few");
        assert!(error.contains("600") && error.contains("500"), "{error}");
    }
}
