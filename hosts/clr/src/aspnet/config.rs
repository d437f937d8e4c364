//! How an application starts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use polyhost_http::limits::{DataRate, Limits};
use serde_json::Value;

use super::app::AspNetApp;
use super::inline::{Inline, Route};
use crate::config::ClrConfig;

/// How an ASP.NET Core application starts.
#[derive(Clone)]
#[non_exhaustive]
pub struct AspNetConfig {
    /// The published assembly, such as `App.dll`, or the folder it was published to.
    pub path: PathBuf,
    /// What its `Main` gets, as after `dotnet App.dll`.
    pub arguments: Vec<String>,
    /// Variables that .NET code sees besides those of the process. The whole process's .NET sees them, not this
    /// application alone.
    pub environment: Vec<(String, String)>,
    /// How .NET starts, where this is what starts it. The application's own `runtimeconfig.json` says the rest.
    pub clr: ClrConfig,
    /// Whether what .NET code writes to the console goes to this process's own, as under `dotnet`; it goes to the log
    /// otherwise. Counts where this is what starts .NET. On by default.
    pub inherit_console: bool,
    /// Whether SIGINT, SIGQUIT and SIGTERM are the host's alone: as the server starts, before
    /// [`AspNetConfig::on_listen`]'s function is called, handlers that .NET's console or the application have installed
    /// for them are removed. That function is then the place to install the host's. Off by default.
    pub own_signals: bool,
    /// How long it may take from here to its server's start. Two minutes by default.
    pub start_timeout: Duration,
    /// Which requests run on the thread that reads the connection.
    pub inline: Inline,
    pub(crate) listen: Option<Listen>,
}

/// See [`AspNetConfig::on_listen`].
type Listen = Arc<dyn Fn(&AspNetApp, &ServerSettings) -> Result<Vec<String>, String> + Send + Sync>;

impl AspNetConfig {
    /// An application at `path`, with nothing else said.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        AspNetConfig {
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            clr: ClrConfig::default(),
            inherit_console: true,
            own_signals: false,
            start_timeout: Duration::from_secs(120),
            inline: Inline::default(),
            listen: None,
        }
    }

    /// Has `listen` called when the application's server starts, on the thread that starts it, before
    /// `ApplicationStarted`. It gets the application, which takes requests from then on, and what that has asked for. It
    /// returns the addresses it serves at, which is what the application then sees in `IServerAddressesFeature`; or a
    /// reason why there are none, with which the application fails to start.
    pub fn on_listen(
        mut self,
        listen: impl Fn(&AspNetApp, &ServerSettings) -> Result<Vec<String>, String> + Send + Sync + 'static,
    ) -> Self {
        self.listen = Some(Arc::new(listen));
        self
    }
}

impl fmt::Debug for AspNetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AspNetConfig")
            .field("path", &self.path)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

/// What an application says of its server: as it would to Kestrel.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServerSettings {
    /// Where it wants to be served, by `ASPNETCORE_URLS`, `--urls` or the like.
    pub urls: Vec<String>,
    /// Endpoints that it has set for Kestrel, in code or in its configuration. They go before [`ServerSettings::urls`].
    pub endpoints: Vec<String>,
    /// Its limits.
    pub limits: Limits,
    /// Whether responses name the server.
    pub add_server_header: bool,
    /// The most connections at a time.
    pub max_connections: Option<u64>,
    /// What it has set for Kestrel that failed, in its words: an endpoint whose certificate is not there, say.
    pub ignored: Vec<String>,
    /// Endpoints that it has marked to be run on the thread that reads the connection, which they are.
    pub inline: Vec<String>,
    /// Those that can't be told by a request's path, so that they are run on the pool, each with the reason.
    pub not_inline: Vec<String>,
    pub(crate) routes: Vec<Route>,
}

impl ServerSettings {
    /// Reads what Polyhost.AspNetCore says as the server starts; see its `Announcement`.
    pub(crate) fn parse(text: &str) -> Result<ServerSettings, String> {
        let said: Value = serde_json::from_str(text).map_err(|e| format!("the server's settings are no JSON: {e}"))?;
        let texts = |name: &str| {
            let list = said[name].as_array().into_iter().flatten();
            list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Ok(ServerSettings {
            urls: texts("addresses"),
            endpoints: if said["preferHostingUrls"] == true { Vec::new() } else { texts("endpoints") },
            limits: limits(&said["limits"]),
            add_server_header: said["addServerHeader"] != false,
            max_connections: said["limits"]["maxConcurrentConnections"].as_u64(),
            ignored: texts("ignored"),
            inline: texts("inline"),
            not_inline: texts("notInline"),
            routes: said["routes"].as_array().into_iter().flatten().map(route).collect::<Result<_, _>>()?,
        })
    }
}

fn route(said: &Value) -> Result<Route, String> {
    Route::parse(said).ok_or_else(|| format!("bridge bug: the server tells of a route {said}, please report"))
}

/// Limits by Kestrel's names; null is no limit.
fn limits(said: &Value) -> Limits {
    let mut limits = Limits::default();
    let size = |name: &str| said[name].as_u64().and_then(|n| usize::try_from(n).ok());
    let time = |name: &str| said[name].as_u64().map(Duration::from_millis);
    let rate = |name: &str| {
        let rate = said[name].as_object()?;
        let grace_period = Duration::from_millis(rate["graceMs"].as_u64()?);
        Some(DataRate { bytes_per_second: rate["bytesPerSecond"].as_f64()?, grace_period })
    };
    fn set<T>(to: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *to = value;
        }
    }
    set(&mut limits.max_request_line_size, size("maxRequestLineSize"));
    set(&mut limits.max_request_headers_total_size, size("maxRequestHeadersTotalSize"));
    set(&mut limits.max_request_header_count, size("maxRequestHeaderCount"));
    set(&mut limits.max_response_buffer_size, size("maxResponseBufferSize"));
    set(&mut limits.keep_alive_timeout, time("keepAliveTimeoutMs"));
    set(&mut limits.request_headers_timeout, time("requestHeadersTimeoutMs"));
    limits.any_header_encoding = said["anyHeaderEncoding"] == true;
    limits.max_request_body_size = said["maxRequestBodySize"].as_u64();
    limits.min_request_body_data_rate = rate("minRequestBodyDataRate");
    limits.min_response_data_rate = rate("minResponseDataRate");
    limits
}
