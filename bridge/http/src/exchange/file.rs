//! Ranges of files, as parts of a response.

use std::fs::File;
use std::sync::Arc;
use std::{fmt, io};

/// A range of an open file.
#[derive(Debug, Clone)]
pub struct FileRange {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// Why a range of a file cannot be sent.
#[derive(Debug)]
pub enum FileError {
    /// The file cannot be opened, or is none.
    NotFound(io::Error),
    /// The file ends before the range does.
    OutOfRange,
}

impl FileRange {
    /// The `count` bytes from `offset` on, or all of them.
    ///
    /// # Errors
    /// [`FileError::OutOfRange`] when the file is shorter, [`FileError::NotFound`] when it is no regular file.
    pub fn new(file: Arc<File>, offset: u64, count: Option<u64>) -> Result<Self, FileError> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(FileError::NotFound(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let rest = metadata.len().checked_sub(offset).ok_or(FileError::OutOfRange)?;
        let len = count.unwrap_or(rest);
        if len > rest {
            return Err(FileError::OutOfRange);
        }
        Ok(FileRange { file, offset, len })
    }

    /// How many bytes are to be sent.
    #[expect(clippy::len_without_is_empty, reason = "an empty range is nothing special")]
    pub fn len(&self) -> u64 {
        self.len
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        FileError::NotFound(error)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::NotFound(error) => write!(f, "the file cannot be sent: {error}"),
            FileError::OutOfRange => f.write_str("the file is shorter than the range to send"),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FileError::NotFound(error) => Some(error),
            FileError::OutOfRange => None,
        }
    }
}
