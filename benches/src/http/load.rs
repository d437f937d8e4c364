//! Load: a closed loop on each of some connections, on one thread, so that the servers have what is left of the machine.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// What is asked for; answers four bytes.
pub(super) const PATH: &str = "/text";
/// Answers a request's body, piece by piece, while it comes.
const ECHO: &str = "/body/pipe";
const BODY: usize = 1 << 20;
/// The one byte of bodies that are echoed. It is none of the framing's, so that counting it measures the body.
const FILL: u8 = b'x';
pub(super) const STATUS: &[u8] = b"HTTP/1.1 200 ";
/// A server that answers nothing for so long is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What each connection does over and over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// So many requests in one write, and then their responses.
    Requests(usize),
    /// A body of 1 MiB each way, both at the same time.
    Bodies,
}

/// Connections that are kept from round to round.
pub(super) struct Load {
    runtime: Runtime,
    streams: Vec<TcpStream>,
    work: Arc<Work>,
}

/// What a connection sends, and how it knows the answer.
struct Work {
    shape: Shape,
    batch: Vec<u8>,
    /// Bytes of the response to a request for [`PATH`]: always as many.
    response: usize,
    over: AtomicBool,
}

impl Load {
    /// Connects, and finds out how long a response is.
    ///
    /// # Errors
    /// Where the server does not answer as it should.
    pub(super) fn new(address: SocketAddr, shape: Shape, connections: usize) -> Result<Load> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let request = format!("GET {PATH} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
        let (streams, response) = runtime.block_on(in_time(async {
            let mut streams = Vec::new();
            for _ in 0..connections {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                streams.push(stream);
            }
            let response = response_length(&mut streams[0], &request).await?;
            Ok((streams, response))
        }))?;
        let batch = match shape {
            Shape::Requests(depth) => request.repeat(depth),
            Shape::Bodies => {
                let head = format!("POST {ECHO} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {BODY}\r\n\r\n");
                [head.as_bytes(), &vec![FILL; BODY]].concat()
            }
        };
        let work = Work { shape, batch, response, over: AtomicBool::new(false) };
        Ok(Load { runtime, streams, work: Arc::new(work) })
    }

    /// Keeps every connection busy for `slice`; how many requests were answered.
    ///
    /// # Errors
    /// Where a connection ends or an answer is not the one expected.
    pub(super) fn run(&mut self, slice: Duration) -> Result<u64> {
        let Load { runtime, streams, work } = self;
        work.over.store(false, Ordering::Relaxed);
        runtime.block_on(async {
            let mut busy = JoinSet::new();
            for stream in streams.drain(..) {
                busy.spawn(work.clone().repeat(stream));
            }
            tokio::time::sleep(slice).await;
            work.over.store(true, Ordering::Relaxed);
            let mut answered = 0;
            in_time(async {
                while let Some(ended) = busy.join_next().await {
                    let (stream, done) = ended.map_err(Error::other)??;
                    streams.push(stream);
                    answered += done;
                }
                Ok(answered)
            })
            .await
        })
    }
}

impl Work {
    /// Does the work until it is over.
    async fn repeat(self: Arc<Self>, mut stream: TcpStream) -> Result<(TcpStream, u64)> {
        let mut done = 0;
        match self.shape {
            Shape::Requests(depth) => {
                let mut answers = vec![0; self.response * depth];
                while !self.over.load(Ordering::Relaxed) {
                    stream.write_all(&self.batch).await?;
                    stream.read_exact(&mut answers).await?;
                    if !answers.chunks(self.response).all(|answer| answer.starts_with(STATUS)) {
                        return Err(unexpected(&answers));
                    }
                    done += depth as u64;
                }
            }
            Shape::Bodies => {
                let mut buffer = vec![0; 64 << 10];
                while !self.over.load(Ordering::Relaxed) {
                    let (mut from, mut to) = stream.split();
                    tokio::try_join!(to.write_all(&self.batch), echoed(&mut from, &mut buffer))?;
                    done += 1;
                }
            }
        }
        Ok((stream, done))
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| Error::other("the server does not answer"))?
}

pub(super) fn unexpected(answer: &[u8]) -> Error {
    let start = String::from_utf8_lossy(&answer[..answer.len().min(200)]);
    Error::other(format!("the server answers {start:?}"))
}

/// Sends one request; the bytes of its response.
async fn response_length(stream: &mut TcpStream, request: &[u8]) -> Result<usize> {
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(unexpected(&answer));
        }
        if is_whole(&answer) {
            return if answer.starts_with(STATUS) { Ok(answer.len()) } else { Err(unexpected(&answer)) };
        }
    }
}

/// Where the head of a response ends, if it does.
pub(super) fn head_end(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Whether a response is there to its end, which is declared or that of the chunks.
pub(super) fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = head_end(answer) else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    match head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok()) {
        Some(length) => answer.len() - end == length,
        None => answer[end..].ends_with(b"0\r\n\r\n"),
    }
}

/// Reads an echo to its end.
async fn echoed(stream: &mut (impl AsyncReadExt + Unpin), buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    let end = loop {
        filled += stream.read(&mut buffer[filled..]).await?;
        if let Some(end) = head_end(&buffer[..filled]) {
            break end;
        }
        if filled == buffer.len() || !STATUS.starts_with(&buffer[..filled.min(STATUS.len())]) {
            return Err(unexpected(&buffer[..filled]));
        }
    };
    let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == FILL).count();
    // The last bytes seen, which are those of the last chunk in the end.
    let (mut body, mut tail) = (count(&buffer[end..filled]), buffer[end..filled].to_vec());
    while body < BODY || !tail.ends_with(b"0\r\n\r\n") {
        let got = stream.read(buffer).await?;
        if got == 0 {
            return Err(Error::other(format!("the server ends an echo after {body} bytes")));
        }
        body += count(&buffer[..got]);
        tail.extend_from_slice(&buffer[got.saturating_sub(5)..got]);
        tail.drain(..tail.len().saturating_sub(5));
    }
    if body == BODY { Ok(()) } else { Err(Error::other(format!("the server echoes {body} bytes"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_whole_at_its_declared_length_or_after_the_last_chunk() {
        for (answer, whole) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntex", false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntext", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntext\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntext\r\n0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\n", false),
        ] {
            assert_eq!(whole, is_whole(answer.as_bytes()), "{answer:?}");
        }
    }
}
