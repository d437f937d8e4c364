//! A child process that is sent length-prefixed protobuf over its standard input, and answers over its output.
//!
//! Each caller has a child of its own: one that answers one request after the other serves one caller at a time.

use std::io::BufReader;
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::{Arc, Mutex, PoisonError};

use polyhost::{CallContext, Error, ErrorKind, Output, Result, Services};

use super::process::{Language, Process, file_of};
use super::{Caller, Contender, Known};
use crate::facts::Fact;
use crate::measure::stages::REPEAT;
use crate::peer::frame::{self, Kind};
use crate::targets::report::Unmeasured;
use crate::workloads::{Workload, callback};

const ALL: [(&str, &str, Language); 2] = [
    ("child-rust", "Rust in a child process, length-prefixed protobuf over pipes", Language::Rust),
    ("child-python", "Python in a child process, length-prefixed protobuf over pipes", Language::Python),
];

pub(super) fn known() -> Vec<Known> {
    let known = |(name, what, _): &(&str, &str, _)| Known { name: (*name).into(), what: (*what).into(), scheme: None };
    ALL.iter().map(known).collect()
}

/// The contender of this name, where it is one of these.
pub(super) fn named(name: &str) -> Option<Children> {
    let (_, _, language) = ALL.iter().find(|(it, ..)| *it == name)?;
    Some(Children { language: *language, loaded: None })
}

/// Children in one language.
pub(super) struct Children {
    language: Language,
    loaded: Option<Arc<Loaded>>,
}

struct Loaded {
    language: Language,
    workload: Arc<dyn Workload>,
    services: Services,
    /// Those that no caller has.
    free: Mutex<Vec<Peer>>,
    pids: Pids,
}

/// Those that live.
type Pids = Arc<Mutex<Vec<u32>>>;

impl Contender for Children {
    fn facts(&self) -> Vec<Fact> {
        self.language.facts("child")
    }

    /// A child of its own, which ends with its caller.
    fn repeater(&self) -> std::result::Result<Box<dyn Caller>, String> {
        let loaded = self.loaded().map_err(|e| e.reason())?;
        let peer = loaded.start(Some(REPEAT)).map_err(|e| e.reason())?;
        Ok(Box::new(ChildCaller { peer: Some(peer), loaded: loaded.clone(), keep: false }))
    }

    fn load(&mut self, workload: &Arc<dyn Workload>) -> std::result::Result<(), Unmeasured> {
        let mut services = Services::new();
        services.add(callback::service()).expect("it is the only one");
        let loaded = Loaded {
            language: self.language,
            workload: workload.clone(),
            services,
            free: Mutex::default(),
            pids: Pids::default(),
        };
        loaded.keep(loaded.start(None)?);
        self.loaded = Some(Arc::new(loaded));
        Ok(())
    }

    fn prepare(&mut self, callers: usize) -> std::result::Result<(), Unmeasured> {
        let loaded = self.loaded()?;
        let there = {
            let mut free = lock(&loaded.free);
            free.truncate(callers);
            free.len()
        };
        for _ in there..callers {
            loaded.keep(loaded.start(None)?);
        }
        Ok(())
    }

    fn caller(&self) -> std::result::Result<Box<dyn Caller>, Unmeasured> {
        let loaded = self.loaded()?;
        let free = lock(&loaded.free).pop();
        let peer = free.map_or_else(|| loaded.start(None), Ok)?;
        Ok(Box::new(ChildCaller { peer: Some(peer), loaded: loaded.clone(), keep: true }))
    }

    fn pids(&self) -> Vec<u32> {
        self.loaded.as_ref().map(|loaded| lock(&loaded.pids).clone()).unwrap_or_default()
    }
}

impl Children {
    fn loaded(&self) -> std::result::Result<&Arc<Loaded>, Unmeasured> {
        self.loaded.as_ref().ok_or_else(|| Unmeasured::Failed("nothing is loaded".to_owned()))
    }
}

