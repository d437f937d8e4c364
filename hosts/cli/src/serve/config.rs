//! `polyhost.toml`: what `polyhost serve` may be told besides its command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyhost::{Error, ErrorKind};
use serde::Deserialize;

use super::access::AccessLog;

/// The file that is read where none is named.
pub(crate) const NAME: &str = "polyhost.toml";

/// The whole file. Every key is optional, and one that is not known is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) app: App,
    pub(crate) server: Server,
    pub(crate) limits: LimitsConfig,
    pub(crate) dispatch: Dispatch,
    pub(crate) log: Log,
    pub(crate) admin: Admin,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct App {
    /// The assembly or folder, relative to the file.
    pub(crate) path: Option<PathBuf>,
    pub(crate) args: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    #[serde(with = "humantime_option")]
    pub(crate) start_timeout: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    pub(crate) listen: Vec<String>,
    pub(crate) threads: Option<usize>,
    #[serde(with = "humantime_option")]
    pub(crate) grace: Option<Duration>,
    pub(crate) max_connections: Option<usize>,
    /// Paths that are asked for before the server listens.
    pub(crate) warm_up: Vec<String>,
}

/// Kestrel's limits by their names; they go before what the application has set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    pub(crate) max_request_line_size: Option<usize>,
    pub(crate) max_request_headers_total_size: Option<usize>,
    pub(crate) max_request_header_count: Option<usize>,
    pub(crate) max_request_body_size: Option<u64>,
    pub(crate) max_request_buffer_size: Option<usize>,
    pub(crate) max_response_buffer_size: Option<usize>,
    #[serde(with = "humantime_option")]
    pub(crate) keep_alive_timeout: Option<Duration>,
    #[serde(with = "humantime_option")]
    pub(crate) request_headers_timeout: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dispatch {
    pub(crate) inline: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) access: Option<AccessLog>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    pub(crate) listen: Option<String>,
    /// Requests that hold an I/O thread longer are told of.
    #[serde(with = "humantime_option")]
    pub(crate) slow_inline: Option<Duration>,
    /// So are those without a response after this long elsewhere.
    #[serde(with = "humantime_option")]
    pub(crate) slow_request: Option<Duration>,
}

impl Config {
    /// Reads the file that is named, or the one of the usual name in this folder, if there is one.
    ///
    /// # Errors
    /// Where it can't be read or understood; line and column are in the message.
    pub(crate) fn read(named: Option<&Path>) -> Result<Config, Error> {
        let path = named.unwrap_or(Path::new(NAME));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(Config::default()),
            Err(e) => return Err(Error::new(ErrorKind::Config, format!("{}: {e}", path.display())).caused_by(e)),
        };
        let mut config: Config = toml::from_str(&text).map_err(|e| {
            Error::new(ErrorKind::Config, format!("{}{}: {}", path.display(), place(&text, &e), e.message()))
        })?;
        if let Some(app) = &mut config.app.path {
            *app = path.parent().unwrap_or(Path::new("")).join(&*app);
        }
        Ok(config)
    }
}

/// Where a mistake is, as `:line:column`.
fn place(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map_or_else(String::new, |before| {
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!(":{}:{column}", before.matches('\n').count() + 1)
    })
}

impl LimitsConfig {
    /// Puts what is set here in the place of the application's.
    pub(crate) fn apply(&self, limits: &mut polyhost::http::limits::Limits) {
        fn set<T: Clone>(to: &mut T, from: &Option<T>) {
            if let Some(value) = from {
                *to = value.clone();
            }
        }
        set(&mut limits.max_request_line_size, &self.max_request_line_size);
        set(&mut limits.max_request_headers_total_size, &self.max_request_headers_total_size);
        set(&mut limits.max_request_header_count, &self.max_request_header_count);
        set(&mut limits.max_request_buffer_size, &self.max_request_buffer_size);
        set(&mut limits.max_response_buffer_size, &self.max_response_buffer_size);
        set(&mut limits.keep_alive_timeout, &self.keep_alive_timeout);
        set(&mut limits.request_headers_timeout, &self.request_headers_timeout);
        if let Some(size) = self.max_request_body_size {
            limits.max_request_body_size = Some(size);
        }
    }
}

/// Durations as people write them: `30s`, `1m 30s`.
mod humantime_option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, de};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text)
            .map(Some)
            .map_err(|e| de::Error::custom(format!("{e}; write 30s, 1m or 250ms")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn reads_every_table() {
        let config = parse(
            "[app]\nargs = [\"--x\"]\nenvironment = { A = \"1\" }\nstart_timeout = \"5s\"\n[server]\nlisten = \
             [\"127.0.0.1:8080\"]\ngrace = \"2s\"\n[limits]\nkeep_alive_timeout = \"1m\"\n[log]\naccess = \"json\"\n[admin]\nlisten = \"127.0.0.1:9090\"\nslow_request = \"3s\"\n",
        );
        let config = config.expect("it is good");
        assert_eq!(Some(Duration::from_secs(60)), config.limits.keep_alive_timeout);
        assert_eq!(Some(Duration::from_secs(2)), config.server.grace);
        assert_eq!(Some(AccessLog::Json), config.log.access);
        assert_eq!(Some(Duration::from_secs(3)), config.admin.slow_request);
    }

    #[test]
    fn names_the_key_that_is_not_known() {
        let error = parse("[server]\nlisten = []\nlsten = []\n").expect_err("a typing error");
        assert!(error.contains("line 3") && error.contains("lsten") && error.contains("listen"), "{error}");
    }

    #[test]
    fn names_the_time_that_is_none() {
        let error = parse("[server]\ngrace = \"soon\"\n").expect_err("no time");
        assert!(error.contains("line 2") && error.contains("write 30s"), "{error}");
    }
}
