//! The forms of the access log.

use clap::ValueEnum;
use polyhost::http::log::LogFormat;
use serde::Deserialize;

/// How a line of the access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccessLog {
    /// The Common Log Format.
    Common,
    /// The same with referrer and user agent.
    Combined,
    /// A JSON object a line, with the time in the stages.
    Json,
}

impl AccessLog {
    pub(crate) fn format(self) -> LogFormat {
        match self {
            AccessLog::Common => LogFormat::Common,
            AccessLog::Combined => LogFormat::Combined,
            AccessLog::Json => LogFormat::Json,
        }
    }
}
