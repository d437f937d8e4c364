//! What the numbers depend on, and whether something disturbed them.

use std::path::Path;
use std::process::Command;

use super::schema::Environment;
use crate::measure::clock::Clock;
use crate::measure::own_cost;

/// Reads it from the system. `label` is what the user calls the machine.
pub(crate) fn read(label: &str) -> Environment {
    let clock = Clock::calibrate();
    let cpuinfo = file("/proc/cpuinfo");
    let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let release = file("/etc/os-release");
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let meminfo = file("/proc/meminfo");
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    Environment {
        label: label.to_owned(),
        cpu: cpu.map_or("unknown", |(_, name)| name).to_owned(),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
        memory: total.and_then(|total| total.parse::<u64>().ok()).unwrap_or(0) << 10,
        system: system.map_or("Linux", |name| name.trim_matches('"')).to_owned(),
        kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
        governor: file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").trim().to_owned(),
        load: load().unwrap_or(0.0),
        commit: commit(Path::new(env!("CARGO_MANIFEST_DIR"))),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        clock: clock.cost,
        clock_resolution: clock.resolution,
        own_cost: own_cost(),
    }
}

fn file(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn load() -> Option<f64> {
    file("/proc/loadavg").split(' ').next()?.parse().ok()
}

/// The commit of a checkout; `+` for changed files, empty where it is none.
fn commit(folder: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return String::new() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
    if changed { commit + "+" } else { commit }
}

/// Whether a source of a program was changed since it was built: then the checkout's commit is not the program's. Cargo
/// writes their names into a file beside it.
fn is_stale(program: &Path) -> bool {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|it| it.modified()).ok();
    let (Some(built), Ok(rule)) = (changed(program), std::fs::read_to_string(program.with_extension("d"))) else {
        return false;
    };
    let sources = rule.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, sources)| sources);
    // A space within a name has a backslash before it.
    let names = sources.replace("\\ ", "\0");
    names.split(' ').any(|name| changed(Path::new(&name.replace('\0', " "))).is_some_and(|changed| changed > built))
}

/// The processors' account, in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    all: u64,
    busy: u64,
    /// Taken by other guests of the machine below this one.
    stolen: u64,
    /// Of this process and those it has waited for.
    own: u64,
}

/// Watches what else the machine does during a run.
#[derive(Debug)]
pub(crate) struct Noise {
    begin: Option<Ticks>,
}

impl Noise {
    pub(crate) fn watch() -> Noise {
        Noise { begin: Ticks::read() }
    }

    /// What the reader should know. Call it when all processes of the run have ended.
    pub(crate) fn warnings(&self, environment: &Environment) -> Vec<String> {
        let mut warnings = before(environment);
        if std::env::current_exe().is_ok_and(|program| is_stale(&program)) {
            let warning =
                "sources were changed since this program was built, so the commit is not its own: build it anew";
            warnings.push(warning.to_owned());
        }
        if let Some((begin, end)) = self.begin.zip(Ticks::read()) {
            warnings.extend(during(begin, end, environment.cores));
        }
        warnings
    }
}

fn before(environment: &Environment) -> Vec<String> {
    let mut warnings = Vec::new();
    if environment.build == "debug" {
        warnings.push("this is a debug build; its numbers mean nothing: build with --release".to_owned());
    }
    let (load, cores) = (environment.load, environment.cores);
    if load > 0.25 * cores as f64 {
        warnings.push(format!("the machine was busy before the run: a load of {load:.1} on {cores} processors"));
    }
    if !matches!(environment.governor.as_str(), "" | "performance") {
        let governor = &environment.governor;
        warnings.push(format!("the frequency governor is {governor}; with performance, numbers vary less"));
    }
    warnings
}

