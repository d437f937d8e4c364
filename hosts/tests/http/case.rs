//! What a case is: bytes to send, what to wait for in between, and what is expected to come back at all.

use crate::response::Kind;
use crate::server::Profile;

/// Begins what every follow-up request is answered with.
pub(crate) const PROBE: &[u8] = b"GET /text HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n";

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub name: String,
    pub profile: Profile,
    pub script: Script,
    pub compares: Compares,
}

/// What of the outcome is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compares {
    /// Everything but where the body was cut into chunks.
    Content,
    /// The sizes of the chunks, too.
    Chunks,
    /// Whether the server ends the connection: what Kestrel says before that is chance.
    EndOnly,
}

/// What a client does on one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub steps: Vec<Step>,
    /// How the body of each response is framed; [`Kind::Plain`] for those that are not listed.
    pub kinds: Vec<Kind>,
    /// How many responses to wait for before the follow-up request.
    pub responses: usize,
    pub end: End,
    /// Reads nothing before the first step that waits.
    pub reads_late: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Each byte in a packet of its own.
    SendSlowly(Vec<u8>),
    /// Waits until these bytes have been received.
    Until(Vec<u8>),
    /// Waits until so many responses are complete.
    Responses(usize),
    HalfClose,
    /// Another connection, from its beginning to its end.
    Meanwhile(Script),
    /// A connection of its own once this one is over; only as the last steps.
    Afterwards(Script),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    /// Asks once more where the last response leaves the connection open, then reads until the server closes.
    #[default]
    Probe,
    /// Reads until the server closes.
    Read,
    /// The client closes.
    Close,
    /// The client resets the connection.
    Reset,
}

/// A case of one request, answered by one response.
pub(crate) fn case(name: impl Into<String>, request: impl Into<Vec<u8>>) -> Case {
    Case {
        name: name.into(),
        profile: Profile::Plain,
        script: Script::new().send(request).responses(1),
        compares: Compares::Content,
    }
}

/// A case of a script.
pub(crate) fn scripted(name: impl Into<String>, script: Script) -> Case {
    Case { name: name.into(), profile: Profile::Plain, script, compares: Compares::Content }
}

impl Case {
    pub(crate) fn tight(mut self) -> Self {
        self.profile = Profile::Tight;
        self
    }

    pub(crate) fn comparing_chunks(mut self) -> Self {
        self.compares = Compares::Chunks;
        self
    }

    pub(crate) fn comparing_the_end(mut self) -> Self {
        self.compares = Compares::EndOnly;
        self
    }

    /// The follow-up request goes in one piece with what is there, for requests that may leave the server waiting.
    pub(crate) fn probed_at_once(mut self) -> Self {
        if let Some(Step::Send(bytes)) = self.script.steps.last_mut() {
            bytes.extend_from_slice(PROBE);
        }
        self.script.responses += 1;
        self.script.end = End::Read;
        self
    }

    pub(crate) fn kinds(mut self, kinds: &[Kind]) -> Self {
        self.script.kinds = kinds.to_vec();
        self
    }

    pub(crate) fn head(self) -> Self {
        self.kinds(&[Kind::Head])
    }

    pub(crate) fn end(mut self, end: End) -> Self {
        self.script.end = end;
        self
    }

    /// So many responses are waited for.
    pub(crate) fn responses(mut self, count: usize) -> Self {
        self.script.responses = count;
        self
    }
}

impl Script {
    pub(crate) fn new() -> Self {
        Script::default()
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn send(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    pub(crate) fn until(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Until(bytes.into()))
    }

    pub(crate) fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    pub(crate) fn afterwards(self, script: Script) -> Self {
        self.step(Step::Afterwards(script))
    }

    pub(crate) fn meanwhile(self, script: Script) -> Self {
        self.step(Step::Meanwhile(script))
    }

    pub(crate) fn responses(mut self, count: usize) -> Self {
        self.responses = count;
        self
    }

    pub(crate) fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    pub(crate) fn reading_late(mut self) -> Self {
        self.reads_late = true;
        self
    }
}

/// A request without a body, with more header lines (each ended by CR LF).
pub(crate) fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

pub(crate) fn get(target: &str) -> String {
    request("GET", target, "")
}

/// A request with a Content-Length.
pub(crate) fn post(target: &str, body: &str) -> String {
    request("POST", target, &format!("Content-Length: {}\r\n", body.len())) + body
}

/// A request with a body that is chunked already.
pub(crate) fn post_chunked(target: &str, chunks: &str) -> String {
    request("POST", target, "Transfer-Encoding: chunked\r\n") + chunks
}

/// A connection that asks for the events of a key once `until` is among them.
pub(crate) fn events(key: &str, until: &str) -> Script {
    let target = format!("/events?key={key}&until={}", until.replace(' ', "%20"));
    Script::new().send(get(&target)).responses(1)
}

/// A connection that adds an event.
pub(crate) fn signal(key: &str, name: &str) -> Script {
    Script::new().send(get(&format!("/signal?key={key}&name={}", name.replace(' ', "%20")))).responses(1)
}
