//! The worker's side: answers the lines of its standard input until that ends.

use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::AsFd;

use rustix::process::Signal;

use super::protocol::{Answer, Ask};
use super::session::Session;

/// Answers until the harness is gone.
///
/// # Errors
/// Where the harness does not speak the protocol, or the pipe breaks.
pub(crate) fn serve() -> Result<(), String> {
    // A harness that was killed can't end a worker whose guest hangs.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| format!("prctl: {e}"))?;
    let mut answers = take_stdout().map_err(|e| format!("standard output: {e}"))?;
    let mut session = Session::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| format!("standard input: {e}"))?;
        let answer = match serde_json::from_str::<Ask>(&line) {
            Ok(ask) => session.answer(ask),
            Err(error) => Answer::Failed(format!("not understood: {error}: {line}")),
        };
        let text = serde_json::to_string(&answer).map_err(|e| format!("an answer has no JSON: {e}"))?;
        writeln!(answers, "{text}").map_err(|e| format!("standard output: {e}"))?;
    }
    Ok(())
}

/// Keeps standard output for answers: what a guest prints goes to standard error.
fn take_stdout() -> std::io::Result<File> {
    let own = std::io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(std::io::stderr().as_fd())?;
    Ok(File::from(own))
}