impl Loaded {
    /// Starts a child that answers calls of the workload, or of another export, and waits until it is ready.
    fn start(&self, export: Option<&str>) -> std::result::Result<Peer, Unmeasured> {
        let mut command = self.language.peer()?;
        self.arguments(export, &mut command)?;
        let mut process = Process::start(command)?;
        let (Some(to), Some(from)) = (process.0.stdin.take(), process.0.stdout.take()) else {
            return Err(Unmeasured::Failed("the child has no pipes".to_owned()));
        };
        lock(&self.pids).push(process.id());
        let pids = self.pids.clone();
        let mut peer = Peer { process, pids, to, from: BufReader::new(from), reply: Vec::new(), frame: Vec::new() };
        let kind = peer.read().map_err(|e| Unmeasured::Failed(format!("the child does not start: {e}")))?;
        let text = String::from_utf8_lossy(&peer.reply).into_owned();
        match kind {
            Kind::Call => Ok(peer),
            Kind::Skipped => Err(Unmeasured::Skipped(text)),
            _ => Err(Unmeasured::Failed(text)),
        }
    }

    fn arguments(&self, export: Option<&str>, command: &mut Command) -> std::result::Result<(), Unmeasured> {
        command.arg("child");
        match self.language {
            Language::Rust => command.arg(export.unwrap_or(self.workload.name())),
            Language::Python => {
                let guest = self.workload.guest("py")?;
                command.arg(file_of(&guest)?).arg(export.unwrap_or(&guest.export))
            }
        };
        Ok(())
    }

    fn keep(&self, peer: Peer) {
        lock(&self.free).push(peer);
    }
}

/// A child that answers.
struct Peer {
    process: Process,
    pids: Pids,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    reply: Vec<u8>,
    frame: Vec<u8>,
}

impl Peer {
    fn read(&mut self) -> std::io::Result<Kind> {
        frame::read(&mut self.from, &mut self.reply)
    }

    fn write(&mut self, kind: Kind, bytes: &[u8]) -> std::io::Result<()> {
        frame::write(&mut self.to, kind, bytes, &mut self.frame)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        lock(&self.pids).retain(|pid| *pid != self.process.id());
    }
}

/// Gives its child back when it is dropped, unless that has failed to answer, or is not to be kept.
struct ChildCaller {
    peer: Option<Peer>,
    loaded: Arc<Loaded>,
    keep: bool,
}

impl Caller for ChildCaller {
    fn call(&mut self, request: &[u8], output: &mut Output) -> Result<()> {
        let Some(peer) = &mut self.peer else { return Err(gone("it has failed before")) };
        match exchange(peer, &self.loaded.services, request, output) {
            Ok(answer) => answer,
            Err(error) => {
                self.peer = None;
                Err(gone(&error.to_string()))
            }
        }
    }
}

/// One call; the inner error is the child's own.
fn exchange(peer: &mut Peer, services: &Services, request: &[u8], output: &mut Output) -> std::io::Result<Result<()>> {
    peer.write(Kind::Call, request)?;
    loop {
        match peer.read()? {
            Kind::Call => return Ok(output.write(&peer.reply)),
            Kind::Host => {
                let mut reply = Output::new();
                if let Err(error) = services.call(0, &CallContext::none(), &peer.reply, &mut reply) {
                    return Ok(Err(error));
                }
                peer.write(Kind::Host, reply.as_slice())?;
            }
            Kind::Failed | Kind::Skipped => {
                let text = String::from_utf8_lossy(&peer.reply).into_owned();
                return Ok(Err(Error::new(ErrorKind::Guest, text)));
            }
        }
    }
}

fn gone(why: &str) -> Error {
    Error::new(ErrorKind::Closed, format!("the child process does not answer: {why}"))
}

impl Drop for ChildCaller {
    fn drop(&mut self) {
        if let Some(peer) = self.peer.take().filter(|_| self.keep) {
            self.loaded.keep(peer);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
