//! The same service behind gRPC on a unix socket: a server of tonic's in Rust, or of grpcio's in Python.
//!
//! Every caller has a connection, and a runtime on its own thread: a call passes from one thread to another as rarely
//! as gRPC lets it. Like callers of functions in this process, they have the request as bytes, and want bytes.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use polyhost::{Code, Error, ErrorKind, Output, Result};
use polyhost_proto::bench::v1::{NextReply, NextRequest};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

use super::process::{Language, Process, file_of};
use super::{Caller, Contender, Known};
use crate::facts::{self, Fact, fact, locked};
use crate::measure::stages::REPEAT;
use crate::peer::LONGEST;
use crate::peer::services::host_server::{Host, HostServer};
use crate::targets::report::Unmeasured;
use crate::workloads::{Workload, callback};

const ALL: [(&str, &str, Language); 2] = [
    ("grpc-rust", "Rust behind gRPC on a unix socket: tonic", Language::Rust),
    ("grpc-python", "Python behind gRPC on a unix socket: grpcio, called by tonic", Language::Python),
];

pub(super) fn known() -> Vec<Known> {
    let known = |(name, what, _): &(&str, &str, _)| Known { name: (*name).into(), what: (*what).into(), scheme: None };
    ALL.iter().map(known).collect()
}

/// The contender of this name, where it is one of these.
pub(super) fn named(name: &str) -> Option<Served> {
    let (_, _, language) = ALL.iter().find(|(it, ..)| *it == name)?;
    Some(Served { language: *language, loaded: None })
}

/// A server in one language.
pub(super) struct Served {
    language: Language,
    loaded: Option<Loaded>,
}

struct Loaded {
    path: PathAndQuery,
    socket: PathBuf,
    // In the order in which they go.
    process: Process,
    _host: HostThread,
    _folder: TempDir,
}

impl Contender for Served {
    fn facts(&self) -> Vec<Fact> {
        let mut facts = vec![fact("client", locked("tonic"))];
        facts::add(&mut facts, self.language.facts("grpc"));
        facts
    }

    fn load(&mut self, workload: &Arc<dyn Workload>) -> std::result::Result<(), Unmeasured> {
        // The one before goes first.
        self.loaded = None;
        self.loaded = Some(Loaded::start(self.language, workload)?);
        Ok(())
    }

    fn caller(&self) -> std::result::Result<Box<dyn Caller>, Unmeasured> {
        let loaded = self.loaded.as_ref().ok_or_else(|| Unmeasured::Failed("nothing is loaded".to_owned()))?;
        loaded.connect(&loaded.path).map(|it| Box::new(it) as Box<dyn Caller>).map_err(failed)
    }

    fn repeater(&self) -> std::result::Result<Box<dyn Caller>, String> {
        let loaded = self.loaded.as_ref().ok_or("nothing is loaded")?;
        let path = path_of(REPEAT).map_err(|e| e.to_string())?;
        loaded.connect(&path).map(|it| Box::new(it) as Box<dyn Caller>).map_err(|e| e.to_string())
    }

    fn pids(&self) -> Vec<u32> {
        self.loaded.iter().map(|loaded| loaded.process.id()).collect()
    }
}

impl Loaded {
    /// Starts a server, and waits until it is ready.
    fn start(language: Language, workload: &Arc<dyn Workload>) -> std::result::Result<Loaded, Unmeasured> {
        let mut command = language.peer()?;
        let folder = tempfile::tempdir().map_err(failed)?;
        let (socket, host) = (folder.path().join("bench"), folder.path().join("host"));
        command.arg("grpc");
        if language == Language::Python {
            command.arg(file_of(&workload.guest("py")?)?);
        }
        command.arg(&socket).arg(&host);
        let host = HostThread::start(host).map_err(failed)?;
        let mut process = Process::start(command)?;
        let mut line = String::new();
        let from = process.0.stdout.take().map(BufReader::new);
        from.map(|mut from| from.read_line(&mut line)).transpose().map_err(failed)?;
        match line.trim().split_once(": ") {
            None if line.trim() == "ready" => {}
            Some(("skipped", why)) => return Err(Unmeasured::Skipped(why.to_owned())),
            _ => return Err(Unmeasured::Failed(format!("the server does not start; it said {line:?}"))),
        }
        let path = path_of(workload.native().export().name()).map_err(failed)?;
        Ok(Loaded { path, socket, process, _host: host, _folder: folder })
    }

    fn connect(&self, path: &PathAndQuery) -> std::result::Result<GrpcCaller, Box<dyn std::error::Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = Endpoint::from_shared(format!("unix://{}", self.socket.display()))?;
        let channel = runtime.block_on(endpoint.connect())?;
        let client = Grpc::new(channel).max_decoding_message_size(LONGEST).max_encoding_message_size(LONGEST);
        Ok(GrpcCaller { client, path: path.clone(), runtime })
    }
}

fn path_of(method: &str) -> std::result::Result<PathAndQuery, http::uri::InvalidUri> {
    PathAndQuery::try_from(format!("/{method}"))
}

fn failed(error: impl std::fmt::Display) -> Unmeasured {
    Unmeasured::Failed(error.to_string())
}

struct GrpcCaller {
    client: Grpc<Channel>,
    path: PathAndQuery,
    runtime: Runtime,
}

impl Caller for GrpcCaller {
    fn call(&mut self, request: &[u8], output: &mut Output) -> Result<()> {
        let (client, path) = (&mut self.client, self.path.clone());
        let request = Request::new(Bytes::copy_from_slice(request));
        let reply = self.runtime.block_on(async {
            client.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
            client.unary(request, path, Raw).await
        });
        output.write(&reply.map_err(|status| of(&status))?.into_inner())
    }
}

#[cold]
fn of(status: &Status) -> Error {
    match Code::from_number(status.code() as i32) {
        Some(code) => Error::status(code, status.message()),
        None => Error::new(ErrorKind::Guest, status.to_string()),
    }
}

/// Messages as their bytes.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> std::result::Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> std::result::Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// What guests may call, behind gRPC as they are, on a thread of its own.
struct HostThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HostThread {
    fn start(socket: PathBuf) -> std::io::Result<HostThread> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async { UnixListener::bind(socket) })?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("bench-host".to_owned()).spawn(move || {
            runtime.block_on(async {
                let service = HostServer::new(Services).max_decoding_message_size(LONGEST);
                let serve =
                    Server::builder().add_service(service).serve_with_incoming(UnixListenerStream::new(listener));
                // Who stops it is there no more, too, where it is dropped.
                tokio::select! { _ = serve => {}, _ = stopped => {} }
            });
        })?;
        Ok(HostThread { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for HostThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

struct Services;

#[tonic::async_trait]
impl Host for Services {
    async fn next(&self, request: Request<NextRequest>) -> std::result::Result<Response<NextReply>, Status> {
        Ok(Response::new(callback::next(request.get_ref())))
    }
}
