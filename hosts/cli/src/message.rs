//! What stands behind an export's bytes: a message of a known type, or nothing but bytes.

use polyhost::{Error, ErrorKind, Module, json};
use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::input::Content;

/// One side of an export.
pub(crate) enum Side {
    /// Raw bytes.
    Raw,
    /// A message.
    Message(MessageDescriptor),
    /// A message whose type the module names but does not describe.
    Unknown(Error),
}

/// The message types of a module, read once.
pub(crate) struct Messages(Result<DescriptorPool, Error>);

impl Messages {
    pub(crate) fn of(module: &dyn Module) -> Self {
        Messages(json::pool(module))
    }

    /// The side of an export with this message type.
    pub(crate) fn side(&self, type_name: Option<&str>) -> Side {
        let Some(name) = type_name else { return Side::Raw };
        let unknown = |why: String| Side::Unknown(Error::new(ErrorKind::Unsupported, why));
        match &self.0 {
            Ok(pool) => match pool.get_message_by_name(name) {
                Some(message) => Side::Message(message),
                None => unknown(format!("the module's descriptors lack the message {name}")),
            },
            Err(error) => unknown(error.to_string()),
        }
    }

    /// All of them, where the module describes any.
    pub(crate) fn pool(&self) -> Option<&DescriptorPool> {
        self.0.as_ref().ok()
    }
}

impl Side {
    /// The bytes of a request.
    pub(crate) fn encode(self, content: Content) -> Result<Vec<u8>, Error> {
        let text = match (content, &self) {
            (Content::Bytes(bytes), _) | (Content::Plain(bytes), Side::Raw) => return Ok(bytes),
            (Content::Nothing, _) => return Ok(Vec::new()),
            (Content::Plain(text), _) => text,
        };
        let message = self.message("give the request's protobuf bytes with --binary or --hex")?;
        if text.is_empty() {
            // What a closed stdin looks like.
            let what = "the input is empty and so no JSON; leave --input out for an empty message";
            return Err(Error::new(ErrorKind::Decode, what));
        }
        let text = std::str::from_utf8(&text).map_err(|error| {
            let what = format!("the input is no JSON: {error}; use --binary for a message's protobuf bytes");
            Error::new(ErrorKind::Decode, what)
        })?;
        json::encode(&message, text)
    }

    /// The message, or why there is none and what to do instead.
    pub(crate) fn message(self, instead: &str) -> Result<MessageDescriptor, Error> {
        match self {
            Side::Message(message) => Ok(message),
            Side::Raw => Err(Error::new(ErrorKind::Unsupported, format!("raw bytes have no JSON; {instead}"))),
            Side::Unknown(error) => {
                Err(Error::new(ErrorKind::Unsupported, format!("{}; {instead}", error.message())).caused_by(error))
            }
        }
    }
}
