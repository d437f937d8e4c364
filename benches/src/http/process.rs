//! Processes that say when they are ready, and are gone with their handle.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};

/// A process and what it writes.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    end: End,
}

/// How a process is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At once.
    Kill,
    /// Told to, because it has processes of its own to end.
    Terminate,
}

impl Process {
    /// Starts it, and reads whatever it writes.
    ///
    /// # Errors
    /// Where it does not start.
    pub(super) fn start(command: &mut Command, end: End) -> Result<Process, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
        let (sender, lines) = mpsc::channel();
        drain(child.stdout.take(), sender.clone());
        drain(child.stderr.take(), sender);
        Ok(Process { child, lines, end })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that `wanted` takes.
    ///
    /// # Errors
    /// What it has said last, where it ends before.
    pub(super) fn wait_for<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let mut last = "it said nothing".to_owned();
        for line in &self.lines {
            if let Some(found) = wanted(&line) {
                return Ok(found);
            }
            last = line;
        }
        Err(format!("it has ended: {last}"))
    }

    /// Sends a line to its standard input and gives back what follows the question in the line that it answers.
    ///
    /// # Errors
    /// Where it has ended.
    pub(super) fn ask(&mut self, question: &str) -> Result<String, String> {
        let input = self.child.stdin.as_mut().ok_or("it has no standard input")?;
        let written = writeln!(input, "{question}");
        // Where it has ended, its last words say more than the pipe.
        let answer = self.wait_for(|line| line.strip_prefix(question).map(str::to_owned));
        answer.map_err(|e| {
            written.err().map_or_else(|| format!("{question}: {e}"), |io| format!("{question}: {io}; {e}"))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that has ended by itself was seen by whoever asked it something. It is not waited for as yet, so that its
        // id is nobody else's.
        let _ = match (self.end, pid) {
            (End::Terminate, Some(pid)) => kill_process(pid, Signal::TERM).map_err(Into::into),
            _ => self.child.kill(),
        };
        let _ = self.child.wait();
    }
}

/// Reads what a process writes for as long as it does, so that it never waits for us.
fn drain(output: Option<impl Read + Send + 'static>, lines: mpsc::Sender<String>) {
    let Some(output) = output else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens once the process is on its way out.
            let _ = lines.send(line);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start(Command::new("sh").args(["-c", script]), End::Kill).expect("there is a shell")
    }

    #[test]
    fn the_last_words_of_a_process_say_why_there_is_no_answer() {
        let mut process = shell("echo 'no such thing' >&2; exit 1");
        let error = process.ask("what ").expect_err("it has ended");
        assert!(error.contains("what ") && error.contains("no such thing"), "{error}");
        let error = Process::start(&mut Command::new("/no/such/program"), End::Kill).expect_err("there is none");
        assert!(error.contains("/no/such/program"), "{error}");
    }

    #[test]
    fn a_question_is_answered_by_the_line_that_begins_with_it() {
        let mut process = shell("read line; echo noise; echo \"$line and answer\"");
        assert_eq!(Ok(" and answer".to_owned()), process.ask("question:"));
    }
}
