//! The bytes of a request: from the command line, a file or stdin; as JSON, hex or as they are.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use polyhost::{Error, ErrorKind};

use crate::failure::Failure;

/// Where the input comes from and what it is.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// The request: JSON, or the bytes themselves for an export that takes raw bytes.
    ///
    /// `@FILE` reads a file and `-` reads stdin. Without any input the request is an empty message, or no bytes.
    #[arg(long, short, value_name = "JSON|@FILE|-", allow_hyphen_values = true, help_heading = "Input")]
    input: Option<OsString>,
    /// Reads the request from a file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "input", help_heading = "Input")]
    input_file: Option<PathBuf>,
    /// The input is the message's protobuf bytes and not JSON.
    #[arg(long, conflicts_with = "hex", help_heading = "Input")]
    binary: bool,
    /// The input is the message's protobuf bytes in hex; spaces and newlines don't count.
    #[arg(long, help_heading = "Input")]
    hex: bool,
    /// The most bytes of the input, and of the reply: a number, or one with K, M or G behind it.
    ///
    /// The reply of an --async call is limited to 64M, whatever this says.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size, help_heading = "Input")]
    pub(crate) limit: usize,
}

/// What was read.
#[derive(Clone)]
pub(crate) enum Content {
    /// The bytes to call with.
    Bytes(Vec<u8>),
    /// What stands for a message in JSON, or for itself where an export takes raw bytes.
    Plain(Vec<u8>),
    /// There was none.
    Nothing,
}

impl Input {
    /// Reads the input. Done before anything is loaded: a file that is not there should cost no start of a runtime.
    pub(crate) fn read(&self) -> Result<Content, Failure> {
        let (from, bytes) = match (&self.input, &self.input_file) {
            (None, None) => return Ok(Content::Nothing),
            (None, Some(path)) => self.read_file(path)?,
            (Some(text), _) if text == "-" => self.read_all("stdin", io::stdin().lock())?,
            (Some(text), _) => match text.as_bytes().strip_prefix(b"@") {
                Some(path) => self.read_file(Path::new(&OsString::from_vec(path.to_vec())))?,
                None => self.read_all("--input", text.as_bytes())?,
            },
        };
        if self.hex {
            let bytes = from_hex(&bytes).map_err(|what| decode_error(format!("{from} is not hex: {what}")))?;
            return Ok(Content::Bytes(bytes));
        }
        Ok(if self.binary { Content::Bytes(bytes) } else { Content::Plain(bytes) })
    }

    fn read_file(&self, path: &Path) -> Result<(String, Vec<u8>), Failure> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| Failure::io(format_args!("can't read {name}"), error))?;
        self.read_all(&name, file)
    }

    /// Stops at the limit: what never ends, such as /dev/zero, is a mistake.
    fn read_all(&self, name: &str, from: impl Read) -> Result<(String, Vec<u8>), Failure> {
        let mut bytes = Vec::new();
        let read = from.take((self.limit as u64).saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| Failure::io(format_args!("can't read {name}"), error))?;
        if bytes.len() > self.limit {
            let message = format!("{name} has more than {} bytes; raise --limit to take it", self.limit);
            return Err(Failure::Failed(Error::new(ErrorKind::Exhausted, message)));
        }
        Ok((name.to_owned(), bytes))
    }
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    let digit = |(at, byte): (usize, &u8)| match char::from(*byte).to_digit(16) {
        Some(digit) => Ok(digit as u8),
        None => Err(format!("`{}` at byte {} is no hex digit", byte.escape_ascii(), at + 1)),
    };
    let digits: Vec<u8> =
        text.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace()).map(digit).collect::<Result<_, _>>()?;
    if digits.len() % 2 == 1 {
        return Err(format!("{} digits make no whole bytes", digits.len()));
    }
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn decode_error(message: String) -> Failure {
    Failure::Failed(Error::new(ErrorKind::Decode, message))
}

/// Bytes, as `100`, `64K`, `64M` or `1G`.
fn size(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (text, 0),
    };
    let number: usize =
        digits.parse().map_err(|_| "write a number of bytes, such as 100, 64K, 64M or 1G".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is more than this machine can address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_with_spaces_and_both_cases() {
        assert_eq!(Ok(vec![0x0a, 0xff, 0x00]), from_hex(b" 0a fF\n00 "));
        assert_eq!(Ok(vec![]), from_hex(b" "));
        assert_eq!(Err("3 digits make no whole bytes".to_owned()), from_hex(b"0a f"));
        assert_eq!(Err("`g` at byte 2 is no hex digit".to_owned()), from_hex(b"0g"));
        assert_eq!(Err("`\\xff` at byte 1 is no hex digit".to_owned()), from_hex(b"\xff0"));
    }

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(Ok(100), size("100"));
        assert_eq!(Ok(64 << 20), size("64M"));
        for text in ["", "M", "1.5M", "-1", "64MB", "1k", "99999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
