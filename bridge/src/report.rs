//! Errors as bytes: how an [`Error`] crosses from one runtime into another.

use std::error::Error as StdError;

use crate::error::{Code, Error, ErrorKind, Frame, GuestError};
use polyhost_proto::polyhost::v1 as proto;
use prost::Message;

/// Causes beyond this many are cut off: a report is read by people, and prost decodes 100 levels.
const MAX_CHAIN: usize = 32;

impl Error {
    /// The error with everything it knows, as a serialized `polyhost.v1.Error`.
    pub fn to_report(&self) -> Vec<u8> {
        to_proto(self, MAX_CHAIN).encode_to_vec()
    }

    /// The error that [`Error::to_report`] wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] where `report` is no `polyhost.v1.Error`.
    pub fn from_report(report: &[u8]) -> Result<Error, Error> {
        let message = proto::Error::decode(report)
            .map_err(|e| Error::new(ErrorKind::Decode, "an error report is no polyhost.v1.Error").caused_by(e))?;
        Ok(from_proto(message))
    }
}

fn to_proto(error: &Error, depth: usize) -> proto::Error {
    let source = StdError::source(error).filter(|_| depth > 0);
    proto::Error {
        kind: kind_to_proto(error.kind()) as i32,
        message: error.message().to_owned(),
        operation: error.operation_name().unwrap_or_default().to_owned(),
        context: error
            .context()
            .map(|(key, value)| proto::error::Fact { key: key.to_owned(), value: value.to_owned() })
            .collect(),
        guest: error.guest().map(|guest| guest_to_proto(guest, MAX_CHAIN)),
        source: source.map(|source| Box::new(source_to_proto(source, depth - 1))),
    }
}

