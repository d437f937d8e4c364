//! Protobuf messages as Lua tables, and back.
//!
//! [`schema`] takes from the descriptors what is needed, once per type;
//! [`decode`] reads the wire straight into tables and [`encode`] writes tables
//! straight to the wire, so that neither holds a second copy of a message.
//! [`wire`] is the format beneath.
//!
//! What a field is in Lua stands in the host's README. Everything here is safe
//! code; the values go through [`crate::ffi::Stack`].

mod decode;
mod encode;
mod schema;
mod wire;

use polyhost_bridge::{Error, ErrorKind};

use crate::ffi::{Failed, Interrupted, Raise};

pub(crate) use decode::push;
pub(crate) use encode::take;
pub(crate) use schema::Schema;

/// Messages may be nested this deep within the outermost, as prost reads them; a map's entry counts.
const MAX_DEPTH: usize = 100;

/// Why a message does not cross.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The bytes, or the table, are not the message.
    Wrong(Wrong),
    /// A limit of the host.
    Limit(Error),
    /// What is written is longer than `limit`: after so many bytes `more` were to follow.
    TooLong { limit: usize, written: usize, more: usize },
    /// The VM's own limit.
    Memory,
    /// The call was interrupted meanwhile.
    Interrupted,
}

/// What is wrong, and where in the message.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    /// Such as `r_message[3].f_int32`; empty for the message itself.
    path: String,
    what: String,
}

impl Wrong {
    #[expect(clippy::new_ret_no_self, reason = "it is made to be returned as an error")]
    fn new(what: impl Into<String>) -> Failure {
        Failure::Wrong(Wrong { path: String::new(), what: what.into() })
    }

    fn into_text(self) -> String {
        const SHOWN: usize = 80;
        let path: Vec<_> = self.path.chars().collect();
        match path.len() {
            0 => self.what,
            // A message that is too deep has a path of a hundred names.
            len if len > 3 * SHOWN => {
                let part = |chars: &[char]| chars.iter().collect::<String>();
                format!("{}…{}: {}", part(&path[..SHOWN]), part(&path[len - SHOWN..]), self.what)
            }
            _ => format!("{}: {}", self.path, self.what),
        }
    }
}

impl Failure {
    /// The same within a field, or an entry such as `[3]`.
    #[cold]
    fn within(self, segment: &str) -> Failure {
        let Failure::Wrong(Wrong { path, what }) = self else { return self };
        let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        Failure::Wrong(Wrong { path: format!("{segment}{dot}{path}"), what })
    }

    /// What the host's caller is told of bytes that are not the message.
    #[cold]
    pub(crate) fn decoding(self, message: &str) -> Failed {
        self.told(|what| Error::new(ErrorKind::Decode, format!("the input is not a {message}: {what}")))
    }

    /// What the host's caller is told of a handler's reply that is not the message.
    #[cold]
    pub(crate) fn replying(self, export: &str, message: &str) -> Failed {
        self.told(|what| {
            Error::new(ErrorKind::Encode, format!("the handler of {export} has to return a {message}: {what}"))
        })
    }

    fn told(self, wrong: impl FnOnce(String) -> Error) -> Failed {
        match self {
            Failure::Wrong(it) => Failed::Host(wrong(it.into_text())),
            Failure::Limit(error) => Failed::Host(error),
            Failure::TooLong { limit, written, more } => Failed::Host(too_long("the reply", limit, written, more)),
            Failure::Memory => Failed::Memory,
            Failure::Interrupted => Failed::Interrupted,
        }
    }

    /// What guest code is told, that passed or asked for the message.
    #[cold]
    pub(crate) fn raise(self, kind: ErrorKind, message: &str) -> Raise {
        match self {
            Failure::Wrong(it) => Raise::Failure(Error::new(kind, format!("no {message}: {}", it.into_text()))),
            Failure::Limit(error) => Raise::Failure(error),
            Failure::TooLong { limit, written, more } => Raise::Failure(too_long(message, limit, written, more)),
            Failure::Memory => Raise::Memory,
            Failure::Interrupted => Raise::Interrupt,
        }
    }
}

#[cold]
fn too_long(what: &str, limit: usize, written: usize, more: usize) -> Error {
    let message = format!(
        "{what} is over its limit of {limit} bytes ({written} written, {more} more asked for); raise the limit or send less"
    );
    Error::new(ErrorKind::Exhausted, message)
}

impl From<Interrupted> for Failure {
    #[cold]
    fn from(_: Interrupted) -> Self {
        Failure::Interrupted
    }
}

impl From<Error> for Failure {
    #[cold]
    fn from(error: Error) -> Self {
        Failure::Limit(error)
    }
}
