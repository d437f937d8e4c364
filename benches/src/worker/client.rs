//! The harness's side of a worker: asks, waits, and finds out what became of one that does not answer.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::protocol::{Answer, Ask};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Something it needs is not there.
    Skipped(String),
    /// It said that something is wrong, or it crashed, or hung and was killed.
    Failed(String),
    /// The user wants the run to end.
    Interrupted,
}

/// Starts workers.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    /// Set when the user wants the run to end.
    pub(crate) interrupted: Arc<AtomicBool>,
    /// How much longer than it was asked to take a worker may take, before it is held to hang.
    pub(crate) patience: Duration,
}

/// A worker.
pub(crate) struct Worker {
    child: Child,
    asks: Option<ChildStdin>,
    answers: Receiver<String>,
    errors: Errors,
    launcher: Launcher,
}

/// The last lines of its standard error.
struct Errors {
    kept: Arc<Mutex<VecDeque<String>>>,
    /// Ends when standard error does.
    end: Receiver<()>,
}

/// Lines of standard error that are kept.
const KEPT: usize = 8;
/// How often an interrupt is looked for.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a worker may take to end by itself.
const LEAVE: Duration = Duration::from_secs(5);

impl Launcher {
    /// Starts this very program as a worker.
    ///
    /// # Errors
    /// Where it does not start.
    pub(crate) fn launch(&self) -> Result<Worker, Gone> {
        let program = std::env::current_exe().map_err(|e| Gone::Failed(format!("this program: {e}")))?;
        let mut command = Command::new(program);
        command.arg("worker");
        self.start(command)
    }

    fn start(&self, mut command: Command) -> Result<Worker, Gone> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C is for the harness, and what a worker has started can be ended with it.
        command.process_group(0);
        let mut child = command.spawn().map_err(|e| Gone::Failed(format!("a worker does not start: {e}")))?;
        let asks = child.stdin.take();
        let (sender, answers) = mpsc::channel();
        each_line(child.stdout.take(), move |line| sender.send(line).is_ok());
        let errors = Errors::keep(child.stderr.take());
        Ok(Worker { child, asks, answers, errors, launcher: self.clone() })
    }
}

