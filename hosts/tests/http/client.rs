//! Acts out a script on a connection and keeps what came back.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::case::{End, PROBE, Script, Step};
use crate::response::{Kind, Progress, Response};

/// A server that has said nothing for so long will not: the case waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happened on a connection.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    pub sent: Vec<u8>,
    pub received: Vec<u8>,
    pub responses: Vec<Response>,
    /// How the last response stopped where it is not complete, with what there is of it.
    pub incomplete: Option<(Response, Progress)>,
    /// What follows the last complete response.
    pub rest: Vec<u8>,
    pub ending: Ending,
    /// For whoever wonders where the time goes; it is never compared.
    pub took: Duration,
    /// What happened on the other connections of the script.
    pub others: Vec<Transcript>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By the server.
    Closed,
    /// By the server, with a reset.
    Reset,
    /// By the client.
    #[default]
    Left,
    /// By nobody: the server was silent for too long.
    Silent,
}

/// Runs a script. An error is one of the machine, not of the server.
pub(crate) fn run(script: &Script, address: SocketAddr) -> Result<Transcript, String> {
    let start = Instant::now();
    let mut client = Client::connect(script, address).map_err(|error| format!("cannot connect: {error}"))?;
    let mut others = Vec::new();
    for step in &script.steps {
        match step {
            Step::Send(bytes) => client.send(bytes),
            Step::SendSlowly(bytes) => bytes.chunks(1).for_each(|byte| client.send(byte)),
            Step::Until(bytes) => client.wait(|seen, _| contains(&seen.bytes, bytes)),
            Step::Responses(count) => client.wait(|_, complete| complete >= *count),
            Step::HalfClose => drop(client.stream.shutdown(Shutdown::Write)),
            Step::Meanwhile(script) => others.push(run(script, address)?),
            Step::Afterwards(_) => {}
        }
    }
    let mut transcript = client.finish(script);
    for step in &script.steps {
        if let Step::Afterwards(script) = step {
            others.push(run(script, address)?);
        }
    }
    transcript.others = others;
    transcript.took = start.elapsed();
    Ok(transcript)
}

/// What the reader has received so far.
#[derive(Debug, Default)]
struct Seen {
    bytes: Vec<u8>,
    ending: Option<Ending>,
}

struct Client {
    stream: Arc<TcpStream>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    reader: Option<JoinHandle<()>>,
    sent: Vec<u8>,
    kinds: Vec<Kind>,
    /// What was parsed already, and where it ends in the bytes received.
    responses: Vec<Response>,
    parsed: usize,
    is_silent: bool,
    /// What comes is no HTTP, so that there is nothing to wait for.
    is_malformed: bool,
}

impl Client {
    fn connect(script: &Script, address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Client {
            stream: Arc::new(stream),
            seen: Arc::default(),
            reader: None,
            sent: Vec::new(),
            kinds: script.kinds.clone(),
            responses: Vec::new(),
            parsed: 0,
            is_silent: false,
            is_malformed: false,
        };
        if !script.reads_late {
            client.read();
        }
        Ok(client)
    }

    /// Starts the reader, unless it runs.
    fn read(&mut self) {
        let (stream, seen) = (self.stream.clone(), self.seen.clone());
        self.reader.get_or_insert_with(|| std::thread::spawn(move || receive(&stream, &seen)));
    }

    /// A server that has closed takes no more; what it sent says so.
    fn send(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        let _ = (&*self.stream).write_all(bytes);
    }

    /// Waits until something has been received, or the connection has ended.
    fn wait(&mut self, is_there: impl Fn(&Seen, usize) -> bool) {
        self.read();
        let seen = self.seen.clone();
        let mut guard = lock(&seen.0);
        loop {
            self.parse(&guard);
            if is_there(&guard, self.complete()) || guard.ending.is_some() || self.is_malformed {
                return;
            }
            let (next, timeout) = seen.1.wait_timeout(guard, PATIENCE).expect("the reader does not panic");
            guard = next;
            if timeout.timed_out() {
                self.is_silent = true;
                return;
            }
        }
    }

    /// How many responses are there, without interim ones.
    fn complete(&self) -> usize {
        self.responses.iter().filter(|response| !response.is_interim()).count()
    }

    fn parse(&mut self, seen: &Seen) {
        loop {
            if self.responses.last().is_some_and(|response| response.status == 101) {
                return;
            }
            let kind = self.kinds.get(self.complete()).copied().unwrap_or(Kind::Plain);
            let is_over = seen.ending == Some(Ending::Closed);
            let (response, progress) = Response::read(&seen.bytes[self.parsed..], kind, is_over);
            let Progress::Complete(length) = progress else {
                self.is_malformed |= matches!(progress, Progress::Malformed(_));
                return;
            };
            self.parsed += length;
            self.responses.push(response);
        }
    }

    fn finish(mut self, script: &Script) -> Transcript {
        if !self.is_silent && matches!(script.end, End::Probe | End::Read) {
            self.wait(|_, complete| complete >= script.responses);
            let closes = self.responses.last().is_some_and(Response::says_close);
            let is_open = !closes && !self.is_malformed;
            if script.end == End::Probe && is_open && self.complete() == script.responses {
                self.send(PROBE);
            }
            if !self.is_silent {
                self.wait(|_, _| false);
            }
        }
        self.leave(script.end)
    }

    fn leave(mut self, end: End) -> Transcript {
        if end == End::Reset {
            // Without it, closing a socket with nothing left to read would say goodbye.
            let linger = rustix::net::sockopt::set_socket_linger(&*self.stream, Some(Duration::ZERO));
            linger.expect("a socket can be told not to linger");
        }
        let left_by_client = lock(&self.seen.0).ending.is_none();
        let half = if end == End::Reset { Shutdown::Read } else { Shutdown::Both };
        // One that the server has closed cannot be shut down any more.
        let _ = self.stream.shutdown(half);
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
        let seen = self.seen.clone();
        let guard = lock(&seen.0);
        let mut transcript =
            Transcript { sent: std::mem::take(&mut self.sent), received: guard.bytes.clone(), ..Transcript::default() };
        transcript.rest = guard.bytes[self.parsed..].to_vec();
        transcript.ending = match guard.ending {
            _ if self.is_silent => Ending::Silent,
            Some(ending) if !left_by_client => ending,
            _ => Ending::Left,
        };
        let upgraded = self.responses.last().is_some_and(|response| response.status == 101);
        let kind = self.kinds.get(self.complete()).copied().unwrap_or(Kind::Plain);
        if !transcript.rest.is_empty() && !upgraded {
            let (response, progress) = Response::read(&transcript.rest, kind, false);
            transcript.incomplete = Some((response, progress));
        }
        transcript.responses = std::mem::take(&mut self.responses);
        transcript
    }
}

fn receive(mut stream: &TcpStream, seen: &(Mutex<Seen>, Condvar)) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut buffer);
        let mut guard = lock(&seen.0);
        match count {
            Ok(0) => guard.ending = Some(Ending::Closed),
            Ok(count) => guard.bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => guard.ending = Some(Ending::Reset),
        }
        seen.1.notify_all();
        if guard.ending.is_some() {
            return;
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("nobody panics while they hold it")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