fn during(begin: Ticks, end: Ticks, cores: usize) -> Vec<String> {
    let since = |field: fn(Ticks) -> u64| field(end).saturating_sub(field(begin)) as f64;
    let all = since(|it| it.all).max(1.0);
    let others = (since(|it| it.busy) - since(|it| it.own)).max(0.0) / all * cores as f64;
    let stolen = since(|it| it.stolen) / all;
    let mut warnings = Vec::new();
    if others > 0.1 {
        warnings.push(format!("other programs used {others:.2} processors during the run"));
    }
    if stolen > 0.01 {
        warnings.push(format!("{:.1} % of the processors' time was stolen by the machine below", stolen * 100.0));
    }
    warnings
}

impl Ticks {
    fn read() -> Option<Ticks> {
        Ticks::parse(&file("/proc/stat"), &file("/proc/self/stat"))
    }

    /// See proc_stat(5) and proc_pid_stat(5).
    fn parse(machine: &str, process: &str) -> Option<Ticks> {
        let fields: Vec<u64> =
            machine.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map_while(|it| it.parse().ok()).collect();
        let [user, nice, system, idle, waiting, irq, softirq, stolen, ..] = fields[..] else { return None };
        let busy = user + nice + system + irq + softirq;
        let own = process.rsplit_once(") ")?.1.split(' ').skip(11).take(4);
        let own = own.map(|it| it.parse::<u64>()).sum::<Result<u64, _>>().ok()?;
        Some(Ticks { all: busy + idle + waiting + stolen, busy, stolen, own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_known_and_names_no_host() {
        let environment = read("laptop");
        assert!(environment.clock > 0.0 && environment.own_cost > 0.0, "{environment:?}");
        assert!(environment.cores > 0 && environment.memory > 0 && !environment.kernel.is_empty(), "{environment:?}");
        let host = file("/proc/sys/kernel/hostname").trim().to_owned();
        let text = serde_json::to_string(&environment).expect("has JSON");
        assert!(host.len() < 4 || !text.contains(&host), "{text}");
        assert_eq!("", commit(Path::new("/")));
    }

    #[test]
    fn a_program_that_is_older_than_its_sources_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str, seconds: u64| {
            let file = std::fs::File::create(folder.path().join(name)).expect("made");
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            file.set_modified(time).expect("set");
        };
        let place = |name: &str| folder.path().join(name);
        let program = place("program");
        at("program", 1000);
        at("old.rs", 900);
        at("a new.rs", 1100);
        assert!(!is_stale(&program), "nobody says what it was built of");
        let rule = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|it| place(it).display().to_string().replace(' ', "\\ ")).collect();
            std::fs::write(place("program.d"), format!("{}: {}\n", program.display(), names.join(" ")))
                .expect("written");
        };
        rule(&["old.rs", "gone.rs"]);
        assert!(!is_stale(&program));
        rule(&["old.rs", "a new.rs"]);
        assert!(is_stale(&program));
    }

    #[test]
    fn ticks_are_read() {
        let machine = "cpu  10 1 5 100 7 2 3 9 0 0\ncpu0 1 1 1 1";
        let process = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 12 34 5 6 20 0 1 0";
        assert_eq!(Some(Ticks { all: 137, busy: 21, stolen: 9, own: 57 }), Ticks::parse(machine, process));
        assert!(Ticks::read().is_some());
    }

    #[test]
    fn a_machine_with_others_on_it_is_told() {
        let begin = Ticks { all: 0, busy: 0, stolen: 0, own: 0 };
        let quiet = Ticks { all: 2000, busy: 1000, stolen: 1, own: 950 };
        assert_eq!(Vec::<String>::new(), during(begin, quiet, 2));
        let noisy = during(begin, Ticks { all: 2000, busy: 1800, stolen: 100, own: 900 }, 2);
        assert_eq!(2, noisy.len());
        assert!(noisy[0].contains("0.90 processors") && noisy[1].contains("5.0 %"), "{noisy:?}");
    }

    #[test]
    fn what_is_known_before_is_told() {
        let quiet = Environment { cores: 2, load: 0.2, build: "release".to_owned(), ..Environment::default() };
        assert_eq!(Vec::<String>::new(), before(&quiet));
        let bad = Environment { load: 1.5, build: "debug".to_owned(), governor: "powersave".to_owned(), ..quiet };
        assert_eq!(3, before(&bad).len());
    }
}