fn source_to_proto(source: &(dyn StdError + 'static), depth: usize) -> proto::Error {
    if let Some(ours) = source.downcast_ref::<Error>() {
        return to_proto(ours, depth);
    }
    // A foreign error has text only; what led to it may be one of ours again.
    let next = source.source().filter(|_| depth > 0);
    proto::Error {
        kind: proto::error::Kind::Internal as i32,
        message: source.to_string(),
        source: next.map(|next| Box::new(source_to_proto(next, depth - 1))),
        ..proto::Error::default()
    }
}

fn from_proto(message: proto::Error) -> Error {
    let kind = kind_from_proto(message.kind());
    let mut error = Error::new(kind, message.message);
    if let Some(guest) = message.guest {
        error = error.with_guest(guest_from_proto(guest));
    }
    if !message.operation.is_empty() {
        error = error.operation(message.operation);
    }
    for fact in message.context {
        error = error.with(fact.key, fact.value);
    }
    match message.source {
        Some(source) => error.caused_by(from_proto(*source)),
        None => error,
    }
}

fn guest_to_proto(guest: &GuestError, depth: usize) -> proto::GuestError {
    proto::GuestError {
        type_name: guest.type_name.clone(),
        message: guest.message.clone(),
        frames: guest
            .frames
            .iter()
            .map(|frame| proto::Frame {
                function: frame.function.clone(),
                file: frame.file.clone(),
                line: frame.line,
                text: frame.text.clone(),
            })
            .collect(),
        cause: match &guest.cause {
            Some(cause) if depth > 0 => Some(Box::new(guest_to_proto(cause, depth - 1))),
            _ => None,
        },
        status: guest.status.map_or(0, Code::number),
    }
}

fn guest_from_proto(guest: proto::GuestError) -> GuestError {
    GuestError {
        type_name: guest.type_name,
        message: guest.message,
        frames: guest
            .frames
            .into_iter()
            .map(|frame| Frame { function: frame.function, file: frame.file, line: frame.line, text: frame.text })
            .collect(),
        cause: guest.cause.map(|cause| Box::new(guest_from_proto(*cause))),
        status: Code::from_number(guest.status),
    }
}

fn kind_to_proto(kind: ErrorKind) -> proto::error::Kind {
    match kind {
        ErrorKind::Config => proto::error::Kind::Config,
        ErrorKind::Load => proto::error::Kind::Load,
        ErrorKind::NotFound => proto::error::Kind::NotFound,
        ErrorKind::Decode => proto::error::Kind::Decode,
        ErrorKind::Encode => proto::error::Kind::Encode,
        ErrorKind::Guest => proto::error::Kind::Guest,
        ErrorKind::Service => proto::error::Kind::Service,
        ErrorKind::Cancelled => proto::error::Kind::Cancelled,
        ErrorKind::DeadlineExceeded => proto::error::Kind::DeadlineExceeded,
        ErrorKind::Exhausted => proto::error::Kind::Exhausted,
        ErrorKind::Unsupported => proto::error::Kind::Unsupported,
        ErrorKind::Closed => proto::error::Kind::Closed,
        ErrorKind::Internal => proto::error::Kind::Internal,
    }
}

fn kind_from_proto(kind: proto::error::Kind) -> ErrorKind {
    match kind {
        proto::error::Kind::Config => ErrorKind::Config,
        proto::error::Kind::Load => ErrorKind::Load,
        proto::error::Kind::NotFound => ErrorKind::NotFound,
        proto::error::Kind::Decode => ErrorKind::Decode,
        proto::error::Kind::Encode => ErrorKind::Encode,
        proto::error::Kind::Guest => ErrorKind::Guest,
        proto::error::Kind::Service => ErrorKind::Service,
        proto::error::Kind::Cancelled => ErrorKind::Cancelled,
        proto::error::Kind::DeadlineExceeded => ErrorKind::DeadlineExceeded,
        proto::error::Kind::Exhausted => ErrorKind::Exhausted,
        proto::error::Kind::Unsupported => ErrorKind::Unsupported,
        proto::error::Kind::Closed => ErrorKind::Closed,
        proto::error::Kind::Internal | proto::error::Kind::Unspecified => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_survives_the_crossing() {
        let mut guest = GuestError::new("E", "outer");
        guest.frames.push(Frame::new("f", "a.lua", 7));
        guest.cause = Some(Box::new(GuestError::new("C", "inner")));
        let error = Error::from_guest(guest)
            .operation("call x")
            .with("module", "m")
            .caused_by(Error::status(Code::Aborted, "deepest").caused_by(std::io::Error::other("disk")));
        let back = Error::from_report(&error.to_report()).expect("its own report decodes");
        assert_eq!(format!("{error:?}").replace("caused by: disk", ""), {
            format!("{back:?}").replace("caused by: disk [internal, INTERNAL]", "")
        });
        assert_eq!(error.guest(), back.guest());
    }

    #[test]
    fn what_led_to_a_foreign_error_survives_too() {
        #[derive(Debug)]
        struct Foreign(Error);
        impl std::fmt::Display for Foreign {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("foreign")
            }
        }
        impl StdError for Foreign {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let foreign = Foreign(Error::from_guest(GuestError::new("ValueError", "bad")));
        let back = Error::from_report(&Error::new(ErrorKind::Service, "failed").caused_by(foreign).to_report());
        let last = back.expect("its own report decodes");
        let guest = last.chain().last().and_then(Error::guest).expect("is at the end of the chain");
        assert_eq!("ValueError", guest.type_name);
    }

    #[test]
    fn a_very_long_chain_is_cut_and_still_decodes() {
        let mut error = Error::new(ErrorKind::Internal, "last");
        for i in 0..500 {
            error = Error::new(ErrorKind::Service, i.to_string()).caused_by(error);
        }
        let back = Error::from_report(&error.to_report()).expect("decodes");
        assert_eq!(MAX_CHAIN + 1, back.chain().count());
    }

    #[test]
    fn garbage_is_a_decode_error() {
        assert_eq!(ErrorKind::Decode, Error::from_report(&[0xff, 0xff]).expect_err("garbage").kind());
    }
}
