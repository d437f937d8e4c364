//! How a reply is shown.

use clap::ValueEnum;
use polyhost::{Error, ErrorKind, json};
use prost_reflect::{DynamicMessage, MessageDescriptor};

use crate::failure::Failure;
use crate::message::Side;
use crate::screen;

/// What to write to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The message as proto3 JSON: indented on a terminal, else on one line.
    Json,
    /// The bytes as they are, also to a terminal.
    Binary,
    /// The bytes in hex, on one line.
    Hex,
    /// The message in protobuf's text format; raw bytes as UTF-8.
    Text,
}

/// How a reply of one export will be written to stdout. Decided before the call, which may do something that counts.
pub(crate) enum Reply {
    Binary,
    Hex,
    /// Raw bytes where a person reads.
    Terminal,
    /// Raw bytes as UTF-8.
    RawText,
    Text(MessageDescriptor),
    Json(MessageDescriptor),
}

impl Reply {
    /// What a format means for a side; without one it is JSON for a message and the bytes themselves for raw bytes.
    pub(crate) fn new(format: Option<Format>, side: Side) -> Result<Self, Error> {
        Ok(match (format, side) {
            (Some(Format::Binary), _) => Reply::Binary,
            (Some(Format::Hex), _) => Reply::Hex,
            (None, Side::Raw) if screen::stdout_is_terminal() => Reply::Terminal,
            (None, Side::Raw) => Reply::Binary,
            (Some(Format::Text), Side::Raw) => Reply::RawText,
            (Some(Format::Text), side) => Reply::Text(side.message("show the reply with --output hex")?),
            (Some(Format::Json), Side::Raw) => {
                let what = "the export returns raw bytes, which have no JSON; leave --output out, or give hex or text";
                return Err(Error::new(ErrorKind::Unsupported, what));
            }
            (Some(Format::Json) | None, side) => Reply::Json(side.message("show the reply with --output hex")?),
        })
    }

    /// Writes a reply.
    pub(crate) fn write(&self, reply: &[u8]) -> Result<(), Failure> {
        let line = match self {
            Reply::Binary => return screen::write(reply),
            Reply::Hex => hex(reply),
            Reply::Terminal => for_terminal(reply)?.to_owned(),
            Reply::RawText => String::from_utf8_lossy(reply).into_owned(),
            Reply::Text(message) => format!("{:#}", decode(message, reply)?),
            Reply::Json(message) if screen::stdout_is_terminal() => json::decode_pretty(message, reply)?,
            Reply::Json(message) => json::decode(message, reply)?,
        };
        let newline = if line.ends_with('\n') || line.is_empty() { "" } else { "\n" };
        screen::write(format!("{line}{newline}").as_bytes())
    }
}

fn decode(message: &MessageDescriptor, reply: &[u8]) -> Result<DynamicMessage, Error> {
    DynamicMessage::decode(message.clone(), reply).map_err(|error| {
        let what = format!("the reply is not a {}: {error}", message.full_name());
        Error::new(ErrorKind::Decode, what).caused_by(error)
    })
}

/// Bytes that a terminal would take for commands are refused, as curl does.
fn for_terminal(reply: &[u8]) -> Result<&str, Failure> {
    let harmless = |text: &&str| !text.contains(screen::is_command);
    std::str::from_utf8(reply).ok().filter(harmless).ok_or_else(|| {
        let message = format!(
            "the reply is {} bytes of binary data, which would upset the terminal; \
             redirect it, or give --output hex, text or binary",
            reply.len()
        );
        Failure::Failed(Error::new(ErrorKind::Unsupported, message))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
