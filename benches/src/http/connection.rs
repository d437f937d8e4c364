//! A connection that its caller waits on: a request and its whole response, over and over.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};

use super::load::{PATH, PATIENCE};

/// Answers with the request's body, once all of it is there.
pub(super) const ECHO: &str = "/body/stream";
/// What [`PATH`] answers.
pub(crate) const TEXT: &[u8] = b"text";
/// Longer heads are none that a server of the bench sends.
const LONGEST_HEAD: u64 = 16 << 10;
const HEADERS: usize = 32;

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    line: Vec<u8>,
}

/// How much of a body is to come.
#[derive(Debug, PartialEq, Eq)]
enum Length {
    Declared(u64),
    Chunked,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Where nobody listens.
    pub(crate) fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let stream = BufReader::with_capacity(64 << 10, stream);
        Ok(Connection { address, stream, request: Vec::new(), line: Vec::new() })
    }

    /// Sends `body` to be echoed, or asks for [`TEXT`] where there is none; hands the response's body to `take`, piece
    /// by piece.
    ///
    /// # Errors
    /// Where the response is none of success, or does not come to its end.
    pub(crate) fn exchange(&mut self, body: &[u8], take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if body.is_empty() {
            return self.get(PATH, take);
        }
        let Connection { address, request, .. } = self;
        request.clear();
        write!(request, "POST {ECHO} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", body.len())?;
        request.extend_from_slice(body);
        self.send(take)
    }

    /// Asks for what is at `path`.
    ///
    /// # Errors
    /// As [`exchange`](Self::exchange).
    pub(crate) fn get(&mut self, path: &str, take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let Connection { address, request, .. } = self;
        request.clear();
        write!(request, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
        self.send(take)
    }

    fn send(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.stream.get_mut().write_all(&self.request)?;
        read_response(&mut self.stream, &mut self.line, &mut take)
    }
}

fn read_response(
    from: &mut impl BufRead,
    line: &mut Vec<u8>,
    take: &mut impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    line.clear();
    while !line.ends_with(b"\r\n\r\n") {
        let room = LONGEST_HEAD.saturating_sub(line.len() as u64);
        if from.by_ref().take(room).read_until(b'\n', line)? == 0 {
            return Err(unexpected("a head without an end", line));
        }
    }
    match length(line)? {
        Length::Declared(length) => read_piece(from, length, take),
        Length::Chunked => loop {
            let size = chunk_size(from, line)?;
            read_piece(from, size, take)?;
            // Behind the last there could be trailers: no server of the bench sends any.
            if read_line(from, line)? != b"\r\n" {
                return Err(unexpected("a chunk without an end", line));
            }
            if size == 0 {
                return Ok(());
            }
        },
    }
}

/// How long the body behind a head is.
fn length(head: &[u8]) -> Result<Length> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head).map_err(|e| unexpected(&e.to_string(), head))?;
    if response.code != Some(200) {
        return Err(unexpected("no success", head));
    }
    let of = |name: &str| {
        let header = response.headers.iter().find(|it| it.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    if of("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
        return Ok(Length::Chunked);
    }
    let declared = of("content-length").and_then(|it| it.parse().ok());
    declared.map(Length::Declared).ok_or_else(|| unexpected("no length", head))
}

fn chunk_size(from: &mut impl BufRead, line: &mut Vec<u8>) -> Result<u64> {
    match httparse::parse_chunk_size(read_line(from, line)?) {
        Ok(httparse::Status::Complete((_, size))) => Ok(size),
        _ => Err(unexpected("no size of a chunk", line)),
    }
}

fn read_line<'a>(from: &mut impl BufRead, line: &'a mut Vec<u8>) -> Result<&'a [u8]> {
    line.clear();
    from.by_ref().take(LONGEST_HEAD).read_until(b'\n', line)?;
    Ok(line)
}

fn read_piece(from: &mut impl BufRead, mut length: u64, take: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    while length > 0 {
        let there = from.fill_buf()?;
        if there.is_empty() {
            return Err(Error::other(format!("the server closes {length} bytes before the end of a body")));
        }
        let piece = there.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        take(&there[..piece])?;
        from.consume(piece);
        length -= piece as u64;
    }
    Ok(())
}

#[cold]
fn unexpected(what: &str, said: &[u8]) -> Error {
    let said = said[..said.len().min(200)].escape_ascii();
    Error::other(format!("the server sends {what}: \"{said}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(responses: &str) -> Result<Vec<String>> {
        // A buffer so small that everything comes in pieces.
        let mut from = BufReader::with_capacity(3, responses.as_bytes());
        let mut bodies = Vec::new();
        while !from.fill_buf()?.is_empty() {
            let mut body = Vec::new();
            read_response(&mut from, &mut Vec::new(), &mut |piece: &[u8]| {
                body.extend_from_slice(piece);
                Ok(())
            })?;
            bodies.push(String::from_utf8_lossy(&body).into_owned());
        }
        Ok(bodies)
    }

    #[test]
    fn responses_are_read_to_their_end_and_no_further() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n";
        let all = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntext{chunked}4\r\ntext\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n\
             {chunked}0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(vec!["text", "text0123456789", "", ""], read(&all).expect("all are whole"));
    }

    #[test]
    fn what_is_no_whole_response_is_told() {
        for (response, says) in [
            ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "no success: \"HTTP/1.1 500 Oh"),
            ("HTTP/1.1 200 OK\r\n\r\n", "no length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nte", "closes 2 bytes before the end"),
            ("HTTP/1.1 200 OK\r\n", "a head without an end"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "no size of a chunk"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "a chunk without an end"),
            ("SSH-2.0\r\n\r\n", "SSH-2.0"),
        ] {
            let error = read(response).expect_err(response).to_string();
            assert!(error.contains(says), "{response:?}: {error}");
        }
    }
}
