//! What a server's memory does: while it answers a million requests, and for each idle WebSocket.

use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::client::{Client, collect};
use super::load::Shape;
use super::rounds::{Contender, compare, in_turns};
use super::server::{self, Kind, Server};
use super::{DEPTH, Plan};
use crate::stats::Estimate;
use crate::targets::Outcome;
use crate::targets::report::{Unmeasured, show};

/// Bytes that a process keeps in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Memory {
    resident: u64,
    /// The same, pages that it shares with others divided by their number.
    share: u64,
}

impl Memory {
    /// Has the server collect its garbage, and reads what is left.
    fn settled(server: &Server) -> std::result::Result<Memory, String> {
        collect(server.address).map_err(|e| format!("/collect: {e}"))?;
        let [pid] = server.pids()[..] else { return Err("it is several processes".to_owned()) };
        let file = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
        Memory::parse(&text).ok_or_else(|| format!("{file} is not understood"))
    }

    /// Bytes from an earlier reading to this one; not of the share, which goes up when another process ends, too.
    fn grown(self, earlier: Memory) -> f64 {
        self.resident as f64 - earlier.resident as f64
    }

    fn parse(text: &str) -> Option<Memory> {
        let bytes = |name| {
            let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
        };
        Some(Memory { resident: bytes("Rss:")?, share: bytes("Pss:")? })
    }
}

/// Bytes that a server grows by for each of a million requests, after it has answered a fifth as many.
pub(super) fn growth(plan: Plan, random: &mut fastrand::Rng) -> Outcome {
    server::need(&[Kind::Pool])?;
    let (mut per_request, mut details) = (Vec::new(), Vec::new());
    for _ in 0..plan.processes {
        let mut contender = Contender::start(Kind::Pool, Shape::Requests(DEPTH))?;
        answer(&mut contender, plan, plan.requests / 5)?;
        let before = Memory::settled(&contender.server).map_err(|e| contender.failed(e))?;
        let answered = answer(&mut contender, plan, plan.requests)?;
        let after = Memory::settled(&contender.server).map_err(|e| contender.failed(e))?;
        per_request.push(after.grown(before) / answered as f64);
        let mebibytes = |bytes: u64| show(bytes as f64 / f64::from(1 << 20));
        details.push(format!(
            "PSS {} to {}, RSS {} to {} MiB",
            mebibytes(before.share),
            mebibytes(after.share),
            mebibytes(before.resident),
            mebibytes(after.resident)
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
    let before = Memory::settled(server)?;
    let mut sockets = open(count)?;
    let after = Memory::settled(server)?;
    // They were there all the time.
    for socket in sockets.iter_mut().chain(&mut { warm }) {
        echo(socket).map_err(|e| format!("an idle WebSocket: {e}"))?;
    }
    Ok(after.grown(before) / 1024.0 / count as f64)
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
    fn the_kernel_tells_what_a_process_keeps() {
        let text = "5581d8c5c000-7ffd0b9f2000 ---p 00000000 00:00 0    [rollup]\nRss:    3344 kB\nPss:     412 kB\n\
                    Pss_Anon:    88 kB\n";
        let memory = Memory { resident: 3344 << 10, share: 412 << 10 };
        assert_eq!(Some(memory), Memory::parse(text));
        assert_eq!(-1024.0, memory.grown(Memory { resident: 3345 << 10, share: 0 }));
        assert_eq!(None, Memory::parse("Rss: many kB\nPss: 412 kB"));
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
