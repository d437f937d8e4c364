//! A client that waits: one connection, one request at a time.

use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};

use super::load::{PATIENCE, STATUS, head_end, is_whole, unexpected};

/// A connection and the request that it makes over and over.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    /// Connects, to ask for `target`; `more` is what the head of the request holds besides the host, each line ended.
    ///
    /// # Errors
    /// Where nobody listens.
    pub(super) fn connect(address: SocketAddr, target: &str, more: &str) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n").into_bytes();
        Ok(Client { stream, request, answer: Vec::new() })
    }

    /// Makes the request and takes the whole response.
    ///
    /// # Errors
    /// Where it is none of success.
    pub(super) fn exchange(&mut self) -> Result<()> {
        self.ask(is_whole)?;
        if self.answer.starts_with(STATUS) { Ok(()) } else { Err(unexpected(&self.answer)) }
    }

    /// Makes the request, which is for another protocol, and gives back the connection.
    ///
    /// # Errors
    /// Where the server stays with HTTP.
    pub(super) fn upgrade(mut self) -> Result<TcpStream> {
        self.ask(|answer| head_end(answer).is_some())?;
        let switched = self.answer.starts_with(b"HTTP/1.1 101 ");
        if switched { Ok(self.stream) } else { Err(unexpected(&self.answer)) }
    }

    fn ask(&mut self, is_there: impl Fn(&[u8]) -> bool) -> Result<()> {
        self.stream.write_all(&self.request)?;
        self.answer.clear();
        while !is_there(&self.answer) {
            let mut buffer = [0; 1024];
            match self.stream.read(&mut buffer)? {
                0 => return Err(Error::other(format!("{}: the server closes", unexpected(&self.answer)))),
                got => self.answer.extend_from_slice(&buffer[..got]),
            }
        }
        Ok(())
    }
}

/// Has the server collect its garbage: without that, what it takes says when it last did.
///
/// # Errors
/// Where it does not answer.
pub(super) fn collect(address: SocketAddr) -> Result<()> {
    Client::connect(address, "/collect", "Connection: close\r\n")?.exchange()
}
