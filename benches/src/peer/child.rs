//! A child that answers frames, one after the other.

use std::io::{self, BufReader, ErrorKind, Read, StdinLock, StdoutLock};
use std::sync::Arc;

use polyhost::{CallContext, Function, Output};
use polyhost_proto::bench::v1::NextReply;
use prost::Message;

use super::frame::{self, Kind};
use super::stages::repeater;
use crate::measure::stages::REPEAT;
use crate::workloads::{callback, message, named};

/// Answers calls of a workload, or of `bench.v1.Stages/Repeat`, until standard input ends.
///
/// # Errors
/// Where there is no such workload, or a pipe fails.
pub(super) fn serve(what: &str) -> Result<(), String> {
    let mut child = Child {
        function: if what == REPEAT { repeater() } else { named(what)?.native() },
        calls_back: what == callback::NAME,
        from: BufReader::new(io::stdin().lock()),
        to: io::stdout().lock(),
        buffer: Vec::new(),
    };
    match child.serve() {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error.to_string()),
        _ => Ok(()),
    }
}

struct Child {
    /// Whether its host is at the other end of the pipe.
    calls_back: bool,
    function: Arc<dyn Function>,
    from: BufReader<StdinLock<'static>>,
    to: StdoutLock<'static>,
    buffer: Vec<u8>,
}

impl Child {
    fn serve(&mut self) -> io::Result<()> {
        let (mut request, mut output) = (Vec::new(), Output::new());
        self.write(Kind::Call, b"")?;
        loop {
            frame::read(&mut self.from, &mut request)?;
            output.clear();
            match self.answer(&request, &mut output) {
                Ok(()) => self.write(Kind::Call, output.as_slice())?,
                Err(error) => self.write(Kind::Failed, error.as_bytes())?,
            }
        }
    }

    fn answer(&mut self, request: &[u8], output: &mut Output) -> Result<(), String> {
        if !self.calls_back {
            return self.function.call(&CallContext::none(), request, output).map_err(|e| e.to_string());
        }
        let reply = callback::callback(message(request)?, |ask| self.ask(&ask.encode_to_vec()))?;
        output.write(&reply.encode_to_vec()).map_err(|e| e.to_string())
    }

    fn ask(&mut self, request: &[u8]) -> Result<NextReply, String> {
        let mut reply = Vec::new();
        self.write(Kind::Host, request).map_err(|e| e.to_string())?;
        frame::read(&mut self.from, &mut reply).map_err(|e| e.to_string())?;
        message(&reply)
    }

    fn write(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        frame::write(&mut self.to, kind, bytes, &mut self.buffer)
    }
}

/// Waits until standard input ends: whoever holds its other end is gone then.
pub(super) fn until_input_ends() {
    let _ = io::stdin().lock().read_to_end(&mut Vec::new());
}
