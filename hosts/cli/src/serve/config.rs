//! `polyhost.toml`: what `polyhost serve` may be told besides its command line.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyhost::http::Address;
use polyhost::http::limits::{DataRate, Limits};
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
    pub(crate) listen: Vec<AddressText>,
    pub(crate) threads: Option<NonZeroUsize>,
    #[serde(with = "humantime_option")]
    pub(crate) grace: Option<Duration>,
    pub(crate) max_connections: Option<NonZeroUsize>,
    /// Paths that are asked for before the server listens.
    pub(crate) warm_up: Vec<RequestPath>,
}

/// Kestrel's limits by their names; they go before what the application has set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    pub(crate) max_request_line_size: Option<NonZeroUsize>,
    pub(crate) max_request_headers_total_size: Option<NonZeroUsize>,
    pub(crate) max_request_header_count: Option<NonZeroUsize>,
    pub(crate) max_request_body_size: Option<u64>,
    pub(crate) max_request_buffer_size: Option<NonZeroUsize>,
    pub(crate) max_response_buffer_size: Option<usize>,
    #[serde(with = "positive")]
    pub(crate) keep_alive_timeout: Option<Duration>,
    #[serde(with = "positive")]
    pub(crate) request_headers_timeout: Option<Duration>,
    pub(crate) min_request_body_data_rate: Option<Rate>,
    pub(crate) min_response_data_rate: Option<Rate>,
}

/// How slowly bytes may flow.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { bytes_per_second = 240, grace_period = \"5s\" }")]
pub(crate) struct Rate {
    /// 0: as slowly as they like.
    bytes_per_second: u32,
    #[serde(with = "grace_period", default = "grace_period::default")]
    grace_period: Duration,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dispatch {
    pub(crate) inline: Vec<RequestPath>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) access: Option<AccessLog>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    pub(crate) listen: Option<AddressText>,
    /// Requests that hold an I/O thread longer are told of.
    #[serde(with = "humantime_option")]
    pub(crate) slow_inline: Option<Duration>,
    /// So are those without a response after this long elsewhere.
    #[serde(with = "humantime_option")]
    pub(crate) slow_request: Option<Duration>,
}

/// Where to listen, as it was written; it is an address.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AddressText(pub(crate) String);

impl TryFrom<String> for AddressText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse::<Address>().map_err(|e| e.to_string())?;
        Ok(AddressText(text))
    }
}

/// The path of a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct RequestPath(pub(crate) String);

impl TryFrom<String> for RequestPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with('/') {
            Ok(RequestPath(text))
        } else {
            Err(format!("{text:?} is no path; it begins with a slash"))
        }
    }
}

/// A time as people write it: `30s`, `1m 30s`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write 30s, 1m or 250ms"))
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
    pub(crate) fn apply(&self, limits: &mut Limits) {
        fn set<T>(to: &mut T, from: Option<impl Into<T>>) {
            if let Some(value) = from {
                *to = value.into();
            }
        }
        set(&mut limits.max_request_line_size, self.max_request_line_size);
        set(&mut limits.max_request_headers_total_size, self.max_request_headers_total_size);
        set(&mut limits.max_request_header_count, self.max_request_header_count);
        set(&mut limits.max_request_body_size, self.max_request_body_size);
        set(&mut limits.max_request_buffer_size, self.max_request_buffer_size);
        set(&mut limits.max_response_buffer_size, self.max_response_buffer_size);
        set(&mut limits.keep_alive_timeout, self.keep_alive_timeout);
        set(&mut limits.request_headers_timeout, self.request_headers_timeout);
        set(&mut limits.min_request_body_data_rate, self.min_request_body_data_rate.map(Rate::of));
        set(&mut limits.min_response_data_rate, self.min_response_data_rate.map(Rate::of));
    }
}

impl Rate {
    fn of(self) -> Option<DataRate> {
        let Rate { bytes_per_second, grace_period } = self;
        (bytes_per_second > 0).then(|| DataRate { bytes_per_second: bytes_per_second.into(), grace_period })
    }
}

/// Durations as people write them: `30s`, `1m 30s`.
mod humantime_option {
    use std::fmt;
    use std::time::Duration;

    use serde::{Deserializer, de};

    struct Text;

    impl de::Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time such as \"30s\", \"1m\" or \"250ms\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            super::time(text).map_err(E::custom)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        from.deserialize_str(Text).map(Some)
    }
}

/// The same, above zero.
mod positive {
    use std::time::Duration;

    use serde::{Deserializer, de};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        match super::humantime_option::deserialize(from)? {
            Some(Duration::ZERO) => Err(de::Error::custom("a time above 0 is needed; write 30s, 1m or 250ms")),
            time => Ok(time),
        }
    }
}

