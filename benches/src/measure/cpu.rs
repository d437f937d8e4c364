//! What a process has used of the processors, by the kernel's own account.

use std::collections::HashMap;
use std::fs;

/// An account, to be compared with a later one.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Nanoseconds of each thread.
    threads: HashMap<u32, u64>,
    /// Ticks in user code and in the kernel.
    ticks: (u64, u64),
}

/// Nanoseconds between two accounts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Used {
    pub(crate) total: f64,
    pub(crate) user: f64,
}

impl Account {
    /// Reads the account of some processes together.
    ///
    /// # Errors
    /// Where one is not there, or there are no scheduler statistics of its threads.
    pub(crate) fn of(pids: &[u32]) -> Result<Account, String> {
        let mut all = Account::default();
        for &pid in pids {
            let one = Account::of_one(pid)?;
            all.threads.extend(one.threads);
            all.ticks = (all.ticks.0 + one.ticks.0, all.ticks.1 + one.ticks.1);
        }
        Ok(all)
    }

    fn of_one(pid: u32) -> Result<Account, String> {
        let folder = format!("/proc/{pid}/task");
        let failed = |e| format!("{folder}: {e}; is the server gone?");
        let mut threads = HashMap::new();
        for entry in fs::read_dir(&folder).map_err(failed)?.flatten() {
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
            let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
            let tid = entry.file_name().to_str().and_then(|tid| tid.parse().ok());
            if let (Some(tid), Some(nanos)) = (tid, nanos) {
                threads.insert(tid, nanos);
            }
        }
        if threads.is_empty() {
            return Err(format!("{folder}/*/schedstat: the kernel keeps no scheduler statistics"));
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(failed)?;
        let ticks = ticks(&stat).ok_or_else(|| format!("/proc/{pid}/stat is not understood"))?;
        Ok(Account { threads, ticks })
    }

    /// What was used from an earlier account to this one.
    ///
    /// The total is exact but for threads that have ended meanwhile. Its split into user and system is what the clock
    /// tick of 4 ms or so has sampled.
    pub(crate) fn since(&self, earlier: &Account) -> Used {
        let of_thread = |(tid, nanos): (&u32, &u64)| nanos - earlier.threads.get(tid).unwrap_or(&0).min(nanos);
        let total = self.threads.iter().map(of_thread).sum::<u64>() as f64;
        let user = self.ticks.0.saturating_sub(earlier.ticks.0) as f64;
        let system = self.ticks.1.saturating_sub(earlier.ticks.1) as f64;
        Used { total, user: if user + system > 0.0 { total * user / (user + system) } else { 0.0 } }
    }
}

/// Context switches of all threads of some processes so far, those of their own accord and those that were forced.
///
/// # Errors
/// Where a process is not there.
pub(crate) fn switches(pids: &[u32]) -> Result<u64, String> {
    let mut all = 0;
    for pid in pids {
        let folder = format!("/proc/{pid}/task");
        for entry in fs::read_dir(&folder).map_err(|e| format!("{folder}: {e}"))?.flatten() {
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(entry.path().join("status")) else { continue };
            all += text
                .lines()
                .filter_map(|line| line.split_once("ctxt_switches:")?.1.trim().parse::<u64>().ok())
                .sum::<u64>();
        }
    }
    Ok(all)
}

/// utime and stime of a line of `/proc/PID/stat`; see proc_pid_stat(5).
fn ticks(stat: &str) -> Option<(u64, u64)> {
    // The program's name may hold anything, brackets and spaces too.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 12 34 0 0 20 0 1 0";
        assert_eq!(Some((12, 34)), ticks(stat));
    }

    #[test]
    fn threads_that_come_and_go_count_with_what_is_known() {
        let account = |threads: &[(u32, u64)], ticks| Account { threads: threads.iter().copied().collect(), ticks };
        let earlier = account(&[(1, 100), (2, 50)], (10, 10));
        let later = account(&[(1, 300), (3, 40)], (13, 11));
        assert_eq!(Used { total: 240.0, user: 180.0 }, later.since(&earlier));
    }

    #[test]
    fn this_process_has_used_something() {
        let account = Account::of(&[std::process::id()]).expect("there are statistics");
        assert!(account.since(&Account::default()).total > 0.0);
    }

    #[test]
    fn a_process_that_waits_is_switched() {
        let this = [std::process::id()];
        let before = switches(&this).expect("it is there");
        std::thread::spawn(|| ()).join().expect("it ends");
        assert!(switches(&this).expect("it is there") > 0, "{before} before");
        assert!(switches(&[u32::MAX]).is_err());
    }

    #[test]
    fn processes_are_added_up_and_one_that_is_gone_is_an_error() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        let (this, other) = (std::process::id(), child.id());
        let threads = |pids: &[u32]| Account::of(pids).map(|account| account.threads);
        assert!(threads(&[this, other]).is_ok_and(|all| all.contains_key(&this) && all.contains_key(&other)));
        drop(child.stdin.take());
        child.wait().expect("it ends");
        let error = threads(&[this, other]).expect_err("it is gone");
        assert!(error.contains(&other.to_string()), "{error}");
    }
}
