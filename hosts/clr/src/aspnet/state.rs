//! What becomes of an application, from the events that Polyhost.AspNetCore sends.

use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use polyhost_bridge::{Error, ErrorKind, Result};
use polyhost_http::head::RequestHead;

use super::app::{AspNetApp, Running};
use super::config::{AspNetConfig, ServerSettings};
use super::inline::Route;
use crate::ffi::signals;

/// The fact of an error that says what `Main` returned, or has left in `Environment.ExitCode`.
const EXIT_CODE: &str = "exit_code";

/// Something an application says of itself; see `AppEventKind` in C#.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// `ApplicationStarted`.
    Started,
    /// `ApplicationStopping`.
    Stopping,
    /// `Main` returned with this code; and whether there was a web host.
    Stopped { code: i32, web: bool },
    /// `Main` threw: a line, and the whole report.
    Failed { line: String, report: String },
}

impl Event {
    /// An event of its number and text.
    pub(crate) fn of(kind: u32, text: &str) -> Option<Event> {
        let (first, rest) = text.split_once('\0').unwrap_or((text, ""));
        Some(match kind {
            2 => Event::Started,
            3 => Event::Failed { line: first.to_owned(), report: rest.to_owned() },
            4 => Event::Stopped { code: first.parse().unwrap_or(0), web: rest == "web" },
            5 => Event::Stopping,
            _ => return None,
        })
    }
}

/// One application's state, which threads wait for.
pub(crate) struct State {
    config: AspNetConfig,
    /// Set before `Main` starts.
    running: OnceLock<Weak<Running>>,
    /// Set as its server starts, before it takes requests.
    routes: OnceLock<Vec<Route>>,
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Default)]
struct Now {
    settings: Option<ServerSettings>,
    addresses: Vec<String>,
    started: bool,
    stopping: bool,
    ended: Option<Event>,
    wakers: Vec<std::task::Waker>,
}

impl Now {
    /// Has the task woken at the next event. One that asks again and again, as `select!` in a loop does, is kept once.
    fn wake(&mut self, cx: &std::task::Context<'_>) {
        if !self.wakers.iter().any(|kept| kept.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
    }
}

/// How much time is left; an hour, and then another, where there is no end.
fn left(until: Option<Instant>) -> Duration {
    until.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()))
}

impl State {
    pub(crate) fn new(config: AspNetConfig) -> Self {
        State {
            config,
            running: OnceLock::new(),
            routes: OnceLock::new(),
            now: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Ties the state to the application that it is of.
    pub(crate) fn belongs_to(&self, running: Weak<Running>) {
        let first = self.running.set(running).is_ok();
        debug_assert!(first, "a state is of one application");
    }

    pub(crate) fn config(&self) -> &AspNetConfig {
        &self.config
    }

    /// Whether a request is to run on the thread that has read it.
    pub(crate) fn runs_inline(&self, head: &RequestHead) -> bool {
        self.config.inline.chooses(self.routes.get().map_or(&[], Vec::as_slice), head)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The application's server starts: says where it serves.
    ///
    /// # Errors
    /// What the application gets as the reason why it can't.
    pub(crate) fn listen(&self, text: &str) -> Result<Vec<String>, String> {
        let mut settings = ServerSettings::parse(text)?;
        // An application has one server, which starts once.
        let _ = self.routes.set(std::mem::take(&mut settings.routes));
        if self.config.own_signals {
            signals::take_back();
        }
        let addresses = match &self.config.listen {
            Some(listen) => {
                let running = self.running.get().and_then(Weak::upgrade);
                let running = running.ok_or("the host has given the application up")?;
                listen(&AspNetApp::of(running, settings.limits.clone()), &settings)?
            }
            None => settings.urls.clone(),
        };
        let mut now = self.now();
        now.settings = Some(settings);
        now.addresses.clone_from(&addresses);
        Ok(addresses)
    }

    /// Keeps a text for as long as the process, as the state itself is kept: C# reads it.
    pub(crate) fn keep(&self, text: String) -> &'static str {
        text.leak()
    }

    pub(crate) fn happened(&self, event: Event) {
        let mut now = self.now();
        match event {
            Event::Started => now.started = true,
            Event::Stopping => now.stopping = true,
            end => now.ended = Some(end),
        }
        let wakers = std::mem::take(&mut now.wakers);
        drop(now);
        self.changed.notify_all();
        for waker in wakers {
            waker.wake();
        }
    }

    /// Waits until the application has started.
    ///
    /// # Errors
    /// [`ErrorKind::Load`] where it ended instead, [`ErrorKind::DeadlineExceeded`] where it does neither in time.
    pub(crate) fn wait_started(&self) -> Result<()> {
        let until = Instant::now().checked_add(self.config.start_timeout);
        let mut now = self.now();
        loop {
            if let Some(end) = &now.ended {
                return Err(self.ended(end));
            }
            if now.started && now.settings.is_some() {
                return Ok(());
            }
            if now.started {
                let what = "is no web application: its host started and has no server; one that has both kinds builds its web host first";
                return Err(self.error(ErrorKind::Load, what));
            }
            let left = left(until);
            if left.is_zero() {
                let seconds = self.config.start_timeout.as_secs_f64();
                let what = if now.settings.is_some() {
                    format!(
                        "has a server but did not say that it started within {seconds} s: a hosted service of it may not return from StartAsync"
                    )
                } else {
                    format!("did not start a web server within {seconds} s; its Main is still running")
                };
                return Err(self.error(ErrorKind::DeadlineExceeded, &what));
            }
            now = self.changed.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until `Main` is over, for `grace` at most; whether it is.
    pub(crate) fn wait_ended(&self, grace: Duration) -> bool {
        let until = Instant::now().checked_add(grace);
        let mut now = self.now();
        while now.ended.is_none() {
            let left = left(until);
            if left.is_zero() {
                return false;
            }
            now = self.changed.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// How the application ended, once it has; `Ok` for a `Main` that returned 0.
    pub(crate) fn poll_ended(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<()>> {
        let mut now = self.now();
        match &now.ended {
            Some(Event::Stopped { code: 0, .. }) => std::task::Poll::Ready(Ok(())),
            Some(end) => std::task::Poll::Ready(Err(self.ended(end))),
            None => {
                now.wake(cx);
                std::task::Poll::Pending
            }
        }
    }

    /// Ready once the application stops or has ended.
    pub(crate) fn poll_stopping(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        let mut now = self.now();
        if now.stopping || now.ended.is_some() {
            return std::task::Poll::Ready(());
        }
        now.wake(cx);
        std::task::Poll::Pending
    }

    pub(crate) fn settings(&self) -> ServerSettings {
        self.now().settings.clone().unwrap_or_default()
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.now().addresses.clone()
    }

    fn ended(&self, end: &Event) -> Error {
        match end {
            Event::Failed { line, report } => {
                let mut error = self.error(ErrorKind::Load, &format!("failed: {line}"));
                if !report.is_empty() {
                    error = error.caused_by(Error::new(ErrorKind::Guest, report.trim_end()));
                }
                error
            }
            Event::Stopped { code, web: false } => {
                let what = format!("is no web application: its Main returned {code} and has started no web host");
                self.error(ErrorKind::Load, &what).with(EXIT_CODE, code.to_string())
            }
            Event::Stopped { code, .. } => {
                let what = format!("ended: its Main returned {code}");
                self.error(ErrorKind::Guest, &what).with(EXIT_CODE, code.to_string())
            }
            other => self.error(ErrorKind::Internal, &format!("ended with {other:?}")),
        }
    }

    fn error(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, format!("the application {} {what}", self.config.path.display()))
    }
}