/// The same, above the second after which the server looks again, as Kestrel asks.
mod grace_period {
    use std::time::Duration;

    use serde::{Deserializer, de};

    pub(super) fn default() -> Duration {
        Duration::from_secs(5)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        match super::humantime_option::deserialize(from)? {
            Some(time) if time > Duration::from_secs(1) => Ok(time),
            _ => Err(de::Error::custom("a time above 1s is needed; write 5s")),
        }
    }
}

#[cfg(test)]
mod tests {
    use polyhost_testkit::fuzz::edited;

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
    fn fuzz_files() {
        let seeds = [
            "[app]\npath = \"a/B.dll\"\nargs = [\"--x\"]\nenvironment = { A = \"1\" }\nstart_timeout = \"5s\"\n",
            "[server]\nlisten = [\"127.0.0.1:8080\", \"unix:/a\"]\nthreads = 2\ngrace = \"1m 30s\"\nwarm_up = [\"/\"]\n",
            "[limits]\nmax_request_body_size = 8\nkeep_alive_timeout = \"1m\"\nmin_response_data_rate = { \
             bytes_per_second = 0, grace_period = \"2s\" }\n",
            "[dispatch]\ninline = [\"/a/*\"]\n[log]\naccess = \"json\"\n[admin]\nlisten = \"[::1]:9090\"\n",
        ];
        edited(seeds, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            match toml::from_str::<Config>(text) {
                Ok(config) => config.limits.apply(&mut Limits::default()),
                Err(error) => assert!(place(text, &error).is_empty() || place(text, &error).starts_with(':')),
            }
        });
    }

    #[test]
    fn names_the_key_that_is_not_known() {
        let error = parse("[server]\nlisten = []\nlsten = []\n").expect_err("a typing error");
        assert!(error.contains("line 3") && error.contains("lsten") && error.contains("listen"), "{error}");
    }

    #[test]
    fn limits_go_before_those_of_the_application() {
        let config = parse(
            "[limits]\nmax_request_header_count = 7\nmax_request_body_size = 8\nmax_response_buffer_size = 0\n\
             min_request_body_data_rate = { bytes_per_second = 9, grace_period = \"2s\" }\n\
             min_response_data_rate = { bytes_per_second = 0 }\n",
        );
        let mut limits = Limits { max_request_line_size: 5, max_request_header_count: 6, ..Limits::default() };
        config.expect("it is good").limits.apply(&mut limits);
        let expected = Limits {
            max_request_line_size: 5,
            max_request_header_count: 7,
            max_request_body_size: Some(8),
            max_response_buffer_size: 0,
            min_request_body_data_rate: Some(DataRate { bytes_per_second: 9.0, grace_period: Duration::from_secs(2) }),
            min_response_data_rate: None,
            ..Limits::default()
        };
        assert_eq!(expected, limits);
    }

    #[test]
    fn refuses_limits_with_which_nothing_can_be_served() {
        for text in [
            "[server]\nthreads = 0",
            "[server]\nmax_connections = 0",
            "[limits]\nmax_request_line_size = 0",
            "[limits]\nmax_request_headers_total_size = 0",
            "[limits]\nmax_request_header_count = 0",
            "[limits]\nmax_request_buffer_size = 0",
            "[limits]\nmax_request_body_size = -1",
            "[limits]\nkeep_alive_timeout = \"0s\"",
            "[limits]\nrequest_headers_timeout = \"0s\"",
            "[limits]\nmin_response_data_rate = { bytes_per_second = 240, grace_period = \"1s\" }",
            "[limits]\nmin_response_data_rate = { grace_period = \"5s\" }",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("line 2"), "{text}: {error}");
        }
    }

    #[test]
    fn names_the_time_that_is_none() {
        let error = parse("[server]\ngrace = \"soon\"\n").expect_err("no time");
        assert!(error.contains("line 2") && error.contains("write 30s"), "{error}");
        let error = parse("[server]\ngrace = 30\n").expect_err("no unit");
        assert!(error.contains("line 2") && error.contains("such as \"30s\""), "{error}");
    }

    #[test]
    fn names_the_line_of_what_is_no_address_or_path() {
        for (text, parts) in [
            ("[server]\nlisten = [\"[::1]:80\", \"8080\"]", ["line 2", "\"8080\" is no address"]),
            ("[admin]\nlisten = \"9090\"", ["line 2", "\"9090\" is no address"]),
            ("[server]\nwarm_up = [\"health\"]", ["line 2", "\"health\" is no path; it begins with a slash"]),
            ("[dispatch]\ninline = [\"health\"]", ["line 2", "\"health\" is no path; it begins with a slash"]),
            ("[limits]\nmin_response_data_rate = 0", ["line 2", "{ bytes_per_second = 240"]),
        ] {
            let error = parse(text).expect_err(text);
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
    }
}
