//! A strict reader of responses: what RFC 9112 does not allow a server to send is an error here.

/// How a response is framed, as its request decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// The answer to a HEAD request has no body.
    Head,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub version: String,
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub framing: Framing,
    pub body: Vec<u8>,
    /// The sizes of the chunks, in order.
    pub chunks: Vec<usize>,
    pub trailers: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There can be no body, whatever the header says.
    #[default]
    None,
    Length(usize),
    Chunked,
    /// The body ends with the connection.
    Close,
    /// 101: what follows is no HTTP.
    Upgraded,
}

/// How far a response is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It takes so many bytes.
    Complete(usize),
    /// More is to come; nothing of the body yet where the head is not complete.
    Partial,
    Malformed(String),
}

type Result<T> = std::result::Result<T, Progress>;

impl Response {
    /// Reads the response that `bytes` begin with. `is_over` says that no more will come.
    pub(crate) fn read(bytes: &[u8], kind: Kind, is_over: bool) -> (Response, Progress) {
        let mut response = Response::default();
        let progress = match response.fill(bytes, kind, is_over) {
            Ok(length) => Progress::Complete(length),
            Err(progress) => progress,
        };
        (response, progress)
    }

    pub(crate) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    pub(crate) fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self.headers.iter().filter(move |(it, _)| it.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice())
    }

    /// Whether the server says that it closes the connection.
    pub(crate) fn says_close(&self) -> bool {
        self.header("Connection").any(|value| {
            value.split(|&byte| byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
        })
    }

    fn fill(&mut self, bytes: &[u8], kind: Kind, is_over: bool) -> Result<usize> {
        let mut input = Input { bytes, at: 0 };
        self.status_line(input.line()?)?;
        self.headers = fields(&mut input)?;
        self.framing = self.find_framing(kind)?;
        match self.framing {
            Framing::None | Framing::Upgraded => {}
            Framing::Length(length) => {
                let there = length.min(input.rest().len());
                self.body.extend_from_slice(&input.rest()[..there]);
                input.take(length)?;
            }
            Framing::Chunked => self.read_chunks(&mut input)?,
            Framing::Close => {
                self.body.extend_from_slice(input.rest());
                if !is_over {
                    return Err(Progress::Partial);
                }
                input.at = bytes.len();
            }
        }
        Ok(input.at)
    }

    fn status_line(&mut self, line: &[u8]) -> Result<()> {
        let text = std::str::from_utf8(line).ok().filter(|text| text.is_ascii());
        let text = text.ok_or_else(|| malformed("a status line beyond ASCII", line))?;
        let mut parts = text.splitn(3, ' ');
        let (version, status, reason) = (parts.next(), parts.next(), parts.next());
        let (Some(version @ ("HTTP/1.1" | "HTTP/1.0")), Some(status), Some(reason)) = (version, status, reason) else {
            return Err(malformed("no status line", line));
        };
        if status.len() != 3 || !status.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed("a status that is not three digits", line));
        }
        if reason.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(malformed("a control character in the reason", line));
        }
        self.version = version.to_owned();
        self.status = status.parse().unwrap_or_default();
        self.reason = reason.to_owned();
        Ok(())
    }

    fn find_framing(&self, kind: Kind) -> Result<Framing> {
        let lengths: Vec<_> = self.header("Content-Length").collect();
        let codings: Vec<_> = self.header("Transfer-Encoding").collect();
        if lengths.len() > 1 {
            return Err(malformed("several Content-Length", &lengths.join(&b", "[..])));
        }
        if !lengths.is_empty() && !codings.is_empty() {
            return Err(malformed("Content-Length beside Transfer-Encoding", codings[0]));
        }
        let length = match lengths.first() {
            Some(text) => Some(number(text, 10).ok_or_else(|| malformed("a bad Content-Length", text))?),
            None => None,
        };
        let interim = (100..200).contains(&self.status);
        if (interim || self.status == 204) && (length.is_some() || !codings.is_empty()) {
            return Err(malformed("a body's header on a status without one", self.reason.as_bytes()));
        }
        Ok(match (length, codings.last()) {
            _ if self.status == 101 => Framing::Upgraded,
            _ if kind == Kind::Head || interim || matches!(self.status, 204 | 304) => Framing::None,
            (Some(length), _) => Framing::Length(length),
            (None, Some(codings)) if ends_in_chunked(codings) => Framing::Chunked,
            (None, _) => Framing::Close,
        })
    }

    fn read_chunks(&mut self, input: &mut Input) -> Result<()> {
        loop {
            let line = input.line()?;
            let size = number(line, 16).ok_or_else(|| malformed("a bad chunk size", line))?;
            if size == 0 {
                self.trailers = fields(input)?;
                return Ok(());
            }
            let there = size.min(input.rest().len());
            self.body.extend_from_slice(&input.rest()[..there]);
            self.chunks.push(size);
            input.take(size)?;
            if input.take(2)? != b"\r\n" {
                return Err(malformed("no line end after a chunk", &input.bytes[input.at - 2..input.at]));
            }
        }
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.rest().get(..count).ok_or(Progress::Partial)?;
        self.at += count;
        Ok(taken)
    }

    /// A line without its end, which is CR LF.
    fn line(&mut self) -> Result<&'a [u8]> {
        let rest = self.rest();
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or(Progress::Partial)?;
        let line = rest[..end].strip_suffix(b"\r").ok_or_else(|| malformed("a bare LF", &rest[..end]))?;
        if line.contains(&b'\r') {
            return Err(malformed("a bare CR", line));
        }
        self.at += end + 1;
        Ok(line)
    }
}

/// Header lines up to the empty line.
fn fields(input: &mut Input) -> Result<Vec<(String, Vec<u8>)>> {
    let mut fields = Vec::new();
    loop {
        let line = input.line()?;
        if line.is_empty() {
            return Ok(fields);
        }
        let colon = line.iter().position(|&byte| byte == b':').ok_or_else(|| malformed("no colon", line))?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(malformed("a bad header name", line));
        }
        let control = |&byte: &u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
        if value.iter().any(control) {
            return Err(malformed("a control character in a header", line));
        }
        fields.push((String::from_utf8_lossy(name).into_owned(), value.trim_ascii().to_vec()));
    }
}

fn ends_in_chunked(codings: &[u8]) -> bool {
    let last = codings.rsplit(|&byte| byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn number(text: &[u8], radix: u32) -> Option<usize> {
    let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    usize::from_str_radix(digits, radix).ok()
}

fn malformed(what: &str, bytes: &[u8]) -> Progress {
    Progress::Malformed(format!("{what}: {}", bytes.escape_ascii()))
}
