//! The signal table: what this process does with each signal, before and after runtimes were started.

use serde::Serialize;

use crate::ffi::{self, Action};

/// One signal.
#[derive(Debug, Serialize)]
pub(super) struct SignalRow {
    pub(super) number: i32,
    pub(super) name: String,
    /// `default`, `ignored`, `handler in FILE`, or `kept by the C library`.
    pub(super) before: String,
    /// Null where nothing was started.
    pub(super) after: Option<String>,
}

impl SignalRow {
    /// Whether something other than the kernel's default happens.
    pub(super) fn is_special(&self) -> bool {
        let special = |text: &str| text != DEFAULT && text != KEPT;
        special(&self.before) || self.after.as_deref().is_some_and(special)
    }

    /// Whether the start of the runtimes changed it.
    pub(super) fn has_changed(&self) -> bool {
        self.after.as_ref().is_some_and(|after| *after != self.before)
    }
}

const DEFAULT: &str = "default";
const KEPT: &str = "kept by the C library";

/// Every signal's action now. Named at once: the library of a handler may be gone later.
pub(super) fn read() -> Vec<(i32, String)> {
    (1..=ffi::last_signal()).map(|number| (number, describe(ffi::signal_action(number)))).collect()
}

/// Puts two readings side by side.
pub(super) fn table(before: Vec<(i32, String)>, after: Option<Vec<(i32, String)>>) -> Vec<SignalRow> {
    let after = after.map(|list| list.into_iter().map(|(_, text)| text).collect::<Vec<_>>());
    let row = |(at, (number, before)): (usize, (i32, String))| SignalRow {
        number,
        name: name(number),
        before,
        after: after.as_ref().map(|list| list[at].clone()),
    };
    before.into_iter().enumerate().map(row).collect()
}

fn describe(action: Option<Action>) -> String {
    match action {
        None => KEPT.to_owned(),
        Some(Action::Default) => DEFAULT.to_owned(),
        Some(Action::Ignored) => "ignored".to_owned(),
        Some(Action::Handler { address, on_stack }) => {
            let file =
                ffi::file_of(address).and_then(|path| path.file_name().map(|n| n.to_string_lossy().into_owned()));
            let file = file.unwrap_or_else(|| "code that no file holds".to_owned());
            let stack = if on_stack { ", alternate stack" } else { "" };
            format!("handler in {file}{stack}")
        }
    }
}

fn name(number: i32) -> String {
    let name = match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSTKFLT => "SIGSTKFLT",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGTSTP => "SIGTSTP",
        libc::SIGTTIN => "SIGTTIN",
        libc::SIGTTOU => "SIGTTOU",
        libc::SIGURG => "SIGURG",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGWINCH => "SIGWINCH",
        libc::SIGIO => "SIGIO",
        libc::SIGPWR => "SIGPWR",
        libc::SIGSYS => "SIGSYS",
        _ => match number - libc::SIGRTMIN() {
            0 => "SIGRTMIN",
            above @ 1.. => return format!("SIGRTMIN+{above}"),
            below => return format!("SIGRTMIN{below}"),
        },
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_has_a_row_and_a_name_of_its_own() {
        let table = table(read(), Some(read()));
        assert_eq!(64, table.len());
        let names: std::collections::BTreeSet<_> = table.iter().map(|row| &row.name).collect();
        assert_eq!(64, names.len());
        assert!(table.iter().all(|row| !row.has_changed()));
        let pipe = &table[libc::SIGPIPE as usize - 1];
        assert_eq!(("SIGPIPE", "ignored"), (&*pipe.name, &*pipe.before));
        assert!(pipe.is_special());
    }
}