impl Worker {
    /// Asks something that takes about so long.
    ///
    /// # Errors
    /// Where there is no good answer. The worker is of no more use then.
    pub(crate) fn ask(&mut self, ask: &Ask, takes: Duration) -> Result<Answer, Gone> {
        let text = serde_json::to_string(ask).map_err(|e| Gone::Failed(format!("{ask:?} has no JSON: {e}")))?;
        // Where it has ended, its status says more than the pipe.
        let _ = self.asks.as_mut().map(|asks| writeln!(asks, "{text}"));
        let line = self.wait(takes + self.launcher.patience, ask)?;
        match serde_json::from_str(&line) {
            Ok(Answer::Skipped(reason)) => Err(Gone::Skipped(reason)),
            Ok(Answer::Failed(reason)) => Err(Gone::Failed(reason)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(Gone::Failed(format!("its answer is not understood: {error}: {line}"))),
        }
    }

    fn wait(&mut self, timeout: Duration, ask: &Ask) -> Result<String, Gone> {
        let end = Instant::now() + timeout;
        loop {
            if self.launcher.interrupted.load(Ordering::Relaxed) {
                return Err(Gone::Interrupted);
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(left.min(GLANCE)) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => return Err(Gone::Failed(self.ended())),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    self.kill();
                    let what = format!(
                        "it hangs: no answer to {ask:?} within {timeout:?}; it was killed; --patience gives it more time"
                    );
                    return Err(Gone::Failed(self.with_last_words(what)));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// How it ended, for people.
    fn ended(&mut self) -> String {
        // Its pipe may close a little before it ends; one that lives on without it is of no use.
        let status = self.kill();
        let how = status.map_or_else(|| "it is gone".to_owned(), describe);
        self.with_last_words(how)
    }

    fn with_last_words(&self, what: String) -> String {
        let lines = self.errors.all();
        if lines.is_empty() { what } else { format!("{what}; its last words: {}", lines.join(" | ")) }
    }

    /// Ends it and all it has started.
    fn kill(&mut self) -> Option<ExitStatus> {
        // It has not been waited for as yet, so that its id is nobody else's.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // There is none where it has ended with all its children.
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.child.wait().ok()
    }
}

impl Errors {
    fn keep(output: Option<impl Read + Send + 'static>) -> Errors {
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let (sender, end) = mpsc::channel();
        let lines = kept.clone();
        each_line(output, move |line| {
            let _ends_with_the_reader: &mpsc::Sender<()> = &sender;
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == KEPT {
                lines.pop_front();
            }
            lines.push_back(line);
            true
        });
        Errors { kept, end }
    }

    /// What was kept of a process that has ended. One that it has left behind may hold its standard error for ever.
    fn all(&self) -> Vec<String> {
        let _ = self.end.recv_timeout(LEAVE);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        // It ends when there is nothing more to answer, and ends what it has started.
        self.asks = None;
        if !self.launcher.interrupted.load(Ordering::Relaxed) {
            let end = Instant::now() + LEAVE;
            while self.answers.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok() {}
        }
        self.kill();
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("it crashed with {name}"),
            None => format!("it was ended by signal {signal}"),
        },
        (None, Some(code)) => format!("it has exited with code {code}"),
        (None, None) => "it is gone".to_owned(),
    }
}

/// Reads whatever a process writes, for as long as it does, so that it never waits for us.
fn each_line(output: Option<impl Read + Send + 'static>, mut take: impl FnMut(String) -> bool + Send + 'static) {
    let Some(output) = output else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if !take(String::from_utf8_lossy(&line).into_owned()) {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> Worker {
        let launcher = Launcher { interrupted: Arc::default(), patience };
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        launcher.start(command).expect("there is a shell")
    }

    fn ask(script: &str, patience: Duration) -> Result<Answer, Gone> {
        shell(script, patience).ask(&Ask::Memory, Duration::ZERO)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_it_answers_is_the_answer() {
        let said = |line: &str| ask(&format!("read ask; echo '{line}'"), LONG);
        assert_eq!(Ok(Answer::Memory { usage: None }), said(r#"{"memory": {"usage": null}}"#));
        assert_eq!(Err(Gone::Skipped("no Lua".to_owned())), said(r#"{"skipped": "no Lua"}"#));
        assert_eq!(Err(Gone::Failed("a lie".to_owned())), said(r#"{"failed": "a lie"}"#));
        let Err(Gone::Failed(reason)) = said("{what?") else { panic!("it is no answer") };
        assert!(reason.contains("not understood") && reason.contains("{what?"), "{reason}");
    }

    #[test]
    fn a_crash_is_told_by_its_signal_with_the_last_words() {
        let failed = |script| match ask(script, LONG) {
            Err(Gone::Failed(reason)) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!("it crashed with SIGSEGV", failed("read ask; kill -SEGV $$"));
        assert_eq!("it has exited with code 3", failed("exit 3"));
        assert_eq!("it crashed with SIGABRT", failed("exec 2>&-; kill -ABRT $$"));
    }

    #[test]
    fn one_that_hangs_is_killed_with_what_it_has_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().expect("there is mkfifo");
        assert!(made.success());
        let script = format!("exec 3>{}; sleep 1000 & echo 'too much' >&2; read ask; wait", pipe.display());
        let mut worker = shell(&script, Duration::from_millis(200));
        let mut open = std::fs::File::open(&pipe).expect("it opens when the shell has it open");
        let Err(Gone::Failed(reason)) = worker.ask(&Ask::Memory, Duration::ZERO) else { panic!("it hangs") };
        let expected = "it hangs: no answer to Memory within 200ms; it was killed; --patience gives it more time; its \
                        last words: too much";
        assert_eq!(expected, reason);
        // It ends when nobody has it open any more.
        open.read_to_end(&mut Vec::new()).expect("it ends");
    }

    #[test]
    fn an_interrupt_ends_the_waiting() {
        let mut worker = shell("read ask; sleep 1000", LONG);
        worker.launcher.interrupted.store(true, Ordering::Relaxed);
        assert_eq!(Err(Gone::Interrupted), worker.ask(&Ask::Memory, Duration::ZERO));
    }

    #[test]
    fn a_worker_ends_with_its_handle() {
        let worker = shell("read ask; exit 0", LONG);
        let pid = worker.child.id();
        drop(worker);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
