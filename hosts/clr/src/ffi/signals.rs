//! The host's signal handlers stay the host's.

use std::mem::MaybeUninit;
use std::ptr;

/// What .NET needs for itself: faults, which it hands on where they are not its own, and SIGPIPE, which must not kill.
const FOR_DOTNET: [libc::c_int; 7] =
    [libc::SIGSEGV, libc::SIGFPE, libc::SIGILL, libc::SIGBUS, libc::SIGTRAP, libc::SIGABRT, libc::SIGPIPE];
/// The last of the standard signals; the real-time ones behind them have no handler before .NET takes one for itself.
const LAST: libc::c_int = 31;

/// What .NET replaces as it starts, whether the host had a handler or not. The default action has to come back too:
/// .NET's own handlers restore it and send the signal again, so that one of the host's that is installed later and
/// calls the one before it, as those of signal-hook and tokio do, would end the process.
const TO_END: [libc::c_int; 3] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The handlers that the host had installed, and its default actions for [`TO_END`].
pub(super) struct Handlers(Vec<(libc::c_int, libc::sigaction)>);

impl Handlers {
    /// Those in force now.
    pub(super) fn keep() -> Self {
        let standard = (1..=LAST).filter(|signal| !FOR_DOTNET.contains(signal));
        let actions = standard.filter_map(|signal| Some((signal, action(signal)?)));
        Handlers(actions.filter(|(signal, action)| is_handler(action) || TO_END.contains(signal)).collect())
    }

    /// Puts back those that have been replaced since. Up to .NET 9 a SIGTERM would else end the process whatever the
    /// host wants (dotnet/runtime#106263).
    pub(super) fn restore(self) {
        for (signal, before) in self.0 {
            if action(signal).is_some_and(|now| now.sa_sigaction != before.sa_sigaction) {
                // SAFETY: `before` is what the system said was in force, and its handler is still the host's.
                unsafe { libc::sigaction(signal, &before, ptr::null_mut()) };
            }
        }
    }
}

/// Puts the default actions of [`TO_END`] back, whoever has taken them: .NET's console and an application's host do, on
/// threads of their own. See [`TO_END`] for what their handlers would do below one of the host's.
#[cfg(feature = "aspnet")]
pub(crate) fn take_back() {
    for signal in TO_END {
        // SAFETY: sets the default action, which has no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn is_handler(action: &libc::sigaction) -> bool {
    !matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
}

fn action(signal: libc::c_int) -> Option<libc::sigaction> {
    let mut now = MaybeUninit::uninit();
    // SAFETY: asks only; the system writes to `now`, which has the size it wants.
    let failed = unsafe { libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) } != 0;
    // SAFETY: written by the successful call.
    (!failed).then(|| unsafe { now.assume_init() })
}
